"""The signals of a measured folder, checked: a signal that is not there, or of no document, is the user's mistake."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.names import meant


def measured_rows(folder: Path, columns: Sequence[str], signals: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a dataset, of these columns and `signals` (name → number or null), which has all that are named.
    UsageError where it has not."""
    found = Dataset(folder).to_arrow([*columns, "signals"])
    kind = found.schema.field("signals").type
    there = [kind.field(number).name for number in range(kind.num_fields)] if pa.types.is_struct(kind) else []
    if missing := [name for name in signals if name not in there]:
        raise UsageError(
            f"{folder} has no signal {missing[0]!r}: {meant(missing[0], there)} "
            "(measure with a recipe and models that give it)"
        )
    rows: list[dict[str, Any]] = found.to_pylist()
    return [row | {"signals": row["signals"] or dict.fromkeys(there)} for row in rows]


def check_measured(what: str, rows: Sequence[dict[str, Any]], signals: Iterable[str]) -> None:
    """UsageError where one of the signals is of none of the rows; `what`: the rows, for the message."""
    for name in signals:
        if all(row["signals"][name] is None for row in rows):
            raise UsageError(f"{what} have no signal {name!r} (all null): of another language, or without its model?")
