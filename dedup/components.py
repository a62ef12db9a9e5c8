"""Connected components of duplicate edges, at 16 bytes a document: a union-find in two int64 arrays.

Roots are joined a batch of edges at a time: every root that has an edge to a smaller one is hooked under the smallest
of them, until no edge of the batch joins two roots. A parent is always smaller than its child, so a component's root
is its smallest member, whatever the order of the edges. Two rounds at least halve the roots that still have edges, so
a batch takes a logarithmic number of rounds.
"""

from collections.abc import Iterable

import numpy as np

from dedup.tables import Numbers, distinct


class Forest:
    """Components over a fixed set of documents, fed with batches of edges."""

    def __init__(self, nodes: Numbers) -> None:
        """`nodes`: the document numbers that edges may name, sorted and distinct (see `node_set`)."""
        assert nodes.size < 2 or bool(np.all(nodes[:-1] < nodes[1:])), "nodes must be sorted and distinct"
        self.nodes = nodes
        self._parent = np.arange(nodes.size, dtype=np.int64)

    def add(self, a: Numbers, b: Numbers) -> None:
        """Joins a[i] and b[i] for every i. Both must be among the nodes."""
        left, right = self._index(a), self._index(b)
        while True:
            left, right = self._roots(left), self._roots(right)
            apart = left != right
            left, right = left[apart], right[apart]
            if not left.size:
                return
            high, low = np.maximum(left, right), np.minimum(left, right)
            np.minimum.at(self._parent, high, low)
            self._flatten(high)

    def labels(self) -> Numbers:
        """For each node the smallest document number of its component."""
        self._flatten(np.flatnonzero(self._parent[self._parent] != self._parent))
        return self.nodes[self._parent]

    def _index(self, numbers: Numbers) -> Numbers:
        index = np.searchsorted(self.nodes, numbers)
        assert bool(np.all(self.nodes[np.minimum(index, self.nodes.size - 1)] == numbers)), "an edge names no node"
        return index

    def _roots(self, index: Numbers) -> Numbers:
        """The root of each node; the nodes then hang directly under it."""
        root = self._parent[index]
        while True:
            parent = self._parent[root]
            if np.array_equal(parent, root):
                self._parent[index] = root
                return root
            root = parent

    def _flatten(self, index: Numbers) -> None:
        """Hangs these nodes under their roots by pointer doubling: chains among them shrink to half each time."""
        while index.size:
            parent = self._parent[index]
            above = self._parent[parent]
            self._parent[index] = above
            index = index[above != parent]


def node_set(edges: Iterable[tuple[Numbers, Numbers]]) -> Numbers:
    """The sorted distinct ends of batches of edges, holding little more than them and one batch."""
    nodes = np.empty(0, np.int64)
    for a, b in edges:
        nodes = distinct(np.concatenate([nodes, a, b]))
    return nodes


def components(a: Numbers, b: Numbers) -> tuple[Numbers, Numbers]:
    """(nodes, labels) of edges that fit in memory: the distinct ends, sorted, and each one's component.

    A component is named by its smallest member.
    """
    forest = Forest(node_set([(a, b)]))
    forest.add(a, b)
    return forest.nodes, forest.labels()
