"""Counts per step of a stage, the loop of a stage with one step, and ledger rows of unreadable lines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from infra.dataset.reader import ShardReader
from infra.dataset.rows import with_columns
from infra.engines.task import Output
from infra.ledger import LOCATOR, Reject, ledger_batch, ledger_rows


class Funnel:
    """Counts what remains after each step of a stage: documents, characters, tokens."""

    def __init__(self) -> None:
        self.count = {"in": 0, "rejected": 0}
        self.rows: dict[int, list[int]] = {}

    def passed(self, order: int, chars: int, tokens: int, docs: int = 1) -> None:
        row = self.rows.setdefault(order, [0, 0, 0])
        row[0] += docs
        row[1] += chars
        row[2] += tokens

    def passed_all(self, order: int, batch: pa.RecordBatch | None) -> None:
        """Counts a batch of documents, or of records, which have no text."""
        if batch is not None and batch.num_rows:
            names = batch.schema.names
            chars = pc.sum(pc.utf8_length(batch.column("text"))).as_py() if "text" in names else 0
            tokens = pc.sum(batch.column("token_count")).as_py() if "token_count" in names else 0
            self.passed(order, chars or 0, tokens or 0, batch.num_rows)

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


def rejected_rows(
    batch: pa.RecordBatch, rejected: Sequence[tuple[int, Sequence[Reject]]], recipe: str
) -> pa.RecordBatch | None:
    """The ledger rows of the rejected rows of a batch, by their numbers in it."""
    located = batch.select([name for name in LOCATOR if name in batch.schema.names])
    rows = located.take(pa.array([number for number, _ in rejected], pa.int64())).to_pylist()
    lines = (ledger_rows(row, rejects, recipe) for row, (_, rejects) in zip(rows, rejected, strict=True))
    return ledger_batch(line for each in lines for line in each)


@dataclass(frozen=True)
class Judged:
    """What a step made of a batch. `kept`: a row for each of the batch; `ledger`: rows for those that are not kept;
    `changed`: the columns of the kept rows that are new."""

    kept: npt.NDArray[np.bool_]
    ledger: pa.RecordBatch | None
    changed: Mapping[str, pa.Array] = field(default_factory=dict)


def by_batch(
    part: Any, schema: pa.Schema, step: str, recipe: str, judge: Callable[[pa.RecordBatch, int], Judged]
) -> Iterator[Output]:
    """Passes the batches of a part, in order, through a stage of one step. `judge` gets a batch and the number of its
    first row in the part."""
    funnel = Funnel()
    first = 0
    for batch in part.large_batches() if isinstance(part, ShardReader) else part.batches():
        judged = judge(batch, first)
        first += batch.num_rows
        kept_rows = batch if judged.kept.all() else batch.filter(pa.array(judged.kept))
        made = with_columns(kept_rows, schema, judged.changed)
        kept = made.num_rows if made is not None else 0
        funnel.count["in"] += batch.num_rows
        funnel.count["rejected"] += batch.num_rows - kept
        funnel.passed_all(0, made)
        yield Output(made, judged.ledger)
    yield Output(None, ledger_batch(unreadable(part, funnel, recipe)), funnel.counts([step]))
