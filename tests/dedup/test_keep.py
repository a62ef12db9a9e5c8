"""The reducers that keep one document of each set of exact copies."""

import pickle
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.exact import key_table
from dedup.keep import KeepOne, KeyBySurvivor
from dedup.policy import Policy
from dedup.tables import DECISIONS, batch_of
from tests.dedup.support import documents, reduce

DATES = [None, "", "2019", "2020-05-01", "2021"]
QUALITIES = [None, float("nan"), 0.1, 0.5]


def decided(keys: list[pa.RecordBatch], policy: Policy = "first", batch_rows: int = 7) -> pa.Table:
    """DECISIONS whose key is the survivor."""
    made = reduce(KeepOne(policy), keys, DECISIONS, batch_rows)
    if policy == "first" or not made.num_rows:
        return made
    return reduce(KeyBySurvivor(), made.to_batches(), DECISIONS, batch_rows)


def removed(table: pa.Table) -> dict[int, int]:
    """Row of the removed → row of its survivor."""
    return {row["row"]: row["key"] & 0xFFFFFFFF for row in table.to_pylist() if not row["kept"]}


@pytest.mark.parametrize("policy, survivor", [("first", 0), ("longest", 1), ("newest", 3), ("oldest", 2), ("best", 4)])
@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_policies(policy: Policy, survivor: int, batch_rows: int) -> None:
    batch = documents(
        ["a b", "a   b", "a b", "a b", "a b"],
        date=["2020-05-01", None, "2019-01-01", "2021-01-01", ""],
        signals=[{"quality": value} for value in (0.1, None, float("nan"), 0.2, 0.3)],
    )
    table = decided([key_table(batch, 0, 0, "text", policy)], policy, batch_rows)
    assert removed(table) == {row: survivor for row in range(5) if row != survivor}
    assert [(row["row"], row["key"]) for row in table.to_pylist() if row["kept"]] == [(survivor, survivor)]


def test_survivor_counts_copies_and_snapshots() -> None:
    batch = documents(["x", "x", "y", "x"], dump=["A", "B", "A", "A"], copies=pa.array([1, 4, 1, 1], pa.int32()))
    rows = decided([key_table(batch, 0, 0, "text")]).to_pylist()
    kept = [row for row in rows if row["kept"]]
    assert [(row["row"], row["copies"], row["snapshots"], row["similarity"]) for row in kept] == [(0, 6, 2, None)]
    assert {(row["similarity"], row["copies"]) for row in rows if not row["kept"]} == {(1.0, None)}


def test_snapshots_of_an_earlier_merge_are_a_lower_bound() -> None:
    batch = documents(["x", "x"], dump=["A", "B"], snapshots=pa.array([1, 5], pa.int32()))
    rows = decided([key_table(batch, 0, 0, "text")]).to_pylist()
    assert [row["snapshots"] for row in rows if row["kept"]] == [5]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_equal_key_with_another_check_is_another_text(batch_rows: int) -> None:
    batch = key_table(documents(["x", "y", "x", "y", "z"]), 0, 0, "text")
    same = batch_of(batch.schema, {**{n: batch[n] for n in batch.schema.names}, "key": pa.array([7] * 5, pa.uint64())})
    assert removed(decided([same], "first", batch_rows)) == {2: 0, 3: 1}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4), st.integers(1, 3), st.sampled_from(DATES), st.sampled_from(QUALITIES), st.booleans()
        ),
        max_size=25,
    ),
    st.sampled_from(["content", "first", "longest", "newest", "oldest", "best"]),
    st.integers(1, 26),
    st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_the_result_is_that_of_the_whole_set_at_once(
    rows: list[tuple], policy: Policy, batch_rows: int, draw: random.Random
) -> None:
    """Whatever the batches and the order of the input: the survivor is the first of its set in the policy's order."""
    texts = [f"{key} {' ' * spaces}x" for key, spaces, *_ in rows]
    batch = documents(
        texts,
        date=pa.array([date for *_, date, _, _ in rows], pa.string()),
        dump=["A" if dump else "B" for *_, dump in rows],
        signals=pa.array([{"quality": value} for *_, value, _ in rows], pa.struct([("quality", pa.float64())])),
    )
    keys = key_table(batch, 0, 0, "text", policy)
    shuffled = keys.take(pa.array(draw.sample(range(len(rows)), len(rows)), pa.int64()))
    table = decided([shuffled], policy, batch_rows)

    content = [0] * len(rows) if policy == "first" else keys["content"].to_pylist()

    def place(row: int) -> tuple:
        _, _, date, quality, _ = rows[row]
        days = DATES.index(date or "")
        worst = 2 if quality is None else 1 if quality != quality else 0
        return {
            "content": (),
            "first": (),
            "longest": (-len(texts[row]),),
            "newest": (not date, -days),
            "oldest": (not date, days),
            "best": (worst, -quality if not worst else 0),
        }[policy] + (content[row], row)

    sets: dict[int, list[int]] = {}
    for row, (key, *_) in enumerate(rows):
        sets.setdefault(key, []).append(row)
    best = {min(mine, key=place): mine for mine in sets.values() if len(mine) > 1}
    assert removed(table) == {row: first for first, mine in best.items() for row in mine if row != first}
    kept = {row["row"]: (row["key"], row["copies"], row["snapshots"]) for row in table.to_pylist() if row["kept"]}
    assert kept == {first: (first, len(mine), len({rows[row][-1] for row in mine})) for first, mine in best.items()}


@pytest.mark.parametrize("policy", ["first", "longest", "content"])
def test_a_giant_group_is_linear_and_held_in_one_row(policy: Policy) -> None:
    size, most = 200_000, 1000
    keys = key_table(documents(["x"] * size), 0, 0, "text", policy)
    seen = []
    for batch in KeepOne(policy)(0, iter(pa.table(keys).to_batches(max_chunksize=most))):
        assert batch.num_rows <= most
        seen.append(batch)
    table = pa.Table.from_batches(seen)
    real = table.filter(pa.compute.greater_equal(table["row"], 0))
    assert real.num_rows == size
    first = 0 if policy == "first" else int(np.argmin(keys["content"].to_numpy()))
    assert [(row["row"], row["copies"]) for row in real.filter(real["kept"]).to_pylist()] == [(first, size)]


def test_reducers_are_picklable_and_know_their_arguments() -> None:
    reducer = pickle.loads(pickle.dumps(KeepOne("newest")))
    assert reducer.fingerprint == KeepOne("newest").fingerprint != KeepOne("oldest").fingerprint
