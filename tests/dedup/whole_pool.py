"""Survivors of the whole pool in one piece, as they were chosen before decisions were a reduction: a reference."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.policy import Policy, preference_order
from dedup.snapshots import LISTS
from dedup.survivors import Bands, Link, Similarities
from dedup.tables import DocumentNumbers, decision_rows, numbers_of, values


def select_survivors(
    nodes: pa.Table | pa.RecordBatch,
    a: DocumentNumbers,
    b: DocumentNumbers,
    similarity: Similarities,
    bands: Bands,
    policy: Policy = "first",
    link: Link = "direct",
) -> pa.RecordBatch:
    """As `dedup.survivors.select_survivors`, without compiled code."""
    ranked = _ranked(nodes, policy)
    graph = _Graph(ranked, a, b, similarity, bands)
    if link == "direct":
        survivor = evidence = _greedy(graph)
    else:
        survivor = _component_heads(ranked.num_rows, graph)
        evidence = graph.best_neighbour(survivor)
    return _decision_rows(ranked, survivor, evidence, *graph.measured_to(evidence))


def _decision_rows(
    ranked: pa.Table,
    survivor: npt.NDArray[np.intp],
    evidence: npt.NDArray[np.intp],
    similarity: Similarities,
    bands: Bands,
) -> pa.RecordBatch:
    numbers = numbers_of(ranked)
    order = np.argsort(numbers)
    kept = survivor == np.arange(numbers.size)
    copies = np.bincount(survivor, weights=values(ranked, "copies"), minlength=numbers.size).astype(np.int32)
    lists = _snapshots(ranked, survivor)
    counts = np.array([*map(len, lists)], np.int32)
    np.maximum.at(counts, survivor, values(ranked, "snapshots"))
    given = {
        "kept": pa.array(kept[order]),
        "evidence": pa.array(np.where(kept, numbers, numbers[evidence])[order]),
        "similarity": pa.array(similarity[order], mask=(kept | np.isnan(similarity))[order]),
        "bands": pa.array(bands[order], mask=(kept | (bands < 0))[order]),
        "copies": pa.array(copies[order], mask=~kept[order]),
        "snapshots": pa.array(counts[order], mask=~kept[order]),
        "dumps": pa.array([lists[row] if kept[row] else None for row in order], LISTS),
    }
    return decision_rows(numbers[survivor][order], numbers[order], **given)


def _snapshots(ranked: pa.Table, survivor: npt.NDArray[np.intp]) -> list[list[int]]:
    """The snapshots of what each document stands for."""
    found: list[set[int]] = [set() for _ in survivor]
    for row, names in zip(survivor.tolist(), ranked["dumps"].to_pylist(), strict=True):
        found[row] |= {*names}
    return [sorted(each) for each in found]


def _ranked(nodes: pa.Table | pa.RecordBatch, policy: Policy) -> pa.Table:
    """The nodes as a table, best first. The row of a document is its rank."""
    table = pa.Table.from_batches([nodes]) if isinstance(nodes, pa.RecordBatch) else nodes
    return table.take(pc.sort_indices(table, sort_keys=preference_order(policy)))


def _greedy(graph: "_Graph") -> npt.NDArray[np.int64]:
    survivor = np.full(graph.size, -1)
    for node in range(graph.size):
        if survivor[node] < 0:
            survivor[node] = node
            for other in graph.neighbours[graph.starts[node] : graph.starts[node + 1]]:
                if survivor[other] < 0:
                    survivor[other] = node
    return survivor


def _component_heads(size: int, graph: "_Graph") -> npt.NDArray[np.int64]:
    """The best rank of each rank's component."""
    head = np.arange(size)
    while True:
        least = head.copy()
        np.minimum.at(least, graph.source, head[graph.neighbours])
        if np.array_equal(least, head):
            return head
        head = least


class _Graph:
    """The edges between ranks, in both directions and sorted; each pair once, with its largest similarity and the most
    bands of that."""

    def __init__(
        self, ranked: pa.Table, a: DocumentNumbers, b: DocumentNumbers, similarity: Similarities, bands: Bands
    ) -> None:
        numbers = numbers_of(ranked)
        left, right = _ranks(numbers, a), _ranks(numbers, b)
        source, target = np.concatenate([left, right]), np.concatenate([right, left])
        weight, shared = np.concatenate([similarity, similarity]), np.concatenate([bands, bands])
        # NaN sorts last, so that a measured edge of a pair comes first
        order = np.lexsort((-shared, -weight, target, source))
        source, target, weight, shared = source[order], target[order], weight[order], shared[order]
        fresh = np.ones(source.size, np.bool_)
        fresh[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
        fresh &= source != target
        self.size = numbers.size
        self.source, self.neighbours, self.weight = source[fresh], target[fresh], weight[fresh]
        self.shared = shared[fresh]
        self.starts = np.searchsorted(self.source, np.arange(self.size + 1))

    def measured_to(self, other: npt.NDArray[np.int64]) -> tuple[Similarities, Bands]:
        """The similarity and the bands of each rank's edge to `other`; NaN and -1 without one. Shape (ranks,)."""
        similarity, bands = np.full(self.size, np.nan), np.full(self.size, -1, np.int16)
        chosen = self.neighbours == other[self.source]
        similarity[self.source[chosen]], bands[self.source[chosen]] = self.weight[chosen], self.shared[chosen]
        return similarity, bands

    def best_neighbour(self, survivor: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The evidence for removing each rank: its survivor if they share an edge, else its most similar neighbour."""
        direct = self.neighbours == survivor[self.source]
        order = np.lexsort((self.neighbours, -self.weight, ~direct, self.source))
        first = order[np.searchsorted(self.source[order], np.arange(self.size))[np.diff(self.starts) > 0]]
        evidence = survivor.copy()
        evidence[self.source[first]] = self.neighbours[first]
        return evidence


def _ranks(numbers: DocumentNumbers, wanted: DocumentNumbers) -> npt.NDArray[np.int64]:
    """The position of each wanted document number in `numbers`."""
    order = np.argsort(numbers)
    place = np.searchsorted(numbers, wanted, sorter=order)
    assert bool(np.all(place < numbers.size)), "an edge names no node"
    rank: npt.NDArray[np.int64] = order[place]
    assert bool(np.all(numbers[rank] == wanted)), "an edge names no node"
    return rank
