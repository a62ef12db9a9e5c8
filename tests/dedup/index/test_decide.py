"""Decisions of an index on random edges: each removal has an edge to what is kept, and no two kept ones have one."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.index.decide import Keeping, Policy, decide
from dedup.index.groups import groups
from dedup.index.keys import to_numpy
from dedup.index.tables import EDGES, snapshot_lists, table_of
from infra.errors import UsageError

NEW, OLD = range(12), range(20, 30)
EDGE = st.tuples(st.sampled_from(NEW), st.sampled_from([*NEW, *OLD]), st.sampled_from([0.8, 0.9, 1.0]))
SNAPSHOTS = st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=len(OLD), max_size=len(OLD))


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def table(edges: list[tuple[int, int, float]], kept: set[int], snapshots: list[set[int]]) -> pa.Table:
    """`kept`: the old contents that are."""
    of = [sorted(snapshots[b - OLD.start]) if b in OLD else [] for _, b, _ in edges]
    offsets = np.cumsum([0, *map(len, of)])
    columns = {
        "a": np.array([key(a) for a, _, _ in edges], "S16"),
        "b": np.array([key(b) for _, b, _ in edges], "S16"),
        "old": np.array([b in OLD for _, b, _ in edges], np.bool_),
        "similarity": np.array([similarity for _, _, similarity in edges], np.float64),
        "snapshots": snapshot_lists(np.array([n for each in of for n in each], np.int32), offsets),
        "kept": np.array([b in kept for _, b, _ in edges], np.bool_),
    }
    return pa.Table.from_batches([table_of(EDGES, columns)])


@settings(deadline=None)
@given(
    st.dictionaries(EDGE.map(lambda edge: edge[:2]), st.sampled_from([0.8, 0.9, 1.0]), max_size=30),
    st.sets(st.sampled_from(OLD)), SNAPSHOTS, st.sampled_from(["within", "older", "copies"]), st.integers(1, 4),
)  # fmt: skip
def test_decisions(
    similarity: dict[tuple[int, int], float], kept: set[int], snapshots: list[set[int]], policy: Policy, least: int
) -> None:
    edges = [(a, b, value) for (a, b), value in similarity.items() if a != b and (b, a) not in similarity]
    choice = Keeping(policy, least)
    made = decide(table(edges, kept, snapshots), choice, 0)
    number = {key(n): n for n in (*NEW, *OLD)}
    rows = [
        (number[a.ljust(16, b"\0")], number[s.ljust(16, b"\0")], old, value, count)
        for a, s, old, value, count in zip(
            to_numpy(made["key"]).tolist(), to_numpy(made["survivor"]).tolist(), made["old"].to_pylist(),
            made["similarity"].to_pylist(), made["snapshots"].to_pylist(), strict=True,
        )
    ]  # fmt: skip
    by_pair = {pair: value for a, b, value in edges for pair in ((a, b), (b, a))}
    seen: dict[int, set[int]] = defaultdict(set)
    for a, b, _ in edges:
        if b in OLD:
            seen[a] |= snapshots[b - OLD.start]
    older = dict(zip(to_numpy(made["key"]).tolist(), made["seen"].to_pylist(), strict=True))
    assert {number[a.ljust(16, b"\0")]: {*each} for a, each in older.items()} == {a: seen[a] for a, *_ in rows}
    gone = {a for a, survivor, *_ in rows if a != survivor}
    enough = {n for n in NEW if 1 + len(seen[n]) >= choice.least}
    stay = {n for n in NEW if n not in gone} & enough
    for a, survivor, old, value, count in rows:
        assert count == 1 + len(seen[a])
        if a == survivor:
            continue
        assert by_pair[a, survivor] == value
        assert (survivor in kept and policy != "within") if old else survivor in stay
    for a, b in similarity:
        if (a, b) in by_pair and b in NEW:
            assert not {a, b} <= stay, "two that are kept share an edge"
    if policy != "within":
        assert not [a for a, b, _ in edges if b in kept and a in stay]


def test_a_policy_that_is_none() -> None:
    with pytest.raises(UsageError, match="choose one of within, older, copies"):
        Keeping("newest")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--copies 0: give at least 1"):
        Keeping("copies", 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40), st.randoms(use_true_random=False))
def test_groups_are_named_by_their_smallest_key(pairs: list[tuple[int, int]], draw: object) -> None:
    group = {n: {n} for n in range(21)}
    for a, b in pairs:
        if group[a] is not group[b]:
            group[a] |= group[b]
            for member in group[b]:
                group[member] = group[a]
    shuffled = draw.sample(pairs, len(pairs))  # type: ignore[attr-defined]
    a, b = (np.array([key(pair[end]) for pair in shuffled], "S16") for end in (0, 1))
    nodes, names = groups(a, b)
    numbers = {n for pair in pairs for n in pair}
    true = {int(n): min(group[n]) for n in numbers}
    found = {int.from_bytes(n.ljust(16, b"\0"), "big"): int.from_bytes(m.ljust(16, b"\0"), "big")
             for n, m in zip(nodes.tolist(), names.tolist(), strict=True)}  # fmt: skip
    assert found == true
