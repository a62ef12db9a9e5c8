"""Rows for the steps, with as little of them as a step reads; what no step touches stays an Arrow array.

A text that becomes a Python string and an Arrow string again costs more than many a rule. So a stage takes the columns
that its steps read, decides, and hands on the batch without some rows and with other values in some columns.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.dataset import schema as schemas


def to_rows(batch: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """The rows of a batch of documents or records, without columns that are not ours."""
    own = schemas.own_columns(batch.schema).names
    rows: list[dict[str, Any]] = batch.drop_columns(own).to_pylist() if own else batch.to_pylist()
    return rows


def with_columns(
    batch: pa.RecordBatch, schema: pa.Schema, changed: Mapping[str, pa.Array] | None = None
) -> pa.RecordBatch | None:
    """The rows of a batch as `schema` has them, with other values in the columns `changed`; None without rows.

    A missing column, and a missing signal, is null. A column that is not ours takes the type that all inputs together
    have: whole numbers beyond 2^53, in a column that has fractions elsewhere, become the nearest float64.
    """
    if not batch.num_rows:
        return None
    given = {**{name: batch.column(name) for name in batch.schema.names}, **(changed or {})}
    return pa.RecordBatch.from_arrays([_column(given.get(f.name), f, batch.num_rows) for f in schema], schema=schema)


def with_signals(signals: pa.StructArray, kind: pa.StructType, found: Mapping[str, pa.Array]) -> pa.StructArray:
    """The signals of documents with those in `found` set, as a struct of the type `kind`. None of them is null."""
    return pa.StructArray.from_arrays([found.get(f.name, _signal(signals, f)) for f in kind], fields=list(kind))


def _column(column: pa.Array | None, field: pa.Field, rows: int) -> pa.Array:
    if column is None:
        return pa.nulls(rows, field.type)
    if column.type == field.type:
        return column
    if pa.types.is_struct(field.type) and field.name == "signals":
        fields = [_signal(column, each) for each in field.type]
        return pa.StructArray.from_arrays(fields, fields=list(field.type), mask=pc.is_null(column))
    return column.cast(field.type, safe=False)


def _signal(signals: pa.StructArray, field: pa.Field) -> pa.Array:
    """One signal of each document; null for all if they do not have it."""
    if signals.type.get_field_index(field.name) < 0:
        return pa.nulls(len(signals), field.type)
    return pc.struct_field(signals, field.name).cast(field.type)
