"""A recipe over documents: the stages that are run, and what of the recipe such input does not allow.

Documents enter after extraction. What an extract stage asks of the address they have too: its gates run as a filter
stage of its name in its place. The rest of it needs an archive, and is said before the run starts.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from textwrap import wrap
from typing import Any

import pyarrow as pa

from infra.dataset.reader import Source
from infra.errors import RefineryError, UsageError
from pipeline.recipes.recipe import Recipe, Stage
from pipeline.steps.extract import Extract
from pipeline.steps.gate import Gate
from pipeline.steps.signals import HEADER_SIGNALS

# How many partitions of the input are looked into for an address, and how many batches of each.
PARTS_READ, BATCHES_READ = 4, 2
WIDTH = 80


@dataclass(frozen=True)
class NotDone:
    """What a stage of the recipe would do, and is left out. `steps`: the names of the steps concerned."""

    stage: str
    steps: tuple[str, ...]
    what: str

    def as_json(self) -> dict[str, Any]:
        return {"stage": self.stage, "steps": list(self.steps), "what": self.what}


def stages_over_documents(recipe: Recipe) -> list[Stage]:
    """The stages after extraction, with the gates of extract stages in their places. Where that is none, the documents
    pass through the extract stage as they are. UsageError for a recipe that only reads archives."""
    found = [made for stage in recipe.stages if (made := stage_over_documents(stage)) is not None]
    if found:
        return found
    for stage in recipe.stages:
        if stage.command == "extract":
            return [Stage(stage.name, "filter")]
    raise UsageError(f"recipe {recipe.name!r} has no stage that reads documents: give archives as --input")


def stage_over_documents(stage: Stage) -> Stage | None:
    """The stage as it is, of an extract stage its rules on addresses; None where nothing is left."""
    if stage.command == "extract":
        gates = tuple(step for step in stage.steps if isinstance(step, Gate) and step.on_url)
        return Stage(stage.name, "filter", gates) if gates else None
    return None if stage.command == "ingest" or stage.reads_records else stage


def not_done(stages: Sequence[Stage]) -> tuple[NotDone, ...]:
    """What these stages of a recipe would do with archives and cannot with documents."""
    return tuple(found for stage in stages for found in _left_out(stage))


def _left_out(stage: Stage) -> Iterator[NotDone]:
    if stage.command == "extract":
        gates = [step for step in stage.steps if isinstance(step, Gate)]
        headers = {name: None for gate in gates for name in gate.requires() if name in HEADER_SIGNALS}
        asking = tuple(gate.name for gate in gates if not headers.keys().isdisjoint(gate.requires()))
        if headers:
            yield NotDone(stage.name, asking, f"rules on headers ({', '.join(headers)})")
        declared = tuple(step.name for step in stage.steps if isinstance(step, Extract) and step.declared)
        if declared:
            yield NotDone(stage.name, declared, "the language that a page declares")
        prefilter = tuple(step.name for step in stage.steps[:-1] if not isinstance(step, Gate))
        if prefilter:
            yield NotDone(stage.name, prefilter, f"the prefilter ({len(prefilter)} steps)")
        yield NotDone(stage.name, (stage.steps[-1].name,), "extraction: the text is taken as it is")
        if stage.options.get("audit"):
            yield NotDone(stage.name, (), "the audit sample")
    elif stage.reads_records and stage.command == "dedup":
        yield NotDone(stage.name, (stage.steps[0].name,), "copies by payload")


def without_addresses(stages: Sequence[Stage], source: Source) -> tuple[NotDone, ...]:
    """The gates that pass everything, since no document has an address: of the stages that are run over `source`."""
    gated = [(stage.name, step.name) for stage in stages for step in stage.steps if isinstance(step, Gate)]
    if not gated or has_addresses(source):
        return ()
    return tuple(NotDone(stage, (step,), "URL rules: the input has no `url`") for stage, step in gated)


def has_addresses(source: Source) -> bool:
    """Whether any of the first documents has an address; True if they cannot be read, which the run itself reports."""
    try:
        return any(_has_address(part) for part in source.parts()[:PARTS_READ])
    except (RefineryError, OSError, pa.ArrowException):
        return True


def _has_address(part: Any) -> bool:
    with closing(part.batches(["url"])) as batches:
        return any(any(batch["url"].to_pylist()) for batch in islice(batches, BATCHES_READ))


def not_done_lines(recipe: str, found: Sequence[NotDone]) -> list[str]:
    """For people, a paragraph for each stage; empty if nothing is left out."""
    if not found:
        return []
    lines = [f"the input is documents, so recipe {recipe!r} leaves out"]
    for stage in dict.fromkeys(each.stage for each in found):
        whole = f"{stage}: {'; '.join(each.what for each in found if each.stage == stage)}"
        lines += wrap(whole, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines
