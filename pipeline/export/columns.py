"""Columns by name, those inside a struct as `signals.quality`: whether they are there, and a batch of only these."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import UsageError

MAX_NEAR = 3


def chosen_columns(words: Sequence[str], schema: pa.Schema) -> list[str]:
    """The names in `words`, each a name or several with commas between; all columns of the schema where there are none.

    Raises UsageError for a name that the schema does not have, with the nearest ones, and for one that comes twice.
    """
    names = [name.strip() for word in words for name in word.split(",") if name.strip()]
    there = list(every_name(schema))
    for name in names:
        if name not in there:
            near = get_close_matches(name, there, MAX_NEAR)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(schema.names)}"
            raise UsageError(f"no column {name!r}: {hint}")
        if names.count(name) > 1:
            raise UsageError(f"column {name!r} is given twice")
    return names or list(schema.names)


def every_name(schema: pa.Schema) -> Iterator[str]:
    """The names of all columns, and of what is inside a struct, at any depth."""
    for field in schema:
        yield field.name
        yield from _inside(field.name, field.type)


def _inside(name: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            field = kind.field(index)
            yield f"{name}.{field.name}"
            yield from _inside(f"{name}.{field.name}", field.type)


def only(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """The batch with these columns, in this order, each under the name by which it was asked for."""
    return pa.RecordBatch.from_arrays([_column(batch, name) for name in names], names=list(names))


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name in batch.schema.names:
        return batch[name]
    above, _, below = name.rpartition(".")  # a name may have dots of its own, so the longest that is there counts
    return pc.struct_field(_column(batch, above), below)
