"""Addresses with a signature: they are read, and their query is in nothing that is written or said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.addresses import lacks_query, masked, recorded, shown
from infra.storage import read_json
from tests.commoncrawl.server import Changed, Refusal, Signed, StandIn, serve
from tests.pipeline.command import made, refinery
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import BRIEF

SECRET = "0f1e2d3c4b5a"
QUERY = f"X-Amz-Expires=600&X-Amz-Signature={SECRET}"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    folder = tmp_path_factory.mktemp("bucket")
    write_crawl(folder / "crawl", files=2, each=6)
    (folder / "brief.toml").write_text(BRIEF)
    with serve(folder) as server:
        yield server


@pytest.fixture
def signed(bucket: StandIn) -> Iterator[StandIn]:
    bucket.fault("*.warc.gz", Signed(QUERY))
    yield bucket
    bucket.mend()


def addresses(server: StandIn) -> list[str]:
    return [f"{server.url}/crawl/part-{number}.warc.gz?{QUERY}" for number in (0, 1)]


@pytest.fixture(scope="module")
def run(bucket: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    bucket.fault("*.warc.gz", Signed(QUERY))
    said = refinery(
        "run", "--recipe", bucket.folder / "brief.toml", "--input", *addresses(bucket), "--out", folder / "out"
    )
    bucket.mend()
    assert SECRET not in said
    return folder / "out"


def test_nothing_that_is_written_has_it(run: Path, bucket: StandIn) -> None:
    files = [path for path in run.rglob("*") if path.is_file()]
    assert len(files) > 20 and not [path for path in files if SECRET.encode() in path.read_bytes()]
    account = read_json(run / "01-ingest" / "run.json") or {}
    assert account["inputs"]["part-0.warc.gz"] == f"{bucket.url}/crawl/part-0.warc.gz?"


def test_what_reads_again_asks_for_the_whole_address(run: Path, signed: StandIn, tmp_path: Path) -> None:
    recipe, page = signed.folder / "brief.toml", "http://host1.example/1"
    listed = tmp_path / "addresses.txt"
    listed.write_text("\n".join(addresses(signed)))
    commands = {
        "explain": ["explain", page, "--run", run],
        "readmit": ["readmit", "--ledger", run, "--recipe", recipe, "--out", tmp_path / "again"],
        "extract": ["extract", "--recipe", recipe, "--input", run / "01-ingest", "--out", tmp_path / "documents"],
    }
    for name, command in commands.items():
        asked = len(signed.log)
        said = refinery(*command, code=2)
        assert "give the whole address again with --source ADDRESS" in said and len(signed.log) == asked, name
        told = refinery(*command, "--source", listed)
        assert SECRET not in told + said
    assert "extract" in refinery(*commands["explain"], "--source", addresses(signed)[0])
    assert made(tmp_path / "documents") == {
        name.removeprefix("02-extract/"): content for name, content in made(run).items() if name.startswith("02-")
    }
    assert not [path for path in tmp_path.rglob("*.json*") if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(("act", "code", "says"), [
    (Refusal(403), 1, "sign the address again"), (Refusal(404), 2, "there is no such file"),
    (Refusal(410), 2, "there is no such file"), (Refusal(418), 1, "the server answers 418"),
    (Changed(), 1, "has changed"),
])  # fmt: skip
def test_no_error_tells_it(act: Refusal, code: int, says: str, signed: StandIn, tmp_path: Path) -> None:
    signed.mend()
    signed.fault("*part-1.warc.gz", act, skip=int(isinstance(act, Changed)))
    command = ["run", "--recipe", signed.folder / "brief.toml", "--input", *addresses(signed), "--out", tmp_path / "o"]
    with pytest.raises(AssertionError) as stopped:
        refinery(*command, code=-1)
    said = str(stopped.value)
    assert f"exit code {code}\n" in said and says in said and SECRET not in said and "Traceback" not in said


def test_other_addresses_are_refused_without_it(tmp_path: Path) -> None:
    list_of = tmp_path / "list.txt"
    list_of.write_text(f"https://host.example/a.csv?{QUERY}\n")
    user = f"user:{SECRET}@"
    for address in (f"https://host.example/a.csv?{QUERY}", f"ftp://{user}host.example/a.warc.gz",
                    f"https://{user}host.example/a.warc.gz", f"s3://{user}bucket/a.warc.gz"):  # fmt: skip
        said = refinery("run", "--recipe", "exact", "--input", address, "--out", tmp_path / "out", code=2)
        assert SECRET not in said and ("host.example" in said or "bucket" in said)
    said = refinery("explain", "http://a/", "--run", tmp_path, "--source", list_of, code=2)
    assert SECRET not in said


@pytest.mark.parametrize(("word", "bare"), [
    ("https://h/a b.warc.gz?sig=1&x#y", "https://h/a b.warc.gz"),
    ("https:/h/a.gz?sig=1", "https:/h/a.gz"),
    ("--input=https://user:pass@h/a.gz", "--input=https://h/a.gz"),
    ("code=https://h/a.gz#x?y", "code=https://h/a.gz"),
    ("s3://b/part-?.parquet", "s3://b/part-?.parquet"),
    ("s3://key:secret@b/x", "s3://b/x"),
    ("/data/what?.gz", "/data/what?.gz"),
])  # fmt: skip
def test_what_is_left_of_an_address(word: str, bare: str) -> None:
    assert shown(word) == bare
    assert recorded(recorded(word)) == recorded(word) == bare + ("?" if "sig=" in word else "")
    assert lacks_query(recorded("https://h/a?b")) and not lacks_query("s3://b/part-?") and not lacks_query("/data/a?")
    assert masked("no: 'https://h/a?b' or s3://u@b") == "no: 'https://h/a' or s3://b"
