"""A manifest reads back as it was written, keeps its invariant, and refuses damaged files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infra.dataset.manifest import Kind, Manifest, check_invariant
from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from infra.errors import UsageError, WorkError
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
        ({"shards": [{"path": "../x", "rows": 0, "bytes": 0, "chars": 0, "tokens": 0, "sha256": ""}]}, "leaves"),
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
