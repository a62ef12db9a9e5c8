"""Components: right, named by the smallest member, and independent of the order of edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.components import Forest, components, node_set

EDGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60)


def reference(edges: list[tuple[int, int]]) -> dict[int, int]:
    label = {node: node for edge in edges for node in edge}
    for _ in label:
        for a, b in edges:
            label[a] = label[b] = min(label[a], label[b])
    return label


def by_batches(edges: list[tuple[int, int]], size: int) -> dict[int, int]:
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    forest = Forest(node_set([(a, b)]))
    for i in range(0, len(edges), size):
        forest.add(a[i : i + size], b[i : i + size])
    return dict(zip(forest.nodes.tolist(), forest.labels().tolist()))


@given(EDGES, st.integers(1, 60), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_any_edges_in_any_order(edges: list[tuple[int, int]], size: int, random) -> None:
    shuffled = [edge if random.random() < 0.5 else edge[::-1] for edge in edges]
    random.shuffle(shuffled)
    assert by_batches(edges, size) == by_batches(shuffled, 60) == reference(edges)


@pytest.mark.parametrize("shape", ["path", "backward", "shuffled", "star", "pairs"])
def test_large_shapes_take_few_rounds(shape: str) -> None:
    """A chain of 200,000 documents is one component; a quadratic algorithm would not come back."""
    size = 200_000
    nodes = np.arange(size) * 3 + 7
    order = np.random.default_rng(1).permutation(size) if shape == "shuffled" else np.arange(size)
    chain = nodes[order][::-1] if shape == "backward" else nodes[order]
    a, b = (np.full(size - 1, nodes[-1]), nodes[:-1]) if shape == "star" else (chain[:-1], chain[1:])
    if shape == "pairs":
        a, b = nodes[::2], nodes[1::2]
    found, labels = components(a, b)
    assert np.array_equal(found, nodes)
    assert np.array_equal(labels, np.repeat(nodes[::2], 2) if shape == "pairs" else np.full(size, 7))


def test_chain_that_grows_by_batches_of_one() -> None:
    nodes = np.arange(2000)
    forest = Forest(nodes)
    for i in range(1999, 0, -1):
        forest.add(nodes[i : i + 1], nodes[i - 1 : i])
    assert not forest.labels().any()


def test_no_edges_and_unknown_nodes() -> None:
    empty = np.empty(0, np.int64)
    assert [part.size for part in components(empty, empty)] == [0, 0]
    with pytest.raises(AssertionError, match="names no node"):
        Forest(np.array([1, 5])).add(np.array([1]), np.array([4]))
