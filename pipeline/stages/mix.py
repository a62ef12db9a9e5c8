"""`mix`: a balanced draw over documents. The repeats of each document in an epoch are a column; rows are never
repeated.

Three passes: label documents without a domain; solve the draw for the whole pool; set the repeats of every document by
its rank. Documents that are not drawn are in the ledger, like every rejection.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from infra.dataset.build import already_made
from infra.dataset.files import FileRef
from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset, ShardReader, Source
from infra.dataset.receipts import Totals
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import Reject, ledger_rows
from mixers.draw import MixturePlan, check_drawn, count_drawn, plan_draw
from mixers.supply import count_supply, document_ranks, merge_supplies
from mixers.targets import DrawConfig
from pipeline.document import Document
from pipeline.job.carried import Carried, carried
from pipeline.job.context import Context
from pipeline.job.funnel import one_by_one
from pipeline.job.tables import Tables
from pipeline.models.loaded import loaded_models
from pipeline.recipes.recipe import Stage
from pipeline.steps.interpreter import run_steps
from pipeline.steps.step import Step

STEP = "draw"
LABELS = pa.schema([("source", pa.string()), ("domain", pa.string()), ("tokens", pa.int64()), ("rank", pa.float64())])


@dataclass(frozen=True)
class LabelTask:
    """Source, domain, tokens and rank of every document, row by row. A document's existing domain is kept."""

    steps: tuple[Step, ...]
    models: tuple[tuple[str, str], ...]
    seed: int
    places: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    schema: pa.Schema = LABELS

    @property
    def fingerprint(self) -> str:
        return sha256_json(["label", [repr(step) for step in self.steps], self.models, self.seed])

    def __call__(self, part: Any) -> Iterator[Output]:
        models = loaded_models(self.places)
        for documents in part.batches():
            rows = documents.select(["text", "file_path", "warc_offset", "domain", "source", "token_count"]).to_pylist()
            for row in rows:
                if row["domain"] is None:
                    document = Document(row["text"])
                    run_steps(document, self.steps, models)
                    row["domain"] = document.domain
            ranks = document_ranks([r["file_path"] for r in rows], [r["warc_offset"] for r in rows], self.seed)
            columns = {
                "source": [row["source"] or "web" for row in rows],
                "domain": [row["domain"] or "general" for row in rows],
                "tokens": [row["token_count"] or 0 for row in rows],
                "rank": ranks,
            }
            yield Output(pa.RecordBatch.from_pydict(columns, LABELS))


@dataclass(frozen=True)
class DrawTask:
    """Sets the repeats of every document; a document with none is rejected."""

    plan: MixturePlan
    recipe: str
    carried: Carried

    @property
    def fingerprint(self) -> str:
        return sha256_json(["draw", self.plan.as_dict(), self.recipe, self.carried.fingerprint])

    @property
    def schema(self) -> pa.Schema:
        return self.carried.schema()

    def __call__(self, part: Any, labels: ShardReader) -> Iterator[Output]:
        table = labels.table()
        repeats = self.plan.repeats(
            table["source"].combine_chunks(), table["domain"].combine_chunks(), table["rank"].to_numpy()
        )
        about = zip((row for some in table.to_batches() for row in some.to_pylist()), repeats.tolist(), strict=True)

        def draw(row: dict[str, Any]) -> list[dict[str, Any]]:
            label, times = next(about)
            if not times:
                return ledger_rows(row, [Reject(STEP, "undrawn", label["rank"], None)], self.recipe)
            row |= {"repeats": times, "domain": label["domain"], "source": label["source"]}
            return []

        yield from one_by_one(part, self.schema, STEP, self.recipe, draw)
        counts = count_drawn(table["source"], table["domain"], table["tokens"], np.asarray(repeats))
        yield Output(None, None, {f"draw/{name}": number for name, number in counts.items()})


def mix_stage(context: Context, stage: Stage, source: Source, out: Path) -> Dataset:
    """Draws a mixture by the stage's `[stage.draw]` block. Raises UsageError if the pool is too small for it."""
    config = DrawConfig.from_block(stage.options.get("draw", {}), f"{stage.name}.draw")
    header = context.header(stage, Kind.DOCUMENTS, source.refs)
    if done := already_made(out, header):
        return done
    task = LabelTask(stage.steps, context.stage_models(stage), config.seed, context.stage_places(stage))
    labels = Tables.of(context, stage.name, out).map("labels", task, source)
    plan = plan_draw(merge_supplies(supplies(labels)), config)

    def account(_: Path, totals: Totals) -> tuple[dict[str, Any], list[FileRef]]:
        drawn = {name.removeprefix("draw/"): n for name, n in totals.counts.items() if name.startswith("draw/")}
        check_drawn(plan, drawn)
        for name in [name for name in totals.counts if name.startswith("draw/")]:
            del totals.counts[name]
        return {"mixture": {**plan.as_dict(), "config": config.as_params()}}, []

    draw = DrawTask(plan, context.recipe.sha256, carried(source))
    return context.engine.map_shards(draw, [source, labels], out, header, account)


def supplies(labels: Dataset) -> Iterator[pa.RecordBatch]:
    for part in labels.parts():
        table = part.table()
        source, domain, tokens = (table[name].combine_chunks() for name in ("source", "domain", "tokens"))
        yield count_supply(source, domain, tokens, table["rank"].to_numpy())
