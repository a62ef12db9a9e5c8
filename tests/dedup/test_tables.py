"""Helpers that reducers read tables with."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.tables import document_numbers, run_starts, whole_groups


@given(st.lists(st.integers(0, 5), max_size=40).map(sorted), st.integers(1, 41))
@settings(max_examples=50)
def test_whole_groups_cut_between_groups_only(keys: list[int], size: int) -> None:
    table = pa.table({"key": pa.array(keys, pa.uint64())})
    parts = list(whole_groups(iter(table.to_batches(max_chunksize=size)), "key"))
    assert [key for part in parts for key in part["key"].to_pylist()] == keys
    seen: set[int] = set()
    for part in parts:
        here = set(part["key"].to_pylist())
        assert here and not here & seen
        seen |= here


@pytest.mark.parametrize("place", [(0, 0), (0, 2**31 - 1), (2**31 - 1, 2**31 - 1)])
def test_document_numbers(place: tuple[int, int]) -> None:
    number = int(document_numbers([place[0]], [place[1]])[0])
    assert divmod(number, 2**32) == place


def test_run_starts() -> None:
    a, b = np.array([1, 1, 1, 2, 2]), np.array([1, 1, 3, 3, 3])
    assert run_starts(a).tolist() == [0, 3]
    assert run_starts(a, b).tolist() == [0, 2, 3]
    assert run_starts(a[:0]).tolist() == []
