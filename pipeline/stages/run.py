"""`run`: makes the stages of a recipe one after the other, each a dataset in a folder of its own."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.dataset.claim import claim
from infra.dataset.manifest import MANIFEST, RUN, Manifest
from infra.dataset.reader import Dataset
from infra.dataset.refusal import undone_if_refused
from infra.engines.engine import Engine
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.metering import versions
from infra.storage import write_bytes
from pipeline.inputs.columns import Columns
from pipeline.inputs.inputs import Inputs, read_inputs
from pipeline.job.context import Context, open_context
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.recipe import Recipe, Stage, models_of
from pipeline.stages.audit import audit_sample
from pipeline.stages.counts import run_counts, stage_counts
from pipeline.stages.final import FINAL, clear_final, link_final
from pipeline.stages.final import FROZEN as FROZEN
from pipeline.stages.stages import first_source, places_below, reads_records, run_stage


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and the datasets of its stages, in order."""

    folder: Path
    datasets: tuple[Dataset, ...]

    @property
    def last(self) -> Dataset:
        return self.datasets[-1]

    @property
    def result(self) -> Path:
        """The folder to read: `final` in that of the run, or where there are no links the last dataset's own."""
        final = self.folder / FINAL
        return final if final.is_symlink() else self.last.folder

    def summary(self) -> dict[str, Any]:
        """What `--json` prints. `counts`: of the run; `stages`: of each stage, with its rejections by rule; `funnel`:
        documents, characters and tokens that remain after each step."""
        manifests = [dataset.manifest for dataset in self.datasets]
        return {
            "manifest": str(self.last.folder / MANIFEST),
            "result": str(self.result),
            "counts": run_counts(manifests),
            "stages": [stage_counts(manifest) for manifest in manifests],
            "funnel": funnel(manifests),
            "audit": audit_sample(self.datasets),
        }


def stage_folder(recipe: Recipe, stage: Stage) -> str:
    return f"{recipe.stages.index(stage) + 1:02d}-{stage.name}"


def funnel(manifests: list[Manifest]) -> list[dict[str, Any]]:
    """One row for every step of every stage, in order; a stage without step counts gives one row with its output."""
    rows: list[dict[str, Any]] = []
    for manifest in manifests:
        rows += [{"stage": manifest.stage, **row} for row in manifest.funnel or (whole_stage(manifest),)]
    return rows


def whole_stage(manifest: Manifest) -> dict[str, Any]:
    return {
        "step": manifest.stage,
        "docs": manifest.counts["out"],
        "chars": sum(shard.chars for shard in manifest.shards),
        "tokens": sum(shard.tokens for shard in manifest.shards),
    }


def stages_for(recipe: Recipe, inputs: Inputs) -> list[Stage]:
    """All stages for archives; those after extraction for documents."""
    if inputs.archives and (inputs.documents or inputs.datasets):
        raise UsageError("give archives, or documents and datasets, as --input, not both in one run")
    return list(recipe.stages) if inputs.archives else after_extraction(recipe)


def after_extraction(recipe: Recipe) -> list[Stage]:
    """The stages that read documents. UsageError if there is none."""
    stages = [stage for stage in recipe.stages if stage.command != "ingest" and not reads_records(stage)]
    if not stages:
        raise UsageError(f"recipe {recipe.name!r} has no stage after extraction")
    return stages


def run_recipe(
    recipe: Recipe | str,
    inputs: Sequence[str],
    out: Path,
    engine: Engine,
    limit: int | None = None,
    models: str | None = None,
    columns: Columns | None = None,
) -> Run:
    """`run` with everything by name (or the recipe itself): the recipe, the inputs, the folder of the models. Of these
    only the models of the stages that are run are asked for. UsageError for what is not there, before anything is
    written."""
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    given = read_inputs(inputs, columns)
    used = models_of(stages_for(loaded, given))
    return run(open_context(loaded, engine, models, used), given, out, limit)


def run_recipe_stage(
    recipe: Recipe | str,
    command: str,
    name: str | None,
    inputs: Sequence[str],
    out: Path,
    engine: Engine,
    limit: int | None = None,
    source: Path | None = None,
    models: str | None = None,
    columns: Columns | None = None,
) -> Dataset:
    """One stage of a recipe in `out`: the one of this command, or with several of them the one called `name`; the same
    bytes as in `run`. Only its own models are asked for. `source`: the folder that the archives have moved to.
    UsageError for what is not there, before anything is written."""
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    chosen = loaded.stage(command, name)
    given = read_inputs(inputs, columns)
    first = first_source(given, chosen, limit)
    places = places_below(source) if source else None
    context = open_context(loaded, engine, models, chosen.models(), **input_params(given, limit))
    stage = context.recipe.stage(command, name)  # with what its models' files hold
    with undone_if_refused(out):  # some stages need the whole pool before they can refuse
        return run_stage(context, stage, first, out, places)


def run(context: Context, inputs: Inputs, out: Path, limit: int | None = None) -> Run:
    """Makes every stage's dataset below `out`; existing ones are not made again."""
    stages = stages_for(context.recipe, inputs)
    source: Any = first_source(inputs, stages[0], limit)
    arguments = {"command": "run", "recipe": asdict(context.recipe.ref), "inputs": [asdict(ref) for ref in source.refs]}
    started = time.time()
    check_outside(out)
    with claim(out, arguments | input_params(inputs, limit)):
        clear_final(out)
        write_bytes(out / FROZEN, readable_json(context.recipe.frozen()))
        datasets: list[Dataset] = []
        for index, stage in enumerate(stages):
            folder = out / stage_folder(context.recipe, stage)
            params = input_params(inputs, limit) if index == 0 else {}
            here = Context(context.recipe, context.engine, context.places, {**context.params, **params})
            source = run_stage(here, stage, source, folder)
            datasets.append(source)
        made = Run(out, tuple(datasets))
        link_final(out, made.last.folder.name)
        write_bytes(out / RUN, readable_json(account(context, made, time.time() - started)))
    return made


def check_outside(out: Path) -> None:
    """Raises UsageError for a folder inside a run or a dataset, of which it would be taken for a part."""
    for folder in out.resolve().parents:
        if (folder / FROZEN).is_file() or (folder / MANIFEST).is_file():
            raise UsageError(f"--out {out} is inside {folder}, which is a run or a dataset: choose a folder beside it")


def input_params(inputs: Inputs, limit: int | None) -> dict[str, Any]:
    """How the inputs are read, where it is not the usual way: a limit, and names of columns."""
    return {**({} if limit is None else {"limit": limit}), **inputs.columns.params}


def account(context: Context, made: Run, seconds: float) -> Mapping[str, Any]:
    return {
        "recipe": asdict(context.recipe.ref),
        "engine": context.engine.name,
        "workers": context.engine.workers,
        "stages": [dataset.folder.name for dataset in made.datasets],
        "last": made.last.folder.name,
        "wall_seconds": round(seconds, 3),
        "versions": versions(),
        "models": dict(context.places),
    }
