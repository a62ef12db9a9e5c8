"""Connected components of duplicate edges: a union-find (disjoint-set forest) in two int64 arrays, 16 bytes a document.

Edges are added in batches. Each root with an edge to a smaller root is attached to the smallest of them, until no edge
of the batch connects two roots. A parent is always smaller than its child, so the root of a component is its smallest
member, whatever the order of the edges. Two rounds at least halve the roots that still have edges, so a batch takes a
logarithmic number of rounds.
"""

from collections.abc import Iterable

import numpy as np

from dedup.tables import DocumentNumbers, distinct


class Forest:
    """The components of a fixed set of documents under the edges added so far."""

    def __init__(self, nodes: DocumentNumbers) -> None:
        """`nodes`: the document numbers that edges may name, sorted and distinct (see `node_set`)."""
        assert nodes.size < 2 or bool(np.all(nodes[:-1] < nodes[1:])), "nodes must be sorted and distinct"
        self.nodes = nodes
        self._parent = np.arange(nodes.size, dtype=np.int64)

    def add(self, a: DocumentNumbers, b: DocumentNumbers) -> None:
        """Add an edge between a[i] and b[i] for every i. Both must be among the nodes."""
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

    def labels(self) -> DocumentNumbers:
        """The component of each node, named by its smallest document number."""
        self._flatten(np.flatnonzero(self._parent[self._parent] != self._parent))
        return self.nodes[self._parent]

    def _index(self, numbers: DocumentNumbers) -> DocumentNumbers:
        index = np.searchsorted(self.nodes, numbers)
        assert bool(np.all(self.nodes[np.minimum(index, self.nodes.size - 1)] == numbers)), "an edge names no node"
        return index

    def _roots(self, index: DocumentNumbers) -> DocumentNumbers:
        """The root of each node. Attaches the nodes directly to it (path compression)."""
        root = self._parent[index]
        while True:
            parent = self._parent[root]
            if np.array_equal(parent, root):
                self._parent[index] = root
                return root
            root = parent

    def _flatten(self, index: DocumentNumbers) -> None:
        """Attach these nodes to their roots by pointer doubling, which halves the chains among them each time."""
        while index.size:
            parent = self._parent[index]
            above = self._parent[parent]
            self._parent[index] = above
            index = index[above != parent]


def node_set(edges: Iterable[tuple[DocumentNumbers, DocumentNumbers]]) -> DocumentNumbers:
    """The distinct ends of batches of edges, sorted. Memory: three times the result, and one batch."""
    nodes = np.empty(0, np.int64)
    waiting: list[DocumentNumbers] = []
    size = 0
    for pair in edges:
        waiting += [distinct(end) for end in pair]
        size += waiting[-1].size + waiting[-2].size
        if size > nodes.size:  # each number is then sorted a few times, whatever the size of the batches
            nodes, waiting, size = distinct(np.concatenate([nodes, *waiting])), [], 0
    return distinct(np.concatenate([nodes, *waiting]))


def components(a: DocumentNumbers, b: DocumentNumbers) -> tuple[DocumentNumbers, DocumentNumbers]:
    """(nodes, labels) of edges that fit in memory: the distinct ends, sorted, and the smallest member of each one's
    component."""
    forest = Forest(node_set([(a, b)]))
    forest.add(a, b)
    return forest.nodes, forest.labels()
