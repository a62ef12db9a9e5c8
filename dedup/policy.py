"""Which document of a set of copies is preferred: the policies, the one column that each compares, the order it gives.

Ties are decided by content: by a hash of what a document has of its own (text, address, date, digest, source,
snapshot), and then its id, so that the same documents in another order, or in other files, leave the same ones. Only
then does the place decide.
"content", the default, has no other order; "first" goes by the place alone.

Only the compared column passes through the engine, beside the counts that a survivor inherits: a table of three billion
documents should not carry what nothing reads.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.snapshots import LISTS, READ, snapshot_hashes
from dedup.strings import hashes
from filters.dates import normalise_date
from infra.errors import UsageError

Policy = Literal["content", "first", "longest", "newest", "oldest", "best"]


class Preference(NamedTuple):
    """`column`: of the tables; `read`: the column of the documents that it is made of; `order`: best first."""

    column: pa.Field
    read: str
    order: str


_PREFERENCES: dict[str, Preference | None] = {
    "content": None,
    "first": None,
    "longest": Preference(pa.field("chars", pa.int64()), "text", "descending"),
    "newest": Preference(pa.field("date", pa.string()), "date", "descending"),
    "oldest": Preference(pa.field("date", pa.string()), "date", "ascending"),
    "best": Preference(pa.field("quality", pa.float64()), "signals", "descending"),
}
CONTENT = pa.field("content", pa.uint64())
# What the hash of a document's content is made of, of documents or of records; its lowest bits are of the id, which may
# be made from the place where a document has none. Half of them, so that of a million copies of one page the least hash
# is that of one document, as of a million texts without ids: else the place would decide.
_OWN = ("text", "url", "date", "content_digest", "source", "dump")
CONTENT_READ = (*_OWN, "id")
_ID_BITS = 32
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_AS_ARCHIVED = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"
# What a survivor inherits of its copies. `dumps`: hashes of the names of snapshots.
_INHERITED = (pa.field("dumps", LISTS), pa.field("copies", pa.int32()), pa.field("snapshots", pa.int32()))


def preference(policy: Policy) -> Preference | None:
    """None if content or place decide alone. UsageError for an unknown policy."""
    if policy not in _PREFERENCES:
        raise UsageError(f"dedup: no policy {policy!r}; choose one of {', '.join(get_args(Policy))}")
    return _PREFERENCES[policy]


def goes_by_content(policy: Policy) -> bool:
    """Whether ties are decided by content: by all policies but "first"."""
    return policy != "first"


def preference_order(policy: Policy) -> list[tuple[str, str]]:
    """Arrow sort keys over `preference_fields` and a location, best document first. NaN and then nulls come last."""
    compared = preference(policy)
    own = [(compared.column.name, compared.order)] if compared else []
    ties = [(CONTENT.name, "ascending")] if goes_by_content(policy) else []
    return [*own, *ties, ("shard", "ascending"), ("row", "ascending")]


def preference_fields(policy: Policy) -> list[pa.Field]:
    """The columns that survivors are chosen by and that they inherit."""
    compared = preference(policy)
    ties = [CONTENT] if goes_by_content(policy) else []
    return [*([compared.column] if compared else []), *ties, *_INHERITED]


def columns_read(policy: Policy) -> tuple[str, ...]:
    """The columns of the documents that `preference_columns` is made of."""
    compared = preference(policy)
    ties = CONTENT_READ if goes_by_content(policy) else ()
    return (*([compared.read] if compared else []), *ties, *READ, "copies", "snapshots")


def preference_columns(documents: pa.RecordBatch, policy: Policy) -> dict[str, pa.Array]:
    """The columns of `preference_fields` for each document. What is missing, and what is no date, is null; copies and
    snapshots default to 1."""
    columns = {
        "dumps": snapshot_hashes(documents),
        "copies": pc.fill_null(_column(documents, "copies", pa.int32()), 1),
        "snapshots": pc.fill_null(_column(documents, "snapshots", pa.int32()), 1),
    }
    if goes_by_content(policy):
        columns[CONTENT.name] = pa.array(content_hashes(documents))
    match policy:
        case "longest":
            columns["chars"] = pc.utf8_length(_column(documents, "text", pa.string())).cast(pa.int64())
        case "newest" | "oldest":
            columns["date"] = _dates(_column(documents, "date", pa.string()))
        case "best":
            columns["quality"] = _quality(documents)
    return columns


def content_hashes(documents: pa.RecordBatch) -> npt.NDArray[np.uint64]:
    """A hash of each document's content and id: uint64, shape (documents,)."""
    # large: the texts of a batch may be too long together for an array of strings
    columns = [documents[name].cast(pa.large_string()) for name in _OWN if name in documents.schema.names]
    own = np.zeros(documents.num_rows, np.uint64)
    if columns:
        between = pa.scalar("\0", pa.large_string())
        own = hashes(pc.binary_join_element_wise(*columns, between, null_handling="replace"))
    idents = hashes(_column(documents, "id", pa.large_string()))
    shift = np.uint64(_ID_BITS)
    return own >> shift << shift | idents >> np.uint64(64 - _ID_BITS)


def _dates(given: pa.Array) -> pa.Array:
    """Dates as those of archives are, to the second in UTC, so that they are in order as strings; null for others,
    those of no calendar (the 30th of February) among them."""
    return given if _as_archived(given) else pa.array([normalise_date(each) for each in given.to_pylist()], pa.string())


def _as_archived(given: pa.Array) -> bool:
    """Whether all dates are as `normalise_date` writes them: then there is no need to call it for each."""
    dates = given.drop_null()
    if not len(dates):
        return True
    if not pc.all(pc.match_substring_regex(dates, _AS_ARCHIVED)).as_py() or pc.min(dates).as_py() < "0001":
        return False
    # strptime takes days that a month does not have for those of the next one
    again = pc.strftime(pc.strptime(dates, format=_FORMAT, unit="s", error_is_null=True), format=_FORMAT)
    return bool(pc.all(pc.fill_null(pc.equal(again, dates), False)).as_py())


def _quality(documents: pa.RecordBatch) -> pa.Array:
    """As float32 has it, which is what a rank holds (`rank.py`): whether a document leads its bucket and whether it
    survives follow one order, or copies of a leader that another one removes would have no edge to that one."""
    if "signals" in documents.schema.names and documents.schema.field("signals").type.get_field_index("quality") >= 0:
        return pc.struct_field(documents["signals"], "quality").cast(pa.float32(), safe=False).cast(pa.float64())
    return pa.nulls(documents.num_rows, pa.float64())


def _column(documents: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    if name in documents.schema.names:
        return documents[name].cast(kind)
    return pa.nulls(documents.num_rows, kind)
