"""Components over the engine: in rounds the labels are those of the forest, after a logarithmic number of rounds."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dedup.tables import EDGES, batch_of, document_numbers, numbers_of
from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from pipeline.job.tables import Tables
from pipeline.stages import dedup_components
from pipeline.stages.dedup_components import ends_of, labels_by_rounds, labels_of

CHAIN, SHARDS = 10_000, 4
RECIPE = RecipeRef("some", "")


def graph() -> tuple[np.ndarray, np.ndarray]:
    """A chain, a star around its last, a clique, random edges, and a document with an edge to itself; each over several
    shards."""
    draw = np.random.default_rng(1)
    chain = draw.permutation(CHAIN)
    edges = [*pairwise(chain)]
    edges += [(CHAIN + 999, CHAIN + number) for number in range(999)]
    edges += [*combinations(range(CHAIN + 1000, CHAIN + 1040), 2)]
    edges += [(CHAIN + 2000 + a, CHAIN + 2000 + b) for a, b in draw.integers(0, 500, (300, 2)) if a != b]
    edges += [(CHAIN + 9000, CHAIN + 9000)]
    a, b = np.array(edges, np.int64)[draw.permutation(len(edges))].T
    return document_numbers(a % SHARDS, a // SHARDS), document_numbers(b % SHARDS, b // SHARDS)


@dataclass(frozen=True)
class Piece:
    number: int

    @property
    def fingerprint(self) -> str:
        return str(self.number)


@dataclass(frozen=True)
class Pieces:
    refs: tuple[InputRef, ...] = ()

    def parts(self) -> list[Piece]:
        return [Piece(number) for number in range(3)]


@dataclass(frozen=True)
class Write:
    fingerprint: str = "write"
    schema: pa.Schema = EDGES

    def __call__(self, part: Piece) -> Iterator[Output]:
        a, b = (ends[part.number :: 3] for ends in graph())
        same = np.full(a.size, 0.9)
        columns = {"a": a, "b": b, "jaccard": same, "containment": same}
        yield Output(batch_of(EDGES, columns | {"bands": np.full(a.size, 3, np.int16)}))


def rows(labels: Dataset) -> list[tuple[Any, ...]]:
    return sorted(zip(*labels.to_arrow().to_pydict().values(), strict=True))


def test_rounds_and_forest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalEngine(1) as engine:
        header = Header(Kind.TABLE, "edges", RECIPE, {}, ())
        edges = engine.map_shards(Write(), [Pieces()], tmp_path / "edges", header)
        tables = Tables(engine, RECIPE, "some", tmp_path)
        ends = ends_of(tables, SHARDS, [edges])
        forest = labels_of(tables, ends, [edges])
        assert not [*tmp_path.glob("large*")]
        by_rounds = labels_by_rounds(tables, [edges], "-all")
        monkeypatch.setattr(dedup_components, "FOREST_NODES", ends.manifest.counts["out"] - 1)
        assert rows(labels_of(tables, ends, [edges], "-chosen")) == rows(by_rounds) == rows(forest)
    number_of = numbers_of(ends.to_arrow())
    assert np.all(number_of[:-1] < number_of[1:]) and number_of.size == len(rows(forest))
    a, b = graph()
    assert number_of.tolist() == np.unique(np.concatenate([a, b])[np.concatenate([a != b, a != b])]).tolist()
    labels = {key: label for key, _, _, label in rows(forest)}
    assert all(labels[left] == labels[right] for left, right in zip(a.tolist(), b.tolist()) if left != right)
    assert sum(label == 0 for label in labels.values()) == CHAIN
    assert len([*tmp_path.glob("large-all-*")]) <= 2 + np.log2(CHAIN)
