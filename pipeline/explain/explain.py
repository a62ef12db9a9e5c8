"""`explain`: one document through every step of a finished run, each number beside its threshold.

The steps are replayed from the record's bytes (or the document's line or row) with the run's own recipe and models.
Decisions over the whole pool are read from the stage's dataset: copies from the ledger, thresholds from the manifest.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dedup.urls import normalise_url
from infra.dataset.manifest import MANIFEST, RUN, Kind
from infra.dataset.reader import Dataset, ShardReader
from infra.errors import UsageError
from infra.ledger import Reject
from infra.storage import read_json
from pipeline.document import Document, Trace
from pipeline.explain.copies import Key, copies_of, evidence, key_of, pool_step, rows_at, text_changes
from pipeline.inputs.documents import DocumentFilePart
from pipeline.inputs.reread import ChosenDocuments, is_document_file, place_of
from pipeline.job.context import resolve_recipe
from pipeline.models.loaded import Models, loaded_models
from pipeline.recipes.parse import parse_recipe
from pipeline.recipes.recipe import Recipe, Stage
from pipeline.stages.extract import ExtractTask
from pipeline.stages.run import FROZEN, stage_folder
from pipeline.stages.stages import places_below
from pipeline.stages.tokenize import TABLE
from pipeline.steps.interpreter import columns_of, document_of
from pipeline.steps.step import Step

BLANK: dict[str, Any] = {
    "text": "", "language": None, "language_score": None, "domain": None, "token_count": 0, "signals": None,
}  # fmt: skip


@dataclass
class Explanation:
    """The result for one document; `as_json` is the documented form, with the stage of each step."""

    row: dict[str, Any]
    steps: Trace = field(default_factory=list)
    duplicates: list[dict[str, Any]] = field(default_factory=list)
    text_before: str = ""
    text_after: str = ""
    rejected_by: list[Reject] = field(default_factory=list)
    audited: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.row["id"],
            "url": self.row["url"],
            "file_path": self.row["file_path"],
            "warc_offset": self.row["warc_offset"],
            "language": self.row.get("language"),
            "state": "rejected" if self.rejected_by else "kept",
            "rejected_by": [f"{reject.step}/{reject.rule}" for reject in self.rejected_by],
            "audit_sample": self.audited,
            "steps": self.steps,
            "duplicates": self.duplicates,
            "text_before": self.text_before,
            "text_after": self.text_after,
        }


@dataclass(frozen=True)
class Finished:
    """A finished run with all that a replay needs. `moved`: the files' paths now, by name."""

    folder: Path
    recipe: Recipe
    places: Mapping[str, str]
    stages: tuple[Stage, ...]
    moved: Mapping[str, str]
    documents: Dataset | None

    def dataset(self, stage: Stage) -> Dataset:
        return Dataset(self.folder / stage_folder(self.recipe, stage))

    def models(self, stage: Stage) -> Models:
        return loaded_models(tuple((name, self.places[name]) for name in sorted(set(stage.models()))))


def explain(what: str, run: Path, source: Path | None = None, models: str | None = None) -> list[dict[str, Any]]:
    """Explains all documents whose URL or id is `what`, in order; if none, all with an equivalent URL.

    `source`: the folder of the archives or files, or the dataset from which the run began. Raises UsageError if the run
    has no such document, or its source is missing.
    """
    finished = open_run(run, source, models)
    first = finished.dataset(finished.stages[0])
    found = list(matches(first.parts() + first.ledger_parts(), what))
    if not found:
        raise UsageError(f"no document with the URL or id {what!r} came into {run}")
    return [replay(row, finished).as_json() for row in found]


def open_run(run: Path, source: Path | None, models: str | None) -> Finished:
    frozen = read_json(run / FROZEN)
    if not isinstance(frozen, dict):
        raise UsageError(f"{run} is not the folder of a run: it has no {FROZEN}")
    if not all(isinstance(frozen.get(name), dict) for name in ("source", "models")) or "sha256" not in frozen:
        raise UsageError(f"{run / FROZEN} is not as it was written: run the same `refinery run` command again")
    parsed = parse_recipe(frozen["source"], str(run / FROZEN))
    used = [name for name in parsed.model_names() if name in frozen["models"]]
    recipe, places = resolve_recipe(parsed, models, used)
    if recipe.sha256 != frozen["sha256"]:
        raise UsageError(f"the models have changed since {run} was made: give its own with --models")
    stages = tuple(stage for stage in recipe.stages if (run / stage_folder(recipe, stage) / MANIFEST).is_file())
    if not stages or "last" not in (read_json(run / RUN) or {}):
        raise UsageError(f"{run} is not finished: run the same `refinery run` command again")
    given = Dataset(source) if source and (source / MANIFEST).is_file() else None
    moved = places_below(source) if source and not given else {}
    return Finished(run, recipe, places, stages, moved, given)


def matches(parts: Sequence[ShardReader], what: str) -> Iterator[dict[str, Any]]:
    """Rows whose url or id is `what`; if there are none, rows whose normalised URL is the same."""
    exact = [row for part in parts for batch in part.batches() for row in _where(batch, what)]
    yield from distinct(exact or _same_address(parts, normalise_url(what)))


def _where(batch: pa.RecordBatch, what: str) -> list[dict[str, Any]]:
    hit = pc.or_kleene(pc.equal(batch["url"], what), pc.equal(batch["id"], what))
    return batch.filter(hit).to_pylist()  # type: ignore[no-any-return]


def _same_address(parts: Sequence[ShardReader], normal: str) -> Iterator[dict[str, Any]]:
    for part in parts if normal else ():
        for batch in part.batches():
            hit = [normalise_url(url or "") == normal for url in batch["url"].to_pylist()]
            if any(hit):
                yield from batch.filter(pa.array(hit)).to_pylist()


def distinct(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields one row for each document; a ledger has several if several rules failed."""
    seen: set[Key] = set()
    for row in rows:
        if key_of(row) not in seen:
            seen.add(key_of(row))
            yield row


def replay(row: dict[str, Any], run: Finished) -> Explanation:
    """Replays one document through the stages of a run, until one rejects it."""
    result = Explanation(row)
    first = run.stages[0]
    if first.command == "ingest":
        result.rejected_by = rejects_of(ledger_of(run.dataset(first), key_of(row)))
    else:
        result.row = BLANK | original(row, run)
        result.text_before = result.text_after = result.row["text"]
    for stage in run.stages:
        if result.rejected_by:
            break
        dataset, before = run.dataset(stage), len(result.steps)
        if stage.command == "extract":
            replay_extract(result, stage, run)
        elif stage.command == "filter" and not any(step.alone for step in stage.steps):
            replay_filter(result, stage, run)
        elif stage.command == "tokenize":
            tokens_of(result, stage, dataset)
        elif stage.command != "ingest":
            pool_decision(result, stage, dataset)
        for step in result.steps[before:]:
            step["stage"] = stage.name
    return result


def original(row: dict[str, Any], run: Finished) -> dict[str, Any]:
    """The input document of a run that began after extraction: from its file, or from a dataset given by --source."""
    name, first = row["file_path"], run.dataset(run.stages[0])
    if run.documents is not None:
        found = [again for part in run.documents.parts() for again in rows_at(part, key_of(row))]
        if not found:
            raise UsageError(f"--source {run.documents.folder} does not hold {name!r} at {row['warc_offset']}")
        return found[0]
    if not is_document_file(name):
        raise UsageError(f"{run.folder} began at a dataset of documents: give its folder with --source DATASET")
    path = place_of(name, {**first.places(), **run.moved})
    part = ChosenDocuments(DocumentFilePart(path, name, "", row.get("source") or ""), (row["warc_offset"],))
    again = [document for batch in part.batches() for document in batch.to_pylist()]
    return again[0] if again else row  # a row that is not a document has only its ledger row


def replay_extract(result: Explanation, stage: Stage, run: Finished) -> None:
    """Reads and extracts the body again; the prefilter's rejections of a page of the audit sample are marked."""
    bodies = {**run.dataset(stage).places(), **run.dataset(run.stages[0]).places(), **run.moved}
    here = {name: run.places[name] for name in stage.models()}
    task = ExtractTask(stage.steps, (), run.recipe.sha256, bodies, here, stage.options.get("audit"))
    trace: Trace = []
    with closing(task.open_tools()) as tools:
        row, result.rejected_by = task.one(result.row, tools, trace=trace)
    result.audited = bool((row.get("signals") or {}).get("audit_sample"))
    rejected = {reject.step for reject in result.rejected_by}
    for entry in trace:
        if not entry["passed"] and entry["step"] not in rejected:
            entry["let_through"] = "audit"
    result.steps += trace
    result.row = {**BLANK, **result.row, **row}
    result.text_before = result.text_after = row.get("text", "")


def replay_filter(result: Explanation, stage: Stage, run: Finished) -> None:
    document, models = document_of(result.row), run.models(stage)
    for step in stage.steps:
        result.rejected_by = take(document, step, models, result.steps)
        if result.rejected_by:
            break
    result.text_after = document.text
    result.row |= columns_of(document, result.row["signals"])


def take(document: Document, step: Step, models: Models, trace: Trace) -> list[Reject]:
    """Runs one step with its trace, and records what an edit changed."""
    before, number = document.text, len(trace)
    rejects = step.run(document, models, trace)
    for entry in trace[number:]:
        if step.edits:
            entry["changes"] = text_changes(before, document.text)
    for reject in rejects:
        if reject.evidence:
            for entry in trace[number:]:
                if entry["rule"] == reject.rule:
                    entry["evidence"] = reject.evidence
    return rejects


def pool_decision(result: Explanation, stage: Stage, dataset: Dataset) -> None:
    """Adds the decision of a stage over the whole pool; its changes (copies, lines, repeats) come from its dataset."""
    key, before = key_of(result.row), result.row.get("text")
    lines = ledger_of(dataset, key)
    result.rejected_by = rejects_of(lines)
    for line in lines:
        entry = {name: line[name] for name in ("step", "rule", "value", "threshold")}
        copy = line["rule"].startswith("copy_")
        result.steps.append(entry | {"signal": line["rule"], "passed": False} | pool_step(dataset, result.row, line))
        if copy:
            result.duplicates.append(evidence(dataset, line, before))
    if lines:
        return
    for part in dataset.parts():
        for row in rows_at(part, key):
            kept(result, stage, dataset, row)


def kept(result: Explanation, stage: Stage, dataset: Dataset, row: dict[str, Any]) -> None:
    """Adds the step of a document that a pool stage kept."""
    result.row |= row
    name = stage.steps[0].name if stage.steps else stage.name
    entry = {"step": name, "rule": "copies", "signal": "copies", "value": row.get("copies"), "threshold": None}
    if stage.command == "mix":
        entry |= {"rule": "drawn", "signal": "repeats", "value": row["repeats"]}
    result.steps.append(entry | {"passed": True} | pool_step(dataset, row, None))
    if dataset.kind is Kind.DOCUMENTS:
        if row["text"] != result.text_after:
            result.steps[-1]["changes"] = text_changes(result.text_after, row["text"])
        result.text_after = row["text"]
    if stage.command == "dedup":
        result.duplicates += copies_of(dataset, row["id"])


def tokens_of(result: Explanation, stage: Stage, dataset: Dataset) -> None:
    """Adds the shard and offset of the document's tokens."""
    name, offset = key_of(result.row)
    chosen = [("file_path", "=", name), ("warc_offset", "=", offset)]
    for row in pq.read_table(dataset.folder / TABLE, filters=chosen).to_pylist():
        result.steps.append(
            {"step": stage.name, "rule": "tokens", "signal": "tokens", "value": row["length"], "threshold": None,
             "passed": True, "shard": row["shard"], "offset": row["offset"]}
        )  # fmt: skip


def ledger_of(dataset: Dataset, key: Key) -> list[dict[str, Any]]:
    return [line for part in dataset.ledger_parts() for line in rows_at(part, key)]


def rejects_of(lines: Sequence[Mapping[str, Any]]) -> list[Reject]:
    return [Reject(line["step"], line["rule"], line["value"], line["threshold"]) for line in lines]
