"""Schemas of the index: what its runs hold, and what passes through the engine while a snapshot is added."""

from typing import Any

import numpy as np
import pyarrow as pa

from dedup.index.keys import KEY, to_arrow
from dedup.tables import Hashes

# What a table is brought together by: the first bits of a key or of a band's hash.
PART = pa.field("part", pa.int32())
_SET = pa.large_list(pa.uint64())
_LOCATOR = [("id", pa.string()), ("file_path", pa.string()), ("warc_offset", pa.int64())]
_PLACE = [("shard", pa.int32()), ("row", pa.int32())]

# runs
# sorted hashes: their differences take 7.3 bytes where zstd alone leaves 8.3
_PACKED = pa.field("shingles", _SET, metadata={"encoding": "DELTA_BINARY_PACKED"})
# Rows of a row group, which is the least that a lookup reads: some 200 KiB of bands and documents, 1 MiB of contents.
_GROUPS = {
    name: {"row_group_rows": str(rows), "page_checksum": "crc32"}
    for name, rows in (("contents", 512), ("bands", 8192), ("documents", 4096))
}
CONTENTS = pa.schema([("key", KEY), ("snapshot", pa.int32()), _PACKED], _GROUPS["contents"])
BANDS = pa.schema(
    [("hash", pa.uint64()), ("key", KEY), ("snapshot", pa.int32()), ("kept", pa.bool_())], _GROUPS["bands"]
)
DOCUMENTS = pa.schema(
    [
        ("key", KEY),
        ("snapshot", pa.int32()),
        # shard << 32 | row
        ("place", pa.int64()),
        ("text_hash", pa.uint64()),
        ("url_hash", pa.uint64()),
        ("tokens", pa.int64()),
        *_LOCATOR,
        ("kept", pa.bool_()),
    ],
    _GROUPS["documents"],
)
GONE = pa.schema([("key", KEY), ("snapshot", pa.int32()), ("place", pa.int64()), ("content", pa.bool_())])

# between the steps; `tie` orders the documents of one content, by what they have of their own
OF_DOCUMENTS = pa.schema(
    [
        PART,
        ("key", KEY),
        *_PLACE,
        ("tie", pa.uint64()),
        ("text_hash", pa.uint64()),
        ("url_hash", pa.uint64()),
        ("tokens", pa.int64()),
        ("copies", pa.int32()),
        *_LOCATOR,
    ]
)
# the same, sorted by key, then by what the first of a content is chosen by
PLACES = pa.schema([field for field in OF_DOCUMENTS if field.name != "part"])
SKETCHES = pa.schema([*OF_DOCUMENTS, ("shingles", _SET)])
BAND_ROWS = pa.schema([PART, ("hash", pa.uint64()), ("key", KEY)])
KEPT_BAND_ROWS = pa.schema([PART, *BANDS])
# a: a content of the snapshot that is added; b: one of it, or (`old`) of an earlier one
PAIRS = pa.schema([PART, ("a", KEY), ("b", KEY), ("old", pa.bool_())])
# the same; and, with the hash of a `bucket` in place of `b`, the contents of crowded buckets, which may meet again
CANDIDATES = pa.schema([*PAIRS, ("bucket", pa.uint64())])
WANTED = pa.schema([PART, ("key", KEY), ("old", pa.bool_()), ("target", pa.int32())])
# `snapshots`: earlier ones that have the content; `kept`: whether a document of it was kept in one
SETS = pa.schema(
    [PART, ("key", KEY), ("old", pa.bool_()), ("snapshots", pa.list_(pa.int32())), ("kept", pa.bool_()),
     ("shingles", _SET)]
)  # fmt: skip
EDGES = pa.schema(
    [("a", KEY), ("b", KEY), ("old", pa.bool_()), ("similarity", pa.float64()), ("snapshots", pa.list_(pa.int32())),
     ("kept", pa.bool_())]
)  # fmt: skip
# `seen`: the older snapshots that have a content
# contents of the snapshot that are removed: by `survivor`, or, without one, because too few snapshots have them
REMOVED = pa.schema(
    [PART, ("key", KEY), ("survivor", KEY), ("old", pa.bool_()), ("similarity", pa.float64()),
     ("snapshots", pa.int32()), ("seen", pa.list_(pa.int32()))]
)  # fmt: skip
# what removed a document: the survivor, and the hash of its text, by which an equal text is told; its place, as
# `shard << 32 | row`, if it is in the snapshot that is added, else -1
_EVIDENCE = [
    ("survivor", pa.string()), ("survivor_path", pa.string()), ("survivor_offset", pa.int64()),
    ("survivor_snapshot", pa.int32()), ("similarity", pa.float64()), ("snapshots", pa.int32()),
    ("seen", pa.list_(pa.int32())), ("survivor_place", pa.int64()),
]  # fmt: skip
NAMED = pa.schema(
    [PART, ("key", KEY), ("removed", pa.bool_()), ("old", pa.bool_()), ("survivor_text", pa.uint64()), *_EVIDENCE]
)
DECIDED = pa.schema([*PLACES, ("kept", pa.bool_()), ("rule", pa.string()), *_EVIDENCE])
# without a rule: what a survivor inherits, `copies` of those it stands for, and how many `snapshots` have it
REMOVALS = pa.schema([field for field in DECIDED if field.name in {"shard", "row", "rule", "copies", *dict(_EVIDENCE)}])
GROUPS = pa.schema([("group", pa.string()), ("key", pa.string()), ("snapshot", pa.string()), *_LOCATOR])


def table_of(schema: pa.Schema, columns: dict[str, Any]) -> pa.RecordBatch:
    """A batch of the schema; keys as numpy has them, other columns as Arrow's arrays or numpy's."""
    made = []
    for field in schema:
        column = columns[field.name]
        if not isinstance(column, pa.Array):
            column = to_arrow(column) if field.type == KEY else pa.array(column, field.type)
        made.append(column)
    return pa.RecordBatch.from_arrays(made, schema=schema)


def lists(flat: Hashes, offsets: np.ndarray[Any, Any]) -> pa.Array:
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(flat, pa.uint64()))


def snapshot_lists(flat: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, pa.int32()))
