"""`explain`: one document through every step of a finished run, each number beside its threshold.

The steps are replayed from the record's bytes (or the document's line or row) with the run's own recipe and models.
Decisions over the whole pool are read from the stage's dataset: copies from the ledger, thresholds from the manifest.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from infra.dataset.manifest import RUN, Kind
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.ledger import Reject
from infra.storage import read_json, readable
from pipeline.document import Document, Trace
from pipeline.explain.copies import copies_of, evidence, pool_step, text_changes
from pipeline.explain.finished import read_run
from pipeline.explain.lookup import Asked, Key, key_of, matches, rows_at
from pipeline.explain.sources import Origin, origin_of, originals
from pipeline.inputs.places import Where
from pipeline.job.context import resolve_recipe
from pipeline.models.loaded import Models, loaded_models
from pipeline.recipes.recipe import Recipe, Stage
from pipeline.stages.extract import ExtractTask
from pipeline.stages.run import stage_folder
from pipeline.stages.stages import rows_in, sampling_of
from pipeline.stages.tokenize import TABLE
from pipeline.steps.interpreter import columns_of, document_of
from pipeline.steps.step import Step

BLANK: dict[str, Any] = {
    "text": "", "language": None, "language_score": None, "domain": None, "token_count": 0, "signals": None,
}  # fmt: skip
# The most names of which it is said that no document has them.
MAX_MISSING = 5


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
    """A finished run with all that a replay needs."""

    folder: Path
    recipe: Recipe
    places: Mapping[str, str]
    stages: tuple[Stage, ...]
    origin: Origin

    def dataset(self, stage: Stage) -> Dataset:
        return Dataset(self.folder / stage_folder(self.recipe, stage))

    def models(self, stage: Stage) -> Models:
        return loaded_models(tuple((name, self.places[name]) for name in sorted(set(stage.models()))))


def explain(what: str, run: Path, source: Where | None = None, models: str | None = None) -> list[dict[str, Any]]:
    """Explains all documents whose URL or id is `what`, in order; if none, all with an equivalent URL.

    `source`: the folder of the archives or files, or the dataset from which the run began. Raises UsageError if the run
    has no such document, or its source is missing.
    """
    found, missing = explain_many([Asked(what)], run, source, models)
    if missing:
        raise UsageError(no_document(missing, run))
    return found


def explain_many(
    asked: Sequence[Asked], run: Path, source: Where | None = None, models: str | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Explains the documents that are asked for, in this order, each once; and the names of which there is none."""
    finished = open_run(run, source, models)
    first = finished.dataset(finished.stages[0])
    rows: dict[Key, dict[str, Any]] = {}
    missing = []
    for each, found in zip(asked, matches([*first.parts(), *first.ledger_parts()], asked), strict=True):
        rows |= {key_of(row): row for row in found if key_of(row) not in rows}
        missing += [] if found else [each.name]
    given = {} if finished.stages[0].command == "ingest" else originals(rows.values(), first, finished.origin)
    return [replay(row, given.get(key, row), finished).as_json() for key, row in rows.items()], missing


def no_document(missing: Sequence[str], run: Path) -> str:
    """What is said of names that no document has."""
    names = ", ".join(repr(name) for name in missing[:MAX_MISSING])
    more = f" and {len(missing) - MAX_MISSING} more" if len(missing) > MAX_MISSING else ""
    return f"no document with the URL or id {names}{more} came into {run}"


def open_run(run: Path, source: Where | None, models: str | None) -> Finished:
    folder = read_run(run)
    used = [name for name in folder.recipe.model_names() if name in folder.models]
    recipe, places = resolve_recipe(folder.recipe, models, used)
    if recipe.sha256 != folder.sha256:
        raise UsageError(f"the models have changed since {run} was made: give its own with --models")
    stages = folder.stages_of(recipe)
    if not stages or "last" not in (read_json(folder.folder / RUN) or {}):
        raise UsageError(f"{run} is not finished: run the same `refinery run` command again")
    return Finished(folder.folder, recipe, places, stages, origin_of(source))


def replay(row: dict[str, Any], given: dict[str, Any], run: Finished) -> Explanation:
    """Replays one document through the stages of a run, until one rejects it. `given`: the document with its text, of a
    run that began after extraction."""
    result = Explanation(row)
    first = run.stages[0]
    if first.command == "ingest":
        result.rejected_by = rejects_of(ledger_of(run.dataset(first), key_of(row)))
    else:
        result.row = BLANK | given
        result.text_before = result.text_after = result.row["text"] or ""
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


def replay_extract(result: Explanation, stage: Stage, run: Finished) -> None:
    """Reads and extracts the body again; the prefilter's rejections of a page of the audit sample are marked."""
    bodies = {**run.dataset(stage).places(), **run.dataset(run.stages[0]).places(), **run.origin.moved}
    here = {name: run.places[name] for name in stage.models()}
    before = run.stages[max(run.stages.index(stage) - 1, 0)]
    sampling = sampling_of(stage, rows_in(run.dataset(before)))
    task = ExtractTask(stage.steps, (), run.recipe.sha256, bodies, here, sampling)
    trace: Trace = []
    with closing(task.open_tools(run.dataset(run.stages[0]))) as tools:
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
        result.duplicates += copies_of(dataset, key_of(row), row["id"])


def tokens_of(result: Explanation, stage: Stage, dataset: Dataset) -> None:
    """Adds the shard and offset of the document's tokens."""
    name, offset = key_of(result.row)
    chosen = [("file_path", "=", name), ("warc_offset", "=", offset)]
    for row in pq.read_table(readable(dataset.folder / TABLE), filters=chosen).to_pylist():
        result.steps.append(
            {"step": stage.name, "rule": "tokens", "signal": "tokens", "value": row["length"], "threshold": None,
             "passed": True, "shard": row["shard"], "offset": row["offset"]}
        )  # fmt: skip


def ledger_of(dataset: Dataset, key: Key) -> list[dict[str, Any]]:
    return [line for part in dataset.ledger_parts() for line in rows_at(part, key)]


def rejects_of(lines: Sequence[Mapping[str, Any]]) -> list[Reject]:
    return [Reject(line["step"], line["rule"], line["value"], line["threshold"]) for line in lines]
