"""Schemas of the tables that deduplication passes through the engine, and helpers to build and read them.

A document number is `shard << 32 | row`, its position in the dataset that is deduplicated. It takes eight bytes, so
edges and components hold numbers instead of paths. Ties are decided by (file_path, warc_offset).

Every table has the column that it is reduced by (`key`; `shard` for decisions) and the two columns that the engine
sorts by after it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

DocumentNumbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Integer = TypeVar("Integer", np.int64, np.uint64)

_LOCATION = [("shard", pa.int32()), ("row", pa.int32()), ("file_path", pa.string()), ("warc_offset", pa.int64())]
# what the policies of `survivors` compare, and the counts that a survivor inherits
_PREFERENCE = [
    ("id", pa.string()),
    ("dump", pa.string()),
    ("date", pa.string()),
    ("chars", pa.int64()),
    ("quality", pa.float64()),
    ("copies", pa.int32()),
    ("snapshots", pa.int32()),
]

NODES = pa.schema([*_LOCATION, *_PREFERENCE])
# `check` is the second half of a 128-bit key: 64 bits alone collide a few times among 10 billion documents
KEYS = pa.schema([("key", pa.uint64()), ("check", pa.uint64()), *_LOCATION, *_PREFERENCE])
# one row per document and band of its MinHash signature
BANDS = pa.schema([("key", pa.uint64()), *_LOCATION])
# Verification joins edges with shingle sets, in two rounds. A row with `other` is an edge (key, other); a row without
# is the shingle set of document `key`. The engine's sort columns hold ("", other), or ("", -1) for shingles, so that a
# document's shingles come before its edges and equal edges come together.
JOIN = pa.schema(
    [
        ("key", pa.int64()),
        ("file_path", pa.string()),
        ("warc_offset", pa.int64()),
        ("other", pa.int64()),
        ("shingles", pa.large_list(pa.uint64())),
    ]
)
# `jaccard` and `containment` are null for edges that were not verified
EDGES = pa.schema([("a", pa.int64()), ("b", pa.int64()), ("jaccard", pa.float64()), ("containment", pa.float64())])
# One row per document of a set of duplicates. `survivor` and `evidence` are document ids: the document that is kept,
# and the one that `similarity` was measured with (the survivor itself, unless only a chain connects the two). Both are
# null in the survivor's own row.
DECISIONS = pa.schema(
    [
        *_LOCATION,
        ("kept", pa.bool_()),
        ("survivor", pa.string()),
        ("evidence", pa.string()),
        ("similarity", pa.float64()),
        ("copies", pa.int32()),
        ("snapshots", pa.int32()),
    ]
)


def document_numbers(shard: npt.ArrayLike, row: npt.ArrayLike) -> DocumentNumbers:
    """The numbers of the documents at (shard, row): int64, in the order of the pairs."""
    return np.asarray(shard, np.int64) << 32 | np.asarray(row, np.int64)


def location_columns(documents: pa.RecordBatch, shard: int, first_row: int) -> dict[str, pa.Array]:
    """Shard, row, file_path and warc_offset of each document of a batch, which starts at `first_row` of its shard."""
    rows = np.arange(first_row, first_row + documents.num_rows, dtype=np.int32)
    return {
        "shard": pa.array(np.full(documents.num_rows, shard, np.int32)),
        "row": pa.array(rows),
        "file_path": documents["file_path"],
        "warc_offset": documents["warc_offset"],
    }


def preference_columns(documents: pa.RecordBatch) -> dict[str, pa.Array]:
    """What policies compare. Missing columns and empty dates are null; copies and snapshots default to 1."""
    date = _column(documents, "date", pa.string())
    quality = pa.nulls(documents.num_rows, pa.float64())
    if "signals" in documents.schema.names and documents.schema.field("signals").type.get_field_index("quality") >= 0:
        quality = pc.struct_field(documents["signals"], "quality").cast(pa.float64())
    return {
        "id": _column(documents, "id", pa.string()),
        "dump": _column(documents, "dump", pa.string()),
        "date": pc.if_else(pc.equal(date, ""), None, date),
        "chars": pc.utf8_length(_column(documents, "text", pa.string())).cast(pa.int64()),
        "quality": quality,
        "copies": pc.fill_null(_column(documents, "copies", pa.int32()), 1),
        "snapshots": pc.fill_null(_column(documents, "snapshots", pa.int32()), 1),
    }


def node_table(documents: pa.RecordBatch, shard: int, first_row: int) -> pa.RecordBatch:
    """NODES of a batch of documents, in its order: the input of `survivors.select_survivors`."""
    return batch_of(NODES, location_columns(documents, shard, first_row) | preference_columns(documents))


def batch_of(schema: pa.Schema, columns: dict[str, Any]) -> pa.RecordBatch:
    """A batch of the schema's columns, by name."""
    return pa.RecordBatch.from_arrays([pa.array(columns[name]) for name in schema.names], schema=schema)


def join_rows(key: DocumentNumbers, other: DocumentNumbers | None, shingles: pa.Array) -> pa.RecordBatch:
    """Rows of JOIN: edges (key[i], other[i]) and the shingles that they carry; without `other`, shingle sets."""
    columns = {
        "key": pa.array(key, pa.int64()),
        "file_path": pa.array([""] * key.size, pa.string()),
        "warc_offset": pa.array(np.full(key.size, -1) if other is None else other, pa.int64()),
        "other": pa.nulls(key.size, pa.int64()) if other is None else pa.array(other, pa.int64()),
        "shingles": shingles,
    }
    return batch_of(JOIN, columns)


def owners_and_places(parts: Sequence[Hashes]) -> tuple[DocumentNumbers, DocumentNumbers]:
    """For each item of all parts, one after the other: the index of its part, and its own index in that part."""
    sizes = np.array([part.size for part in parts], np.int64)
    owner = np.repeat(np.arange(len(parts)), sizes)
    return owner, np.arange(owner.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def values(table: pa.RecordBatch | pa.Table, name: str) -> npt.NDArray[Any]:
    """A column without nulls as a numpy array."""
    array: npt.NDArray[Any] = table[name].to_numpy(zero_copy_only=False)
    return array


def whole_groups(rows: Iterator[pa.RecordBatch], key: str) -> Iterator[pa.Table]:
    """The same rows, as tables that never split a group of rows with equal `key`. Rows must be sorted by `key`.

    Memory: one batch and the largest group. Time is linear in the rows, whatever the sizes of groups and batches.
    """
    pending: list[pa.RecordBatch] = []  # the last group, which may continue in the next batch
    last: Any = None
    for batch in rows:
        if batch.num_rows == 0:
            continue
        keys = values(batch, key)
        ends = np.flatnonzero(keys[:-1] != keys[1:]) + 1
        last_start = int(ends[-1]) if ends.size else 0
        if last_start > 0:
            yield pa.Table.from_batches([*pending, batch.slice(0, last_start)])
            pending = []
        elif pending and keys[0] != last:
            yield pa.Table.from_batches(pending)
            pending = []
        pending.append(batch.slice(last_start))
        last = keys[-1]
    if pending:
        yield pa.Table.from_batches(pending)


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


def _column(documents: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    if name in documents.schema.names:
        return documents[name].cast(kind)
    return pa.nulls(documents.num_rows, kind)
