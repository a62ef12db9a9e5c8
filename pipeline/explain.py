"""`explain`: one document through every step of a finished run, each number beside its threshold.

The steps are replayed from the record's bytes with the run's own recipe and models; what deduplication decided is
read from its ledger, since it depends on the whole pool.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from infra.build import RUN
from infra.dataset import Dataset, ShardReader
from infra.errors import UsageError
from infra.manifest import MANIFEST
from infra.storage import read_json
from pipeline.context import resolve_recipe
from pipeline.extract import Bodies, ExtractTask
from pipeline.filter import document_of
from pipeline.interpreter import Reject, Trace, loaded_models, run_steps
from pipeline.recipe import Gate, Recipe, Stage, parse_recipe
from pipeline.run import FROZEN, stage_folder
from pipeline.stages import archive_places, places_below

Key = tuple[str, int]


@dataclass
class Explanation:
    """What happened to one document; `as_json` is the contract's form."""

    row: dict[str, Any]
    steps: Trace = field(default_factory=list)
    duplicates: list[dict[str, Any]] = field(default_factory=list)
    text_before: str = ""
    text_after: str = ""
    rejected_by: list[Reject] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.row["id"],
            "url": self.row["url"],
            "file_path": self.row["file_path"],
            "warc_offset": self.row["warc_offset"],
            "state": "rejected" if self.rejected_by else "kept",
            "rejected_by": [f"{reject.step}/{reject.rule}" for reject in self.rejected_by],
            "steps": self.steps,
            "duplicates": self.duplicates,
            "text_before": self.text_before,
            "text_after": self.text_after,
        }


def explain(what: str, run: Path, source: Path | None = None, models: str | None = None) -> list[dict[str, Any]]:
    """All documents whose URL or id is `what`, in order. UsageError when the run has none."""
    frozen = read_json(run / FROZEN)
    if not isinstance(frozen, dict):
        raise UsageError(f"{run} is not the folder of a run: it has no {FROZEN}")
    recipe, places = resolve_recipe(parse_recipe(frozen["source"], str(run / FROZEN)), models)
    if recipe.sha256 != frozen["sha256"]:
        raise UsageError(f"the models have changed since {run} was made: give its own with --models")
    account = read_json(run / RUN) or {}
    stages = [stage for stage in recipe.stages if (run / stage_folder(recipe, stage) / MANIFEST).is_file()]
    if not stages or "last" not in account:
        raise UsageError(f"{run} is not finished: run the same `refinery run` command again")
    first = Dataset(run / stage_folder(recipe, stages[0]))
    found = list(matches(first.parts() + first.ledger_parts(), what))
    if not found:
        raise UsageError(f"no document with the URL or id {what!r} came into {run}")
    moved = places_below(source) if source else {}
    return [_one(row, recipe, places, stages, run, moved).as_json() for row in found]


def matches(parts: list[ShardReader], what: str) -> Iterator[dict[str, Any]]:
    """Rows whose url or id is `what`."""
    for part in parts:
        for batch in part.batches():
            hit = pc.or_kleene(pc.equal(batch["url"], what), pc.equal(batch["id"], what))
            yield from batch.filter(hit).to_pylist()


def _one(
    row: dict[str, Any],
    recipe: Recipe,
    places: Mapping[str, str],
    stages: list[Stage],
    run: Path,
    moved: dict[str, str],
) -> Explanation:
    told = Explanation(row)
    for stage in stages:
        dataset = Dataset(run / stage_folder(recipe, stage))
        match stage.verb:
            case "ingest":
                told.rejected_by = ledger_of(dataset, key_of(row))
            case "extract":
                bodies = Bodies({**archive_places(Dataset(run / stage_folder(recipe, stages[0]))), **moved})
                _extract(told, stage, recipe, places, bodies)
            case "filter":
                here = tuple((name, places[name]) for name in sorted(set(stage.models())))
                document = document_of({"text": "", "language": None, "language_score": None, "domain": None,
                                        "token_count": 0, "signals": None} | told.row)  # fmt: skip
                told.rejected_by = run_steps(document, stage.steps, loaded_models(here), told.steps)
                told.text_after = document.text
                told.row |= {"text": document.text, "language": document.language,
                             "language_score": document.language_score, "signals": document.signals}  # fmt: skip
            case _:
                _pool_decision(told, stage, dataset)
        if told.rejected_by:
            break
    return told


def _extract(told: Explanation, stage: Stage, recipe: Recipe, places: Mapping[str, str], bodies: Bodies) -> None:
    lists = {s.lists: places[s.lists] for s in stage.steps if isinstance(s, Gate) and s.lists}
    task = ExtractTask(stage.steps, (), recipe.sha256, bodies, lists)
    with closing(task.open_tools()) as tools:
        row, told.rejected_by = task.one(told.row, tools, trace=told.steps)
    told.row = {"language": None, "language_score": None, "domain": None, **told.row, **row}
    told.text_before = told.text_after = row.get("text", "")


def _pool_decision(told: Explanation, stage: Stage, dataset: Dataset) -> None:
    """What a stage over the whole pool decided; a rewritten text (paragraphs) is taken from its dataset."""
    key = key_of(told.row)
    told.rejected_by = ledger_of(dataset, key)
    for line in ledger_lines(dataset, key):
        told.duplicates.append({name: line[name] for name in ("step", "rule", "survivor", "similarity")})
        told.steps.append({name: line[name] for name in ("step", "rule", "value", "threshold")}
                          | {"signal": line["rule"], "passed": False})  # fmt: skip
    if told.rejected_by:
        return
    for part in dataset.parts():
        for row in rows_at(part, key):
            told.row |= row
            told.text_after = row["text"]
            told.steps.append({"step": stage.name, "rule": "copies", "signal": "copies", "value": row["copies"],
                               "threshold": None, "passed": True})  # fmt: skip


def key_of(row: Mapping[str, Any]) -> Key:
    return row["file_path"], row["warc_offset"]


def rows_at(part: ShardReader, key: Key) -> Iterator[dict[str, Any]]:
    for batch in part.batches():
        hit = pc.and_(pc.equal(batch["file_path"], key[0]), pc.equal(batch["warc_offset"], key[1]))
        yield from batch.filter(hit).to_pylist()


def ledger_lines(dataset: Dataset, key: Key) -> list[dict[str, Any]]:
    return [line for part in dataset.ledger_parts() for line in rows_at(part, key)]


def ledger_of(dataset: Dataset, key: Key) -> list[Reject]:
    return [Reject(line["step"], line["rule"], line["value"], line["threshold"]) for line in ledger_lines(dataset, key)]


def explain_text(told: Mapping[str, Any]) -> str:
    """The explanation as a person reads it."""
    state = told["state"] + (f" by {', '.join(told['rejected_by'])}" if told["rejected_by"] else "")
    lines = [f"{told['url'] or told['id']}", f"  {told['file_path']} at {told['warc_offset']}: {state}"]
    for step in told["steps"]:
        mark = "ok  " if step["passed"] else "FAIL"
        value = f"{step['value']:.4g}" if isinstance(step["value"], int | float) else step["value"]
        bound = "" if step["threshold"] is None else f"  (threshold {step['threshold']})"
        lines.append(f"  {mark} {step['step']}/{step['rule']}: {value}{bound}")
    lines += [f"  copy of {copy['survivor']} (similarity {copy['similarity']})" for copy in told["duplicates"]]
    for name in ("text_before", "text_after"):
        text = told[name]
        lines.append(f"  {name}: {len(text)} characters: {text[:200]!r}{' ...' if len(text) > 200 else ''}")
    return "\n".join(lines)
