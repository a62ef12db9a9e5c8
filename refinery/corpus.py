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
from infra.engines.open import cores, open_engine
from infra.errors import UsageError
from infra.remote import check_local, local
from pipeline.compare.compare import compare as compare_recipes
from pipeline.explain.explain import explain as explain_document
from pipeline.inputs.columns import Columns
from pipeline.inputs.inputs import dataset_in, read_inputs
from pipeline.job.context import resolve_recipe
from pipeline.recipes.parse import load_recipe as read_recipe
from pipeline.recipes.recipe import Recipe
from pipeline.stages.estimate import estimate as run_sample
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
    text_column: str = "text",
    id_column: str = "id",
    url_column: str = "url",
) -> Run:
    """Runs every stage of a recipe; each makes a dataset below the folder `out`.

    recipe: the name of a shipped recipe, or a .toml file.
    inputs: files, folders or patterns: WARC, WET, ARC, Parquet, JSONL, or a dataset's folder. Documents enter after
        extraction.
    engine: local, ray or beam. workers: processes at once; None: one for each core. The result depends on neither.
    limit: only the first so many pages or documents.
    models: the model folder (else REFINERY_MODELS, else the user's cache).
    text_column, id_column, url_column: their names in Parquet and JSONL files; other columns are kept as they are.
    """
    folder, columns = named_folder(out), Columns(text_column, id_column, url_column)
    with open_engine(engine, workers) as opened:
        return run_recipe(os.fspath(recipe), words(inputs), folder, opened, limit, text(models), columns)


def compare(
    recipes: Sequence[StrPath],
    inputs: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    engine: str = "local",
    workers: int | None = None,
    limit: int | None = None,
    models: StrPath | None = None,
    text_column: str = "text",
    id_column: str = "id",
    url_column: str = "url",
) -> dict[str, Any]:
    """Runs several recipes on the same input and compares what they keep; stages that they share are made once.

    Returns `input`, `recipes` (by name: docs, chars, tokens, funnel, by_language, rejected_by), `ratio` (with 95 %
    intervals), `overlap` and `cost`. The arguments are those of `run`, with two recipes or more.
    """
    names = [os.fspath(recipe) for recipe in recipes]
    folder, columns = named_folder(out), Columns(text_column, id_column, url_column)
    with open_engine(engine, workers) as opened:
        return compare_recipes(names, opened, read_inputs(words(inputs), columns), folder, limit, text(models))


def estimate(
    recipe: StrPath,
    inputs: StrPath | Sequence[StrPath],
    *,
    workers: int | None = None,
    sample: int = 300,
    models: StrPath | None = None,
    text_column: str = "text",
    id_column: str = "id",
    url_column: str = "url",
) -> dict[str, Any]:
    """Estimates what a run over all of the input will take and keep, from a run over `sample` pages of it.

    Returns `input`, `sample`, `pages`, `seconds`, `cpu_seconds`, `memory_bytes`, `disk_bytes`, and `kept`: `docs`,
    `share` and its 95 % `interval`. The other arguments are those of `run`; nothing is written.
    """
    columns = Columns(text_column, id_column, url_column)
    number = cores() if workers is None else workers
    return run_sample(os.fspath(recipe), words(inputs), number, sample, text(models), columns)


def explain(
    document: str, run: StrPath, *, source: StrPath | None = None, models: StrPath | None = None
) -> list[dict[str, Any]]:
    """Shows what every step of a finished run did with one document: each value beside its threshold.

    document: a URL or an id; all documents that have it are returned, in order.
    run: the folder of the run. source: the folder that the archives have moved to.
    """
    moved = None if source is None else local(source, "source")
    return explain_document(document, local(run, "run"), moved, text(models))


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
    return dataset_in(local(folder, "folder"))


def words(inputs: StrPath | Sequence[StrPath]) -> list[str]:
    given = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    for each in given:
        check_local(os.fspath(each), "inputs")
    return [os.fspath(each) for each in given]


def text(path: StrPath | None) -> str | None:
    return None if path is None else str(local(path, "models"))


def named_folder(out: StrPath) -> Path:
    """The folder to make. UsageError for an empty name, which would be the working directory."""
    if not os.fspath(out):
        raise UsageError("out is empty: name the folder to make")
    return local(out, "out", made=True)
