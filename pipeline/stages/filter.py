"""`filter`: runs documents through label, judge and rewrite steps; the ledger gets every failed rule of a rejection."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import ledger_batch
from pipeline.document import Document
from pipeline.job.carried import Carried
from pipeline.job.funnel import Funnel, rejected_rows, unreadable
from pipeline.models.loaded import loaded_models
from pipeline.steps.batch import after_steps, working_documents
from pipeline.steps.interpreter import run_steps_over, step_signals
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
        funnel, models, schema = Funnel(), loaded_models(self.places), self.schema

        def passed(order: int, document: Document) -> None:
            funnel.passed(order, len(document.text), document.tokens)

        for batch in part.batches():
            documents = [*working_documents(batch)]
            found = run_steps_over(documents, self.steps, models, passed)
            rejected = [(number, rejects) for number, rejects in enumerate(found) if rejects]
            numbers = [number for number, rejects in enumerate(found) if not rejects]
            kept = [documents[number] for number in numbers]
            funnel.count["in"] += batch.num_rows
            funnel.count["rejected"] += len(rejected)
            whole = batch if not rejected else batch.take(pa.array(numbers, pa.int64()))
            yield Output(after_steps(whole, kept, schema), rejected_rows(batch, rejected, self.recipe))
        unread = ledger_batch(unreadable(part, funnel, self.recipe))
        yield Output(None, unread, funnel.counts([step.name for step in self.steps]))
