"""What tells one state of a file from another."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from infra.engines.local import LocalEngine
from infra.engines.open import open_engine
from infra.errors import WorkError
from pipeline.inputs import versions
from pipeline.inputs.versions import file_states, has_version, is_sha256
from pipeline.stages.run import run_recipe_stage
from tests.files import write_rows
from tests.pipeline.pages import write_crawl


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An hour old, and large enough for the cache, which is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(versions, "KEPT_BYTES", 4)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"first")
    os.utime(path, ns=(0, 10**18))
    return path


def version_of(path: Path) -> str:
    return file_states([str(path)])[str(path)].version


def test_little_is_known_by_its_sha256_and_much_by_size_and_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "HASHED_BYTES", 5)
    little = file_states([str(file)])[str(file)]
    monkeypatch.setattr(versions, "HASHED_BYTES", 4)
    much = file_states([str(file)])[str(file)]
    assert little.version == hashlib.sha256(b"first").hexdigest() and is_sha256(little.version)
    assert (much.size, much.version) == (5, f"size:5 mtime:{10**18}") and not is_sha256(much.version)
    assert has_version(str(file), little.version) and has_version(str(file), much.version)
    file.write_bytes(b"other!")
    assert not has_version(str(file), little.version) and not has_version(str(file), much.version)


def test_a_hash_is_kept_until_the_file_changes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    real = versions.sha256_file
    monkeypatch.setattr(versions, "sha256_file", lambda path: (read.append(path), real(path))[1])
    first = version_of(file)
    assert version_of(file) == first and len(read) == 1
    file.write_bytes(b"again")
    os.utime(file, ns=(0, 10**18))  # of the same size and time: the time of the inode's change tells
    assert version_of(file) == hashlib.sha256(b"again").hexdigest() != first


def test_a_hash_of_a_file_that_was_just_written_is_not_kept(file: Path) -> None:
    file.write_bytes(b"third")
    version_of(file)
    assert not [*file.parent.glob("cache/refinery/*")]


@pytest.mark.parametrize("kind", ["archive", "documents"])
def test_a_file_that_grows_while_it_is_read_is_no_result(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that is not finished: the manifest would name the sha256 of what was there when the run began."""
    path = write_crawl(tmp_path, files=1) and next(tmp_path.rglob("*.warc.gz"))
    if kind == "documents":
        path = write_rows(tmp_path / "a.jsonl", [{"text": "one text of many words"}])
    run_jobs = LocalEngine.run_jobs

    def grown(engine: LocalEngine, *given: Any) -> None:
        path.write_bytes(path.read_bytes() * 2)
        run_jobs(engine, *given)

    monkeypatch.setattr(LocalEngine, "run_jobs", grown)
    command = ("exact", "ingest") if kind == "archive" else ("exact", "dedup")
    with open_engine("local") as engine, pytest.raises(WorkError, match="has changed since the run began"):
        run_recipe_stage(*command, None, [str(path)], tmp_path / "out", engine)
    assert not (tmp_path / "out" / "manifest.json").exists()
