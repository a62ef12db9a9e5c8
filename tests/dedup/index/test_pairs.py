"""Candidate pairs of an index: a function of the rows, whatever their order, and linear in a bucket."""

import random
from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.index.pairs import distinct_pairs, pairs_between, pairs_within, rows_of

ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), max_size=60)


def key(number: int) -> bytes:
    """Ends in a zero byte, which numpy strips of what it prints."""
    return number.to_bytes(15, "big") + b"\0"


def rows(pairs: list[tuple[int, int]]):
    hashes = np.array([hash_ for hash_, _ in pairs], np.uint64)
    return rows_of(hashes, np.array([key(number) for _, number in pairs], "S16"))


def as_set(a: np.ndarray, b: np.ndarray) -> set[tuple[bytes, bytes]]:
    return set(zip(a.tolist(), b.tolist()))


def buckets(pairs: list[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for hash_, number in pairs:
        found[hash_].add(number)
    return {hash_: sorted(numbers) for hash_, numbers in found.items()}


def np_key(number: int) -> bytes:
    return np.array([key(number)], "S16")[0]


@settings(deadline=None)
@given(ROWS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_each_member_meets_the_leaders_before_it(
    pairs: list[tuple[int, int]], leaders: int, draw: random.Random
) -> None:
    true = {
        (np_key(member), np_key(head))
        for bucket in buckets(pairs).values()
        for rank, head in enumerate(bucket[:leaders])
        for member in bucket[rank + 1 :]
    }
    assert as_set(*pairs_within(rows(pairs), leaders)) == true
    shuffled = draw.sample(pairs, len(pairs))
    first, second = (distinct_pairs(*pairs_within(rows(each), leaders)) for each in (pairs, shuffled))
    assert all(np.array_equal(a, b) for a, b in zip(first, second))
    assert len(as_set(*first)) == first[0].size == len(true)


@settings(deadline=None)
@given(ROWS, ROWS, st.integers(1, 4))
def test_each_member_meets_the_leaders_of_the_others(
    pairs: list[tuple[int, int]], others: list[tuple[int, int]], leaders: int
) -> None:
    old = buckets(others)
    true = {
        (np_key(member), np_key(head))
        for hash_, bucket in buckets(pairs).items()
        for head in old.get(hash_, [])[:leaders]
        for member in bucket
        if member != head
    }
    assert as_set(*pairs_between(rows(pairs), rows(others), leaders)) == true


def test_a_bucket_of_many_contents_is_linear() -> None:
    count = 200_000
    keys = np.frombuffer(np.random.default_rng(0).bytes(16 * count), "S16")
    a, _ = pairs_within(rows_of(np.zeros(count, np.uint64), keys), 8)
    assert a.size == 8 * count - 36
