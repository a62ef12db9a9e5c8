"""What makes and reads corpora: each function opens the engine and the inputs, and calls one function of `pipeline/`.

A mistake of the caller (an unknown recipe, a missing file, a missing or broken model, a folder made with other
arguments) raises `UsageError` before anything is written. What only a later stage can notice, such as a pool too small
for the mixture, raises it too, and the finished stages are kept. Damage or a full disk raises `WorkError`. A function
that makes something can be called again with the same arguments: it continues where it was stopped, or does nothing.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dedup.index.decide import Keeping, Policy
from infra.dataset.reader import Dataset
from infra.engines.open import cores, open_engine
from infra.errors import UsageError
from infra.http.budget import keep_budget
from infra.remote import anywhere, is_remote_input
from pipeline.compare.compare import compare as compare_recipes
from pipeline.explain.asked import asked_for
from pipeline.explain.explain import explain_many, no_document
from pipeline.explain.rejects import RejectSampling, rules_of
from pipeline.explain.rejects import rejects as rejected_documents
from pipeline.export.export import export as export_documents
from pipeline.index.add import add as add_snapshot
from pipeline.index.add import documents_in
from pipeline.index.manifest import read_index
from pipeline.index.report import report_of
from pipeline.inputs.columns import Columns
from pipeline.inputs.inputs import dataset_in, read_inputs
from pipeline.job.context import resolve_recipe
from pipeline.recipes.changes import Changes
from pipeline.recipes.parse import load_recipe as read_recipe
from pipeline.recipes.recipe import Recipe
from pipeline.snapshots.given import choice_of, given_inputs, http_limits, keep_forecast, within_budget
from pipeline.snapshots.plan import Means
from pipeline.stages.estimate import estimate as run_sample
from pipeline.stages.join import join as join_runs
from pipeline.stages.run import Run, run_recipe

StrPath = str | os.PathLike[str]


def run(
    recipe: StrPath,
    inputs: StrPath | Sequence[StrPath] = (),
    out: StrPath = "",
    *,
    snapshot: str | Sequence[str] = (),
    kind: str = "warc",
    files: int | None = None,
    sample: str | float | None = None,
    segment: str | Sequence[str] = (),
    source: StrPath | None = None,
    requests_per_second: float = 20.0,
    mib_per_second: float | None = None,
    budget: float | None = None,
    engine: str = "local",
    workers: int | None = None,
    limit: int | None = None,
    models: StrPath | None = None,
    changes: Changes | None = None,
    text_column: str = "text",
    id_column: str = "id",
    url_column: str = "url",
) -> Run:
    """Runs every stage of a recipe; each makes a dataset below the folder `out`.

    recipe: the name of a shipped recipe, or a .toml file.
    inputs: files, folders or patterns: WARC, WET, ARC, Parquet, JSONL, or a dataset's folder. Documents enter after
        extraction.
    snapshot: in place of inputs: crawls of Common Crawl, or `all`. kind, files, sample (`0.1%`, or .001), segment:
        which of their files. source: where they are, unless at Common Crawl. requests_per_second, mib_per_second: the
        most that is asked of it, by all workers together.
    budget: core-hours; UsageError, before anything is read, where the last probe of the recipe needs more of them.
    engine: local, ray or beam. workers: processes at once; None: one for each core. The result depends on neither.
    limit: only the first so many pages or documents.
    models: the model folder (else REFINERY_MODELS, else the user's cache).
    changes: of the recipe: see `load_recipe`.
    text_column, id_column, url_column: their names in Parquet and JSONL files; other columns are kept as they are.
    """
    folder, columns = named_folder(out), Columns(text_column, id_column, url_column)
    chosen, limits = load_recipe(recipe, changes=changes), http_limits(requests_per_second, mib_per_second)
    share = None if sample is None else str(sample)
    choice = choice_of(listed(snapshot), kind, files, share, listed(segment))
    with keep_budget(limits), open_engine(engine, workers) as opened:
        given = given_inputs(words(inputs), choice, None if source is None else os.fspath(source), columns, folder)
        means = Means(opened.workers, 0.0, limits)
        planned = None if budget is None else within_budget(chosen, given, folder, limit, means, budget)
        finished = run_recipe(chosen, given, folder, opened, limit, text(models), columns)
        keep_forecast(folder, planned)
    return finished


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
    made again. source: where the archives are now (see `explain`). The other arguments are those of `run`.
    """
    folder = named_folder(out)
    with keep_budget(), open_engine(engine, workers) as opened:
        return join_runs([anywhere(run, "runs") for run in words(runs)], folder, opened, text(models), where(source))


def compare(
    recipes: Sequence[StrPath],
    inputs: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    engine: str = "local",
    workers: int | None = None,
    limit: int | None = None,
    models: StrPath | None = None,
    changes: Changes | None = None,
    text_column: str = "text",
    id_column: str = "id",
    url_column: str = "url",
) -> dict[str, Any]:
    """Runs several recipes on the same input and compares what they keep; stages that they share are made once.

    Returns `input`, `recipes` (by name: docs, chars, tokens, funnel, by_language, rejected_by), `ratio` (with 95 %
    intervals), `overlap` and `cost`. The arguments are those of `run`, with two recipes or more. `changes` are those of
    the last recipe; a single one is compared with itself as changed.
    """
    names = [os.fspath(recipe) for recipe in recipes]
    folder, columns = named_folder(out), Columns(text_column, id_column, url_column)
    with keep_budget(), open_engine(engine, workers) as opened:
        given = read_inputs(words(inputs), columns)
        return compare_recipes(names, opened, given, folder, limit, text(models), changes=changes)


def estimate(
    recipe: StrPath,
    inputs: StrPath | Sequence[StrPath],
    *,
    workers: int | None = None,
    sample: int = 300,
    models: StrPath | None = None,
    changes: Changes | None = None,
    text_column: str = "text",
    id_column: str = "id",
    url_column: str = "url",
) -> dict[str, Any]:
    """Estimates what a run over all of the input will take and keep, from a run over `sample` pages of it.

    Returns `input`, `sample`, `pages`, `seconds`, `cpu_seconds`, `memory_bytes`, `disk_bytes`, and `kept`: `docs`,
    `share` and its 95 % `interval`. The other arguments are those of `run`; nothing is written.
    """
    columns = Columns(text_column, id_column, url_column)
    number, chosen = cores() if workers is None else workers, load_recipe(recipe, changes=changes)
    return run_sample(chosen, words(inputs), number, sample, text(models), columns)


def explain(
    document: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
    run: StrPath,
    *,
    source: StrPath | None = None,
    models: StrPath | None = None,
) -> list[dict[str, Any]]:
    """Shows what every step of a finished run did with one document, or several: each value beside its threshold.

    document: a URL or an id, of which all documents that have it are returned, in order; a row, such as `rejects`
        gives; or a list of these. UsageError if one of them is not in the run.
    run: the folder of the run. source: where the archives are now, if they have moved or had a query in their address:
        their folder, an archive's address, or a file with one address a line.
    """
    folder = anywhere(run, "run")
    asked = asked_for([document] if isinstance(document, str | Mapping) else document)
    found, missing = explain_many(asked, folder, where(source), text(models))
    if missing:
        raise UsageError(no_document(missing, folder))
    return found


def rejects(
    run: StrPath,
    rule: str | None = None,
    *,
    n: int = 50,
    stage: str | None = None,
    near: bool = False,
    seed: int = 0,
    source: StrPath | None = None,
) -> list[dict[str, Any]]:
    """Documents that a rule of a finished run rejected, with their texts; without `rule`, the rules with their counts.

    rule: STEP/RULE. n: the most documents. stage: only what this stage rejected. near: those nearest to the threshold,
        instead of a spread from it to the farthest. seed: another number gives other documents.
    source: where the archives are now (see `explain`). A text that cannot be had is None.
    """
    if rule is None:
        return rules_of(anywhere(run, "run"), stage)
    return rejected_documents(anywhere(run, "run"), rule, stage, RejectSampling(n, seed, near), where(source))[0]


def export(
    run: StrPath,
    out: StrPath,
    *,
    format: str | None = None,
    columns: str | Sequence[str] = (),
    limit: int | None = None,
    separator: str = "",
) -> dict[str, Any]:
    """Writes the documents of a finished run, or of a dataset, as JSON lines, Parquet or text.

    out: a file that ends in .jsonl, .jsonl.gz, .jsonl.zst, .parquet, .txt, .txt.gz or .txt.zst; or, with `format` (the
        same without the dot, `text` for txt), a folder that gets a file for each shard. UsageError if it exists.
    columns: all unless given; signals.NAME for a signal. limit: only the first so many. separator: the line between two
        texts. Returns `out`, `format`, `documents`, `files` and `columns`.
    """
    named_folder(out)
    names = [columns] if isinstance(columns, str) else columns
    return export_documents(anywhere(run, "run"), os.fspath(out), format, names, limit, separator)


def add_to_index(
    index: StrPath,
    dataset: StrPath,
    out: StrPath | None = None,
    *,
    snapshot: str | None = None,
    policy: Policy = "older",
    copies: int = 2,
    engine: str = "local",
    workers: int | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Adds a snapshot to an index of duplicates, which is made if it is not there; what of it no older one has is kept.

    dataset: the folder of a dataset of documents, or of a run. out: a folder for the documents that are kept.
    snapshot: its name; None: the crawl of its first document. policy: `within`, `older` or `copies`, with `copies` the
        snapshots that a kept document is in. parameters: of a new index: `threshold`, `bands`, `rows`, `ngram`.
    Returns the snapshot's row of `index_report`.
    """
    choice, kept = Keeping(policy, copies), None if out is None else named_folder(out)
    with open_engine(engine, workers) as opened:
        source = documents_in(anywhere(dataset, "dataset"))
        added = add_snapshot(anywhere(index, "index", made=True), source, opened, snapshot, choice, kept, parameters)
    rows: list[dict[str, Any]] = report_of(added.index)["snapshots"]
    return next(row for row in rows if row["snapshot"] == added.snapshot.name)


def index_report(index: StrPath) -> dict[str, Any]:
    """What each snapshot of an index added to those before it: its marginal yield.

    Returns `snapshots` (documents, duplicates within it and of older ones, kept, tokens), `bytes` by kind of run,
    `bytes_a_document` and `runs`.
    """
    return report_of(read_index(anywhere(index, "index")))


def load_recipe(recipe: StrPath, *, changes: Changes | None = None) -> Recipe:
    """Reads a shipped recipe by its name, or a .toml file. Its models are not looked for.

    changes: values by their paths, such as `{"filter.size.words.min": 60}`: another threshold or option; "off" takes a
        stage, a step or a rule out. The changed recipe has another name and hash.
    """
    return read_recipe(os.fspath(recipe), changes)


def check_recipe(recipe: StrPath, *, models: StrPath | None = None, changes: Changes | None = None) -> Recipe:
    """Reads a recipe, and checks that its signals are set before they are used and that its models can be loaded.

    Returns it with the sha256 of each model in `models`; only then does its own `sha256` cover them.
    """
    return resolve_recipe(load_recipe(recipe, changes=changes), text(models))[0]


def open_dataset(folder: StrPath) -> Dataset:
    """Opens a finished dataset, or the last one of a finished run."""
    return dataset_in(anywhere(folder, "folder"))


def listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else [*names]


def words(inputs: StrPath | Sequence[StrPath]) -> list[str]:
    given = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    for each in given:
        if not is_remote_input(os.fspath(each)):
            anywhere(os.fspath(each), "inputs")
    return [os.fspath(each) for each in given]


def text(place: StrPath | None) -> str | None:
    return None if place is None else str(anywhere(place, "models"))


def where(source: StrPath | None) -> str | None:
    return None if source is None else os.fspath(source)


def named_folder(out: StrPath) -> Path:
    """The folder to make. UsageError for an empty name, which would be the working folder."""
    if not os.fspath(out):
        raise UsageError("out is empty: name the folder to make")
    return anywhere(out, "out", made=True)
