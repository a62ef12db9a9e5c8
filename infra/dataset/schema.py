"""The columns of our datasets, as Arrow schemas. FineWeb's names come first, so that other people's tools read them.

`(file_path, warc_offset)` is the key of a record and the order of every dataset. `id` is for people: record ids
are not unique in the wild.
"""

from collections.abc import Iterable

import pyarrow as pa

KEY = ("file_path", "warc_offset")
# characters that could not be decoded and became U+FFFD
REPLACED = "replaced_characters"
# A list, with the name of its elements that Parquet gives back: so a shard that is read and written keeps its bytes.
NAMES = pa.list_(pa.field("element", pa.string()))

RECORDS = pa.schema(
    [
        ("id", pa.string()),
        ("dump", pa.string()),
        ("url", pa.string()),
        ("date", pa.string()),
        ("file_path", pa.string()),
        ("warc_offset", pa.int64()),
        ("warc_length", pa.int64()),
        # the i-th further record inside one gzip member; its offset is the member's plus i
        ("member_record", pa.int32()),
        ("type", pa.string()),
        # html, or text (WET)
        ("page", pa.string()),
        ("status", pa.int32()),
        ("media_type", pa.string()),
        ("charset_header", pa.string()),
        ("content_digest", pa.string()),
        ("truncated", pa.string()),
        ("noindex", pa.bool_()),
        ("noai", pa.bool_()),
        # how often these bytes came, in how many snapshots (1 until records are deduplicated), and their names; null:
        # in `dump` alone, as far as is known
        ("copies", pa.int32()),
        ("snapshots", pa.int32()),
        ("dumps", NAMES),
    ]
)

LEDGER = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("file_path", pa.string()),
        ("warc_offset", pa.int64()),
        ("warc_length", pa.int64()),
        ("step", pa.string()),
        ("rule", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("recipe", pa.string()),
        ("survivor", pa.string()),
        ("similarity", pa.float64()),
        ("member_record", pa.int32()),
        # which document the survivor is: its id, above, is for people and may repeat
        ("survivor_path", pa.string()),
        ("survivor_offset", pa.int64()),
        # the document that `similarity` was measured with, if not with the survivor: its id, or `file_path:offset`
        ("via", pa.string()),
        # of what `similarity` is: jaccard, containment; null for equal ones
        ("measure", pa.string()),
        # of an index of several snapshots: the one that the survivor is of
        ("survivor_snapshot", pa.string()),
        # how many bands of their signatures it and the document that `similarity` was measured with have in common
        ("bands", pa.int32()),
    ]
)

_DOCUMENT_HEAD = [
    ("text", pa.string()),
    ("id", pa.string()),
    ("dump", pa.string()),
    ("url", pa.string()),
    ("date", pa.string()),
    ("file_path", pa.string()),
    ("language", pa.string()),
    ("language_score", pa.float64()),
    ("token_count", pa.int64()),
    ("warc_offset", pa.int64()),
    ("warc_length", pa.int64()),
    ("content_digest", pa.string()),
]
_DOCUMENT_TAIL = [
    ("copies", pa.int32()),
    ("snapshots", pa.int32()),
    # the names of the snapshots in which copies were found, sorted; null: of `dump` alone, as far as is known
    ("dumps", NAMES),
    ("repeats", pa.int32()),
    ("member_record", pa.int32()),
    ("title", pa.string()),
    ("charset", pa.string()),
    ("charset_evidence", pa.string()),
    ("extractor", pa.string()),
    ("source", pa.string()),
    ("domain", pa.string()),
    # JSON: the share of the page's letters in each language, largest first, `und` for what has none; null where the
    # language was told by one identifier
    ("language_shares", pa.string()),
    # why the page is not, or may not be, whole; null if it is, as far as is known
    ("truncated", pa.string()),
]


def documents(signals: Iterable[str], columns: Iterable[pa.Field] = ()) -> pa.Schema:
    """The schema of documents that carry these signals (each a float64, null where not measured), and columns of the
    user's own behind ours.

    Parquet has no empty struct, so every document has the one signal that decoding gives.
    """
    struct = pa.struct([(name, pa.float64()) for name in sorted({REPLACED, *signals})])
    return pa.schema([*_DOCUMENT_HEAD, ("signals", struct), *_DOCUMENT_TAIL, *columns])


_OURS = frozenset(documents(()).names)


def own_columns(schema: pa.Schema) -> pa.Schema:
    """The columns of documents that are not ours; none for records, all of whose columns are."""
    if "signals" not in schema.names:
        return pa.schema([])
    return pa.schema([column for column in schema if column.name not in _OURS])


def signal_names(schema: pa.Schema) -> list[str]:
    struct = schema.field("signals").type
    return [struct.field(i).name for i in range(struct.num_fields)]


def describe(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    """The schema as the manifest records it: (name, Arrow type) pairs."""
    return tuple((field.name, str(field.type)) for field in schema)
