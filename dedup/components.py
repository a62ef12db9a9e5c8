"""Connected components of duplicate edges: a union-find (disjoint-set forest), 8 bytes a document.

A document is its row (int32; where its shard begins is known) and the index of its parent (int32; int64 from 2^31
documents on, 12 bytes then). Edges are added in batches of any size, each once, with the paths halved on the way. A
parent is always smaller than its child, so the root of a component is its smallest member, whatever the order of edges.

What does not fit on one machine is done in rounds over the engine (`stars.py`), with the same labels.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from dedup import graph_kernels
from dedup.tables import DocumentNumbers, distinct

# Labels are handed on so many at a time.
LABELS_AT_ONCE = 1 << 16
_MOST_INT32 = 2**31 - 1


class Forest:
    """The components of a fixed set of documents under the edges added so far."""

    def __init__(self, nodes: Iterable[DocumentNumbers], size: int) -> None:
        """`nodes`: batches of the document numbers that edges may name, ascending and distinct over all batches;
        `size`: how many they are together."""
        self._rows = np.empty(size, np.int32)
        counts = np.zeros(1, np.int64)  # of documents by shard
        at, last = 0, -1
        for batch in nodes:
            if not batch.size:
                continue
            assert last < batch[0] and bool(np.all(batch[:-1] < batch[1:])), "nodes must be sorted and distinct"
            last, shards = int(batch[-1]), batch >> 32
            found = np.bincount(shards - shards[0])
            room = int(shards[0]) + found.size - counts.size
            counts = np.concatenate([counts, np.zeros(max(room, 0), np.int64)])
            counts[int(shards[0]) : int(shards[0]) + found.size] += found
            self._rows[at : at + batch.size] = batch & 0xFFFFFFFF
            at += batch.size
        assert at == size, f"{at} nodes, not {size}"
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        self._parent: graph_kernels.Indices = np.arange(size, dtype=np.int32 if size <= _MOST_INT32 else np.int64)

    def add(self, a: DocumentNumbers, b: DocumentNumbers) -> None:
        """Add an edge between a[i] and b[i] for every i. Both must be among the nodes."""
        missing = graph_kernels.link(self._parent, self._rows, self._starts, _read_only(a), _read_only(b))
        assert not missing, "an edge names no node"

    def labels(self) -> Iterator[tuple[DocumentNumbers, DocumentNumbers]]:
        """(nodes, the smallest document number of the component of each), in batches, in the order of the nodes."""
        graph_kernels.flatten(self._parent)
        for first in range(0, self._parent.size, LABELS_AT_ONCE):
            roots = self._parent[first : first + LABELS_AT_ONCE]
            pair = (np.arange(first, first + roots.size).astype(roots.dtype), roots)
            numbers, labels = (graph_kernels.numbers_of(self._rows, self._starts, each) for each in pair)
            yield numbers, labels


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


def _read_only(numbers: DocumentNumbers) -> DocumentNumbers:
    """A read-only view, as Arrow's arrays are: numba compiles once more for each combination of the two."""
    view = np.ascontiguousarray(numbers).view()
    view.flags.writeable = False
    return view
