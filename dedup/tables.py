"""The tables that deduplication passes through the engine, and how a reducer walks over them.

A document is known by its number, `shard << 32 | row`: its place in the dataset being deduplicated. Numbers are eight
bytes, so edges and components hold numbers instead of paths. The order that decides ties is (file_path, warc_offset).

Every table has a column to reduce by (`key`, or `shard` for decisions) and the two columns that the engine sorts by
after it.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Integer = TypeVar("Integer", np.int64, np.uint64)

_WHO = [
    ("shard", pa.int32()),
    ("row", pa.int32()),
    ("file_path", pa.string()),
    ("warc_offset", pa.int64()),
]
# what the policies of `survivors` look at, and what the survivor is told about its copies
_MERIT = [
    ("id", pa.string()),
    ("dump", pa.string()),
    ("date", pa.string()),
    ("chars", pa.int64()),
    ("quality", pa.float64()),
    ("copies", pa.int32()),
    ("snapshots", pa.int32()),
]

NODES = pa.schema([*_WHO, *_MERIT])
# `check` is the second half of a 128-bit key: 64 bits alone collide a few times among 10 billion documents
KEYS = pa.schema([("key", pa.uint64()), ("check", pa.uint64()), *_WHO, *_MERIT])
# one row per document and band of its MinHash signature
BANDS = pa.schema([("key", pa.uint64()), *_WHO])
# The two rounds of verification join edges with shingles. A row with `other` is an edge (key, other); a row without
# is the shingle set of document `key`. The engine's order columns carry ("", other), or ("", -1) for shingles, so
# that a document's shingles arrive before its edges and equal edges arrive together.
JOIN = pa.schema(
    [
        ("key", pa.int64()),
        ("file_path", pa.string()),
        ("warc_offset", pa.int64()),
        ("other", pa.int64()),
        ("shingles", pa.large_list(pa.uint64())),
    ]
)
# `jaccard` and `containment` are null for edges that nobody verified
EDGES = pa.schema([("a", pa.int64()), ("b", pa.int64()), ("jaccard", pa.float64()), ("containment", pa.float64())])
# One row per document of a cluster. `survivor` and `via` are document ids: who stays, and the document that the
# similarity was measured with (the survivor itself unless a chain led to it). Both are null on the survivor's own row.
DECISIONS = pa.schema(
    [
        *_WHO,
        ("kept", pa.bool_()),
        ("survivor", pa.string()),
        ("via", pa.string()),
        ("similarity", pa.float64()),
        ("copies", pa.int32()),
        ("snapshots", pa.int32()),
    ]
)


def document_numbers(shard: npt.ArrayLike, row: npt.ArrayLike) -> Numbers:
    """The numbers of documents at (shard, row): int64, ordered like the pairs."""
    return np.asarray(shard, np.int64) << 32 | np.asarray(row, np.int64)


def who(documents: pa.RecordBatch, shard: int, first_row: int) -> dict[str, pa.Array]:
    """The columns that say where each document of a batch lies; `first_row` is the batch's first row in its shard."""
    rows = np.arange(first_row, first_row + documents.num_rows, dtype=np.int32)
    return {
        "shard": pa.array(np.full(documents.num_rows, shard, np.int32)),
        "row": pa.array(rows),
        "file_path": documents["file_path"],
        "warc_offset": documents["warc_offset"],
    }


def merit(documents: pa.RecordBatch) -> dict[str, pa.Array]:
    """The columns that policies compare. A missing column or an empty date is null; copies and snapshots begin at 1."""
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
    """NODES of a batch of documents, in its order: what `survivors.decide` needs to know of each."""
    return batch_of(NODES, who(documents, shard, first_row) | merit(documents))


def batch_of(schema: pa.Schema, columns: dict[str, Any]) -> pa.RecordBatch:
    """A batch with the schema's columns, taken by name."""
    return pa.RecordBatch.from_arrays([pa.array(columns[name]) for name in schema.names], schema=schema)


def values(table: pa.RecordBatch | pa.Table, name: str) -> npt.NDArray[Any]:
    """A column without nulls as a numpy array."""
    array: npt.NDArray[Any] = table[name].to_numpy(zero_copy_only=False)
    return array


def whole_groups(rows: Iterator[pa.RecordBatch], key: str) -> Iterator[pa.Table]:
    """The same rows as tables that never cut a group of equal `key` in two.

    Holds one batch and the largest group; the time is linear whatever the sizes of groups and batches.
    """
    pending: list[pa.RecordBatch] = []  # the group that may go on in the next batch, and nothing else
    last: Any = None
    for batch in rows:
        if batch.num_rows == 0:
            continue
        keys = values(batch, key)
        ends = np.flatnonzero(keys[:-1] != keys[1:]) + 1
        tail = int(ends[-1]) if ends.size else 0
        if tail > 0:
            yield pa.Table.from_batches([*pending, batch.slice(0, tail)])
            pending = []
        elif pending and keys[0] != last:
            yield pa.Table.from_batches(pending)
            pending = []
        pending.append(batch.slice(tail))
        last = keys[-1]
    if pending:
        yield pa.Table.from_batches(pending)


def distinct(numbers: npt.NDArray[Integer]) -> npt.NDArray[Integer]:
    """The distinct values in ascending order: np.unique's answer, by sorting alone, which is several times faster."""
    ordered = np.sort(numbers)
    return ordered[run_starts(ordered)]


def run_starts(*columns: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Where runs of rows that are equal in all these columns begin; empty for empty columns."""
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
