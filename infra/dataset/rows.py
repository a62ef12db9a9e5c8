"""Rows as Python objects for the steps, and back; columns that are not ours stay Arrow arrays.

No step reads a user's own columns, so their values are never converted: they are taken from the batch that the rows
came from, by number.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas

_NUMBER = "\0row"  # no column has this name


def to_rows(batch: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """The rows of a batch of documents or records, without columns that are not ours."""
    own = schemas.own_columns(batch.schema).names
    rows: list[dict[str, Any]] = batch.drop_columns(own).to_pylist() if own else batch.to_pylist()
    if own:
        for number, row in enumerate(rows):
            row[_NUMBER] = number
    return rows


def to_batch(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch | None:
    """Rows of `to_rows(batch)`, changed or not, as a batch of `schema`; missing columns are null. None without rows."""
    rows = list(rows)
    if not rows:
        return None
    own = schemas.own_columns(schema)
    if not own:
        return pa.RecordBatch.from_pylist(rows, schema)
    ours = pa.schema([column for column in schema if column.name not in own.names])
    made = pa.RecordBatch.from_pylist(rows, ours)
    numbers = pa.array([row.get(_NUMBER) for row in rows], pa.int64())
    for column in own:
        if column.name in batch.schema.names:
            # whole numbers beyond 2^53 in a column that has fractions elsewhere become the nearest float64
            values = batch.column(column.name).take(numbers).cast(column.type, safe=False)
        else:
            values = pa.nulls(len(rows), column.type)
        made = made.append_column(column, values)
    return made.select(schema.names)
