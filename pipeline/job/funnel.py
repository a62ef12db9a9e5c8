"""Counts per step of a stage, the loop of a stage with one step, and ledger rows of unreadable lines."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from infra.dataset.rows import to_batch, to_rows
from infra.engines.task import Output
from infra.ledger import ledger_batch, ledger_rows


class Funnel:
    """Counts what remains after each step of a stage: documents, characters, tokens."""

    def __init__(self) -> None:
        self.count = {"in": 0, "rejected": 0}
        self.rows: dict[int, list[int]] = {}

    def passed(self, order: int, chars: int, tokens: int) -> None:
        row = self.rows.setdefault(order, [0, 0, 0])
        row[0] += 1
        row[1] += chars
        row[2] += tokens

    def counts(self, names: list[str]) -> dict[str, int]:
        """Counters for the receipt; steps that no document passed are included, with 0."""
        counts = dict(self.count)
        for order, name in enumerate(names):
            for unit, number in zip(("docs", "chars", "tokens"), self.rows.get(order, [0, 0, 0]), strict=True):
                counts[f"step/{order}/{name}/{unit}"] = number
        return counts


def unreadable(part: Any, funnel: Funnel, recipe: str) -> list[dict[str, Any]]:
    """Returns the ledger rows for the lines of a document file that are not documents, and counts them."""
    rejects = getattr(part, "rejects", ())
    funnel.count["in"] += len(rejects)
    funnel.count["rejected"] += len(rejects)
    return [line for row, reject in rejects for line in ledger_rows(row, [reject], recipe)]


def one_by_one(
    part: Any, schema: pa.Schema, step: str, recipe: str, judge: Callable[[dict[str, Any]], Sequence[dict[str, Any]]]
) -> Iterator[Output]:
    """Passes every row of a part, in order, through a stage of one step: kept as `judge` leaves it, or rejected.

    `judge` may change the row in place; it returns the ledger rows of a rejection (empty: the row is kept).
    """
    funnel = Funnel()
    for documents in part.batches():
        rows: list[dict[str, Any]] = []
        ledger: list[dict[str, Any]] = []
        for row in to_rows(documents):
            funnel.count["in"] += 1
            if lines := judge(row):
                funnel.count["rejected"] += 1
                ledger += lines
            else:
                rows.append(row)
                funnel.passed(0, len(row.get("text") or ""), row.get("token_count") or 0)
        yield Output(to_batch(rows, schema, documents), ledger_batch(ledger))
    yield Output(None, ledger_batch(unreadable(part, funnel, recipe)), funnel.counts([step]))
