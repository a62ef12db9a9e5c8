"""A run over a snapshot is the run over its files, wherever they are and whatever goes wrong on the way."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import refinery as rf
from infra.errors import WorkError
from infra.http.budget import serve_budget
from infra.http.limits import HttpLimits
from infra.storage import write_bytes
from tests.commoncrawl.bucket import ARC_2012, ARC_FILES, ARC_WITH_LIST, NEW
from tests.commoncrawl.server import Changed, Cut, Refusal, StandIn, serve
from tests.conftest import MadeOnce
from tests.files import ROOT
from tests.pipeline.command import answer, made, refinery
from tests.pipeline.recipe_texts import EXTRACT, INGEST, judge, stage
from tests.pipeline.recipe_texts import recipe as recipe_text
from tests.pipeline.snapshots.conftest import PAGES


@pytest.fixture(scope="session")
def recipe(made_once: MadeOnce) -> Path:
    """What reads archives, and one stage more."""
    size = stage("filter", "filter", judge("size", {"signal": "words", "min": 50}))

    def write(folder: Path) -> None:
        (folder / "brief.toml").write_text(recipe_text("brief", INGEST, EXTRACT, size))

    return made_once("snapshot-recipe", write) / "brief.toml"


@pytest.fixture(scope="session")
def on_disk(made_once: MadeOnce, bucket: Path, recipe: Path) -> Path:
    """The run over the pages of CC-MAIN-2024-51 where they lie in a folder."""

    def run(folder: Path) -> None:
        refinery("run", "--recipe", recipe, "--input", *sorted(bucket.glob(f"crawl-data/{NEW}/segments/*/warc/*.gz")),
                 "--out", folder / "out")  # fmt: skip

    return made_once("run-on-disk", run) / "out"


def run_over(recipe: Path, out: Path, *words: object) -> dict[str, bytes]:
    refinery("run", "--recipe", recipe, "--out", out, "--requests-per-second", 1000, *words)
    return made(out)


def rows_of(found: dict[str, bytes]) -> dict[str, bytes]:
    """Shards and ledgers: manifests name the versions of the inputs too, by which the snapshot's files differ."""
    return {name: content for name, content in found.items() if "part-" in name}


def test_a_snapshot_over_http_is_the_files_on_disk(
    stand_in: StandIn, bucket: Path, recipe: Path, on_disk: Path, tmp_path: Path
) -> None:
    over_http = run_over(recipe, tmp_path / "http", "--snapshot", NEW, "--source", stand_in.url)
    in_folder = run_over(recipe, tmp_path / "folder", "--snapshot", NEW, "--source", bucket)
    assert rows_of(over_http) == rows_of(in_folder)
    assert rows_of(over_http) == rows_of(made(on_disk))
    assert len([name for name in rows_of(over_http) if "ledger" not in name]) == 3 * 4


def test_the_function_takes_what_the_command_takes(
    stand_in: StandIn, recipe: Path, on_disk: Path, tmp_path: Path
) -> None:
    asked = {"snapshot": NEW, "source": stand_in.url, "requests_per_second": 1000, "workers": 1}
    rf.run(recipe, out=tmp_path / "all", **asked)
    assert rows_of(made(tmp_path / "all")) == rows_of(made(on_disk))
    rf.run(recipe, out=tmp_path / "two", sample=0.5, **asked)
    run_over(recipe, tmp_path / "files", "--snapshot", NEW, "--sample", "50%", "--source", stand_in.url)
    assert made(tmp_path / "two") == made(tmp_path / "files")
    for given, told in (
        ({"files": 2}, "give --input or --snapshot"),
        ({"snapshot": NEW, "inputs": on_disk}, "give --input or --snapshot"),
        ({**asked, "files": 1, "sample": "1%"}, "give one of them"),
        ({**asked, "budget": 1}, "no probe yet of recipe 'brief'"),
    ):
        with pytest.raises(rf.UsageError, match=told):
            rf.run(recipe, out=tmp_path / "refused", **given)
    assert not (tmp_path / "refused").exists()


def test_a_storm_and_cut_connections_lose_nothing(
    stand_in: StandIn, recipe: Path, on_disk: Path, tmp_path: Path
) -> None:
    stand_in.fault("*/warc/*", Cut(after=3000), times=1)
    stand_in.fault("*/warc/*", Refusal(503, "0"), times=1, skip=2)
    found = run_over(recipe, tmp_path / "out", "--snapshot", NEW, "--source", stand_in.url)
    assert rows_of(found) == rows_of(made(on_disk))
    assert len(stand_in.asked(status=503)) == 1


def test_a_refusal_ends_the_run_and_the_same_command_goes_on(
    stand_in: StandIn, recipe: Path, on_disk: Path, tmp_path: Path
) -> None:
    command = ("--snapshot", NEW, "--source", stand_in.url)
    stand_in.fault("*/warc/*", Refusal(403), skip=6)
    refinery("run", "--recipe", recipe, "--out", tmp_path / "out", *command, code=1)
    stand_in.mend()
    assert rows_of(run_over(recipe, tmp_path / "out", *command)) == rows_of(made(on_disk))


def test_a_file_that_changes_while_the_run_begins_is_refused(stand_in: StandIn, recipe: Path, tmp_path: Path) -> None:
    """Between the request for its size and that for its bytes, which are as many."""
    stand_in.fault("*/warc/*", Changed(), skip=4)
    told = rf"{stand_in.url}/crawl-data/{NEW}/.* has changed since the run began"
    with pytest.raises(WorkError, match=told):
        rf.run(recipe, out=tmp_path / "out", snapshot=NEW, source=stand_in.url, requests_per_second=1000, workers=1)
    assert not [*(tmp_path / "out").glob("*/manifest.json")]


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("grown", [0, 7])
def test_a_file_that_has_changed_since_it_was_read_is_refused(
    finished: bool, grown: int, bucket: Path, recipe: Path, tmp_path: Path
) -> None:
    """Also by its ETag alone, where the run is not finished; a mirror may have another."""
    shutil.copytree(bucket, tmp_path / "bucket")
    changed = next(iter(sorted((tmp_path / "bucket").glob(f"crawl-data/{NEW}/segments/*/warc/*.gz"))))
    limits = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.05, patience=0.1)
    with serve(tmp_path / "bucket") as server, serve_budget(limits):
        words = ("run", "--recipe", recipe, "--out", tmp_path / "out", "--snapshot", NEW, "--source")
        if not finished:
            server.fault("*/warc/*", Refusal(404), skip=7)
        refinery(*words, server.url, code=0 if finished else 1)
        server.mend()
        before = made(tmp_path / "out")
        content = changed.read_bytes()
        changed.write_bytes(content[:-8] + bytes(8 + grown))
        error = refinery(*words, server.url, code=2)
        assert f"/{changed.name} has changed since {tmp_path / 'out'} was made of it" in error
        assert made(tmp_path / "out") == before
        if finished and not grown:  # its name is the version, and its size that which was read
            with serve(tmp_path / "bucket") as mirror:
                refinery(*words, mirror.url)


def test_fewer_files_are_refused_with_what_is_missing(recipe: Path, bucket: Path, tmp_path: Path) -> None:
    words = ("--snapshot", NEW, "--source", bucket)
    run_over(recipe, tmp_path / "out", *words, "--files", 2)
    grown = run_over(recipe, tmp_path / "out", *words, "--files", 3)
    error = refinery("run", "--recipe", recipe, "--out", tmp_path / "out", *words, "--files", 1, code=2)
    assert f"the inputs 'crawl-data/{NEW}/" in error and "are missing now" in error
    assert made(tmp_path / "out") == grown


def test_a_run_that_waits_for_the_sizes_of_its_files_stops_when_it_is_told(
    stand_in: StandIn, recipe: Path, tmp_path: Path
) -> None:
    stand_in.fault("*/warc/*", Refusal(503, "60"))
    words = ["run", "--recipe", recipe, "--snapshot", NEW, "--source", stand_in.url, "--out", tmp_path / "out"]
    process = subprocess.Popen([sys.executable, "-m", "refinery", *map(str, words)], cwd=ROOT, stderr=subprocess.PIPE)
    assert process.stderr
    assert b"is busy (503)" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert b"stopped" in process.communicate(timeout=30)[1]
    assert process.returncode == 130


def test_arc_crawls_and_samples(stand_in: StandIn, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_over(recipe, out, "--snapshot", ARC_2012, ARC_WITH_LIST, "--files", 1, "--source", stand_in.url)
    documents = [json.loads(line) for line in refinery("export", "--run", out, "--out", "-").splitlines()]
    assert {row["dump"] for row in documents} == {ARC_2012, ARC_WITH_LIST}
    assert {row["file_path"] for row in documents} <= {name for names in ARC_FILES.values() for name in names}


def test_a_snapshot_in_an_object_store(root: Path, bucket: Path, recipe: Path, on_disk: Path, tmp_path: Path) -> None:
    for path in bucket.rglob("*"):
        if path.is_file() and "2024-51" in path.as_posix():
            write_bytes(root / path.relative_to(bucket).as_posix(), path.read_bytes())
    found = run_over(recipe, tmp_path / "out", "--snapshot", NEW, "--source", root)
    assert rows_of(found) == rows_of(made(on_disk))


def test_explain_and_readmit_read_single_records(stand_in: StandIn, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_over(recipe, out, "--snapshot", NEW, "--source", stand_in.url)
    before = len(stand_in.log)
    (told,) = answer("explain", "http://host0.example/0", "--run", out)
    asked = stand_in.log[before:]
    assert told["url"] == "http://host0.example/0"
    assert 1 <= len(asked) <= 4
    assert all(one.path.startswith("crawl-data/") for one in asked)


@pytest.mark.parametrize("words", [("ingest",), ("measure", "--signals", "words"), ("compare", "--recipe", "exact")])
def test_commands_over_addresses_ask_as_often_as_they_are_told(
    words: tuple[str, ...], stand_in: StandIn, bucket: Path, recipe: Path, tmp_path: Path
) -> None:
    """What is said where a server refuses names the option."""
    stand_in.fault("*/warc/*", Refusal(403))
    archive = next(bucket.glob(f"crawl-data/{NEW}/**/warc/*.gz")).relative_to(bucket)
    given = ("--recipe", recipe, "--input", f"{stand_in.url}/{archive}", "--out", tmp_path / "out")
    with pytest.raises(AssertionError, match="with a lower --requests-per-second"):
        refinery(*words, *given, "--requests-per-second", "50", "--mib-per-second", "10")


def test_readmit_names_an_archive_that_is_gone(stand_in: StandIn, recipe: Path, tmp_path: Path) -> None:
    """Its records are not told to be elsewhere in it."""
    run_over(recipe, tmp_path / "out", "--snapshot", NEW, "--source", stand_in.url)
    stand_in.fault("*/warc/*", Refusal(404))
    words = ("readmit", "--ledger", tmp_path / "out", "--recipe", recipe, "--out", tmp_path / "readmitted")
    with pytest.raises(AssertionError) as stopped:
        refinery(*words)
    said = str(stopped.value)
    assert "exit code 1" in said and "there is no such file (404): say where it is now with --source" in said
    assert f"{stand_in.url}/crawl-data/{NEW}" in said


def test_what_is_asked_for_in_vain(stand_in: StandIn, recipe: Path, bucket: Path, tmp_path: Path) -> None:
    for words, told in (
        ((), "give --input or --snapshot"),
        (("--snapshot", NEW, "--input", bucket), "give --input or --snapshot"),
        (("--input", bucket, "--files", 2), "of a --snapshot"),
        (("--snapshot", NEW, "--sample", "2"), "is no share"),
        (("--snapshot", NEW, "--budget", "1"), "no probe yet of recipe 'brief'"),
        (("--snapshot", "CC-MAIN-2024-15"), "did you mean"),
        (("--input", "http://[x/a.warc.gz"), "is no http or https address"),
        (("--input", "http://user:word@127.0.0.1/a.warc.gz"), "http://…@127.0.0.1: a user or password"),
    ):
        error = refinery("run", "--recipe", recipe, "--out", tmp_path / "out", "--source", stand_in.url, *words, code=2)
        assert told in error
    assert not (tmp_path / "out").exists()


def test_a_plan_and_a_budget_from_a_probe(stand_in: StandIn, recipe: Path, bucket: Path, tmp_path: Path) -> None:
    run_over(recipe, tmp_path / "probe", "--snapshot", NEW, "--files", 2, "--source", bucket)
    asked = ("--snapshot", "all", "--recipe", recipe, "--source", stand_in.url)
    made_plan = answer("snapshots", "plan", *asked, "--probe", tmp_path / "probe", "--cores", 10, "--price", 2)
    again = answer("snapshots", "plan", *asked, "--cores", 10, "--price", 2)
    assert again == made_plan
    assert (made_plan["snapshots"], made_plan["files"]) == (5, 10)
    probe_bytes = sum(path.stat().st_size for path in chosen(bucket, stand_in))
    assert made_plan["probe"]["bytes"] == probe_bytes
    assert made_plan["bytes"] == 5 * probe_bytes
    first = made_plan["stages"][0]
    assert (first["rows_in"], first["requests"]) == (10 * (PAGES + 1), 20)  # the size of each, and all of it
    assert made_plan["total"]["price"] == pytest.approx(2 * made_plan["total"]["core_hours"], abs=0.01)
    needed = made_plan["total"]["core_hours"] * 4 / 10
    words = ("run", "--recipe", recipe, "--snapshot", NEW, "--source", bucket, "--out", tmp_path / "out")
    error = refinery(*words, "--budget", needed / 2, code=2)
    assert "enough for about 2 of its 4 files" in error or "enough for about 1 of its 4 files" in error
    refinery(*words, "--budget", needed * 1.5)
    refinery(*words, "--budget", needed / 2)  # nothing is left to do
    more = ("--limit", PAGES, "--budget", 1000, "--out", tmp_path / "few")
    refinery(*words[:-2], *more)
    refinery("report", "--run", tmp_path / "out", "--out", tmp_path / "report.html")
    planned = json.loads((tmp_path / "out" / "forecast.json").read_bytes())
    limited = json.loads((tmp_path / "few" / "forecast.json").read_bytes())
    assert (limited["files"], limited["bytes"]) == (1, pytest.approx(planned["bytes"] / 4, rel=0.01))
    page = (tmp_path / "report.html").read_text()
    assert "Forecast: " in page
    for row in planned["stages"]:
        assert f"{row['core_hours']:,.4f}" in page


def chosen(bucket: Path, stand_in: StandIn) -> list[Path]:
    files = answer("snapshots", "files", NEW, "--files", 2, "--source", stand_in.url)
    return [bucket / file["name"] for file in files]
