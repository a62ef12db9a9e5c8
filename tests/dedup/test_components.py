"""Components: right, named by the smallest member, and independent of the order of edges; in rounds as in a forest."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.components import Forest, node_set
from dedup.stars import STARS, both_ways, large_stars, small_stars
from dedup.tables import numbers_of
from tests.dedup.support import reduce

Numbers = npt.NDArray[np.int64]
# of two shards
NODE = st.one_of(st.integers(0, 20), st.integers(3 << 32, (3 << 32) + 20))
EDGES = st.lists(st.tuples(NODE, NODE), max_size=60)


def reference(edges: list[tuple[int, int]]) -> dict[int, int]:
    label = {node: node for edge in edges for node in edge}
    for _ in label:
        for a, b in edges:
            label[a] = label[b] = min(label[a], label[b])
    return label


def labels_of(forest: Forest) -> dict[int, int]:
    return {node: label for some in forest.labels() for node, label in zip(*(part.tolist() for part in some))}


def forest_over(a: Numbers, b: Numbers) -> Forest:
    nodes = node_set([(a, b)])
    return Forest((nodes[i : i + 7] for i in range(0, nodes.size, 7)), nodes.size)


def by_batches(edges: list[tuple[int, int]], size: int) -> dict[int, int]:
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    forest = forest_over(a, b)
    for i in range(0, len(edges), size):
        forest.add(a[i : i + size], b[i : i + size])
    return labels_of(forest)


def by_rounds(a: Numbers, b: Numbers, batch_rows: int = 7) -> tuple[dict[int, int], int]:
    """The labels, and how many rounds they took."""
    stars, rounds = pa.Table.from_batches([both_ways(a, b)]), 0
    while True:
        rounds += 1
        left: list[int] = []

        def large(partition: int, rows: Iterator[pa.RecordBatch], left: list[int] = left) -> Iterator[pa.RecordBatch]:
            del partition
            for batch, loose in large_stars(rows):
                left.append(loose)
                yield batch

        found = reduce(large, stars.to_batches(), STARS, batch_rows) if stars.num_rows else stars
        if not sum(left):
            return dict(zip(found["key"].to_pylist(), numbers_of(found).tolist())), rounds
        stars = reduce(lambda _, rows: small_stars(rows), found.to_batches(), STARS, batch_rows)


@given(EDGES, st.integers(1, 60), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_any_edges_in_any_order(edges: list[tuple[int, int]], size: int, random) -> None:
    shuffled = [edge if random.random() < 0.5 else edge[::-1] for edge in edges]
    random.shuffle(shuffled)
    assert by_batches(edges, size) == by_batches(shuffled, 60) == reference(edges)


@given(EDGES, st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_rounds_make_the_labels_of_the_forest(edges: list[tuple[int, int]], batch_rows: int) -> None:
    apart = [edge for edge in edges if edge[0] != edge[1]]
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    assert by_rounds(a, b, batch_rows)[0] == reference(apart)


def path(size: int) -> tuple[Numbers, Numbers]:
    return np.arange(size - 1), np.arange(1, size)


def shuffled_path(size: int) -> tuple[Numbers, Numbers]:
    order = np.random.default_rng(1).permutation(size)
    return order[:-1], order[1:]


def backward_star(size: int) -> tuple[Numbers, Numbers]:
    """Its centre is the last."""
    return np.full(size - 1, size - 1), np.arange(size - 1)


def tree(size: int) -> tuple[Numbers, Numbers]:
    nodes = np.arange(1, size)
    return nodes, (nodes - 1) // 2


SHAPES: list[Callable[[int], tuple[Numbers, Numbers]]] = [path, shuffled_path, backward_star, tree]


@pytest.mark.parametrize("shape", SHAPES)
def test_large_shapes_at_once(shape: Callable[[int], tuple[Numbers, Numbers]]) -> None:
    """A chain of 200,000 documents is one component; a quadratic algorithm would not come back."""
    a, b = shape(200_000)
    forest = Forest([np.arange(200_000)], 200_000)
    for i in range(0, a.size, 256):
        forest.add(a[i : i + 256], b[i : i + 256])
    assert not any(labels.any() for _, labels in forest.labels())


@pytest.mark.parametrize("shape", SHAPES)
def test_rounds_are_logarithmic(shape: Callable[[int], tuple[Numbers, Numbers]]) -> None:
    taken = []
    for size in (100, 10_000):
        labels, rounds = by_rounds(*shape(size), 1 << 16)
        assert set(labels.values()) == {0} and len(labels) == size
        taken.append(rounds)
    assert taken[0] <= 2 + np.log2(100) and taken[1] <= 2 + np.log2(10_000)


def test_chain_that_grows_by_batches_of_one() -> None:
    nodes = np.arange(2000)
    forest = Forest([nodes], 2000)
    for i in range(1999, 0, -1):
        forest.add(nodes[i : i + 1], nodes[i - 1 : i])
    assert not any(labels_of(forest).values())


def test_no_edges_and_unknown_nodes() -> None:
    assert labels_of(Forest([], 0)) == {}
    assert labels_of(Forest([np.array([1, 1 << 33])], 2)) == {1: 1, 1 << 33: 1 << 33}
    for other in (4, 6, 1 << 32, 1 << 40, -1):
        with pytest.raises(AssertionError, match="names no node"):
            Forest([np.array([1, 5])], 2).add(np.array([1]), np.array([other]))
    for nodes in ([np.array([5, 1])], [np.array([1]), np.array([1])], [np.array([1])]):
        with pytest.raises(AssertionError):
            Forest(nodes, 2)
