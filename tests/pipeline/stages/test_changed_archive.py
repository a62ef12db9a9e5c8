"""An archive that has changed since it was ingested is one line, never the text of another page."""

import os
from pathlib import Path

import pytest

from tests.commoncrawl.server import serve
from tests.pipeline.command import refinery
from tests.pipeline.here import brief_run
from tests.pipeline.pages import write_warc

NAME = "part-0.warc.gz"
SAYS = f"is not the archive '{NAME}' that was "


@pytest.fixture(params=["sha256", "size and time"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run over one archive, which is known by this."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param != "sha256":
        monkeypatch.setattr("pipeline.inputs.versions.HASHED_BYTES", 0)
    brief_run(tmp_path, files=1, each=6)
    return tmp_path / "out"


def change(file: Path) -> None:
    """One bit, in the last member, which no command below reads: size and places stay."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # the size in the last member's trailer
    file.write_bytes(content)
    os.utime(file, ns=(1, 1))


def test_it_is_told(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "crawl" / NAME
    commands = (
        ["explain", "http://host1.example/1", "--run", run],
        ["extract", "--recipe", tmp_path / "brief.toml", "--input", run / "01-ingest", "--out", tmp_path / "again"],
        ["readmit", "--ledger", run, "--recipe", tmp_path / "brief.toml", "--out", tmp_path / "readmitted"],
    )
    for command in commands[:2]:
        refinery(*command)
    change(file)
    for command in commands:
        with pytest.raises(AssertionError) as stopped:
            out = ["--out", tmp_path / "other"] if command[0] == "extract" else []
            refinery(*command, *out, code=-1)
        said = str(stopped.value)
        assert SAYS in said and "Traceback" not in said
    assert not list((tmp_path / "other").glob("part-*"))


def test_an_archive_elsewhere_is_known_by_its_records(tmp_path: Path) -> None:
    """It is read where it is, without being fetched for its hash."""
    brief_run(tmp_path, files=1, each=6)
    command = ["explain", "http://host1.example/1", "--run", tmp_path / "out", "--source"]
    with serve(tmp_path) as server:
        address = f"{server.url}/crawl/{NAME}"
        told = refinery(*command, address)
        assert "extract" in told and sum(one.sent for one in server.log) < (tmp_path / "crawl" / NAME).stat().st_size
        write_warc(tmp_path / "crawl" / NAME, [(f"http://host1.example/{n}", "<p>another</p>") for n in range(6)])
        with pytest.raises(AssertionError) as stopped:
            refinery(*command, address, code=-1)
        assert "that was ingested" in str(stopped.value)
