"""Survivor selection: which document of a set of duplicates is kept, and the evidence for each removal.

A policy orders documents from best to worst. Ties, and documents that lack the number, are ordered by
(file_path, warc_offset). `link` says how far a verified edge reaches:

- "direct" (the default): a document is removed only by a survivor that it shares an edge with. In the policy's order,
  each document that has not been removed survives and removes its neighbours. No removal rests on a chain, and no two
  survivors share an edge.
- "component": one survivor per connected component, as in FineWeb, RefinedWeb and most others. Chains of similar pages
  connect pages that are not similar (marin #6854 had 859,091 distinct documents in one cluster), so this is for
  published recipes, and for edges that mean equality.

Candidate pairs are stars around the first document of a bucket. If the policy prefers another member, the rest of the
star has no edge to it yet: `unlinked_pairs` lists those pairs, to be verified before `select_survivors` is called.
"""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup import kernels
from dedup.components import components
from dedup.tables import DECISIONS, DocumentNumbers, batch_of, distinct, document_numbers, values
from infra.errors import UsageError

Policy = Literal["first", "longest", "newest", "oldest", "best"]
Link = Literal["direct", "component"]
Similarities = npt.NDArray[np.float64]

_PREFERENCE: dict[str, list[tuple[str, str]]] = {
    "first": [],
    "longest": [("chars", "descending")],
    "newest": [("date", "descending")],
    "oldest": [("date", "ascending")],
    "best": [("quality", "descending")],
}


def preference_order(policy: Policy) -> list[tuple[str, str]]:
    """Arrow sort keys over NODES, best document first. Nulls and NaN come last. UsageError for an unknown policy."""
    if policy not in _PREFERENCE:
        raise UsageError(f"dedup: no policy {policy!r}; choose one of {', '.join(get_args(Policy))}")
    return [*_PREFERENCE[policy], ("file_path", "ascending"), ("warc_offset", "ascending")]


def select_survivors(
    nodes: pa.Table | pa.RecordBatch,
    a: DocumentNumbers,
    b: DocumentNumbers,
    similarity: Similarities,
    policy: Policy = "first",
    link: Link = "direct",
) -> pa.RecordBatch:
    """DECISIONS for the documents in `nodes` (NODES, in any order), ordered by (shard, row).

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
    decided = decision_rows(ranked, survivor, evidence, graph.similarity_to(evidence))
    return decided.take(np.lexsort((values(decided, "row"), values(decided, "shard"))))


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
    numbers = document_numbers(values(ranked, "shard"), values(ranked, "row"))
    best, member = numbers[head[missing]], numbers[missing]
    order = np.lexsort((member, best))
    return best[order], member[order]


def decision_rows(
    table: pa.Table, survivor: npt.NDArray[np.intp], evidence: npt.NDArray[np.intp], similarity: Similarities
) -> pa.RecordBatch:
    """DECISIONS for the rows of a table with the columns of NODES.

    `survivor` and `evidence` are row numbers, shape (rows,). `copies` of a survivor is the sum over its duplicates.
    `snapshots` is the number of distinct dumps among them; where a duplicate comes from an earlier merge that counted
    more dumps, the largest of these counts, as a lower bound.
    """
    rows = np.arange(table.num_rows)
    kept = survivor == rows
    copies = np.bincount(survivor, weights=values(table, "copies"), minlength=rows.size)
    columns: dict[str, Any] = {name: table[name].combine_chunks() for name in DECISIONS.names[:4]}
    ids = table["id"].combine_chunks()
    columns |= {
        "kept": pa.array(kept),
        "survivor": ids.take(pa.array(survivor, mask=kept)),
        "evidence": ids.take(pa.array(evidence, mask=kept)),
        "similarity": pa.array(similarity, mask=kept | np.isnan(similarity)),
        "copies": pa.array(np.where(kept, copies, values(table, "copies")).astype(np.int32)),
        "snapshots": pa.array(np.where(kept, _snapshots(table, survivor), values(table, "snapshots")).astype(np.int32)),
    }
    return batch_of(DECISIONS, columns)


def _snapshots(table: pa.Table, survivor: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    dumps = pc.rank(pc.fill_null(table["dump"], ""), tiebreaker="dense").to_numpy().astype(np.int64)
    stride = table.num_rows + 1  # dense ranks go from 1 to at most the number of rows
    pairs = distinct(survivor * stride + dumps)
    counts = np.bincount(pairs // stride, minlength=table.num_rows)
    np.maximum.at(counts, survivor, values(table, "snapshots"))
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
        numbers = document_numbers(values(ranked, "shard"), values(ranked, "row"))
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
