"""What remained after each step of a stage, the pass of a stage of one step, and rows that never became documents."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from infra.engines.task import Output
from infra.ledger import batch, ledger_batch, ledger_rows


class Funnel:
    """What remained after each step of a stage: documents, characters, tokens."""

    def __init__(self) -> None:
        self.count = {"in": 0, "rejected": 0}
        self.rows: dict[int, list[int]] = {}

    def passed(self, order: int, chars: int, tokens: int) -> None:
        row = self.rows.setdefault(order, [0, 0, 0])
        row[0] += 1
        row[1] += chars
        row[2] += tokens

    def counts(self, names: list[str]) -> dict[str, int]:
        """Counters for the receipt; also the steps that nothing passed have a row."""
        counts = dict(self.count)
        for order, name in enumerate(names):
            for unit, number in zip(("docs", "chars", "tokens"), self.rows.get(order, [0, 0, 0]), strict=True):
                counts[f"step/{order}/{name}/{unit}"] = number
        return counts


def unreadable(part: Any, funnel: Funnel, recipe: str) -> list[dict[str, Any]]:
    """Ledger rows for the lines of a file of documents that were none; counts them."""
    rejects = getattr(part, "rejects", ())
    funnel.count["in"] += len(rejects)
    funnel.count["rejected"] += len(rejects)
    return [line for row, reject in rejects for line in ledger_rows(row, [reject], recipe)]


def one_by_one(
    part: Any, schema: pa.Schema, step: str, recipe: str, judge: Callable[[dict[str, Any]], Sequence[dict[str, Any]]]
) -> Iterator[Output]:
    """Every row of a part, in order, through a stage of one step: kept as `judge` leaves it, or in the ledger.

    `judge` may change the row that it is given; the rows for the ledger that it returns say why it goes (none: it
    stays).
    """
    funnel = Funnel()
    for documents in part.batches():
        rows: list[dict[str, Any]] = []
        ledger: list[dict[str, Any]] = []
        for row in documents.to_pylist():
            funnel.count["in"] += 1
            if lines := judge(row):
                funnel.count["rejected"] += 1
                ledger += lines
            else:
                rows.append(row)
                funnel.passed(0, len(row.get("text") or ""), row.get("token_count") or 0)
        yield Output(batch(rows, schema), ledger_batch(ledger))
    yield Output(None, ledger_batch(unreadable(part, funnel, recipe)), funnel.counts([step]))
