"""Which document of a set of copies is preferred: the policies, the one column that each compares, the order it gives.

Only the compared column passes through the engine, beside the counts that a survivor inherits: a table of three billion
documents should not carry what nothing reads.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from infra.errors import UsageError

Policy = Literal["first", "longest", "newest", "oldest", "best"]


class Preference(NamedTuple):
    """`column`: of the tables; `read`: the column of the documents that it is made of; `order`: best first."""

    column: pa.Field
    read: str
    order: str


_PREFERENCES: dict[str, Preference | None] = {
    "first": None,
    "longest": Preference(pa.field("chars", pa.int64()), "text", "descending"),
    "newest": Preference(pa.field("date", pa.string()), "date", "descending"),
    "oldest": Preference(pa.field("date", pa.string()), "date", "ascending"),
    "best": Preference(pa.field("quality", pa.float64()), "signals", "descending"),
}
# What a survivor inherits of its copies. `dump`: a hash of the snapshot's name, eight bytes in place of fifteen.
_INHERITED = (pa.field("dump", pa.uint64()), pa.field("copies", pa.int32()), pa.field("snapshots", pa.int32()))


def preference(policy: Policy) -> Preference | None:
    """None if the place in the dataset decides alone. UsageError for an unknown policy."""
    if policy not in _PREFERENCES:
        raise UsageError(f"dedup: no policy {policy!r}; choose one of {', '.join(get_args(Policy))}")
    return _PREFERENCES[policy]


def preference_order(policy: Policy) -> list[tuple[str, str]]:
    """Arrow sort keys over `preference_fields` and a location, best document first. NaN and then nulls come last."""
    compared = preference(policy)
    own = [(compared.column.name, compared.order)] if compared else []
    return [*own, ("shard", "ascending"), ("row", "ascending")]


def preference_fields(policy: Policy) -> list[pa.Field]:
    """The columns that survivors are chosen by and that they inherit."""
    compared = preference(policy)
    return [*([compared.column] if compared else []), *_INHERITED]


def columns_read(policy: Policy) -> tuple[str, ...]:
    """The columns of the documents that `preference_columns` is made of."""
    compared = preference(policy)
    return (*([compared.read] if compared else []), "dump", "copies", "snapshots")


def preference_columns(documents: pa.RecordBatch, policy: Policy) -> dict[str, pa.Array]:
    """The columns of `preference_fields` for each document. What is missing, and an empty date, is null; copies and
    snapshots default to 1."""
    columns = {
        "dump": pa.array(_dumps(_column(documents, "dump", pa.string()))),
        "copies": pc.fill_null(_column(documents, "copies", pa.int32()), 1),
        "snapshots": pc.fill_null(_column(documents, "snapshots", pa.int32()), 1),
    }
    match policy:
        case "longest":
            columns["chars"] = pc.utf8_length(_column(documents, "text", pa.string())).cast(pa.int64())
        case "newest" | "oldest":
            date = _column(documents, "date", pa.string())
            columns["date"] = pc.if_else(pc.equal(date, ""), None, date)
        case "best":
            columns["quality"] = _quality(documents)
    return columns


def _quality(documents: pa.RecordBatch) -> pa.Array:
    if "signals" in documents.schema.names and documents.schema.field("signals").type.get_field_index("quality") >= 0:
        return pc.struct_field(documents["signals"], "quality").cast(pa.float64())
    return pa.nulls(documents.num_rows, pa.float64())


def _dumps(names: pa.Array) -> npt.NDArray[np.uint64]:
    """A hash of each snapshot's name; documents without one share one."""
    coded = pc.fill_null(names, "").dictionary_encode()
    hashes = [xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass")) for name in coded.dictionary.to_pylist()]
    found: npt.NDArray[np.uint64] = np.array(hashes, np.uint64)[coded.indices.to_numpy()]
    return found


def _column(documents: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    if name in documents.schema.names:
        return documents[name].cast(kind)
    return pa.nulls(documents.num_rows, kind)
