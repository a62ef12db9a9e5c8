"""Candidates: the best of a bucket with all others, in linear time; who meets again; stars of bounded size."""

import random
from itertools import combinations
from math import isqrt

import numpy as np
import pyarrow as pa
import pytest

from dedup.candidates import LEADERS, MEMBERS, PAIRS_OF_A_BUCKET, Again, Candidates, Stars, met_rows
from dedup.tables import BANDS, PAIRS, WANTED, batch_of, numbers_of
from tests.dedup.support import reduce

Rows = list[tuple[int, int, int, int]]


def bands(rows: Rows) -> pa.RecordBatch:
    """BANDS of (key, shard, row, rank)."""
    return batch_of(BANDS, dict(zip(BANDS.names, zip(*rows), strict=True)))


def pairs(table: pa.Table | pa.RecordBatch) -> list[tuple[int, int]]:
    """(row of the leader, row of the other), without leaders as pairs of themselves."""
    both = zip((table["key"].to_numpy() & 0xFFFFFFFF).tolist(), table["row"].to_pylist())
    return [(leader, other) for leader, other in both if leader != other]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_each_member_meets_the_best_and_of_equals_the_first(batch_rows: int) -> None:
    rows = [(5, 1, 1, 0), (5, 0, 9, 7), (5, 0, 3, 0), (6, 0, 3, 0), (2**63 + 1, 0, 4, 9), (2**63 + 1, 1, 5, 8)]
    assert pairs(reduce(Candidates(), [bands(rows)], PAIRS, batch_rows)) == [(3, 1), (3, 9), (5, 4)]


def test_the_members_of_a_bucket_of_three_may_meet_again() -> None:
    table = reduce(
        Candidates(), [bands([(5, 0, 1, 30), (5, 0, 2, 10), (5, 0, 3, 20), (6, 0, 1, 30), (6, 0, 2, 10)])], PAIRS
    )
    told = [(row["row"], row["bucket"], row["rank"]) for row in table.to_pylist()]
    assert told == [(2, 5, 10), (3, 5, 20), (1, 5, 30), (1, 0, 0)]


def test_empty_batches() -> None:
    empty, one = bands([(1, 0, 1, 0)]).slice(0, 0), bands([(1, 0, 1, 0)])
    assert list(Candidates()(0, iter([empty]))) == []
    assert [pairs(made) for made in Candidates()(0, iter([one, empty, bands([(1, 0, 2, 0)])])) if made] == [[(1, 2)]]


def test_the_order_of_the_input_does_not_matter() -> None:
    draw = random.Random(3)
    rows = [(draw.randrange(30), draw.randrange(3), i, draw.randrange(5)) for i in range(200)]
    for reducer in (Candidates(), Again(2)):
        expected = pairs(reduce(reducer, [bands(rows)], PAIRS))
        assert sorted(pairs(reduce(reducer, [bands(draw.sample(rows, 200))], PAIRS, 11))) == sorted(expected)


def test_few_that_meet_again_are_compared_all_with_all() -> None:
    few = isqrt(PAIRS_OF_A_BUCKET)
    rows = [(1, 0, i, 0) for i in range(few)] + [(2, 0, 1000, 2), (2, 0, 1001, 1)]
    expected = [*combinations(range(few), 2), (1001, 1000)]
    assert sorted(pairs(reduce(Again(2), [bands(rows)], PAIRS))) == sorted(expected)
    assert sorted(pairs(reduce(Again(3), [bands(rows)], PAIRS))) == sorted(expected)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(("size", "leaders"), [(20_000, LEADERS), (1000, PAIRS_OF_A_BUCKET // 1000)])
def test_of_many_that_meet_again_some_lead(size: int, leaders: int, number: int) -> None:
    first = (number - 2) * leaders
    rows: Rows = [(1, 0, i, i) for i in range(size)]
    expected = [(leader, other) for leader in range(first, first + leaders) for other in range(leader + 1, size)]
    assert pairs(reduce(Again(number), [bands(rows)], PAIRS)) == expected


def test_a_giant_bucket_gives_one_pair_less_than_members() -> None:
    size = 200_000
    batch = bands([(1, 0, i, i) for i in range(size)])
    table = reduce(Candidates(), [batch], PAIRS, 997)
    assert pairs(table) == [(0, i) for i in range(1, size)]


def test_stars_are_bounded_and_have_their_leader_once() -> None:
    members = 2 * MEMBERS + 3
    table = reduce(Candidates(), [bands([(key, 0, i, i) for key in (1, 2) for i in range(members + 1)])], PAIRS)
    wanted = reduce(Stars(), table.to_batches(), WANTED, 50)
    stars: dict[int, list[int]] = {}
    for row in wanted.to_pylist():
        stars.setdefault(row["key"], []).append(row["row"])
        assert row["leader"] == 0
    assert sorted(len(star) for star in stars.values()) == [1 + 3, 1 + MEMBERS, 1 + MEMBERS]
    assert all(star.count(0) == 1 for star in stars.values())
    assert sorted(row for star in stars.values() for row in star if row) == list(range(1, members + 1))


def test_a_pair_is_compared_in_the_first_round_that_has_it() -> None:
    rows: Rows = [(1, 0, i, i) for i in range(4)]
    first, second = (reduce(each, [bands(rows)], PAIRS).to_batches() for each in (Candidates(), Again(2)))
    met: list[pa.RecordBatch] = []
    for number, given, expected in (
        (1, first, [(0, 1), (0, 2), (0, 3)]),
        (2, second, [(1, 2), (1, 3), (2, 3)]),
        (3, [batch.set_column(3, "round", pa.array([3] * batch.num_rows, pa.int8())) for batch in second], []),
    ):
        made = reduce(Stars(number), [*met, *given], WANTED)
        met += [met_rows(batch) for batch in made.to_batches()]
        members = made["leader"].to_numpy() != numbers_of(made)
        found = zip(made["leader"].to_numpy()[members].tolist(), numbers_of(made)[members].tolist())
        assert sorted(found) == expected


def test_a_hostile_bucket_stays_linear() -> None:
    """A bucket of many different documents: so many pairs for each in all rounds, not its square."""
    size = 100_000
    batch = bands([(1, 0, i, i) for i in range(size)])
    count = sum(made.num_rows for made in Again(2)(0, iter([batch])))
    assert count <= LEADERS * size
    assert np.all(batch["key"].to_numpy() == 1)
