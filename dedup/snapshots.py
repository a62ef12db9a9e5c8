"""The snapshots in which copies of a document were found, which its survivor keeps (column `dumps`).

Between the passes a snapshot is a hash of its name, eight bytes. The names come back at the end, from a table of the
distinct ones: a few hundred in all crawls together. A `dump` that is another one for each document is no snapshot, so
that both a list and the table are bounded; counts (`snapshots`) are not.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.strings import hashes

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

LISTS = pa.list_(pa.uint64())
# What the names are made from.
READ = ("dump", "dumps")
NAMES = pa.schema([("key", pa.uint64()), ("name", pa.string())])
# Names of one document; those with the smallest hashes, where there are more.
MOST_OF_ONE = 1024
# Names of a pool.
MOST_NAMES = 1 << 18


def snapshot_hashes(documents: pa.RecordBatch) -> pa.Array:
    """LISTS, for each document the hashes of its own snapshot and of those that an earlier deduplication found, sorted.
    Documents without one share that of no name."""
    own, lists = _column(documents, "dump", pa.string()), _column(documents, "dumps", pa.list_(pa.string()))
    alone = lists.null_count == len(lists)
    mine = _coded(own)
    if alone:
        return pa.ListArray.from_arrays(pa.array(np.arange(len(own) + 1), pa.int32()), pa.array(mine))
    rows = np.arange(len(own))
    told = pc.or_(pc.is_valid(own), pc.is_null(lists)).to_numpy(zero_copy_only=False)
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    of = np.concatenate([rows[told], np.repeat(rows, sizes)])
    return distinct_lists(of, np.concatenate([mine[told], _coded(lists.flatten())]), len(own))


def distinct_lists(of: Ints, found: Hashes, size: int) -> pa.Array:
    """LISTS of `size` rows: `found[i]` belongs to row `of[i]`, in any order. Sorted, each once, at most MOST_OF_ONE."""
    order = np.lexsort((found, of))
    of, found = of[order], found[order]
    first = np.ones(of.size, np.bool_)
    first[1:] = (of[1:] != of[:-1]) | (found[1:] != found[:-1])
    of, found = of[first], found[first]
    ends = np.searchsorted(of, np.arange(size + 1))
    chosen = np.arange(of.size) - ends[of] < MOST_OF_ONE
    offsets = np.searchsorted(of[chosen], np.arange(size + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(found[chosen]))


def name_table(documents: pa.RecordBatch, shard: int, first_row: int) -> pa.RecordBatch:  # noqa: ARG001
    """NAMES of a batch of documents, each once."""
    own = _column(documents, "dump", pa.string())
    lists = _column(documents, "dumps", pa.list_(pa.string())).flatten()
    names = pc.drop_null(pa.concat_arrays([own, lists]).unique())
    return pa.RecordBatch.from_arrays([pa.array(hashes(names.cast(pa.large_string()))), names], schema=NAMES)


@dataclass(frozen=True)
class EachName:
    """Reducer over NAMES by `key` to the same, each once. Memory: one batch."""

    fingerprint: str = "dedup.snapshots.EachName()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        last = None
        for batch in rows:
            keys = batch["key"].to_numpy()
            first = np.ones(keys.size, np.bool_)
            first[1:] = keys[1:] != keys[:-1]
            if keys.size:
                first[0] = last is None or keys[0] != last
                last = keys[-1]
            yield batch.select(NAMES.names).filter(pa.array(first))


def named_lists(lists: pa.Array, names: pa.Table) -> pa.Array:
    """The names in LISTS, sorted in each; null where none is among `names` (NAMES, in any order)."""
    names = names.sort_by("name").combine_chunks()  # so that a place in it is a rank
    keys = names["key"].to_numpy()
    by_key = np.argsort(keys)
    found = lists.flatten().to_numpy()
    of = np.repeat(np.arange(len(lists)), pc.fill_null(pc.list_value_length(lists), 0).to_numpy())
    place = np.searchsorted(keys[by_key], found)
    there = place < keys.size
    there[there] = keys[by_key[place[there]]] == found[there]
    of, rank = of[there], by_key[place[there]]
    order = np.lexsort((rank, of))
    offsets = np.searchsorted(of, np.arange(len(lists) + 1)).astype(np.int32)
    taken = names["name"].combine_chunks().take(pa.array(rank[order]))
    none = pa.array(np.diff(offsets) == 0)
    return pa.ListArray.from_arrays(pa.array(offsets), taken, mask=none)


def _coded(names: pa.Array) -> Hashes:
    """A hash of each name, of one by one distinct name."""
    coded = pc.fill_null(names, "").dictionary_encode()
    distinct = hashes(coded.dictionary.cast(pa.large_string()))
    found: Hashes = distinct[coded.indices.to_numpy()]
    return found


def _column(documents: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    if name in documents.schema.names:
        return documents[name].cast(kind)
    return pa.nulls(documents.num_rows, kind)
