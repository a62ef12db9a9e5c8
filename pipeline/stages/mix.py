"""`mix`: a balanced draw over documents. The repeats of each document in an epoch are a column; rows are never
repeated.

Three passes: label documents without a domain, and count the tokens of each with the stage's tokenizer; solve the draw
for the whole pool; set the repeats of every document by its rank. Documents that are not drawn are in the ledger, like
every rejection. Without a tokenizer the matches of a fixed pattern (`token_count`) stand for tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.dataset.build import already_made
from infra.dataset.files import FileRef
from infra.dataset.manifest import TOKEN_PATTERN, Kind
from infra.dataset.reader import Dataset, ShardReader, Source
from infra.dataset.receipts import Totals
from infra.dataset.schema import signal_names
from infra.engines.task import Output
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.ledger import Reject, ledger_of
from mixers.draw import MixturePlan, check_drawn, count_drawn, plan_draw
from mixers.grades import Grading, count_qualities, find_grading
from mixers.supply import (
    Floats,
    Ints,
    cell_codes,
    check_cells,
    count_supply,
    document_ranks,
    kept_apart,
    merge_supplies,
    weighted_ranks,
)
from mixers.targets import NO_LANGUAGE, DrawConfig
from mixers.tokenizer import Tokenizer
from pipeline.document import Document
from pipeline.job.carried import Carried, carried
from pipeline.job.context import Context
from pipeline.job.funnel import Judged, by_batch
from pipeline.job.tables import Tables
from pipeline.models.loaded import Models, loaded_models
from pipeline.recipes.recipe import Stage
from pipeline.stages.tokenize import open_tokenizer
from pipeline.steps.batch import plain_texts
from pipeline.steps.interpreter import run_steps
from pipeline.steps.label import LANGUAGE, Label
from pipeline.steps.step import Step

STEP = "draw"
LABELS = pa.schema(
    [
        ("source", pa.string()),
        ("language", pa.string()),
        ("domain", pa.string()),
        ("tokens", pa.int64()),
        ("rank", pa.float64()),
        ("quality", pa.float64()),
    ]
)


@dataclass(frozen=True)
class LabelTask:
    """Source, language, domain, tokens, rank and quality of every document, row by row. A document's existing domain is
    kept. `models`: name and sha256 of each model, that of the tokenizer among them; `tokenizer`: its path."""

    steps: tuple[Step, ...]
    models: tuple[tuple[str, str], ...]
    seed: int
    quality: str | None = None
    temperature: float | None = None
    places: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    tokenizer: str | None = field(default=None, compare=False)
    schema: pa.Schema = LABELS

    @property
    def fingerprint(self) -> str:
        steps = [repr(step) for step in self.steps]
        return sha256_json(["label/3", steps, self.models, self.seed, self.quality, self.temperature])

    def __call__(self, part: Any) -> Iterator[Output]:
        models = loaded_models(self.places)
        tokenizer = open_tokenizer(self.tokenizer) if self.tokenizer else None
        read = ["file_path", "warc_offset", "domain", "source", "language", "token_count"]
        read += ["text"] if self.steps or tokenizer else []
        read += ["signals"] if self.steps or self.quality else []
        read += [self.quality] if self.quality and self.quality in part.schema().names else []
        for documents in part.batches(list(dict.fromkeys(read))):
            paths, offsets = (documents.column(name).to_pylist() for name in ("file_path", "warc_offset"))
            quality = _quality(documents, self.quality)
            ranks = document_ranks(paths, offsets, self.seed)
            if self.temperature is not None:
                ranks = weighted_ranks(ranks, quality, self.temperature)
            columns = [
                _or(documents.column("source"), "web"),
                _or(documents.column("language"), NO_LANGUAGE),
                _or(self._domains(documents, models), "general"),
                _tokens(documents, tokenizer),
                pa.array(ranks),
                pa.array(quality, from_pandas=True),
            ]
            yield Output(pa.RecordBatch.from_arrays(columns, schema=LABELS))

    @property
    def _without_language(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if not (isinstance(step, Label) and step.what == LANGUAGE))

    def _domains(self, documents: pa.RecordBatch, models: Models) -> pa.Array:
        """The domain of each document, by the steps where it has none; null where they set none. A language that it has
        stays."""
        given = documents.column("domain")
        missing = given.is_null()
        if not self.steps or not missing.true_count:
            return given
        found = []
        some = documents.filter(missing)
        for text, language in zip(plain_texts(some), some.column("language").to_pylist(), strict=True):
            document = Document(text, language=language)
            run_steps(document, self.steps if language is None else self._without_language, models)
            found.append(document.domain)
        return pc.replace_with_mask(given, missing, pa.array(found, pa.string()))


def _or(column: pa.Array, default: str) -> pa.Array:
    """The strings of a column; the default in place of nulls and empty ones."""
    return pc.fill_null(pc.if_else(pc.equal(column, ""), None, column), default)


def _tokens(documents: pa.RecordBatch, tokenizer: Tokenizer | None) -> pa.Array:
    """The tokens of each document, as the token shards will have them: the end-of-document token is counted."""
    if tokenizer is None:
        return pc.fill_null(documents.column("token_count"), 0)
    texts = [text or "" for text in documents["text"].to_pylist()]
    return pa.array([len(ids) for ids in tokenizer.end_documents(tokenizer.encode_batch(texts))], pa.int64())


def _quality(documents: pa.RecordBatch, name: str | None) -> Floats:
    """The signal, or column, of this name as float64; NaN where there is none."""
    if name is None:
        return np.full(documents.num_rows, np.nan)
    if name in documents.schema.names:
        column = documents.column(name)
    elif name in signal_names(documents.schema):
        column = pc.struct_field(documents.column("signals"), name)
    else:
        return np.full(documents.num_rows, np.nan)
    values = pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(values), values, np.nan)


@dataclass(frozen=True)
class LabelColumns:
    """The columns of one shard of the table of labels. `cells`: source, language (those kept apart) and domain."""

    cells: pa.Table
    languages: pa.ChunkedArray
    tokens: Ints
    ranks: Floats
    qualities: Floats

    @classmethod
    def read(cls, labels: ShardReader, languages: tuple[str, ...]) -> "LabelColumns":
        table = labels.table()
        apart = kept_apart(table["language"].combine_chunks(), languages)
        return cls(
            pa.table({"source": table["source"], "language": apart, "domain": table["domain"]}),
            table["language"],
            table["tokens"].to_numpy(),
            table["rank"].to_numpy(),
            pc.fill_null(table["quality"], float("nan")).to_numpy(),
        )

    def grades(self, grading: Grading) -> Ints:
        return grading.of(*cell_codes(self.cells), self.qualities)


@dataclass(frozen=True)
class DrawTask:
    """Sets the repeats of every document; a document with none is rejected. `languages`: those kept apart."""

    plan: MixturePlan
    languages: tuple[str, ...]
    recipe: str
    carried: Carried

    @property
    def fingerprint(self) -> str:
        return sha256_json(["draw/2", self.plan.as_dict(), self.languages, self.recipe, self.carried.fingerprint])

    @property
    def schema(self) -> pa.Schema:
        return self.carried.schema()

    def __call__(self, part: Any, labels: ShardReader) -> Iterator[Output]:
        found = LabelColumns.read(labels, self.languages)
        grades = found.grades(self.plan.grading)
        repeats = self.plan.repeats(found.cells, grades, found.ranks)
        labelled = {name: found.cells[name].combine_chunks() for name in ("source", "domain")}
        ranks = pa.array(found.ranks)

        def judge(batch: pa.RecordBatch, first: int) -> Judged:
            times = repeats[first : first + batch.num_rows]
            drawn = pa.array(times > 0)
            mine = {name: column.slice(first, batch.num_rows) for name, column in labelled.items()}
            undrawn = pc.invert(drawn)
            reject = Reject(STEP, "undrawn", None, None)
            value = ranks.slice(first, batch.num_rows).filter(undrawn)
            ledger = ledger_of(batch.filter(undrawn), reject, self.recipe, value=value)
            changed = {name: column.filter(drawn) for name, column in mine.items()}
            return Judged(times > 0, ledger, {**changed, "repeats": pa.array(times[times > 0], pa.int32())})

        yield from by_batch(part, self.schema, STEP, self.recipe, judge)
        counts = count_drawn(found.cells, grades, found.tokens, repeats)
        counts |= count_languages(found.languages, found.tokens, repeats)
        yield Output(None, None, {f"{STEP}/{name}": number for name, number in counts.items()})


def count_languages(languages: pa.ChunkedArray, tokens: Ints, repeats: Ints | np.ndarray[Any, Any]) -> dict[str, int]:
    """Counters of one shard, by language, in tokens: `language/KIND/LANGUAGE`, of the pool (`tokens`), of the documents
    that are drawn (`kept_tokens`), and of these with repeats (`drawn_tokens`)."""
    counted = {"tokens": tokens, "kept_tokens": tokens * (repeats > 0), "drawn_tokens": tokens * repeats}
    table = pa.table({"language": languages, **{kind: pa.array(values) for kind, values in counted.items()}})
    summed = table.group_by("language", use_threads=False).aggregate([(kind, "sum") for kind in counted])
    return {
        f"language/{kind}/{row['language']}": row[f"{kind}_sum"]
        for row in sorted(summed.to_pylist(), key=lambda row: str(row["language"]))
        for kind in counted
    }


# Columns that deduplication leaves on a survivor: how many copies it had, and in how many snapshots.
COUNTS = ("copies", "snapshots")


def numeric(columns: pa.Schema) -> list[str]:
    """The names of the columns with numbers."""
    types = pa.types
    return [each.name for each in columns if types.is_integer(each.type) or types.is_floating(each.type)]


def mix_stage(context: Context, stage: Stage, source: Source, out: Path) -> Dataset:
    """Draws a mixture by the stage's `[stage.draw]` block. Raises UsageError if the pool is too small for it."""
    config = DrawConfig.from_block(stage.options.get("draw", {}), f"{stage.name}.draw")
    header = context.header(stage, Kind.DOCUMENTS, source.refs)
    if done := already_made(out, header):
        return done
    carries = carried(source)
    numbers = (*carries.signals, *COUNTS, *numeric(carries.columns))
    if config.quality and config.quality not in numbers:
        raise UsageError(
            f"{stage.name}.draw.quality is {config.quality!r}, which is no number that the documents have; they have "
            f"{', '.join(numbers)}"
        )
    name = stage.options.get("tokenizer")
    places = tuple((model, place) for model, place in context.stage_places(stage) if model != name)
    task = LabelTask(
        stage.steps, context.stage_models(stage), config.seed, config.quality, config.temperature, places,
        context.places[name] if name else None,
    )  # fmt: skip
    labels = Tables.of(context, stage.name, out).map("labels", task, source)
    plan = plan_of(labels, config)

    def account(_: Path, totals: Totals) -> tuple[dict[str, Any], list[FileRef]]:
        drawn = {key.removeprefix("draw/"): n for key, n in totals.counts.items() if key.startswith("draw/")}
        check_drawn(plan, drawn)
        for key in [key for key in totals.counts if key.startswith("draw/")]:
            del totals.counts[key]
        counted = counted_by(context, name)
        return {
            "mixture": {
                **plan.as_dict(), "languages": by_language(drawn), "counted_by": counted, "config": config.as_params(),
            }
        }, []  # fmt: skip

    draw = DrawTask(plan, config.languages(), context.recipe.sha256, carries)
    return context.engine.map_shards(draw, [source, labels], out, header, account)


def counted_by(context: Context, name: str | None) -> dict[str, Any]:
    """What the tokens of a mixture are: a tokenizer's, by its name and hash, or matches of the fixed pattern."""
    if name is None:
        return {"token_pattern": TOKEN_PATTERN}
    return {"tokenizer": name, "sha256": context.recipe.models[name]}


def by_language(counts: dict[str, int]) -> dict[str, dict[str, int]]:
    """The counters of `count_languages`, by language."""
    found: dict[str, dict[str, int]] = {}
    for key, number in sorted(counts.items()):
        if key.startswith("language/"):
            kind, language = key.removeprefix("language/").split("/", 1)
            found.setdefault(language, {})[kind] = number
    return found


def plan_of(labels: Dataset, config: DrawConfig) -> MixturePlan:
    """The plan for the pool of a table of labels. Two passes over it where qualities have grades, else one."""
    languages = config.languages()

    def shards() -> Iterator[LabelColumns]:
        for part in labels.parts():
            found = LabelColumns.read(part, languages)
            check_cells(found.cells)
            yield found

    grading = Grading({})
    if config.grades:
        counts = (count_qualities(each.cells, each.tokens, each.qualities) for each in shards())
        grading = find_grading(config.grades, counts)
    supplies = (count_supply(each.cells, each.tokens, each.grades(grading), each.ranks) for each in shards())
    return plan_draw(merge_supplies(supplies), config, grading)
