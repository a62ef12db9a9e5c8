"""`filter`: runs documents through label, judge and rewrite steps; the ledger gets every failed rule of a rejection."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.rows import to_batch, to_rows
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import ledger_batch, ledger_rows
from pipeline.job.carried import Carried
from pipeline.job.funnel import Funnel, unreadable
from pipeline.models.loaded import Models, loaded_models
from pipeline.steps.interpreter import columns_of, document_of, run_steps, step_signals
from pipeline.steps.step import Step


@dataclass(frozen=True)
class FilterTask:
    """`models`: (name, sha256) pairs, in the fingerprint; `places`: (name, path) pairs, not in it."""

    steps: tuple[Step, ...]
    models: tuple[tuple[str, str], ...]
    recipe: str
    carried: Carried
    places: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def fingerprint(self) -> str:
        return sha256_json(
            ["filter", [repr(step) for step in self.steps], self.models, self.recipe, self.carried.fingerprint]
        )

    @property
    def schema(self) -> pa.Schema:
        return self.carried.schema(step_signals(self.steps))

    def __call__(self, part: Any) -> Iterator[Output]:
        funnel, models = Funnel(), loaded_models(self.places)
        for documents in part.batches():
            rows, ledger = [], []
            for row in to_rows(documents):
                funnel.count["in"] += 1
                kept, rejected = self.one(row, models, funnel)
                rows += kept
                ledger += rejected
            yield Output(to_batch(rows, self.schema, documents), ledger_batch(ledger))
        unread = ledger_batch(unreadable(part, funnel, self.recipe))
        yield Output(None, unread, funnel.counts([step.name for step in self.steps]))

    def one(
        self, row: dict[str, Any], models: Models, funnel: Funnel
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        document = document_of(row)
        rejects = run_steps(
            document, self.steps, models, passed=lambda order, d: funnel.passed(order, len(d.text), d.tokens)
        )
        if rejects:
            funnel.count["rejected"] += 1
            return [], ledger_rows(row, rejects, self.recipe)
        row |= columns_of(document, row["signals"])
        row["signals"] = {name: row["signals"].get(name) for name in schemas.signal_names(self.schema)}
        return [row], []
