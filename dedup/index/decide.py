"""Which contents of a snapshot are kept, by the verified edges among them and to older ones.

A policy says what a content is compared with:

- "within": only with its own snapshot;
- "older": with what was kept of all older snapshots too;
- "copies": as "older", and only what `copies` snapshots or more have is kept, from the first time that they do.

A content is removed only by one that it shares a verified edge with, and that is kept: by the most similar older one,
else, in the order of their keys, by one of its own snapshot that is kept and has the smallest key.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.index.keys import Keys, among, parts_of, prefixes, to_numpy
from dedup.index.tables import REMOVED, snapshot_lists, table_of
from infra.compiled import compiled
from infra.errors import UsageError

Policy = Literal["within", "older", "copies"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Keeping:
    policy: Policy = "older"
    copies: int = 2
    """The least number of snapshots, of the policy "copies"."""

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise UsageError(f"--policy {self.policy}: choose one of {', '.join(get_args(Policy))}")
        if self.copies < 1:
            raise UsageError(f"--copies {self.copies}: give at least 1")

    @property
    def least(self) -> int:
        """The least number of snapshots that a kept content is in."""
        return self.copies if self.policy == "copies" else 1


def decide(edges: pa.Table, choice: Keeping, bits: int) -> pa.RecordBatch:
    """REMOVED, a row for each content that has an edge and is removed, or that more than one snapshot has (then it is
    its own survivor). `edges`: EDGES, where those from a content to itself say that older snapshots have it."""
    a, b = to_numpy(edges["a"]), to_numpy(edges["b"])
    old = _flags(edges, "old")
    similarity: npt.NDArray[np.float64] = edges["similarity"].to_numpy()
    nodes: Keys = np.unique(np.concatenate([a, b[~old]]))
    source = np.searchsorted(nodes, a)
    seen = _snapshots(edges, source, nodes.size)
    snapshots = 1 + pc.list_value_length(seen).to_numpy()
    by_old = np.full(nodes.size, -1)
    if choice.policy != "within":
        rows = np.flatnonzero(old & _flags(edges, "kept"))
        order = rows[np.lexsort((b[rows], -similarity[rows], source[rows]))]
        first = np.unique(source[order], return_index=True)
        by_old[first[0]] = order[first[1]]
    stays = (by_old < 0) & (snapshots >= choice.least)
    mine = np.flatnonzero(~old)
    target = np.searchsorted(nodes, b[mine])
    within = stays[source[mine]] & stays[target]
    survivor, evidence = _greedy(source[mine][within], target[within], mine[within], stays)
    lost_here = survivor != np.arange(nodes.size)
    evidence = np.where(by_old >= 0, by_old, evidence)
    removed = (by_old >= 0) | lost_here
    told = np.flatnonzero(removed | (snapshots > 1))
    edge, lost = evidence[told], removed[told]
    heads = np.where(lost, np.where(by_old[told] >= 0, b[edge], nodes[survivor[told]]), nodes[told])
    columns: dict[str, Any] = {
        "part": parts_of(prefixes(heads), bits),
        "key": nodes[told],
        "survivor": heads,
        "old": by_old[told] >= 0,
        "similarity": np.where(lost, similarity[edge], 1.0),
        "snapshots": snapshots[told].astype(np.int32),
        "seen": seen.take(pa.array(told)),
    }
    return table_of(REMOVED, columns)


def _snapshots(edges: pa.Table, source: Ints, size: int) -> pa.Array:
    """The older snapshots that have each content, ascending."""
    column = edges["snapshots"].combine_chunks()
    of = np.repeat(source, np.diff(column.offsets.to_numpy()))
    pairs = np.unique(np.stack([of, column.values.to_numpy().astype(np.int64)]), axis=1)
    return snapshot_lists(pairs[1], np.searchsorted(pairs[0], np.arange(size + 1)))


def _greedy(a: Ints, b: Ints, edge: Ints, stays: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """For each node its survivor (itself if it is kept) and the edge between them; -1 for none."""
    size = stays.size
    source, target, edges = np.concatenate([a, b]), np.concatenate([b, a]), np.concatenate([edge, edge])
    order = np.lexsort((target, source))
    source, target, edges = source[order], target[order], edges[order]
    by = removers(np.searchsorted(source, np.arange(size + 1)), target)
    found = np.full(size, -1)
    used = np.flatnonzero(by >= 0)
    there, place = among(used * size + by[used], source * size + target)
    assert bool(there.all()), "a content is removed along an edge"
    found[used] = edges[place]
    return np.where(by >= 0, by, np.arange(size)), found


@compiled
def removers(starts: Ints, neighbours: Ints) -> Ints:
    """For each node, in order, the first kept neighbour before it; -1 if there is none, and it is kept."""
    by = np.full(starts.size - 1, -1)
    for node in range(by.size):
        for k in range(starts[node], starts[node + 1]):
            other = neighbours[k]
            if other >= node:
                break
            if by[other] < 0:
                by[node] = other
                break
    return by


def _flags(edges: pa.Table, name: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = edges[name].to_numpy(zero_copy_only=False)
    return found.astype(np.bool_)
