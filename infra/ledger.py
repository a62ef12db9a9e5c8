"""The ledger: why a record or document was rejected, where to read it again, and the rows that say so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas

# Where a record or document is read again, as columns of the ledger.
LOCATOR = ("id", "url", "file_path", "warc_offset", "warc_length", "member_record")


@dataclass(frozen=True)
class Reject:
    """One failing rule of the step that rejected. `evidence`: what the value was found in, where that can be named."""

    step: str
    rule: str
    value: float | None
    threshold: float | None
    evidence: str | None = None


def ledger_rows(row: Mapping[str, Any], rejects: Sequence[Reject], recipe: str) -> list[dict[str, Any]]:
    """One ledger row for each failing rule; `row` has at least the locator's columns."""
    locator = {name: row.get(name) for name in LOCATOR}
    return [
        {
            **locator,
            "step": reject.step,
            "rule": reject.rule,
            "value": reject.value,
            "threshold": reject.threshold,
            "recipe": recipe,
            "survivor": reject.evidence,
        }
        for reject in rejects
    ]


def ledger_of(rejected: pa.RecordBatch, reject: Reject, recipe: str, **given: pa.Array) -> pa.RecordBatch | None:
    """One ledger row for each row of a batch, rejected by the same rule; None without rows.

    `given`: columns of the ledger that differ from row to row (`value`, `survivor`, `similarity`).
    """
    size = rejected.num_rows
    if not size:
        return None
    same = {
        "step": reject.step, "rule": reject.rule, "value": reject.value, "threshold": reject.threshold,
        "recipe": recipe, "survivor": reject.evidence,
    }  # fmt: skip
    located = {name: rejected.column(name) for name in LOCATOR if name in rejected.schema.names}
    columns = []
    for field in schemas.LEDGER:
        column = {**located, **given}.get(field.name)
        columns.append(pa.array([same.get(field.name)] * size, field.type) if column is None else column)
    return pa.RecordBatch.from_arrays(columns, schema=schemas.LEDGER)


def ledger_batch(rows: Iterable[Mapping[str, Any]]) -> pa.RecordBatch | None:
    return batch(rows, schemas.LEDGER)


def batch(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch | None:
    """The rows as one batch of `schema` (missing columns are null), or None when there are none."""
    rows = list(rows)
    return pa.RecordBatch.from_pylist(rows, schema) if rows else None
