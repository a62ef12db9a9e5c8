"""Numbered parts and the rows about some of their documents, repartitioned like the groups that are read together."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dedup.tables import PLACES, batch_of, numbers_of
from infra.dataset.manifest import InputRef, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from pipeline.job.tables import Tables
from pipeline.stages import dedup_parts
from pipeline.stages.dedup_parts import ByGroup, Numbered, part_groups, shards_together
from pipeline.stages.dedup_work import Forward, Work
from pipeline.steps.dedup import Dedup

SCHEMA = pa.schema([("text", pa.string()), ("id", pa.string())])


@dataclass(frozen=True)
class TextPart:
    fingerprint: str

    def schema(self) -> pa.Schema:
        return SCHEMA

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        whole = pa.RecordBatch.from_pylist([{"text": "x", "id": str(n)} for n in range(5)], SCHEMA)
        yield from (whole.select(columns).slice(start, 2) for start in (0, 2, 4))


@dataclass(frozen=True)
class TextParts:
    names: str = "abc"
    refs: tuple[InputRef, ...] = ()

    def parts(self) -> list[TextPart]:
        return [TextPart(name) for name in self.names]


def test_all_rows_with_the_columns_that_there_are() -> None:
    groups = list(Numbered(TextParts()).parts())
    assert [len(group.parts) for group in groups] == [1, 1, 1]  # alone, as they do not know their rows
    (second,) = groups[1].parts
    batches = list(second.numbered(["id", "date"]))
    assert [(batch.schema.names, first) for batch, first in batches] == [(["id"], 0), (["id"], 2), (["id"], 4)]
    assert second.index == 1


def places_table(folder: Path, numbers: list[tuple[int, int]]) -> Dataset:
    """A table of the places of documents, not in their order."""
    shards, rows = zip(*numbers)
    batch = batch_of(PLACES, {"shard": np.array(shards, np.int32), "row": np.array(rows, np.int32)})
    return tables(folder).map("places", Given(batch), Whole())


def tables(folder: Path) -> Tables:
    return Tables(LocalEngine(), RecipeRef("work", ""), "work", folder)


@dataclass(frozen=True)
class Whole:
    refs: tuple[InputRef, ...] = ()
    fingerprint: str = "whole"

    def parts(self) -> list["Whole"]:
        return [self]


@dataclass(frozen=True)
class Given:
    batch: pa.RecordBatch = field(repr=False)
    schema: pa.Schema = PLACES
    fingerprint: str = "given"

    def __call__(self, _: Whole) -> Iterator[Output]:
        yield Output(self.batch)


def told(documents: pa.RecordBatch, first: int, rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A row for each document that is wanted, which the batch must have."""
    assert documents.schema.names == ["id"]
    ids = documents["id"].take(pa.array(numbers_of(rows) - first))
    yield pa.RecordBatch.from_arrays([rows["shard"], rows["row"], ids], schema=TOLD)


TOLD = pa.schema([*PLACES, ("id", pa.string())])


@pytest.mark.parametrize("groups", [1, 2, 64])
def test_a_task_gets_the_places_of_its_documents(groups: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup_parts, "GROUPS", groups)
    work = Work(Dedup("near", "minhash"), TextParts("abcdefg"), tables(tmp_path))
    wanted = places_table(tmp_path, [(5, 4), (0, 1), (5, 2), (0, 0), (2, 3)])
    made = work.of_some("told", "told", TOLD, told, ["id"], wanted)
    assert len(made.parts()) == 7
    rows = [(row["shard"], row["row"], row["id"]) for row in made.to_arrow().to_pylist()]
    assert rows == [(0, 0, "0"), (0, 1, "1"), (2, 3, "3"), (5, 2, "2"), (5, 4, "4")]


def test_a_group_reads_the_partitions_that_its_shards_are_in(tmp_path: Path) -> None:
    wanted = places_table(tmp_path, [(shard, row) for shard in range(9) for row in (1, 0)])
    table = tables(tmp_path).reduce("by", [wanted], "shard", Forward(PLACES), 3, 4)
    groups = ByGroup(table, [range(0, 3), range(3, 6), range(6, 9)], 4).parts()
    assert [len(group.readers) for group in groups] == [1, 2, 2]
    found = [sorted(set(group.table()["shard"].to_pylist())) for group in groups]
    assert found == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert pickle.loads(pickle.dumps(groups[1])) == groups[1] and len({group.fingerprint for group in groups}) == 3


@dataclass(frozen=True)
class Sized:
    rows: int | None


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        ([], []),
        ([0, 0, 5], [2, 1]),  # few documents: a group for each part that has some
        ([250] * 100, [1] * 100),
        ([250] * 20_000, [65] * 307 + [45]),
        ([33_000] * 1000, [1] * 1000),
        ([1000] * 10_000 + [None, None, 7], [16] * 625 + [1, 1, 1]),
    ],
)
def test_small_parts_are_read_together(rows: list[int | None], sizes: list[int]) -> None:
    groups = part_groups([Sized(each) for each in rows])
    assert [len(group) for group in groups] == sizes
    assert [number for group in groups for number in group] == [*range(len(rows))]


@pytest.mark.parametrize(
    ("shards", "rows", "each"),
    [(0, 0, 1), (127, 10, 1), (128, 10, 2), (20_000, 550_000, 256), (90_000, 10**9, 4), (90_000, 10**10, 1)],
)
def test_decisions_for_small_shards_share_a_partition(shards: int, rows: int, each: int) -> None:
    assert shards_together(shards, rows) == each
