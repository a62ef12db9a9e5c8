"""Numbered parts: which rows of a partition a task reads, and what names them."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dedup.tables import document_numbers
from infra.dataset.manifest import InputRef
from pipeline.stages.dedup_work import Numbered

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
    _, second, _ = Numbered(TextParts()).parts()
    batches = list(second.numbered(["id", "date"]))
    assert [(batch.schema.names, first) for batch, first in batches] == [(["id"], 0), (["id"], 2), (["id"], 4)]
    assert second.index == 1 and second.wanted is None


def test_wanted_numbers_are_packed_for_their_partition() -> None:
    wanted = np.sort(document_numbers([0, 0, 2], [1, 2**31 - 1, 4]))
    first, second, third = Numbered(TextParts(), wanted).parts()
    assert [part.numbers.tolist() for part in (first, second, third)] == [wanted[:2].tolist(), [], wanted[2:].tolist()]
    assert len(first.wanted or b"") == 8
    assert list(second.numbered(["id"])) == []  # nothing of it is read
    assert pickle.loads(pickle.dumps(third)) == third


def test_the_fingerprint_names_the_rows() -> None:
    none = np.empty(0, np.int64)
    every = [Numbered(TextParts(), wanted).parts()[0].fingerprint for wanted in (None, none, none + 0, np.array([3]))]
    assert every[1] == every[2] and len(set(every)) == 3
