"""Rows of the ledger and batches of a fixed schema, from plain Python values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.reader import Source
from pipeline.steps.interpreter import Reject

LOCATOR = ("id", "url", "file_path", "warc_offset", "warc_length", "member_record")


def ledger_rows(row: Mapping[str, Any], rejects: Sequence[Reject], recipe: str) -> list[dict[str, Any]]:
    """One ledger row for each failing rule; `row` has at least the locator's columns."""
    locator = {name: row.get(name) for name in LOCATOR}
    return [
        {
            **locator,
            "step": r.step,
            "rule": r.rule,
            "value": r.value,
            "threshold": r.threshold,
            "recipe": recipe,
            "survivor": r.evidence,
        }
        for r in rejects
    ]


def batch(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch | None:
    """The rows as one batch of `schema` (missing columns are null), or None when there are none."""
    rows = list(rows)
    return pa.RecordBatch.from_pylist(rows, schema) if rows else None


def ledger_batch(rows: Iterable[Mapping[str, Any]]) -> pa.RecordBatch | None:
    return batch(rows, schemas.LEDGER)


def carried_signals(source: Source) -> tuple[str, ...]:
    """The signals that the documents of a source bring along."""
    names: set[str] = set()
    for part in source.parts():
        names |= set(schemas.signal_names(part.schema()))  # type: ignore[attr-defined]
    return tuple(sorted(names))
