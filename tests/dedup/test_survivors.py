"""Survivors: policies, the two links, evidence, and the counts of the survivor."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.policy import Policy
from dedup.survivors import select_survivors
from dedup.tables import node_table
from infra.errors import UsageError
from tests.dedup.support import documents

SIZE = 12
EDGES = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1)), max_size=30)


def nodes(size: int, policy: Policy = "first", **columns: object) -> pa.RecordBatch:
    return node_table(documents(["x" * (i % 4 + 1) for i in range(size)], **columns), 0, 0, policy)


def ask(batch: pa.RecordBatch, edges: list[tuple[int, int]], similarity: object = None, *how: str) -> list[dict]:
    """DECISIONS of documents in shard 0, so that their numbers are their rows."""
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    weights = np.full(len(edges), 0.9) if similarity is None else np.array(similarity, np.float64)
    return select_survivors(batch, a, b, weights, *how).to_pylist()


def test_direct_keeps_the_far_end_of_a_chain() -> None:
    rows = ask(nodes(4), [(0, 1), (1, 2), (2, 3)])
    assert [row["kept"] for row in rows] == [True, False, True, False]
    assert [row["key"] for row in rows] == [0, 0, 2, 2]
    assert [row["copies"] for row in rows] == [2, None, 2, None]


def test_component_removes_by_the_chain_and_says_so() -> None:
    rows = ask(nodes(4), [(0, 1), (1, 2), (2, 3)], [0.9, 0.8, 0.85], "first", "component")
    assert [row["kept"] for row in rows] == [True, False, False, False]
    assert {row["key"] for row in rows} == {0}
    assert [row["evidence"] for row in rows] == [0, 0, 3, 2]
    assert [row["similarity"] for row in rows] == [None, 0.9, 0.85, 0.85]
    assert rows[0]["copies"] == 4


@pytest.mark.parametrize("policy, survivor", [("first", 0), ("longest", 3), ("newest", 2), ("oldest", 1), ("best", 5)])
@pytest.mark.parametrize("link", ["direct", "component"])
def test_policies(policy: Policy, survivor: int, link: str) -> None:
    batch = nodes(
        6,
        policy,
        date=["2020-01-01", "2019-01-01", "2021-01-01", "", None, "2020-01-01"],
        signals=[{"quality": value} for value in (None, 0.1, float("nan"), 0.5, 0.8, 0.9)],
    )
    rows = ask(batch, list(itertools.combinations(range(6), 2)), None, policy, link)
    assert [row["row"] for row in rows if row["kept"]] == [survivor]


def test_ties_go_to_the_first_in_the_order_of_the_dataset() -> None:
    early, late = node_table(documents(["x"]), 1, 7), node_table(documents(["x"]), 9, 0)
    table = pa.Table.from_batches([late, early])
    rows = select_survivors(table, np.array([9 << 32]), np.array([(1 << 32) + 7]), np.array([1.0])).to_pylist()
    assert [(row["shard"], row["row"], row["kept"], row["key"]) for row in rows] == [
        (1, 7, True, (1 << 32) + 7),
        (9, 0, False, (1 << 32) + 7),
    ]


def test_copies_add_up_and_snapshots_are_distinct() -> None:
    batch = nodes(
        4,
        dump=["A", "B", "A", "C"],
        copies=pa.array([2, 3, 1, 1], pa.int32()),
        snapshots=pa.array([1, 1, 1, 4], pa.int32()),
    )
    rows = ask(batch, [(0, 1), (0, 2)])
    assert [(row["copies"], row["snapshots"]) for row in rows if row["kept"]] == [(6, 2), (1, 4)]
    rows = ask(batch, [(0, 1), (0, 2), (0, 3)])
    assert [(row["copies"], row["snapshots"]) for row in rows if row["kept"]] == [(7, 4)]


def test_unmeasured_edges_leave_no_similarity() -> None:
    rows = ask(nodes(3), [(0, 1), (0, 1), (1, 2)], [np.nan, 0.7, np.nan], "first", "component")
    assert [row["similarity"] for row in rows] == [None, 0.7, None]
    assert rows[2]["evidence"] == 1


def test_mistakes() -> None:
    with pytest.raises(UsageError, match="no policy 'latest'"):
        ask(nodes(2), [(0, 1)], None, "latest")
    with pytest.raises(UsageError, match="no link 'chain'"):
        ask(nodes(2), [(0, 1)], None, "first", "chain")
    with pytest.raises(AssertionError, match="names no node"):
        ask(nodes(2), [(0, 5)])


def test_nodes_without_edges_stay() -> None:
    assert [row["kept"] for row in ask(nodes(3), [])] == [True] * 3
    assert ask(nodes(0), []) == []


@given(EDGES, st.sampled_from(["first", "longest"]), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)  # kernels are compiled at their first call
def test_invariants_of_direct(edges: list[tuple[int, int]], policy: str, random) -> None:
    """Each removal rests on an edge to a survivor, survivors share no edge, no copy is lost, order is nothing."""
    batch = nodes(SIZE, policy)
    rows = ask(batch, edges, None, policy)
    kept = {row["row"] for row in rows if row["kept"]}
    linked = {frozenset(edge) for edge in edges if edge[0] != edge[1]}
    assert all(frozenset((row["row"], row["key"])) in linked for row in rows if not row["kept"])
    assert not any(edge <= kept for edge in linked)
    assert sum(row["copies"] for row in rows if row["kept"]) == SIZE
    shuffled = [edge[::-1] for edge in random.sample(edges, len(edges))]
    order = pa.array(random.sample(range(SIZE), SIZE))
    assert ask(batch.take(order), shuffled, None, policy) == rows


@given(EDGES, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)  # kernels are compiled at their first call
def test_invariants_of_component(edges: list[tuple[int, int]], random) -> None:
    """One survivor per component, evidence always on an edge of the removed, order is nothing."""
    batch = nodes(SIZE, "longest")
    weights = [random.random() for _ in edges]
    rows = ask(batch, edges, weights, "longest", "component")
    linked = {frozenset(edge) for edge in edges}
    assert all(frozenset((row["row"], row["evidence"])) in linked for row in rows if not row["kept"])
    survivors = {row["row"]: row["key"] for row in rows}
    assert all(survivors[a] == survivors[b] for a, b in edges)
    order = random.sample(range(len(edges)), len(edges))
    again = ask(batch, [edges[i][::-1] for i in order], [weights[i] for i in order], "longest", "component")
    assert again == rows
