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
    return (name for index, field in enumerate(schema) for name, _ in _places(field, field.name, (index,)))


def _places(field: pa.Field, name: str, place: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A field and what is inside it, by name, each with its number and those of the fields inside which it is."""
    yield name, place
    if pa.types.is_struct(field.type):
        for index in range(field.type.num_fields):
            below = field.type.field(index)
            yield from _places(below, f"{name}.{below.name}", (*place, index))


def only(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """The batch with these columns, in this order, each under the name by which it was asked for."""
    schema = batch.schema
    places = {name: at for i, field in enumerate(schema) for name, at in _places(field, field.name, (i,))}
    columns = []
    for first, *inside in (places[name] for name in names):
        column = batch.column(first)
        columns.append(pc.struct_field(column, indices=inside) if inside else column)
    return pa.RecordBatch.from_arrays(columns, names=list(names))
