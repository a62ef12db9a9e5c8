"""Schemas of the tables that deduplication passes through the engine, and helpers to build and read them.

A document is named by its place in the dataset that is deduplicated, (shard, row): eight bytes, where a path takes a
hundred. As one number that is `shard << 32 | row`.
Ids of survivors are attached to the decisions at the end (`named.py`).

Every table has the column that it is reduced by (`key`; `shard` for what goes back to the documents), and the engine
sorts by (shard, row) after it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.policy import Policy, preference_columns, preference_fields
from dedup.snapshots import LISTS

DocumentNumbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Integer = TypeVar("Integer", np.int64, np.uint64)

LOCATION = [("shard", pa.int32()), ("row", pa.int32())]
PLACES = pa.schema(LOCATION)
# One row per document and band of its MinHash signature; `rank` as `rank.ranks` has it.
BANDS = pa.schema([("key", pa.uint64()), *LOCATION, ("rank", pa.uint64())])
# Copies with equal sets of shingles: `key` is the document that stands for the set, (shard, row) another.
SAME = pa.schema([("key", pa.int64()), *LOCATION])
# Candidate pairs: the leader of a bucket, `key`, and a worse member of it. In the first round the key of the bucket and
# the member's rank, if those who do not lead may meet again; then the leader is there as a pair of itself. Else 0.
PAIRS = pa.schema(
    [("key", pa.int64()), *LOCATION, ("round", pa.int8()), ("bucket", pa.uint64()), ("rank", pa.uint64())]
)
# Copies, as SAME, whose last columns say nothing; at (-1, -1): an edge to `key` from a better document.
_MEASURED = [("jaccard", pa.float64()), ("containment", pa.float64()), ("bands", pa.int16())]
COPIES = pa.schema([*SAME, ("better", pa.int64()), *_MEASURED])
# The documents of candidate pairs, by place. `key`: a star, one leader and a bounded number of members.
WANTED = pa.schema([("key", pa.uint64()), *LOCATION, ("leader", pa.int64())])
# The same with the keys of their bands, as `signed_schema` has them.
WANTED_BANDS = pa.schema([*WANTED, ("bands", pa.binary())])
# Their sets of shingles; that of the leader is at (-1, -1), so it comes first.
SETS = pa.schema([*WANTED_BANDS, ("shingles", pa.large_list(pa.uint64()))])
# An edge from `key` to the worse document (shard, row); at (-1, -1): document `key` has an edge to a better one.
LINKS = SAME
# Members of buckets that may meet again, by their number, `key`; at (-1, -1): document `key` is removed.
CROWD = pa.schema([("key", pa.int64()), *LOCATION, ("bucket", pa.uint64()), ("rank", pa.uint64())])
# `jaccard`, `containment` and `bands`, how many the two have in common, are null for edges that were not verified
# (not compared at all). Of near copies `a` is the one with the lower rank.
EDGES = pa.schema([("a", pa.int64()), ("b", pa.int64()), *_MEASURED])
# One row per document of a set of copies; `key`: the number of the document that is kept of it. `evidence`: the
# document that `similarity` was measured with, and with which it has `bands`; itself for the kept one; null of exact
# copies. `via`: what people know that document by, where it is not the survivor. `copies`, `snapshots` and `dumps` are
# set for the kept one alone. A row at (-1, -1) comes before the rows of its set and tells them something: its survivor
# as `evidence` (`keep.py`), or the survivor's `id` and locator (`named.py`).
DECISIONS = pa.schema(
    [
        ("key", pa.int64()),
        *LOCATION,
        ("kept", pa.bool_()),
        ("evidence", pa.int64()),
        ("similarity", pa.float64()),
        ("bands", pa.int16()),
        ("copies", pa.int32()),
        ("snapshots", pa.int32()),
        ("dumps", LISTS),
        ("via", pa.string()),
        ("id", pa.string()),
        ("file_path", pa.string()),
        ("warc_offset", pa.int64()),
    ]
)


def nodes_schema(policy: Policy) -> pa.Schema:
    """Of the documents that have an edge: their places, and what `survivors` compares."""
    return pa.schema([*LOCATION, *preference_fields(policy)])


def keys_schema(policy: Policy) -> pa.Schema:
    """Of exact copies. `check` is the second half of a 128-bit key: 64 bits alone collide a few times among 10 billion
    documents."""
    return pa.schema([("key", pa.uint64()), ("check", pa.uint64()), *LOCATION, *preference_fields(policy)])


def signed_schema(policy: Policy, bands: int) -> pa.Schema:
    """Of documents with shingles: a 128-bit hash of the set of shingles (`key`, `check`), the place, the rank, what
    `survivors` compares, and the keys of the bands, of eight bytes each."""
    columns = [("key", pa.uint64()), ("check", pa.uint64()), *LOCATION, ("rank", pa.uint64())]
    return pa.schema([*columns, *preference_fields(policy), ("bands", pa.binary(8 * bands))])


def document_numbers(shard: npt.ArrayLike, row: npt.ArrayLike) -> DocumentNumbers:
    """The numbers of the documents at (shard, row): int64, in the order of the pairs."""
    return np.asarray(shard, np.int64) << 32 | np.asarray(row, np.int64)


def location_columns(documents: int, shard: int, first_row: int) -> dict[str, npt.NDArray[np.int32]]:
    """Shard and row of each of so many documents, which begin at `first_row` of their shard."""
    rows = np.arange(first_row, first_row + documents, dtype=np.int32)
    return {"shard": np.full(documents, shard, np.int32), "row": rows}


def places(numbers: DocumentNumbers) -> dict[str, npt.NDArray[np.int32]]:
    """The inverse of `document_numbers`: shard and row of each document; -1 is (-1, -1)."""
    return {
        "shard": (numbers >> 32).astype(np.int32),
        "row": numbers.astype(np.uint64).astype(np.uint32).view(np.int32),
    }


def numbers_of(table: pa.RecordBatch | pa.Table) -> DocumentNumbers:
    """The document number of each row of a table."""
    return document_numbers(values(table, "shard"), values(table, "row"))


def node_table(documents: pa.RecordBatch, shard: int, first_row: int, policy: Policy = "first") -> pa.RecordBatch:
    """`nodes_schema` of a batch of documents, in its order: the input of `survivors.select_survivors`."""
    columns = location_columns(documents.num_rows, shard, first_row) | preference_columns(documents, policy)
    return batch_of(nodes_schema(policy), columns)


def batch_of(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """A batch of the schema's columns, by name: Arrow or numpy arrays."""
    arrays = [columns[name] for name in schema.names]
    made = [
        array if isinstance(array, pa.Array) else pa.array(array, field.type)
        for array, field in zip(arrays, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(made, schema=schema)


def decision_rows(key: DocumentNumbers, numbers: DocumentNumbers, **given: Any) -> pa.RecordBatch:
    """DECISIONS for the documents `numbers` (-1: no document), with the columns `given`; the others are null."""
    nothing = {field.name: pa.nulls(key.size, field.type) for field in DECISIONS}
    return batch_of(DECISIONS, {**nothing, "key": key, **places(numbers), **given})


def owners_and_places(parts: Sequence[Hashes]) -> tuple[DocumentNumbers, DocumentNumbers]:
    """For each item of all parts, one after the other: the index of its part, and its own index in that part."""
    sizes = np.array([part.size for part in parts], np.int64)
    owner = np.repeat(np.arange(len(parts)), sizes)
    return owner, np.arange(owner.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def values(table: pa.RecordBatch | pa.Table, name: str) -> npt.NDArray[Any]:
    """A column without nulls as a numpy array."""
    array: npt.NDArray[Any] = table[name].to_numpy(zero_copy_only=False)
    return array


def distinct(numbers: npt.NDArray[Integer]) -> npt.NDArray[Integer]:
    """The distinct values, ascending: the result of np.unique, several times faster."""
    ordered = np.sort(numbers)
    return ordered[run_starts(ordered)]


def run_starts(*columns: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """The first row of each run of rows that are equal in all columns. Empty for empty columns."""
    size = columns[0].size
    differs = np.zeros(size, np.bool_)
    differs[:1] = True
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(differs)


def whole_keys(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Rows sorted by `key`, in tables between which no key is divided. Memory: a batch, and the rows of one key."""
    held: list[pa.RecordBatch] = []
    for batch in rows:
        if not batch.num_rows:
            continue
        keys = values(batch, "key")
        last = int(np.searchsorted(keys, keys[-1]))
        if last or (held and values(held[-1], "key")[-1] != keys[0]):
            yield pa.Table.from_batches([*held, batch.slice(0, last)]).combine_chunks()
            held = []
        held.append(batch.slice(last))
    if held:
        yield pa.Table.from_batches(held).combine_chunks()


def stretched(given: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """For each row the last row up to it that is `given`, counted from 1; 0 where there is none."""
    return np.maximum.accumulate(np.where(given, np.arange(1, given.size + 1), 0))
