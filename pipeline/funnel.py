"""What remained after each step of a stage, and the rows of a file that never became documents."""

from typing import Any

from pipeline.rows import ledger_rows


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
