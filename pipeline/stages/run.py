"""`run`: makes the stages of a recipe one after the other, each a dataset in a folder of its own."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from infra.dataset.claim import claim, unfinish
from infra.dataset.growth import NONE, check_more_inputs, grown_datasets, more_inputs
from infra.dataset.manifest import MANIFEST, RUN, Manifest
from infra.dataset.reader import Dataset, Source
from infra.dataset.refusal import undone_if_refused
from infra.engines.engine import Engine
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.metering import versions
from infra.storage import read_json, write_bytes
from pipeline.inputs.inputs import Inputs, read_inputs
from pipeline.job.context import Context, open_context
from pipeline.recipes.difference import recipe_difference
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.recipe import Recipe, Stage, models_of
from pipeline.stages.audit import audit_sample
from pipeline.stages.stages import first_source, places_below, reads_records, run_stage

FROZEN = "recipe.json"


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and the datasets of its stages, in order."""

    folder: Path
    datasets: tuple[Dataset, ...]

    @property
    def last(self) -> Dataset:
        return self.datasets[-1]

    def summary(self) -> dict[str, Any]:
        """What `--json` prints. Funnel rows: documents, characters and tokens that remain after each step."""
        return {
            "manifest": str(self.last.folder / MANIFEST),
            "counts": dict(self.last.manifest.counts),
            "funnel": funnel([dataset.manifest for dataset in self.datasets]),
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
    recipe: str, inputs: Sequence[str], out: Path, engine: Engine, limit: int | None = None, models: str | None = None
) -> Run:
    """`run` with everything by name: the recipe, the inputs, the folder of the models. Of these only the models of the
    stages that are run are asked for. UsageError for what is not there, before anything is written."""
    loaded, given = load_recipe(recipe), read_inputs(inputs)
    used = models_of(stages_for(loaded, given))
    return run(open_context(loaded, engine, models, used), given, out, limit)


def run_recipe_stage(
    recipe: str,
    command: str,
    name: str | None,
    inputs: Sequence[str],
    out: Path,
    engine: Engine,
    limit: int | None = None,
    source: Path | None = None,
    models: str | None = None,
) -> Dataset:
    """One stage of a recipe in `out`: the one of this command, or with several of them the one called `name`; the same
    bytes as in `run`. Only its own models are asked for. `source`: the folder that the archives have moved to.
    UsageError for what is not there, before anything is written."""
    loaded = load_recipe(recipe)
    chosen = loaded.stage(command, name)
    found = read_inputs(inputs)
    given = first_source(found, chosen, limit)
    places = places_below(source) if source else None
    context = open_context(loaded, engine, models, chosen.models(), limit=limit)
    stage = context.recipe.stage(command, name)  # with what its models' files hold
    check_more_inputs(out, given.refs, limit, grown_datasets(found.datasets))
    context = replace(context, reuse=())
    with undone_if_refused(out):  # some stages need the whole pool before they can refuse
        return run_stage(context, stage, given, out, places)


def run(context: Context, inputs: Inputs, out: Path, limit: int | None = None) -> Run:
    """Makes every stage's dataset below `out`. In a folder that was made of a part of these inputs, or with a smaller
    limit, the finished partitions are used again; what is complete is not made again at all."""
    stages = stages_for(context.recipe, inputs)
    first, grown = first_source(inputs, stages[0], limit), grown_datasets(inputs.datasets)
    return make(context, stages, first, out, limit, grown=grown)


def make(
    context: Context,
    stages: Sequence[Stage],
    first: Source,
    out: Path,
    limit: int | None = None,
    runs: Sequence[Path] = (),
    grown: Mapping[str, str] = NONE,
) -> Run:
    """The run of these stages from the source of the first one. `runs`: folders of runs whose finished partitions are
    taken where the work would be the same. `grown`: see `grown_datasets`."""
    arguments = {"command": "run", "recipe": asdict(context.recipe.ref), "inputs": [asdict(ref) for ref in first.refs]}
    started = time.time()
    check_outside(out)
    check_recipe_of(out, context.recipe)
    with claim(out, arguments | limit_param(limit), partial(more_inputs, grown=grown)) as changed:
        write_bytes(out / FROZEN, readable_json(context.recipe.frozen()))
        folders = [stage_folder(context.recipe, stage) for stage in stages]
        for folder in folders if changed else ():  # none of them is finished now
            if (out / folder / MANIFEST).is_file():
                unfinish(out / folder)
        source: Any = first
        places = dict(getattr(first, "places", dict)())  # where the files are now
        datasets: list[Dataset] = []
        for stage, folder in zip(stages, folders, strict=True):
            params = {} if datasets else limit_param(limit)
            here = replace(context, params={**context.params, **params}, reuse=tuple(other / folder for other in runs))
            source = run_stage(here, stage, source, out / folder, places)
            datasets.append(source)
        made = Run(out, tuple(datasets))
        write_bytes(out / RUN, readable_json(account(context, made, time.time() - started)))
    return made


def check_recipe_of(out: Path, recipe: Recipe) -> None:
    """Raises UsageError for the folder of a run of another recipe, with the step or rule that differs."""
    frozen = read_json(out / FROZEN)
    if not isinstance(frozen, dict) or (frozen.get("name"), frozen.get("sha256")) == (recipe.name, recipe.sha256):
        return
    try:
        before, now = (
            parse_recipe(source, str(out / FROZEN)).with_models(models)
            for source, models in ((frozen["source"], frozen["models"]), (recipe.source, recipe.models))
        )
        difference = recipe_difference(before, now)
    except (UsageError, KeyError, TypeError, AttributeError, AssertionError):
        difference = "one that this version cannot read"
    raise UsageError(f"{out} was made by another recipe: {difference}: choose another --out, or delete that folder")


def check_outside(out: Path) -> None:
    """Raises UsageError for a folder inside a run or a dataset, of which it would be taken for a part."""
    for folder in out.resolve().parents:
        if (folder / FROZEN).is_file() or (folder / MANIFEST).is_file():
            raise UsageError(f"--out {out} is inside {folder}, which is a run or a dataset: choose a folder beside it")


def limit_param(limit: int | None) -> dict[str, int]:
    return {} if limit is None else {"limit": limit}


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
