"""`join`: runs made apart, each of a part of the inputs, become one run of all of them.

Partitions of the stages that look at one partition at a time are linked from the runs, by their fingerprints; stages
that look at the whole pool are made again. So the result is that of one run over all the files, if they lay in one
folder, each below it under the name that it has in its own run. The archives need not be there, unless a page has to
be read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from infra.addresses import shown
from infra.dataset.claim import arguments_of
from infra.dataset.differences import named
from infra.dataset.manifest import LIMIT, MANIFEST, RUN
from infra.dataset.placing import described
from infra.dataset.reader import Dataset
from infra.engines.engine import Engine
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.storage import read_json, readable
from pipeline.inputs.archives import SPLIT, ArchivePart, Archives
from pipeline.inputs.columns import Columns
from pipeline.inputs.documents import open_documents
from pipeline.inputs.inputs import InputFile, Inputs
from pipeline.inputs.places import Where, is_there, known_place, places_below
from pipeline.inputs.reread import is_document_file, place_of
from pipeline.inputs.versions import has_version, plain_version
from pipeline.job.context import open_context
from pipeline.job.outputs import check_apart
from pipeline.recipes.difference import recipe_difference
from pipeline.recipes.parse import parse_recipe
from pipeline.recipes.recipe import Recipe, models_of
from pipeline.stages.ingest import READ
from pipeline.stages.run import FROZEN, Run, input_params, make, missed_by, stages_for
from pipeline.warc.records import SPLIT_BYTES, Split


@dataclass(frozen=True)
class Apart:
    """One of the runs: its recipe as it was run, the folders of its stages, and its input files."""

    folder: Path
    recipe: Recipe
    stages: tuple[str, ...]
    files: tuple[InputFile, ...]
    columns: Columns

    @property
    def first(self) -> Path:
        return self.folder / self.stages[0]


def join(
    runs: Sequence[Path], out: Path, engine: Engine, models: str | None = None, source: Where | None = None
) -> Run:
    """The run of all inputs of `runs`, in `out`. `source`: see `places_below`.

    Raises UsageError for runs of different recipes, of one file, or not finished, before anything is written.
    """
    if len(runs) > len({folder.resolve() for folder in runs}):
        raise UsageError("join needs two runs or more, each named once")
    if len(runs) < 2:
        raise UsageError("join needs two runs or more: refinery join RUN1 RUN2 --out OUT")
    check_apart(out, runs)
    moved = places_below(source) if source else {}
    found = [read_run(folder, moved) for folder in runs]
    check_alike(found)
    files = tuple(sorted(all_files(found), key=lambda file: file.name))
    documents = tuple(file for file in files if is_document_file(file.name))
    if documents and len(documents) < len(files):
        raise UsageError("some of the runs began at archives, others at documents: join runs of one kind")
    recipe, columns = found[0].recipe, found[0].columns
    inputs = Inputs(documents=documents, columns=columns) if documents else Inputs(archives=files)
    used = models_of(stages_for(recipe, inputs))
    context = open_context(replace(recipe, models={}), engine, models, used)
    if context.recipe.sha256 != recipe.sha256:
        raise UsageError(f"the models have changed since {runs[0]} was made: give its own with --models")
    for file in documents:  # the columns of all of them have one schema
        place_of(file.name, {file.name: file.path})
    for file in files:
        if is_there(file.path) and not has_version(file.path, file.version):
            raise UsageError(
                f"{shown(file.path)} is not the file {file.name!r} that was read: give its folder with --source"
            )
    first = open_documents(documents, columns) if documents else archives_of(found, files)
    stages = stages_for(context.recipe, inputs)
    missed = missed_by(context.recipe, stages, inputs, first)
    return make(context, stages, first, out, input_params(inputs, None), runs=runs, missed=missed)


def read_run(folder: Path, moved: dict[str, str]) -> Apart:
    """Raises UsageError for a folder that is no finished run over files, or that holds only the first pages."""
    frozen, account = read_json(folder / FROZEN), read_json(folder / RUN)
    if not isinstance(frozen, dict) or not all(isinstance(frozen.get(key), dict) for key in ("source", "models")):
        raise UsageError(f"{folder} is not the folder of a run: it has no {FROZEN}")
    names = account.get("stages") if isinstance(account, dict) else None
    if not names or not all((folder / name / MANIFEST).is_file() for name in names):
        raise UsageError(f"{folder} is not finished: run the same `refinery run` command again")
    arguments = arguments_of(folder, ()) or {}
    if arguments.get("command") != "run":
        raise UsageError(f"{folder} was not made by `refinery run`, or was copied without its hidden folders")
    if LIMIT in arguments:
        raise UsageError(
            f"{folder} has only the first pages (--limit {arguments[LIMIT]}): run the same command without --limit"
        )
    recipe = parse_recipe(frozen["source"], str(folder / FROZEN)).with_models(frozen["models"])
    first = Dataset(folder / names[0])
    places = {**first.places(), **moved}
    refs = first.manifest.inputs
    found = {ref.name: known_place(ref.name, places) for ref in refs}
    if others := [name for name, place in found.items() if place is None]:
        raise UsageError(
            f"{folder} began at the dataset {others[0]!r}: join takes runs over archives or document files"
        )
    files = tuple(InputFile(found[ref.name] or "", ref.name, ref.sha256) for ref in refs)
    return Apart(folder, recipe, tuple(names), files, Columns.of_params(first.manifest.params))


def check_alike(runs: Sequence[Apart]) -> None:
    """Raises UsageError unless all runs have one recipe, with the same models and stages."""
    first = runs[0]
    for other in runs[1:]:
        if other.recipe.sha256 != first.recipe.sha256 or other.recipe.name != first.recipe.name:
            difference = recipe_difference(first.recipe, other.recipe)
            raise UsageError(f"{first.folder} and {other.folder} were made by different recipes: {difference}")
        if other.stages != first.stages:
            raise UsageError(
                f"{first.folder} and {other.folder} have different stages ({', '.join(first.stages)}; "
                f"{', '.join(other.stages)}): join runs that began alike"
            )
        if other.columns != first.columns:
            raise UsageError(
                f"{first.folder} read {first.columns.words}, but {other.folder} {other.columns.words}: join runs that "
                "read the same columns"
            )


def all_files(runs: Sequence[Apart]) -> list[InputFile]:
    """The files of all runs. Raises UsageError for a file that is in two of them, or two files of one name."""
    by_state: dict[str, Apart] = {}
    by_name: dict[str, Apart] = {}
    files: list[InputFile] = []
    for run in runs:
        states = states_of(run)
        same = [name for name, found in states.items() if not found.isdisjoint(by_state)]
        if same:
            other = next(by_state[state] for name in same for state in states[name] if state in by_state)
            raise UsageError(
                f"{other.folder} and {run.folder} have files in common, {named(same)}: join runs of different files"
            )
        alike = [file.name for file in run.files if file.name in by_name]
        if alike:
            raise UsageError(
                f"{run.folder} and {by_name[alike[0]].folder} have different files of one name, {named(alike)}: rename "
                "one, and run it again"
            )
        by_state |= {state: run for found in states.values() for state in found}
        by_name |= {file.name: run for file in run.files}
        files += run.files
    return files


def states_of(run: Apart) -> dict[str, frozenset[str]]:
    """By name, all that each file of a run is known by: its version and, if it was hashed while it was read, its
    sha256 (of an archive that was cut, those of its ranges). Files of two runs that have one in common are the same,
    wherever they were read."""
    known = {file.name: {plain_version(file.version)} for file in run.files}
    table = run.first / READ
    if table.is_file():
        ranges: dict[str, list[tuple[int, int, str]]] = {}
        for row in pq.read_table(readable(table), columns=["name", "start", "end", "sha256"]).to_pylist():
            ranges.setdefault(row["name"], []).append((row["start"], row["end"], row["sha256"]))
        for name, found in ranges.items():
            known[name].add(found[0][2] if len(found) == 1 else sha256_json(sorted(found)))
    return {name: frozenset(states) for name, states in known.items()}


def archives_of(runs: Sequence[Apart], files: tuple[InputFile, ...]) -> Archives:
    """The archives with their splits, as the receipts of the runs have them, in the order of one run over all."""
    paths = {file.name: file.path for file in files}
    order = {file.name: number for number, file in enumerate(files)}
    parts = []
    for run in runs:
        read = described(run.first)
        if len(read) != len(Dataset(run.first).parts()):
            raise UsageError(
                f"{run.folder} was made by an earlier version, or was copied without its hidden folders: run the same "
                "command again into another folder"
            )
        for one in read:
            split = Split(paths[one["name"]], one["name"], one["start"], one["end"], one["container"])
            parts.append(ArchivePart(split, one["sha256"]))
    parts.sort(key=lambda part: (order[part.split.name], part.split.start))
    size = max(Dataset(run.first).manifest.params.get(SPLIT, SPLIT_BYTES) for run in runs)
    return Archives(files, plan=tuple(parts), size=size)
