"""Who stays of a set of duplicates, and what is said about those who go.

A policy orders documents from best to worst; ties, and documents that lack the number, are ordered by
(file_path, warc_offset). What a verified edge reaches is decided by `link`:

- "direct" (the default): a document is removed only by a survivor that it shares an edge with. In the policy's order
  each document that nobody has removed stays and removes its neighbours. No removal rests on a chain, and no two
  survivors share an edge.
- "component": one survivor per connected component, as FineWeb, RefinedWeb and most others do. A chain of similar
  pages joins pages that are not similar (marin #6854 met 859,091 distinct documents in one cluster), so this is for
  published recipes and for edges that mean equality.

Candidates are stars around the first document of a bucket. If the policy prefers another member, the rest of the star
has no edge to it yet: `unlinked_pairs` lists those pairs, to be verified too before `decide` is asked.
"""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.components import components
from dedup.tables import DECISIONS, Numbers, batch_of, distinct, document_numbers, values
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


def merit_order(policy: Policy) -> list[tuple[str, str]]:
    """Arrow sort keys over NODES, best document first. Nulls and NaN come after every value, either way.

    Raises UsageError for a policy that does not exist.
    """
    if policy not in _PREFERENCE:
        raise UsageError(f"dedup: no policy {policy!r}; choose one of {', '.join(get_args(Policy))}")
    return [*_PREFERENCE[policy], ("file_path", "ascending"), ("warc_offset", "ascending")]


def decide(
    nodes: pa.Table | pa.RecordBatch,
    a: Numbers,
    b: Numbers,
    similarity: Similarities,
    policy: Policy = "first",
    link: Link = "direct",
) -> pa.RecordBatch:
    """DECISIONS for the documents in `nodes` (NODES, in any order), ordered by (shard, row).

    a[i] and b[i] are the document numbers of an edge and must be among the nodes; similarity[i] is NaN where it was
    not measured. The order and direction of the edges do not matter.
    """
    ranked = _ranked(nodes, policy)
    graph = _Graph(ranked, a, b, similarity)
    if link == "direct":
        from dedup import kernels

        survivor = via = kernels.greedy_survivors(graph.starts, graph.neighbours)
    elif link == "component":
        survivor = _component_heads(ranked.num_rows, graph)
        via = graph.best_neighbour(survivor)
    else:
        raise UsageError(f"dedup: no link {link!r}; choose one of {', '.join(get_args(Link))}")
    decided = outcome(ranked, survivor, via, graph.similarity_to(via))
    return decided.take(np.lexsort((values(decided, "row"), values(decided, "shard"))))


def unlinked_pairs(
    nodes: pa.Table | pa.RecordBatch, a: Numbers, b: Numbers, policy: Policy = "first"
) -> tuple[Numbers, Numbers]:
    """(best document of a component, member) for each member that has no edge to it: pairs worth verifying.

    At most one pair per document. Document numbers, ordered.
    """
    ranked = _ranked(nodes, policy)
    graph = _Graph(ranked, a, b, np.zeros(a.size))
    head = _component_heads(ranked.num_rows, graph)
    missing = np.isnan(graph.similarity_to(head)) & (head != np.arange(head.size))
    numbers = document_numbers(values(ranked, "shard"), values(ranked, "row"))
    best, member = numbers[head[missing]], numbers[missing]
    order = np.lexsort((member, best))
    return best[order], member[order]


def outcome(
    table: pa.Table, survivor: npt.NDArray[np.intp], via: npt.NDArray[np.intp], similarity: Similarities
) -> pa.RecordBatch:
    """DECISIONS of a table with NODES' columns, given for each row the rows of its survivor and of its evidence.

    `copies` adds up what was merged. `snapshots` counts distinct dumps; where members come from an earlier merge that
    knew more dumps than these rows name, the largest of their counts stands (then it is a lower bound).
    """
    rows = np.arange(table.num_rows)
    kept = survivor == rows
    copies = np.bincount(survivor, weights=values(table, "copies"), minlength=rows.size)
    columns: dict[str, Any] = {name: table[name].combine_chunks() for name in DECISIONS.names[:4]}
    ids = table["id"].combine_chunks()
    columns |= {
        "kept": pa.array(kept),
        "survivor": ids.take(pa.array(survivor, mask=kept)),
        "via": ids.take(pa.array(via, mask=kept)),
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
    """The nodes as a table, best first: from here on a document is its rank."""
    table = pa.Table.from_batches([nodes]) if isinstance(nodes, pa.RecordBatch) else nodes
    return table.take(pc.sort_indices(table, sort_keys=merit_order(policy)))


def _component_heads(size: int, graph: "_Graph") -> npt.NDArray[np.int64]:
    """For each rank the best rank of its component."""
    head = np.arange(size)
    members, labels = components(graph.source, graph.neighbours)
    head[members] = labels
    return head


class _Graph:
    """The edges in both directions between ranks, each pair once with its largest similarity, by (source, target)."""

    def __init__(self, ranked: pa.Table, a: Numbers, b: Numbers, similarity: Similarities) -> None:
        numbers = document_numbers(values(ranked, "shard"), values(ranked, "row"))
        left, right = _ranks(numbers, a), _ranks(numbers, b)
        source, target = np.concatenate([left, right]), np.concatenate([right, left])
        weight = np.concatenate([similarity, similarity])
        # NaN sorts last, so that of one pair's edges a measured one comes first
        order = np.lexsort((-weight, target, source))
        source, target, weight = source[order], target[order], weight[order]
        fresh = np.ones(source.size, np.bool_)
        fresh[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
        fresh &= source != target
        self.size = numbers.size
        self.source, self.neighbours, self.weight = source[fresh], target[fresh], weight[fresh]
        self.starts = np.searchsorted(self.source, np.arange(self.size + 1))

    def similarity_to(self, other: npt.NDArray[np.int64]) -> Similarities:
        """For each rank the similarity of its edge to the rank `other`; NaN without such an edge."""
        result = np.full(self.size, np.nan)
        chosen = self.neighbours == other[self.source]
        result[self.source[chosen]] = self.weight[chosen]
        return result

    def best_neighbour(self, survivor: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The evidence of each removed rank: its survivor if they share an edge, else its most similar neighbour."""
        direct = self.neighbours == survivor[self.source]
        order = np.lexsort((self.neighbours, -self.weight, ~direct, self.source))
        first = order[np.searchsorted(self.source[order], np.arange(self.size))[np.diff(self.starts) > 0]]
        via = survivor.copy()
        via[self.source[first]] = self.neighbours[first]
        return via


def _ranks(numbers: Numbers, wanted: Numbers) -> npt.NDArray[np.int64]:
    """The position of each wanted document number in `numbers`."""
    order = np.argsort(numbers)
    place = np.searchsorted(numbers, wanted, sorter=order)
    assert bool(np.all(place < numbers.size)), "an edge names no node"
    rank: npt.NDArray[np.int64] = order[place]
    assert bool(np.all(numbers[rank] == wanted)), "an edge names no node"
    return rank
