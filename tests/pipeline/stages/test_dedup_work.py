"""Numbered parts: which rows of a partition a task reads, and what names them."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from dedup.tables import document_numbers
from infra.dataset.manifest import InputRef
from pipeline.stages.dedup_work import Numbered, NumberedPart, Numbers, part_groups, shards_together

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


def numbered_parts(wanted: Numbers | None) -> list[NumberedPart]:
    """Alone in their groups, as they do not know their rows."""
    groups = list(Numbered(TextParts(), wanted).parts())
    assert [len(group.parts) for group in groups] == [1, 1, 1]
    return [group.parts[0] for group in groups]


def test_all_rows_with_the_columns_that_there_are() -> None:
    _, second, _ = numbered_parts(None)
    batches = list(second.numbered(["id", "date"]))
    assert [(batch.schema.names, first) for batch, first in batches] == [(["id"], 0), (["id"], 2), (["id"], 4)]
    assert second.index == 1 and second.wanted is None


def test_wanted_numbers_are_packed_for_their_partition() -> None:
    wanted = np.sort(document_numbers([0, 0, 2], [1, 2**31 - 1, 4]))
    first, second, third = numbered_parts(wanted)
    assert [part.numbers.tolist() for part in (first, second, third)] == [wanted[:2].tolist(), [], wanted[2:].tolist()]
    assert len(first.wanted or b"") == 8
    assert list(second.numbered(["id"])) == []  # nothing of it is read
    assert pickle.loads(pickle.dumps(third)) == third


def test_the_fingerprint_names_the_rows() -> None:
    none = np.empty(0, np.int64)
    every = [numbered_parts(wanted)[0].fingerprint for wanted in (None, none, none + 0, np.array([3]))]
    assert every[1] == every[2] and len(set(every)) == 3


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
