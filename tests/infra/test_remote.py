"""An address in place of a path is refused as such, in one line with the way to do it."""

from pathlib import Path

import pytest

import refinery as rf
from infra.errors import UsageError
from infra.remote import check_local
from tests.pipeline.command import refinery

ADDRESSES = {
    "https://data.example/docs/a.csv": "curl -LO https://data.example/docs/a.csv",
    "ftp://data.example/crawl/a.warc.gz": "curl -O ftp://data.example/crawl/a.warc.gz",
    "hf://datasets/owner/name": "hf download --repo-type dataset OWNER/NAME",
    "hdfs://name/a.parquet": "mount its storage",
    "file:///data/a.warc.gz": "give the path itself, /data/a.warc.gz",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_input_is_not_looked_for(address: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = refinery("run", "--recipe", "exact", "--input", address, "--out", out, code=2)
    assert f"--input: {address} is " in said and ADDRESSES[address] in said
    with pytest.raises(UsageError) as stopped:
        rf.run("exact", address, out)
    assert f"refinery: --{stopped.value}" == said.strip().replace("--input", "--inputs")
    assert not out.exists()


@pytest.mark.parametrize("command", [
    "freeze s3://bucket/trunk --out frozen",
    "train --data tokens --config tiny --out s3://bucket/trunk",
    "train --data tokens --config s3://bucket/tiny.toml --out trunk",
    "evaluate --checkpoint s3://bucket/control --data tokens",
    "fit defaults --models models --cache s3://bucket/packages",
])  # fmt: skip
def test_an_object_store_is_refused_where_it_is_not_opened(command: str) -> None:
    said = refinery(*command.split(), code=2)
    assert "s3://bucket/" in said and "is not on this machine" in said


def test_a_result_is_put_there_afterwards() -> None:
    said = refinery("freeze", "trunk", "--out", "s3://bucket/out", code=2)
    assert "`aws s3 cp --recursive FOLDER s3://bucket/out`" in said


@pytest.mark.parametrize("address", ["s3://", "gs://", "s3:///out", "http://", "hf:/"])
@pytest.mark.parametrize("option", ["--input", "--out", "--models"])
def test_an_address_without_a_bucket_makes_nothing(
    address: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`s3://$BUCKET/out` in a shell in which BUCKET is not set; also where a folder `s3:` was made of it before."""
    given = {"--input": tmp_path / "no.jsonl", "--out": tmp_path / "out", "--models": tmp_path / "m", option: address}
    words = [word for each in given.items() for word in each]
    said = refinery("run", "--recipe", "exact", *words, code=2)
    assert f"{address.split('/')[0]}//" in said and "is a variable of the shell not set?" in said
    assert [*tmp_path.iterdir()] == []
    monkeypatch.chdir(tmp_path)
    for call in (lambda: rf.run("exact", "no.jsonl", address), lambda: rf.run("exact", address, "out")):
        with pytest.raises(UsageError, match="variable of the shell"):
            call()
    assert [*tmp_path.iterdir()] == []


def test_the_functions_of_the_package_refuse_too(tmp_path: Path) -> None:
    calls = (
        lambda: rf.train("tokens", "s3://bucket/trunk"),
        lambda: rf.freeze("trunk", "s3://bucket/frozen"),
        lambda: rf.branch("s3://bucket/frozen", tmp_path / "control"),
        lambda: rf.evaluate("s3://bucket/control", "tokens"),
        lambda: rf.generate("s3://bucket/control"),
    )
    for call in calls:
        with pytest.raises(rf.UsageError, match=r"s3://bucket/.* is not on this machine"):
            call()
    assert [*tmp_path.iterdir()] == []


def test_a_path_with_a_colon_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a:b", "notes: first.jsonl", "C:/data", "code=texts.jsonl", "/data/s3://x"):
        check_local(path, "--input")
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "here.jsonl").touch()
    check_local("s3:/here.jsonl", "--input")
