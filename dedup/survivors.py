"""Survivor selection: which document of a set of duplicates is kept, and the evidence for each removal.

A policy orders documents from best to worst (`policy.py`). Ties, and documents that lack the number, are ordered by
their content, then by their places in the dataset. `link` says how far a verified edge reaches:

- "direct" (the default): a document is removed only by a survivor that it shares an edge with. In the policy's order,
  each document that has not been removed survives and removes its neighbours. No removal rests on a chain, and no two
  survivors share an edge.
- "component": one survivor per connected component, as in FineWeb, RefinedWeb and most others. Chains of similar pages
  connect pages that are not similar (marin #6854 had 859,091 distinct documents in one cluster), so this is for
  published recipes, and for edges that mean equality.

Candidate pairs are stars around one document of a bucket. If the policy prefers another member, the rest of the
star has no edge to it yet: `unlinked_pairs` lists those pairs, to be verified before `select_survivors` is called.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup import kernels
from dedup.components import components
from dedup.policy import Policy, preference_order
from dedup.tables import DocumentNumbers, decision_rows, distinct, numbers_of, values
from infra.errors import UsageError

Link = Literal["direct", "component"]
Similarities = npt.NDArray[np.float64]


def select_survivors(
    nodes: pa.Table | pa.RecordBatch,
    a: DocumentNumbers,
    b: DocumentNumbers,
    similarity: Similarities,
    policy: Policy = "first",
    link: Link = "direct",
) -> pa.RecordBatch:
    """DECISIONS for the documents in `nodes` (`nodes_schema` of the policy, in any order), ordered by (shard, row).

    Edge i connects the document numbers a[i] and b[i], which must be among the nodes; similarity[i] is NaN where it was
    not measured. The order and direction of edges do not matter. UsageError for an unknown policy or link.
    """
    ranked = _ranked(nodes, policy)
    graph = _Graph(ranked, a, b, similarity)
    if link == "direct":
        survivor = evidence = kernels.greedy_survivors(graph.starts, graph.neighbours)
    elif link == "component":
        survivor = _component_heads(ranked.num_rows, graph)
        evidence = graph.best_neighbour(survivor)
    else:
        raise UsageError(f"dedup: no link {link!r}; choose one of {', '.join(get_args(Link))}")
    return _decision_rows(ranked, survivor, evidence, graph.similarity_to(evidence))


def unlinked_pairs(
    nodes: pa.Table | pa.RecordBatch, a: DocumentNumbers, b: DocumentNumbers, policy: Policy = "first"
) -> tuple[DocumentNumbers, DocumentNumbers]:
    """Pairs to verify: (best document of a component, member) for each member without an edge to it.

    At most one pair per document. Document numbers, sorted.
    """
    ranked = _ranked(nodes, policy)
    graph = _Graph(ranked, a, b, np.zeros(a.size))
    head = _component_heads(ranked.num_rows, graph)
    missing = np.isnan(graph.similarity_to(head)) & (head != np.arange(head.size))
    numbers = numbers_of(ranked)
    best, member = numbers[head[missing]], numbers[missing]
    order = np.lexsort((member, best))
    return best[order], member[order]


def _decision_rows(
    ranked: pa.Table, survivor: npt.NDArray[np.intp], evidence: npt.NDArray[np.intp], similarity: Similarities
) -> pa.RecordBatch:
    """DECISIONS for the ranked nodes, ordered by (shard, row). `survivor` and `evidence` are ranks, shape (ranks,).

    `copies` of a survivor is the sum over its duplicates. `snapshots` is the number of distinct dumps among them; where
    a duplicate comes from an earlier merge that counted more dumps, the largest of these counts, as a lower bound.
    """
    numbers = numbers_of(ranked)
    order = np.argsort(numbers)
    kept = survivor == np.arange(numbers.size)
    copies = np.bincount(survivor, weights=values(ranked, "copies"), minlength=numbers.size).astype(np.int32)
    snapshots = _snapshots(ranked, survivor).astype(np.int32)
    given = {
        "kept": pa.array(kept[order]),
        "evidence": pa.array(numbers[evidence][order], mask=kept[order]),
        "similarity": pa.array(similarity[order], mask=(kept | np.isnan(similarity))[order]),
        "copies": pa.array(copies[order], mask=~kept[order]),
        "snapshots": pa.array(snapshots[order], mask=~kept[order]),
    }
    return decision_rows(numbers[survivor][order], numbers[order], **given)


def _snapshots(ranked: pa.Table, survivor: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    dumps = np.unique(values(ranked, "dump"), return_inverse=True)[1]
    pairs = distinct(survivor * (ranked.num_rows + 1) + dumps)
    counts = np.bincount(pairs // (ranked.num_rows + 1), minlength=ranked.num_rows)
    np.maximum.at(counts, survivor, values(ranked, "snapshots"))
    return counts


def _ranked(nodes: pa.Table | pa.RecordBatch, policy: Policy) -> pa.Table:
    """The nodes as a table, best first. The row of a document is its rank."""
    table = pa.Table.from_batches([nodes]) if isinstance(nodes, pa.RecordBatch) else nodes
    return table.take(pc.sort_indices(table, sort_keys=preference_order(policy)))


def _component_heads(size: int, graph: "_Graph") -> npt.NDArray[np.int64]:
    """The best rank of each rank's component."""
    head = np.arange(size)
    members, labels = components(graph.source, graph.neighbours)
    head[members] = labels
    return head


class _Graph:
    """The edges between ranks, in both directions and sorted; each pair once, with its largest similarity."""

    def __init__(self, ranked: pa.Table, a: DocumentNumbers, b: DocumentNumbers, similarity: Similarities) -> None:
        numbers = numbers_of(ranked)
        left, right = _ranks(numbers, a), _ranks(numbers, b)
        source, target = np.concatenate([left, right]), np.concatenate([right, left])
        weight = np.concatenate([similarity, similarity])
        # NaN sorts last, so that a measured edge of a pair comes first
        order = np.lexsort((-weight, target, source))
        source, target, weight = source[order], target[order], weight[order]
        fresh = np.ones(source.size, np.bool_)
        fresh[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
        fresh &= source != target
        self.size = numbers.size
        self.source, self.neighbours, self.weight = source[fresh], target[fresh], weight[fresh]
        self.starts = np.searchsorted(self.source, np.arange(self.size + 1))

    def similarity_to(self, other: npt.NDArray[np.int64]) -> Similarities:
        """The similarity of each rank's edge to `other`; NaN without such an edge. Shape (ranks,)."""
        result = np.full(self.size, np.nan)
        chosen = self.neighbours == other[self.source]
        result[self.source[chosen]] = self.weight[chosen]
        return result

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
