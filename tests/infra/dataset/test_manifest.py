"""A manifest reads back as it was written, keeps its invariant, and refuses damaged files."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from infra.dataset.files import FileRef, write_files
from infra.dataset.manifest import Kind, Manifest, check_invariant
from infra.dataset.reader import Dataset
from infra.dataset.schema import LEDGER
from infra.dataset.writer import ShardWriter
from infra.engines.open import open_engine
from infra.errors import UsageError, WorkError
from infra.hashing import sha256_bytes, sha256_file
from infra.storage import lock
from tests.files import flip
from tests.infra.toy import Count, Slices, header


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    with open_engine("local") as engine:
        return engine.map_shards(Count(), [Slices()], tmp_path / "out", header())


def test_round_trip(dataset: Dataset) -> None:
    content = (dataset.folder / "manifest.json").read_bytes()
    assert Manifest.read(dataset.folder).to_bytes() == content
    assert str(dataset.folder) not in content.decode()


def test_verify_finds_one_flipped_byte(dataset: Dataset) -> None:
    assert dataset.verify() == []
    flip(dataset.folder / dataset.manifest.shards[1].path)
    assert dataset.verify() == ["part-00001.parquet: its sha256 is not the manifest's"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format is 'other'"),
        ({"kind": "pages"}, "'pages' is not a valid Kind"),
        ({"files": {"path": "../x", "rows": 0, "bytes": 0, "sha256": ""}}, "leaves"),
        ({"parts": None}, "cannot be read as a manifest"),
        ({"counts": None, "recipe": {"name": "x"}}, "cannot be read as a manifest"),
    ],
)
def test_broken_manifests_are_the_users_mistake(dataset: Dataset, change: dict[str, object], message: str) -> None:
    path = dataset.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UsageError, match=message):
        Manifest.read(dataset.folder)


def test_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a finished dataset"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("kind", "counts", "invariant"),
    [
        (Kind.DOCUMENTS, {"in": 10, "rejected": 5, "ledger_documents": 5}, "in = out"),
        (Kind.DOCUMENTS, {"in": 401, "rejected": 1, "ledger_documents": 0}, "ledger"),
        (
            Kind.RECORDS,
            {"in": 400, "rejected": 0, "ledger_documents": 0, "bytes/file": 9, "bytes/members": 8},
            "file size",
        ),
        (Kind.TOKENS, {"tokens": 7}, "tokens"),
    ],
)
def test_broken_invariants(dataset: Dataset, kind: Kind, counts: dict[str, int], invariant: str) -> None:
    manifest = dataset.manifest
    broken = replace(manifest, header=replace(manifest.header, kind=kind), counts={"out": 400, **counts})
    with pytest.raises(WorkError, match=invariant):
        check_invariant(broken)


def test_two_processes_cannot_hold_one_folder(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(UsageError, match="another process"), lock(tmp_path):
        pass
    with lock(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_the_files_are_known_without_the_shards(dataset: Dataset) -> None:
    manifest = Manifest.read(dataset.folder)
    assert manifest.parts == len(manifest.shards) == 4 and len(manifest.ledger) == len(manifest.files) == 0
    assert manifest.shards.sums.rows == 400 and "_bytes" not in manifest.table.__dict__
    assert [shard.path for shard in manifest.shards[1:3]] == ["part-00001.parquet", "part-00002.parquet"]
    assert manifest.shards[-1].rows == 100
    assert [part.table().num_rows for part in dataset.ledger_parts()] == [0] * 4
    assert not list((dataset.folder / "ledger").iterdir())


@pytest.mark.parametrize("damage", ["a byte", "gone"])
def test_a_damaged_table_of_files_is_noticed(damage: str, dataset: Dataset) -> None:
    name = dataset.manifest.table.ref.path
    if damage == "gone":
        (dataset.folder / name).unlink()
    else:
        flip(dataset.folder / name)
    (fault,) = Dataset(dataset.folder).verify()
    assert fault.startswith(f"{name}: ") and fault.endswith("make its dataset again")
    with pytest.raises(UsageError, match="make its dataset again"):
        Dataset(dataset.folder).to_arrow()


def test_a_table_that_is_written_late_hurts_no_finished_dataset(dataset: Dataset) -> None:
    late = write_files(dataset.folder, list(dataset.manifest.shards[:2]))
    assert (dataset.folder / late.ref.path).is_file() and late.ref.path != dataset.manifest.table.ref.path
    assert Dataset(dataset.folder).verify() == [] and Dataset(dataset.folder).manifest.parts == 4


def test_a_table_of_an_earlier_name_is_read(dataset: Dataset) -> None:
    path, table = dataset.folder / "manifest.json", dataset.folder / dataset.manifest.table.ref.path
    assert table.name == f"files-{sha256_file(table)[:16]}.parquet"
    expected, body = dataset.to_arrow(), json.loads(path.read_text())
    body["files"]["path"] = "files.parquet"
    path.write_text(json.dumps(body))
    table.rename(dataset.folder / "files.parquet")
    assert Dataset(dataset.folder).verify() == [] and Dataset(dataset.folder).to_arrow() == expected


def test_manifests_of_the_earlier_format_are_read(dataset: Dataset) -> None:
    """Each partition has a ledger, mostly without rows, and the manifest lists all files."""
    expected, files = dataset.to_arrow(), [asdict(shard) for shard in dataset.manifest.shards]
    path = dataset.folder / "manifest.json"
    body = {name: value for name, value in json.loads(path.read_text()).items() if name not in ("parts", "other_files")}
    writers = [ShardWriter(dataset.folder, f"ledger/{file['path']}", LEDGER) for file in files]
    ledger = [asdict(writer.close()) for writer in writers]
    other = FileRef("notes.txt", 1, sha256_bytes(b"x"))
    (dataset.folder / "notes.txt").write_bytes(b"x")
    body |= {"format": "refinery.dataset/1", "shards": files, "ledger": ledger, "files": [asdict(other)]}
    path.write_text(json.dumps(body))
    (dataset.folder / dataset.manifest.table.ref.path).unlink()
    read = pickle.loads(pickle.dumps(Dataset(dataset.folder)))
    assert read.to_arrow() == expected and read.verify() == [] and read.manifest.extra == {}
    assert [part.path for part in read.ledger_parts()] == [file["path"] for file in ledger]
    assert list(read.manifest.files) == [other] and read.manifest.parts == 4
    files[0]["path"] = "../x"
    path.write_text(json.dumps(body))
    with pytest.raises(UsageError, match="leaves"):
        Manifest.read(dataset.folder).shards[0]
