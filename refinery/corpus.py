"""What makes and reads corpora: each function opens the engine and the inputs, and calls one function of `pipeline/`.

A mistake of the caller (an unknown recipe, a missing file, a missing or broken model, a folder made with other
arguments) raises `UsageError` before anything is written. What only a later stage can notice, such as a pool too small
for the mixture, raises it too, and the finished stages are kept. Damage or a full disk raises `WorkError`. A function
that makes something can be called again with the same arguments: it continues where it was stopped, or does nothing.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from infra.errors import UsageError
from pipeline.compare.compare import compare as compare_recipes
from pipeline.explain.explain import explain as explain_document
from pipeline.inputs.inputs import dataset_in, read_inputs
from pipeline.job.context import resolve_recipe
from pipeline.recipes.parse import load_recipe as read_recipe
from pipeline.recipes.recipe import Recipe
from pipeline.stages.join import join as join_runs
from pipeline.stages.run import Run, run_recipe

StrPath = str | os.PathLike[str]


def run(
    recipe: StrPath,
    inputs: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    engine: str = "local",
    workers: int | None = None,
    limit: int | None = None,
    models: StrPath | None = None,
) -> Run:
    """Runs every stage of a recipe; each makes a dataset below the folder `out`.

    recipe: the name of a shipped recipe, or a .toml file.
    inputs: files, folders or patterns: WARC, WET, ARC, Parquet, JSONL, or a dataset's folder. Documents enter after
        extraction.
    engine: local, ray or beam. workers: processes at once; None: one for each core. The result depends on neither.
    limit: only the first so many pages or documents.
    models: the model folder (else REFINERY_MODELS, else the user's cache).
    """
    folder = named_folder(out)
    with open_engine(engine, workers) as opened:
        return run_recipe(os.fspath(recipe), words(inputs), folder, opened, limit, text(models))


def join(
    runs: Sequence[StrPath],
    out: StrPath,
    *,
    engine: str = "local",
    workers: int | None = None,
    source: StrPath | None = None,
    models: StrPath | None = None,
) -> Run:
    """Joins finished runs of one recipe, each of other files, to one run in the folder `out`.

    runs: the folders of two runs or more. What looks at one page at a time is linked; what looks at the whole pool is
    made again. source: the folder that the archives have moved to. The other arguments are those of `run`.
    """
    folder = named_folder(out)
    with open_engine(engine, workers) as opened:
        return join_runs(
            [Path(run) for run in runs], folder, opened, text(models), None if source is None else Path(source)
        )


def compare(
    recipes: Sequence[StrPath],
    inputs: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    engine: str = "local",
    workers: int | None = None,
    limit: int | None = None,
    models: StrPath | None = None,
) -> dict[str, Any]:
    """Runs several recipes on the same input and compares what they keep; stages that they share are made once.

    Returns `input`, `recipes` (by name: docs, chars, tokens, funnel, by_language, rejected_by), `ratio` (with 95 %
    intervals), `overlap` and `cost`. The arguments are those of `run`, with two recipes or more.
    """
    names = [os.fspath(recipe) for recipe in recipes]
    folder = named_folder(out)
    with open_engine(engine, workers) as opened:
        return compare_recipes(names, opened, read_inputs(words(inputs)), folder, limit, text(models))


def explain(
    document: str, run: StrPath, *, source: StrPath | None = None, models: StrPath | None = None
) -> list[dict[str, Any]]:
    """Shows what every step of a finished run did with one document: each value beside its threshold.

    document: a URL or an id; all documents that have it are returned, in order.
    run: the folder of the run. source: the folder that the archives have moved to.
    """
    return explain_document(document, Path(run), None if source is None else Path(source), text(models))


def load_recipe(recipe: StrPath) -> Recipe:
    """Reads a shipped recipe by its name, or a .toml file. Its models are not looked for."""
    return read_recipe(os.fspath(recipe))


def check_recipe(recipe: StrPath, *, models: StrPath | None = None) -> Recipe:
    """Reads a recipe, and checks that its signals are set before they are used and that its models can be loaded.

    Returns it with the sha256 of each model in `models`; only then does its own `sha256` cover them.
    """
    return resolve_recipe(load_recipe(recipe), text(models))[0]


def open_dataset(folder: StrPath) -> Dataset:
    """Opens a finished dataset, or the last one of a finished run."""
    return dataset_in(Path(folder))


def words(inputs: StrPath | Sequence[StrPath]) -> list[str]:
    return [os.fspath(inputs)] if isinstance(inputs, str | os.PathLike) else [os.fspath(each) for each in inputs]


def text(path: StrPath | None) -> str | None:
    return None if path is None else os.fspath(path)


def named_folder(out: StrPath) -> Path:
    """The folder to make. UsageError for an empty name, which would be the working directory."""
    if not os.fspath(out):
        raise UsageError("out is empty: name the folder to make")
    return Path(out)
