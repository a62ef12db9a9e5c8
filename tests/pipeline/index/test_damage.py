"""A damaged index: what is wrong, and what helps, in a line; and names of snapshots that are none."""

import shutil
from pathlib import Path

import pytest

from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.errors import UsageError
from pipeline.index.add import add
from pipeline.index.check import faults_of
from pipeline.index.groups import make_groups
from pipeline.index.manifest import Index, read_index
from pipeline.index.remove import remove_snapshot
from pipeline.index.report import report_of
from tests.conftest import MadeOnce
from tests.pipeline.index.snapshots import snapshot, texts_of


@pytest.fixture
def world(made_once: MadeOnce, tmp_path: Path) -> Path:
    """Two snapshots in an index; runs are not merged yet."""

    def make(folder: Path) -> None:
        for number in range(2):
            add(folder / "index", snapshot(folder, number, texts_of(number)[:8], ()), LocalEngine())

    return Path(shutil.copytree(made_once("dedup-index-of-two", make), tmp_path / "world"))


def run_folder(index: Index, kind: str, number: int) -> Path:
    return index.run_folder([run.name for run in index.runs if run.kind == kind][number])


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"format": "refinery.index/1"}', b'{"format": null}'])
def test_a_damaged_index_file_is_no_missing_index(world: Path, content: bytes) -> None:
    (world / "index/index.json").write_bytes(content)
    what = "is not of the format" if b"null" in content else "index.json is damaged: restore it from a copy"
    with pytest.raises(UsageError, match=what):
        read_index(world / "index")
    with pytest.raises(UsageError, match=what):
        add(world / "index", Dataset(world / "snapshot-0"), LocalEngine(), "new")


@pytest.mark.parametrize("name", ["manifest.json", "files*.parquet", "part-00000.parquet"])
def test_what_helps_against_a_damaged_run(world: Path, tmp_path: Path, name: str) -> None:
    """`verify` says it, and it does: without the snapshot of the run the index is sound, and the snapshot is added
    again."""
    folder = world / "index"
    (path,) = run_folder(read_index(folder), "contents", 1).glob(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (faults,) = faults_of(read_index(folder)).values()
    assert not any("make its dataset again" in fault for fault in faults), faults
    remedy = "restore it from a copy, or remove the snapshot CC-1 (`refinery index remove`) and add it again"
    assert faults[-1] == remedy and len(faults) == 2
    remove_snapshot(folder, "CC-1")
    assert faults_of(read_index(folder)) == {}
    index = add(folder, Dataset(world / "snapshot-1"), LocalEngine()).index
    assert [each.name for each in index.snapshots] == ["CC-0", "CC-1"] and faults_of(index) == {}


def test_a_damaged_table_of_files_is_told_of(world: Path, tmp_path: Path) -> None:
    index = read_index(world / "index")
    (table,) = run_folder(index, "bands", 0).glob("files*.parquet")
    table.unlink()
    with pytest.raises(UsageError, match="`refinery index verify` says which runs are damaged"):
        make_groups(index, tmp_path / "groups", LocalEngine())


def test_a_report_notices_a_missing_run(world: Path) -> None:
    index = read_index(world / "index")
    assert len(report_of(index)["snapshots"]) == 2
    shutil.rmtree(run_folder(index, "documents", 0))
    with pytest.raises(UsageError, match="documents is damaged or missing: restore it from a copy, or remove the"):
        report_of(index)


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".", "", "a\\b", "line\nline"])
def test_names_that_are_places_are_refused(world: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a snapshot"):
        add(world / "index", Dataset(world / "snapshot-0"), LocalEngine(), name)
    assert len(read_index(world / "index").snapshots) == 2
