"""`run`: makes the stages of a recipe one after the other, each a dataset in a folder of its own."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from infra.dataset.claim import claim, unfinish
from infra.dataset.growth import NONE, check_more_inputs, grown_datasets, inputs_of, more_inputs
from infra.dataset.manifest import LIMIT, MANIFEST, RUN, Kind, Manifest
from infra.dataset.reader import Dataset, Source
from infra.dataset.refusal import undone_if_refused
from infra.engines.engine import Engine
from infra.engines.live import Progress
from infra.engines.made_by import changes_since
from infra.errors import UsageError
from infra.hashing import readable_json
from infra.metering import versions
from infra.storage import check_locked, read_json, write_bytes, write_last
from pipeline.inputs.columns import Columns
from pipeline.inputs.documents import column_notes
from pipeline.inputs.inputs import Inputs, as_known, read_inputs
from pipeline.inputs.places import Where, places_below
from pipeline.job.context import Context, open_context
from pipeline.recipes.difference import recipe_difference
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.recipe import Recipe, Stage, models_of, needs_text
from pipeline.stages.audit import audit_sample, pool_notes, strictness_of
from pipeline.stages.counts import ingest_notes, run_counts, stage_counts
from pipeline.stages.final import FINAL, clear_final, link_final
from pipeline.stages.final import FROZEN as FROZEN
from pipeline.stages.over_documents import (
    NotDone,
    not_done,
    not_done_lines,
    stage_over_documents,
    stages_over_documents,
    without_addresses,
)
from pipeline.stages.stages import Following, first_source, for_stages, run_stage

# Is given lines for people.
Say = Callable[[str], object]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and the datasets of its stages, in order. `not_done`: what of the recipe the input did
    not allow."""

    folder: Path
    datasets: tuple[Dataset, ...]
    not_done: tuple[NotDone, ...] = ()

    def __fspath__(self) -> str:
        """Its folder: a run may stand where its path is asked for."""
        return str(self.folder)

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
        documents, characters and tokens that remain after each step; `ingest_notes`: what no ledger has (see
        `stages/counts.py`); `audit`, `strictness`, `pool_notes`: see `stages/audit.py`;
        `not_done`: what of the recipe the input did not allow, as {stage, steps, what}."""
        manifests = [dataset.manifest for dataset in self.datasets]
        return {
            "manifest": str(self.last.folder / MANIFEST),
            "result": str(self.result),
            "counts": run_counts(manifests),
            "stages": [stage_counts(manifest) for manifest in manifests],
            "funnel": funnel(manifests),
            "ingest_notes": ingest_notes(manifests[0]),
            "audit": audit_sample(self.datasets),
            "strictness": strictness_of(self.datasets),
            "pool_notes": pool_notes(self.datasets),
            "not_done": [each.as_json() for each in self.not_done],
        }


def stage_folder(recipe: Recipe, stage: Stage) -> str:
    return f"{recipe.number(stage):02d}-{stage.name}"


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
        "chars": manifest.shards.sums.chars,
        "tokens": manifest.shards.sums.tokens,
    }


def stages_for(recipe: Recipe, inputs: Inputs) -> list[Stage]:
    """All stages for archives; for documents those after extraction, and the gates before it."""
    if inputs.archives and (inputs.documents or inputs.datasets):
        raise UsageError("give archives, or documents and datasets, as --input, not both in one run")
    return list(recipe.stages) if inputs.archives else stages_over_documents(recipe)


def tell_notes(say: Say | None, given: Inputs) -> None:
    if say:
        for note in given.notes:
            say(note)


def run_recipe(
    recipe: Recipe | str,
    inputs: Sequence[str] | Inputs,
    out: Path,
    engine: Engine,
    limit: int | None = None,
    models: str | None = None,
    columns: Columns | None = None,
    *,
    say: Say | None = None,
) -> Run:
    """`run` with everything by name (or the recipe and the inputs themselves): the recipe, the inputs, the folder of
    the models. Of these only the models of the stages that are run are asked for. UsageError for what is not there,
    before anything is written."""
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    given = inputs if isinstance(inputs, Inputs) else as_known(read_inputs(inputs, columns), inputs_of(out))
    tell_notes(say, given)
    used = models_of(stages_for(loaded, given))
    return run(open_context(loaded, engine, models, used), given, out, limit, say)


def run_recipe_stage(
    recipe: Recipe | str,
    command: str,
    name: str | None,
    inputs: Sequence[str],
    out: Path,
    engine: Engine,
    limit: int | None = None,
    source: Where | None = None,
    models: str | None = None,
    columns: Columns | None = None,
    *,
    say: Say | None = None,
) -> Dataset:
    """One stage of a recipe in `out`: the one of this command, or with several of them the one called `name`; the same
    bytes as in `run`. Only its own models are asked for. `source`: see `places_below`.
    UsageError for what is not there, before anything is written."""
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    given = as_known(read_inputs(inputs, columns), inputs_of(out))
    tell_notes(say, given)
    chosen, documents = stage_for(loaded.stage(command, name), given)
    given = for_stages(given, stages_over_documents(loaded) if given.documents else [chosen])  # as in `run`
    first = first_source(given, chosen, limit)
    places = places_below(source) if source else None
    context = open_context(loaded, engine, models, chosen.models(), **input_params(given, limit))
    stage, _ = stage_for(context.recipe.stage(command, name), given)  # with what its models' files hold
    missed = not_done([loaded.stage(command, name)]) if documents else ()
    missed += without_addresses([stage], first) if not given.archives else ()
    check_more_inputs(out, first.refs, limit, grown_datasets(given.datasets))
    context = replace(context, reuse=())
    with undone_if_refused(out):  # some stages need the whole pool before they can refuse
        tell_not_done(say, context.recipe, missed)
        made = run_stage(context, stage, first, out, places)
        tell_earlier(say, [made])
        return made


def stage_for(stage: Stage, inputs: Inputs) -> tuple[Stage, bool]:
    """The stage as it is run on these inputs, and whether that is an extract stage's gates over documents."""
    documents = bool(inputs.documents) or any(each.kind is Kind.DOCUMENTS for each in inputs.datasets)
    over = stage_over_documents(stage) if stage.command == "extract" and documents else None
    return (stage, False) if over is None else (over, True)


def run(context: Context, inputs: Inputs, out: Path, limit: int | None = None, say: Say | None = None) -> Run:
    """Makes every stage's dataset below `out`. In a folder that was made of a part of these inputs, or with a smaller
    limit, the finished partitions are used again; what is complete is not made again at all. `say`: is told first what
    of the recipe the input does not allow."""
    stages = stages_for(context.recipe, inputs)
    inputs = for_stages(inputs, stages)
    first, grown = first_source(inputs, stages[0], limit), grown_datasets(inputs.datasets)
    missed = missed_by(context.recipe, stages, inputs, first)
    return make(context, stages, first, out, input_params(inputs, limit), grown=grown, missed=missed, say=say)


def make(
    context: Context,
    stages: Sequence[Stage],
    first: Source,
    out: Path,
    params: Mapping[str, Any],
    *,
    runs: Sequence[Path] = (),
    grown: Mapping[str, str] = NONE,
    missed: tuple[NotDone, ...] = (),
    say: Say | None = None,
) -> Run:
    """The run of these stages from the source of the first one, which is read as `params` say (`input_params`). `runs`:
    folders of runs whose finished partitions are taken where the work would be the same. `grown`: see
    `grown_datasets`. `missed`: what of the recipe the input does not allow, which `say` is told first."""
    arguments = {"command": "run", "recipe": asdict(context.recipe.ref), "inputs": [asdict(ref) for ref in first.refs]}
    started = time.time()
    check_outside(out)
    check_recipe_of(out, context.recipe)
    with claim(out, {**arguments, **params}, partial(more_inputs, grown=grown)) as changed:
        clear_final(out)
        if changed:
            (out / FINAL).unlink(missing_ok=True)  # it would point to what is unfinished now
        tell_not_done(say, context.recipe, missed)
        if say:
            for note in column_notes(first):
                say(note)
        write_bytes(out / FROZEN, readable_json(context.recipe.frozen()))
        folders = [stage_folder(context.recipe, stage) for stage in stages]
        for folder in folders if changed else ():  # none of them is finished now
            if (out / folder / MANIFEST).is_file():
                unfinish(out / folder)
        source: Any = first
        places = dict(getattr(first, "places", dict)())  # where the files are now
        datasets: list[Dataset] = []
        contexts = [
            replace(
                context,
                params={**context.params, **({} if number else params)},
                reuse=tuple(other / folder for other in runs),
            )
            for number, folder in enumerate(folders)
        ]
        for stage in stages:
            context.engine.progress(Progress(stage.name, 0, 0, begun=False))
        for number, (here, stage, folder) in enumerate(zip(contexts, stages, folders, strict=True)):
            following = None
            if number + 1 < len(stages):
                following = Following(contexts[number + 1], stages[number + 1], out / folders[number + 1])
            check_locked(out)  # a driver that was stopped leaves the other stages to the one that followed it
            source = run_stage(here, stage, source, out / folder, places, following)
            datasets.append(source)
        tell_earlier(say, datasets)
        made = Run(out, tuple(datasets), missed)
        check_locked(out)
        link_final(out, made.last.folder.name)
        write_last(out / RUN, readable_json(account(context, made, time.time() - started)))
    return made


def missed_by(recipe: Recipe, stages: Sequence[Stage], inputs: Inputs, source: Source) -> tuple[NotDone, ...]:
    """What of the recipe the inputs do not allow; `stages`: those that are run. UsageError if that is all of it."""
    if inputs.archives:
        return ()
    bare = without_addresses(stages, source)
    if bare and not needs_text(stages):
        raise UsageError(f"recipe {recipe.name!r} looks at `url` alone, which the input has not: see --url-column")
    return not_done(recipe.stages) + bare


def tell_not_done(say: Say | None, recipe: Recipe, missed: Sequence[NotDone]) -> None:
    if say:
        for line in not_done_lines(recipe.name, missed):
            say(line)


def tell_earlier(say: Say | None, datasets: Sequence[Dataset]) -> None:
    """Says which datasets were finished before, by other code or other libraries, and were not made again."""
    changes = {str(each.folder): changes_since(each.folder) for each in datasets} if say else {}
    kept = [folder for folder, changed in changes.items() if changed]
    if say and kept:
        changed = ", ".join(dict.fromkeys(each for found in changes.values() for each in found))
        say(f"not made again, though {changed} changed since: {', '.join(kept)} (to make one again, delete it)")


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


def input_params(inputs: Inputs, limit: int | None) -> dict[str, Any]:
    """How the inputs are read, where it is not the usual way: a limit, and names of columns."""
    return {**({} if limit is None else {LIMIT: limit}), **inputs.columns.params}


def account(context: Context, made: Run, seconds: float) -> Mapping[str, Any]:
    return {
        "recipe": asdict(context.recipe.ref),
        "engine": context.engine.name,
        "workers": context.engine.workers,
        "stages": [dataset.folder.name for dataset in made.datasets],
        "last": made.last.folder.name,
        "strictness": strictness_of(made.datasets),
        "not_done": [each.as_json() for each in made.not_done],
        "wall_seconds": round(seconds, 3),
        "versions": versions(),
        "models": dict(context.places),
    }
