"""Decisions by component are those of the whole pool in one piece."""

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import by_component
from dedup.by_component import (
    LABELS,
    ByComponent,
    Decide,
    label_rows,
    member_edges,
    member_nodes,
    members_schema,
    whole_components,
)
from dedup.components import Forest, node_set
from dedup.policy import Policy
from dedup.survivors import Link, select_survivors
from dedup.tables import DECISIONS, node_table
from tests.dedup import whole_pool
from tests.dedup.support import documents, reduce

POLICIES: list[Policy] = ["content", "first", "longest", "newest", "oldest", "best"]
SIZE = 40


def pool(seed: int) -> tuple[pa.RecordBatch, np.ndarray, np.ndarray, np.ndarray]:
    """Documents, and edges among them: random ones, a chain, and the same pair again with another similarity."""
    draw = random.Random(seed)
    batch = documents(
        [draw.choice(["x", "xx", "yy"]) for _ in range(SIZE)],
        url=[f"http://{draw.randrange(3)}.example/" for _ in range(SIZE)],
        date=pa.array([draw.choice([None, "", "2020", "2021"]) for _ in range(SIZE)], pa.string()),
        dump=[draw.choice("abc") for _ in range(SIZE)],
        copies=pa.array([draw.randrange(1, 4) for _ in range(SIZE)], pa.int32()),
        snapshots=pa.array([draw.randrange(1, 5) for _ in range(SIZE)], pa.int32()),
        signals=[{"quality": draw.choice([None, 0.5, float("nan"), 0.7])} for _ in range(SIZE)],
    )
    edges = [(draw.randrange(SIZE), draw.randrange(SIZE)) for _ in range(draw.randrange(30))]
    edges += [(i, i + 1) for i in range(draw.randrange(8))]
    edges = [edge for edge in edges if edge[0] != edge[1]]
    edges += draw.choices(edges, k=3) if edges else []
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    weights = np.array([draw.choice([0.8, 0.85, 0.9, float("nan")]) for _ in edges])
    bands = np.array([draw.randrange(-1, 15) for _ in edges], np.int16)
    return batch, a, b, weights, bands


def members(
    batch: pa.RecordBatch,
    a: np.ndarray,
    b: np.ndarray,
    weights: np.ndarray,
    bands: np.ndarray,
    policy: Policy,
    batch_rows: int,
) -> pa.Table:
    nodes = node_set([(a, b)])
    forest = Forest([nodes], nodes.size)
    forest.add(a, b)
    rows = [
        *(label_rows(*some) for some in forest.labels()),
        member_nodes(node_table(batch, 0, 0, policy), policy, np.arange(SIZE)),  # more than have an edge
        member_edges(a, b, pa.array(weights, mask=np.isnan(weights)), pa.array(bands, mask=bands < 0), policy),
    ]
    tables = [pa.Table.from_batches([each]) for each in rows]
    joined = pa.concat_tables([LABELS.empty_table(), *tables], promote_options="default").combine_chunks()
    return reduce(ByComponent(policy), joined.to_batches(), members_schema(policy), batch_rows)


@pytest.mark.parametrize("link", ["direct", "component"])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_decisions(policy: Policy, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_component, "COMPONENT_ROWS", 9)
    for seed in range(20):
        batch, a, b, weights, bands = pool(seed)
        nodes = member_nodes(node_table(batch, 0, 0, policy), policy, node_set([(a, b)]))
        expected = whole_pool.select_survivors(nodes, a, b, weights, bands, policy, link)
        assert select_survivors(nodes, a, b, weights, policy, link, bands).equals(expected)
        for batch_rows in (1, 7, 50):
            found = members(batch, a, b, weights, bands, policy, batch_rows)
            made = reduce(Decide(policy, link), found.to_batches(), DECISIONS, batch_rows)
            made = made.sort_by([("shard", "ascending"), ("row", "ascending")])
            assert made.equals(pa.Table.from_batches([expected]))


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=60)
def test_tables_of_whole_components(sizes: list[int], batch_rows: int, most: int) -> None:
    keys = np.repeat(np.arange(len(sizes)), sizes)
    batches = pa.table({"key": keys}).to_batches(max_chunksize=batch_rows)
    tables = [table["key"].to_pylist() for table in whole_components(iter(batches), most)]
    assert [key for table in tables for key in table] == keys.tolist()
    assert all(before[-1] < after[0] for before, after in pairwise(tables))
    # none is larger than what was asked for, but for the component that it ends in, and the batch that this ended in
    largest = max(sizes, default=0)
    assert all(len(table) <= most + largest + batch_rows for table in tables)


def test_a_component_without_bound_is_decided_alone() -> None:
    """A star of 100,000 documents, in many batches."""
    size = 100_000
    batch = documents(["x"] * size)
    a, b = np.zeros(size - 1, np.int64), np.arange(1, size)
    table = members(batch.slice(0, 0), a, b, np.full(a.size, 0.9), np.full(a.size, -1, np.int16), "first", 1 << 16)
    nodes = node_table(batch, 0, 0)
    assert nodes.num_rows == size and table.num_rows == size - 1
    assert [each.num_rows for each in whole_components(iter(table.to_batches(max_chunksize=1000)), 5000)] == [size - 1]
    decided = select_survivors(nodes, a, b, np.full(a.size, 0.9))
    assert decided["kept"].to_numpy(zero_copy_only=False).sum() == 1 and decided["copies"][0].as_py() == size
