"""Verification: exact similarities of the members of stars."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.candidates import wanted_rows
from dedup.shingles import Sets, shingles
from dedup.tables import EDGES, SETS, batch_of, places
from dedup.verify import Verify, containment, jaccard, list_column, set_rows
from infra.errors import UsageError
from tests.dedup.support import documents, edited, english, reduce

# Of a signature of three bands; document n has those of its number's bits.
BANDS = np.arange(8).reshape(-1, 1) >> np.arange(3) & 1
HASHES = st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 20), max_size=30)


def array(values_: set[int]) -> np.ndarray:
    return np.array(sorted(values_), np.uint64)


def sets_of(stars: list[tuple[int, int, list[int]]], sets: list[set[int]]) -> pa.RecordBatch:
    """SETS of stars of (key, leader, members)."""
    rows = [
        (key, -1 if each == leader else each, leader, each)
        for key, leader, members in stars
        for each in (leader, *members)
    ]
    keys, numbers, leaders, which = (np.array(column) for column in zip(*rows))
    made = [array(each) for each in sets]
    column = list_column(Sets(np.concatenate(made), np.cumsum([0, *map(len, made)])))
    there = places(numbers)
    columns = {"key": keys, **there, "leader": leaders, "bands": bands_of(which)}
    return batch_of(SETS, columns | {"shingles": column.take(pa.array(which))})


def bands_of(numbers: np.ndarray) -> list[bytes]:
    return [BANDS[number % 8].astype(np.uint64).tobytes() for number in numbers]


def shared(a: int, b: int) -> int:
    return int((BANDS[a % 8] == BANDS[b % 8]).sum())


def with_bands(wanted: pa.RecordBatch) -> pa.RecordBatch:
    """WANTED_BANDS of WANTED."""
    return wanted.append_column("bands", pa.array(bands_of(wanted["row"].to_numpy()), pa.binary()))


@given(HASHES, HASHES)
@settings(max_examples=50, deadline=None)
def test_similarities_equal_pythons_sets(a: set[int], b: set[int]) -> None:
    expected = len(a & b) / len(a | b) if a | b else 0.0
    assert jaccard(array(a), array(b)) == jaccard(array(b), array(a)[::-1].copy()) == expected
    assert containment(array(a), array(b)) == (len(a & b) / len(b) if b else 0.0)


@given(st.lists(HASHES, min_size=6, max_size=6), st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_stars_equal_pythons_sets(sets: list[set[int]], batch_rows: int) -> None:
    stars = [(7, 0, [2, 3]), (8, 0, [4]), (9, 1, [2, 5])]
    found = reduce(Verify(1e-9), [sets_of(stars, sets)], EDGES, batch_rows).to_pylist()
    pairs = [(leader, member) for _, leader, members in stars for member in members]
    expected = [
        {"a": a, "b": b, "jaccard": len(sets[a] & sets[b]) / len(sets[a] | sets[b]),
         "containment": len(sets[a] & sets[b]) / len(sets[b]), "bands": shared(a, b)}
        for a, b in pairs if sets[a] & sets[b]
    ]  # fmt: skip
    assert found == expected


@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_two_stars_of_one_key_are_kept_apart(batch_rows: int) -> None:
    sets = [set(range(i, i + 10)) for i in range(5)]
    table = reduce(Verify(0.01), [sets_of([(7, 0, [2, 4]), (7, 1, [3])], sets)], EDGES, batch_rows)
    found = {(row["a"], row["b"]): row["jaccard"] for row in table.to_pylist()}
    assert found == {(0, 2): 8 / 12, (0, 4): 6 / 14, (1, 3): 8 / 12}


def test_threshold_is_inclusive_and_measure_decides() -> None:
    rows = [sets_of([(7, 0, [1, 2])], [{1, 2, 3, 4}, {1, 2, 3, 5}, {1, 2}])]
    by_jaccard = reduce(Verify(3 / 5), rows, EDGES).to_pylist()
    assert by_jaccard == [{"a": 0, "b": 1, "jaccard": 0.6, "containment": 0.75, "bands": 2}]
    by_containment = reduce(Verify(1.0, "containment"), rows, EDGES).to_pylist()
    assert by_containment == [{"a": 0, "b": 2, "jaccard": 0.5, "containment": 1.0, "bands": 2}]


def test_a_member_without_its_leader_is_impossible() -> None:
    rows = sets_of([(7, 0, [1])], [{1}, {1}]).slice(1)
    with pytest.raises(AssertionError, match="document 0"):
        reduce(Verify(), [rows], EDGES)
    with pytest.raises(UsageError, match="threshold is 0"):
        Verify(0.0)
    with pytest.raises(UsageError, match="no measure 'cosine'"):
        Verify(0.8, "cosine")  # type: ignore[arg-type]


def test_sets_of_the_wanted_documents() -> None:
    texts = [" ".join(english(seed, 30)) for seed in range(4)]
    first = 5 << 32 | 20
    wanted = wanted_rows(np.array([1, 2, 1], np.uint64), first + np.array([1, 1, 3]), first + np.array([1, 0, 1]))
    (made,) = set_rows(documents(texts), first, with_bands(wanted), 5)
    assert made["bands"].to_pylist() == bands_of(np.array([21, 21, 23]))
    assert (
        made["row"].to_pylist() == [-1, 21, 23] and made["leader"].to_pylist() == (first + np.array([1, 0, 1])).tolist()
    )
    expected = [shingles(texts[row]).tolist() for row in (1, 1, 3)]
    assert [sorted(each) for each in made["shingles"].to_pylist()] == expected


def test_a_hub_has_bounded_batches() -> None:
    """A leader of 20,000 members is in 313 stars: batches stay near 8 MiB."""
    text, stars = " ".join(english(1, 20_000)), 313
    wanted = wanted_rows(np.arange(stars, dtype=np.uint64), np.zeros(stars, np.int64), np.zeros(stars, np.int64))
    count = 0
    for batch in set_rows(documents([text]), 0, with_bands(wanted), 5):
        assert batch.nbytes < 10 << 20
        count += batch.num_rows
    assert count == stars


def test_planted_near_duplicates_have_their_similarity() -> None:
    base = english(1, 200)
    texts = [" ".join(edited(base, share, 3, lambda x: f"w{x}")) for share in (0.0, 0.01, 0.02, 0.1)]
    numbers = np.arange(4)
    wanted = wanted_rows(np.zeros(4, np.uint64), numbers, np.zeros(4, np.int64))
    found = reduce(Verify(0.8), list(set_rows(documents(texts), 0, with_bands(wanted), 5)), EDGES).to_pylist()
    true = {b: jaccard(shingles(texts[0]), shingles(texts[b])) for b in (1, 2, 3)}
    assert {row["b"]: row["jaccard"] for row in found} == {b: s for b, s in true.items() if s >= 0.8}
