"""Helpers that reducers read tables with."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.tables import document_numbers, places, run_starts, stretched


@pytest.mark.parametrize("place", [(0, 0), (0, 2**31 - 1), (2**31 - 1, 2**31 - 1)])
def test_document_numbers(place: tuple[int, int]) -> None:
    number = int(document_numbers([place[0]], [place[1]])[0])
    assert divmod(number, 2**32) == place
    assert tuple(int(column[0]) for column in places(np.array([number])).values()) == place


def test_a_row_that_is_no_document_sorts_before_all() -> None:
    assert int(document_numbers([-1], [-1])[0]) == -1
    assert {name: column.tolist() for name, column in places(np.array([-1])).items()} == {"shard": [-1], "row": [-1]}


@given(st.lists(st.booleans(), max_size=30))
@settings(max_examples=50)
def test_stretched(given: list[bool]) -> None:
    last, expected = 0, []
    for index, yes in enumerate(given, 1):
        last = index if yes else last
        expected.append(last)
    assert stretched(np.array(given, np.bool_)).tolist() == expected


def test_run_starts() -> None:
    a, b = np.array([1, 1, 1, 2, 2]), np.array([1, 1, 3, 3, 3])
    assert run_starts(a).tolist() == [0, 3]
    assert run_starts(a, b).tolist() == [0, 2, 3]
    assert run_starts(a[:0]).tolist() == []
