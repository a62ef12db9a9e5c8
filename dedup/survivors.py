"""Survivor selection: which document of a set of duplicates is kept, and the evidence for each removal.

A policy orders documents from best to worst (`policy.py`). Ties, and documents that lack the number, are ordered by
their content, then by their places in the dataset. `link` says how far a verified edge reaches:

- "direct" (the default): a document is removed only by a survivor that it shares an edge with. In the policy's order,
  each document that has not been removed survives and removes its neighbours. No removal rests on a chain, and no two
  survivors share an edge.
- "component": one survivor per connected component, as in FineWeb, RefinedWeb and most others. Chains of similar pages
  connect pages that are not similar (marin #6854 had 859,091 distinct documents in one cluster), so this is for
  published recipes, and for edges that mean equality. The evidence is an edge of the removed document: to its survivor
  if there is one, else to its most similar neighbour.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup import graph_kernels
from dedup.policy import Policy, preference_order
from dedup.snapshots import distinct_lists
from dedup.tables import DocumentNumbers, decision_rows, distinct, numbers_of, values
from infra.errors import UsageError

Link = Literal["direct", "component"]
Similarities = npt.NDArray[np.float64]
# How many bands two documents have in common; -1 where that was not counted.
Bands = npt.NDArray[np.int16]
# Places in the policy's order, the best document is 0.
Ranks = npt.NDArray[np.int32]


def select_survivors(
    nodes: pa.Table | pa.RecordBatch,
    a: DocumentNumbers,
    b: DocumentNumbers,
    similarity: Similarities,
    policy: Policy = "first",
    link: Link = "direct",
    bands: Bands | None = None,
) -> pa.RecordBatch:
    """DECISIONS for the documents in `nodes` (`nodes_schema` of the policy, in any order), ordered by (shard, row).

    Edge i connects the document numbers a[i] and b[i], which must be among the nodes; similarity[i] is NaN where it was
    not measured; bands[i] is -1 where they were not counted, of all edges without `bands`. The order and direction of
    edges do not matter. UsageError for an unknown policy or link.
    """
    ranked = _ranked(nodes, policy)
    numbers = numbers_of(ranked)
    bands = np.full(a.size, -1, np.int16) if bands is None else bands
    starts, neighbours, weights, shared = _graph(numbers, a, b, similarity, bands)
    if link == "direct":
        survivor = graph_kernels.greedy_survivors(starts, neighbours)
    elif link == "component":
        survivor = graph_kernels.component_heads(starts, neighbours)
    else:
        raise UsageError(f"dedup: no link {link!r}; choose one of {', '.join(get_args(Link))}")
    via, edge = graph_kernels.evidence(starts, neighbours, weights, survivor)
    # the last is of no edge
    weight, common = np.append(weights, np.nan)[edge], np.append(shared, np.int16(-1))[edge]
    return _decision_rows(ranked, numbers, survivor, via, weight, common)


def _decision_rows(
    ranked: pa.Table, numbers: DocumentNumbers, survivor: Ranks, via: Ranks, similarity: Similarities, bands: Bands
) -> pa.RecordBatch:
    """DECISIONS for the ranked nodes, ordered by (shard, row). What is given is of each rank, shape (ranks,).

    `copies` of a survivor is the sum over its duplicates. `snapshots` is the number of distinct dumps among them; where
    a duplicate comes from an earlier merge that counted more dumps, the largest of these counts, as a lower bound.
    """
    order = np.argsort(numbers)
    kept = survivor == np.arange(numbers.size)
    copies = np.bincount(survivor, weights=values(ranked, "copies"), minlength=numbers.size).astype(np.int32)
    snapshots, lists = _snapshots(ranked, survivor)
    given = {
        "kept": pa.array(kept[order]),
        "evidence": pa.array(numbers[via[order]]),
        "similarity": pa.array(similarity[order], mask=np.isnan(similarity[order])),
        "bands": pa.array(bands[order], mask=bands[order] < 0),
        "copies": pa.array(copies[order], mask=~kept[order]),
        "snapshots": pa.array(snapshots[order], mask=~kept[order]),
        "dumps": lists.take(pa.array(order, mask=~kept[order])),
    }
    return decision_rows(numbers[survivor[order]], numbers[order], **given)


def _snapshots(ranked: pa.Table, survivor: Ranks) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """For each rank the number of snapshots, and `snapshots.LISTS`, of the documents that it stands for."""
    column = ranked["dumps"].combine_chunks()
    of = np.repeat(survivor, pc.list_value_length(column).to_numpy()).astype(np.int64)
    names, code = np.unique(column.flatten().to_numpy(), return_inverse=True)
    pairs = distinct(of * (names.size + 1) + code)
    of, code = np.divmod(pairs, names.size + 1)
    counts = np.bincount(of, minlength=ranked.num_rows).astype(np.int32)
    np.maximum.at(counts, survivor, values(ranked, "snapshots"))
    return counts, distinct_lists(of, names[code], ranked.num_rows)


def _ranked(nodes: pa.Table | pa.RecordBatch, policy: Policy) -> pa.Table:
    """The nodes as a table, best first. The row of a document is its rank."""
    table = pa.Table.from_batches([nodes]) if isinstance(nodes, pa.RecordBatch) else nodes
    return table.take(pc.sort_indices(table, sort_keys=preference_order(policy)))


def _graph(
    numbers: DocumentNumbers, a: DocumentNumbers, b: DocumentNumbers, similarity: Similarities, bands: Bands
) -> tuple[npt.NDArray[np.int64], Ranks, Similarities, Bands]:
    """The edges between ranks, as `graph_kernels.adjacency` has them. `numbers`: of the document of each rank."""
    assert numbers.size < 2**31, "a component has less than 2^31 documents"
    order = np.argsort(numbers).astype(np.int32)
    numbers = numbers[order]
    left, right = (_ranks(numbers, order, ends) for ends in (a, b))
    # copies, so that one kernel is compiled
    weights, shared = np.array(similarity, np.float64), np.array(bands, np.int16)
    return graph_kernels.adjacency(left, right, weights, shared, numbers.size)


def _ranks(numbers: DocumentNumbers, ranks: Ranks, wanted: DocumentNumbers) -> Ranks:
    """The rank of each wanted document number. `numbers`: all, sorted, and their `ranks`."""
    place = np.searchsorted(numbers, wanted)
    assert bool(np.all(place < numbers.size)) and bool(np.all(numbers[place] == wanted)), "an edge names no node"
    found: Ranks = ranks[place]
    return found
