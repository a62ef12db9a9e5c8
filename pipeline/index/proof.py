"""The shingle sets of candidate pairs, brought together and compared, so that an edge is a similarity and no guess.

A pair is compared where its first content is. The set of the second is sent there once for each range of keys, however
many pairs of the range it is in: a leader with a million members is sent as often as there are ranges.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.index.keys import Keys, among, prefixes, to_numpy
from dedup.index.tables import CONTENTS, DOCUMENTS, EDGES, PAIRS, SETS, WANTED, snapshot_lists, table_of
from dedup.tables import Hashes, run_starts
from dedup.verify import jaccard
from infra.engines.task import Output
from infra.hashing import sha256_json
from pipeline.index.runs import Alive, RangePart, Stored, in_order
from pipeline.index.tasks import gathered

SETS_AT_ONCE = 1024


class SeenContents(NamedTuple):
    """Contents that earlier snapshots have: keys, sorted; the snapshots of each, as a list; whether one kept it."""

    keys: Keys
    snapshots: pa.Array
    kept: npt.NDArray[np.bool_]


def seen(documents: pa.Table, wanted: Keys) -> SeenContents:
    """What rows of DOCUMENTS that count say of the `wanted` contents."""
    keys = to_numpy(documents["key"])
    chosen = np.isin(keys, wanted)
    keys, snapshots = keys[chosen], documents["snapshot"].to_numpy()[chosen]
    kept = documents["kept"].to_numpy()[chosen].astype(np.bool_)
    order = np.lexsort((snapshots, keys))
    keys, snapshots, kept = keys[order], snapshots[order], kept[order]
    starts = run_starts(keys)
    once = run_starts(keys, snapshots)
    offsets = np.append(np.searchsorted(once, starts), once.size)
    any_kept = np.logical_or.reduceat(kept, starts) if starts.size else np.empty(0, np.bool_)
    return SeenContents(keys[starts], snapshot_lists(snapshots[once], offsets), any_kept)


def nothing_of(keys: Keys) -> SeenContents:
    """That earlier snapshots have none of them."""
    return SeenContents(
        keys, snapshot_lists(np.empty(0, np.int32), np.zeros(keys.size + 1, np.int32)), np.zeros(keys.size, np.bool_)
    )


@dataclass(frozen=True)
class KnownContents:
    """CONTENTS of the snapshot, and the documents that older runs have in the same range → EDGES of contents to
    themselves: those that an older snapshot has too."""

    alive: Alive
    schema: pa.Schema = EDGES

    @property
    def fingerprint(self) -> str:
        return f"index:known:{self.alive.fingerprint}"

    def __call__(self, part: Any, older: RangePart) -> Iterator[Output]:
        keys = to_numpy(part.table(["key"])["key"])
        found = seen(self.alive.of_documents(older.table(DOCUMENTS, np.unique(prefixes(keys)))), keys)
        size = found.keys.size
        if size:
            columns = {"a": found.keys, "b": found.keys, "old": np.ones(size, np.bool_), "similarity": np.ones(size)}
            yield Output(table_of(EDGES, columns | {"snapshots": found.snapshots, "kept": found.kept}))


@dataclass(frozen=True)
class ContentSets:
    """Reducer over WANTED, by the content, to SETS, by the partition that wants them.

    `new`: the runs that have the contents which are compared among themselves; `older`, `documents`: those of older
    snapshots. Contents that have no document any more are left out. Memory: the sets of a range that are wanted.
    """

    new: tuple[Stored, ...]
    older: tuple[Stored, ...]
    documents: tuple[Stored, ...]
    alive: Alive
    bits: int
    schema: pa.Schema = SETS

    @property
    def fingerprint(self) -> str:
        runs = [[run.sha256 for run in runs] for runs in (self.new, self.older, self.documents)]
        return sha256_json(["index:sets", runs, self.alive.fingerprint, self.bits])

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        table = gathered(rows, WANTED)
        for old in (False, True):
            wanted = table.filter(pa.array(table["old"].to_numpy() == old))
            if wanted.num_rows:
                yield from self._sent(in_order(wanted, "key", "target"), partition, old)

    def _sent(self, wanted: pa.Table, partition: int, old: bool) -> Iterator[Output]:
        keys, targets = to_numpy(wanted["key"]), wanted["target"].to_numpy()
        once = np.unique(keys)
        about = self._about(partition, once) if old else nothing_of(once)
        there, sets = sets_of(self.older if old else self.new, partition, self.bits, about.keys)
        has_set, place = among(keys, there)
        for start in range(0, keys.size, SETS_AT_ONCE):
            mine = np.flatnonzero(has_set[start : start + SETS_AT_ONCE]) + start
            if mine.size:
                at = np.searchsorted(about.keys, keys[mine])
                columns = {
                    "part": targets[mine],
                    "key": keys[mine],
                    "old": np.full(mine.size, old),
                    "snapshots": about.snapshots.take(pa.array(at)),
                    "kept": about.kept[at],
                    "shingles": _whole(sets.take(pa.array(place[mine])).combine_chunks()),
                }
                yield Output(table_of(SETS, columns))

    def _about(self, partition: int, keys: Keys) -> SeenContents:
        documents = RangePart(self.documents, partition, self.bits).table(DOCUMENTS, np.unique(prefixes(keys)))
        return seen(self.alive.of_documents(documents), keys)


def sets_of(runs: tuple[Stored, ...], partition: int, bits: int, wanted: Keys) -> tuple[Keys, pa.ChunkedArray]:
    """(keys, sorted; their shingle sets) of those of `wanted` that the runs have."""
    table = RangePart(runs, partition, bits).table(CONTENTS, np.unique(prefixes(wanted))).select(["key", "shingles"])
    keys = to_numpy(table["key"])
    found, first = np.unique(keys, return_index=True)
    chosen = np.isin(found, wanted)
    return found[chosen], table["shingles"].take(pa.array(first[chosen]))


@dataclass(frozen=True)
class CompareSets:
    """Reducer over PAIRS and SETS to the EDGES whose Jaccard similarity reaches the threshold.

    `new`: as in `ContentSets`. Memory: the sets of the partition's pairs, each once.
    """

    new: tuple[Stored, ...]
    threshold: float
    bits: int
    schema: pa.Schema = EDGES

    @property
    def fingerprint(self) -> str:
        return sha256_json(["index:compare", [run.sha256 for run in self.new], self.threshold, self.bits])

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        batches = [*rows]
        if not batches or "key" not in batches[0].schema.names:  # there are no pairs, or none of their sets is left
            return
        table = pa.Table.from_batches(batches)
        is_pair = table["key"].is_null()
        pairs = table.filter(is_pair).select(PAIRS.names).combine_chunks()
        sets = table.filter(pc.invert(is_pair)).select(SETS.names).combine_chunks()
        a = to_numpy(pairs["a"])
        of_a, sets_a = SetList.of(*sets_of(self.new, partition, self.bits, np.unique(a)))
        _, row_a = among(a, of_a)
        for old in (False, True):
            mine = sets.filter(pa.array(sets["old"].to_numpy() == old)).combine_chunks()
            keys = to_numpy(mine["key"])
            order = np.argsort(keys)
            there, place = among(to_numpy(pairs["b"]), keys[order])
            chosen = np.flatnonzero(there & (pairs["old"].to_numpy() == old))
            row_b = order[place[chosen]]
            sets_b = SetList.of(keys, mine["shingles"])[1]
            similarity = np.array(
                [jaccard(sets_a[m], sets_b[n]) for m, n in zip(row_a[chosen].tolist(), row_b.tolist())], np.float64
            )
            near = similarity >= self.threshold
            found, of_b = pairs.take(pa.array(chosen[near])), pa.array(row_b[near])
            columns = {
                "a": to_numpy(found["a"]),
                "b": to_numpy(found["b"]),
                "old": np.full(found.num_rows, old),
                "similarity": similarity[near],
                **{name: mine[name].take(of_b).combine_chunks() for name in ("snapshots", "kept")},
            }
            if found.num_rows:
                yield Output(table_of(EDGES, {name: _whole(column) for name, column in columns.items()}))


def _whole(column: Any) -> Any:
    """A column as one array."""
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column


@dataclass(frozen=True)
class SetList:
    """Shingle sets by their row."""

    flat: Hashes
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, keys: Keys, column: pa.ChunkedArray) -> tuple[Keys, "SetList"]:
        whole = _whole(column.combine_chunks())
        return keys, cls(whole.values.to_numpy(), whole.offsets.to_numpy())

    def __getitem__(self, row: int) -> Hashes:
        return self.flat[self.offsets[row] : self.offsets[row + 1]]
