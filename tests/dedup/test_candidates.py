"""Candidates: a star around the smallest member of each bucket, in linear time."""

import random

import numpy as np
import pyarrow as pa
import pytest

from dedup.candidates import Candidates
from dedup.tables import BANDS, JOIN, batch_of
from tests.dedup.support import reduce


def bands(rows: list[tuple[int, int, int]]) -> pa.RecordBatch:
    """BANDS of (key, shard, row)."""
    return batch_of(BANDS, dict(zip(BANDS.names, zip(*rows), strict=True)))


def edges(table: pa.Table) -> list[tuple[int, int]]:
    """(row of the bucket's first document, row of the other)."""
    return list(zip((table["key"].to_numpy() & 0xFFFFFFFF).tolist(), table["row"].to_pylist()))


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_each_member_meets_the_smallest(batch_rows: int) -> None:
    rows = [(5, 1, 1), (5, 0, 9), (5, 0, 3), (6, 0, 3), (2**63 + 1, 0, 4), (2**63 + 1, 1, 5)]
    assert edges(reduce(Candidates(), [bands(rows)], JOIN, batch_rows)) == [(3, 9), (3, 1), (4, 5)]


def test_a_document_twice_in_a_bucket_is_no_pair() -> None:
    assert edges(reduce(Candidates(), [bands([(1, 0, 1), (1, 0, 1), (1, 0, 2)])], JOIN)) == [(1, 2)]


def test_empty_batches() -> None:
    empty = bands([(1, 0, 1)]).slice(0, 0)
    one = bands([(1, 0, 1)])
    assert list(Candidates()(0, iter([empty]))) == []
    assert [edges(t) for t in Candidates()(0, iter([one, empty, bands([(1, 0, 2)])]))] == [[(1, 2)]]


def test_the_order_of_the_input_does_not_matter() -> None:
    draw = random.Random(3)
    rows = [(draw.randrange(30), draw.randrange(3), i) for i in range(200)]
    expected = edges(reduce(Candidates(), [bands(rows)], JOIN))
    assert edges(reduce(Candidates(), [bands(draw.sample(rows, 200))], JOIN, 11)) == expected


def test_a_giant_bucket_gives_one_edge_less_than_members() -> None:
    size = 200_000
    batch = bands([(1, 0, i) for i in range(size)])
    table = reduce(Candidates(), [batch], JOIN, 997)
    assert table.num_rows == size - 1
    assert np.array_equal(table["row"].to_numpy(), np.arange(1, size))
    assert set(table["key"].to_pylist()) == {0}
