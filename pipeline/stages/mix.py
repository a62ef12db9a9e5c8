"""`mix`: a balanced draw over documents. The repeats of each document in an epoch are a column; rows are never
repeated.

Three passes: label documents without a domain; solve the draw for the whole pool; set the repeats of every document by
its rank. Documents that are not drawn are in the ledger, like every rejection.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.dataset.build import already_made
from infra.dataset.files import FileRef
from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset, ShardReader, Source
from infra.dataset.receipts import Totals
from infra.engines.task import Output
from infra.hashing import sha256_json
from infra.ledger import Reject, ledger_of
from mixers.draw import MixturePlan, check_drawn, count_drawn, plan_draw
from mixers.supply import count_supply, document_ranks, merge_supplies
from mixers.targets import DrawConfig
from pipeline.document import Document
from pipeline.job.carried import Carried, carried
from pipeline.job.context import Context
from pipeline.job.funnel import Judged, by_batch
from pipeline.job.tables import Tables
from pipeline.models.loaded import Models, loaded_models
from pipeline.recipes.recipe import Stage
from pipeline.steps.batch import plain_texts
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
        read = [
            "file_path",
            "warc_offset",
            "domain",
            "source",
            "token_count",
            *(["text", "signals"] if self.steps else []),
        ]
        for documents in part.batches(read):
            paths, offsets = (documents.column(name).to_pylist() for name in ("file_path", "warc_offset"))
            columns = [
                _or(documents.column("source"), "web"),
                _or(self._domains(documents, models), "general"),
                pc.fill_null(documents.column("token_count"), 0),
                pa.array(document_ranks(paths, offsets, self.seed)),
            ]
            yield Output(pa.RecordBatch.from_arrays(columns, schema=LABELS))

    def _domains(self, documents: pa.RecordBatch, models: Models) -> pa.Array:
        """The domain of each document, by the steps where it has none; null where they set none."""
        given = documents.column("domain")
        missing = given.is_null()
        if not self.steps or not missing.true_count:
            return given
        found = []
        for text in plain_texts(documents.filter(missing)):
            document = Document(text)
            run_steps(document, self.steps, models)
            found.append(document.domain)
        return pc.replace_with_mask(given, missing, pa.array(found, pa.string()))


def _or(column: pa.Array, default: str) -> pa.Array:
    """The strings of a column; the default in place of nulls and empty ones."""
    return pc.fill_null(pc.if_else(pc.equal(column, ""), None, column), default)


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
        labelled = {name: table[name].combine_chunks() for name in ("source", "domain", "rank")}

        def judge(batch: pa.RecordBatch, first: int) -> Judged:
            times = repeats[first : first + batch.num_rows]
            drawn = pa.array(times > 0)
            mine = {name: column.slice(first, batch.num_rows) for name, column in labelled.items()}
            undrawn = pc.invert(drawn)
            reject = Reject(STEP, "undrawn", None, None)
            ledger = ledger_of(batch.filter(undrawn), reject, self.recipe, value=mine["rank"].filter(undrawn))
            changed = {name: mine[name].filter(drawn) for name in ("source", "domain")}
            return Judged(times > 0, ledger, {**changed, "repeats": pa.array(times[times > 0], pa.int32())})

        yield from by_batch(part, self.schema, STEP, self.recipe, judge)
        counts = count_drawn(table["source"], table["domain"], table["tokens"], repeats)
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
