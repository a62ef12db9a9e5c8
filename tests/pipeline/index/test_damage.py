"""A damaged index: what is wrong, and what helps, in a line; and names of snapshots that are none."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.errors import RefineryError, UsageError
from infra.hashing import readable_json
from pipeline.index.add import add
from pipeline.index.check import faults_of, unhashed
from pipeline.index.groups import make_groups
from pipeline.index.manifest import Index, read_index
from pipeline.index.merge import SCHEMAS
from pipeline.index.remove import remove_snapshot, take_down
from pipeline.index.report import report_of
from pipeline.index.runs import Ranges, _opened
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


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of one small snapshot, of which a document was taken down."""
    root = tmp_path_factory.mktemp("small")
    add(root / "index", snapshot(root, 0, texts_of(0)[:4], ()), LocalEngine())
    assert take_down(root / "index", set(), {"<urn:0-1>"}) == 1
    return root / "index"


def read_all(folder: Path) -> list[pa.Table]:
    """What commands read of an index: the rows of each kind that count, and the documents that were taken down."""
    index = read_index(folder)
    found = [] if index.gone is None else [index.gone_rows()]
    for kind, schema in SCHEMAS.items():
        alive = index.alive.of_documents if kind == "documents" else index.alive.of_contents
        found += [alive(part.table(schema)) for part in Ranges(index.stored(kind), 1).parts()]
    return found


def read_files(folder: Path) -> list[Path]:
    """The files that an index is read from."""
    index = read_index(folder)
    runs = [index.run_folder(run.name) for run in index.runs]
    found = [path for run in runs for pattern in ("manifest.json", "*.parquet") for path in sorted(run.glob(pattern))]
    return [folder / "index.json", *([folder / index.gone] if index.gone else []), *found]


@settings(max_examples=30, deadline=None)
@given(at=st.tuples(st.integers(0, 10), st.floats(0, 1, exclude_max=True), st.integers(0, 7)))
def test_a_flipped_bit_anywhere_is_found_and_is_no_traceback(small: Path, at: tuple[int, float, int]) -> None:
    """By `verify`, always; by what reads an index, unless it is where a shard describes itself."""
    files = read_files(small)
    assert len(files) == 2 + 3 * 3
    path = files[at[0]]
    content = path.read_bytes()
    with changed(path, flipped(content, int(at[1] * len(content)), at[2])):
        assert faults(small)
        found = None
        with contextlib.suppress(RefineryError):
            found = read_all(small)
        assert found is None or path.name.startswith("part-")


def faults(folder: Path) -> dict[str, list[str]] | str:
    """What `verify` says."""
    try:
        return faults_of(read_index(folder))
    except UsageError as error:
        return str(error)


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


@contextlib.contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """The file with this content, until the block ends."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)
        _opened.cache_clear()


def as_earlier_versions_wrote(folder: Path) -> Index:
    """Without the sha256 of `index.json` and of the documents that were taken down."""
    found = json.loads((folder / "index.json").read_bytes())
    (folder / found["gone"]).rename(folder / "gone/00001.parquet")
    del found["sha256"]
    (folder / "index.json").write_bytes(readable_json(found | {"gone": "gone/00001.parquet"}))
    return read_index(folder)


@settings(max_examples=20, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), gone=st.booleans())
def test_an_index_of_an_earlier_version_is_read_and_its_damage_is_no_traceback(
    small: Path, at: float, bit: int, gone: bool
) -> None:
    sound = read_all(small)
    with tempfile.TemporaryDirectory() as folder:
        earlier = Path(shutil.copytree(small, Path(folder) / "index"))
        index = as_earlier_versions_wrote(earlier)
        assert faults_of(index) == {} and unhashed(index) == ["index.json", "gone/00001.parquet"]
        assert all(a.equals(b) for a, b in zip(read_all(earlier), sound, strict=True))
        path = earlier / ("gone/00001.parquet" if gone else "index.json")
        content = path.read_bytes()
        with changed(path, flipped(content, int(at * len(content)), bit)):
            faults(earlier)
            with contextlib.suppress(RefineryError):
                read_all(earlier)


def test_the_next_change_of_an_earlier_index_writes_hashes(small: Path, tmp_path: Path) -> None:
    earlier = Path(shutil.copytree(small, tmp_path / "index"))
    as_earlier_versions_wrote(earlier)
    assert take_down(earlier, set(), {"<urn:0-2>"}) == 1
    index = read_index(earlier)
    assert unhashed(index) == [] and faults_of(index) == {} and index.gone_sha256
    assert sorted(index.gone_rows()["place"].to_pylist()) == [1, 2]


def test_missing_documents_that_were_taken_down_are_told_of(small: Path, tmp_path: Path) -> None:
    """Without them a document that was taken down would count again."""
    folder = Path(shutil.copytree(small, tmp_path / "index"))
    index = read_index(folder)
    (folder / str(index.gone)).unlink()
    assert faults_of(index) == {index.gone: ["missing: restore it from a copy"]}
    with pytest.raises(UsageError, match="missing: restore it from a copy"):
        add(folder, snapshot(tmp_path, 1, texts_of(1)[:4], ()), LocalEngine())
