"""The commands that read what was made: `explain`, `recipes`, `verify`, `status`, `report`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from infra.addresses import shown
from infra.errors import UsageError
from infra.remote import anywhere
from pipeline.cli.command import Command, group
from pipeline.cli.console import duration, quiet_stdout, say, show, tell, width
from pipeline.cli.options import Json, Models, RecipeArgument, Run, Set, Source
from pipeline.cli.work import chosen
from pipeline.text_table import table

recipes_app = group("List, show, check and compare recipes.\n\nExample: refinery recipes show yi")


def explain(
    run: Run,
    what: Annotated[list[str] | None, typer.Argument(help="URLs or ids of documents.", show_default=False)] = None,
    listed: Annotated[
        Path | None,
        typer.Option("--from", help="More of them, one a line, or JSON lines such as those of rejects; - for stdin."),
    ] = None,
    source: Source = None,
    models: Models = None,
    json: Json = False,
) -> None:
    """Show what every step of a run did with some documents.

    Each number stands beside its threshold, the text before beside the text after; copies are named. On a terminal what
    is longer than the screen goes through a pager (PAGER, or NO_PAGER=1 for none).

    Example: refinery explain https://example.org/ --run out
    """
    from pipeline.explain.asked import read_asked
    from pipeline.explain.explain import explain_many, no_document
    from pipeline.explain.text import explain_text

    asked = read_asked(what or (), listed)
    with quiet_stdout(json):
        told, missing = explain_many(asked, run, source, models)
    if not told:
        raise UsageError(no_document(missing, run))
    if json:
        tell(told)
    else:
        show("\n\n".join(explain_text(one, width()) for one in told))
    if missing:
        say(f"refinery: {no_document(missing, run)}")
        raise typer.Exit(1)


@recipes_app.command("list", cls=Command)
def list_recipes(json: Json = False) -> None:
    """List the recipes that come with the package.

    Example: refinery recipes list
    """
    from pipeline.recipes.parse import load_recipe
    from pipeline.recipes.shipped import shipped

    rows = [{"name": name, "about": load_recipe(name).about} for name in shipped()]
    tell(rows if json else table(rows, ["name", "about"]))


@recipes_app.command("show", cls=Command)
def show_recipe(
    recipe: RecipeArgument,
    changes: Set = None,
    toml: Annotated[bool, typer.Option("--toml", help="As a file: save it, change it, give it to --recipe.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Every PATH that --set takes, with its value.")] = False,
    json: Json = False,
) -> None:
    """Show a recipe's stages, steps and thresholds.

    Example: refinery recipes show falcon
    """
    from pipeline.recipes.text import paths_text, recipe_as_file, recipe_text

    loaded = chosen(recipe, changes)
    if json:
        tell(dict(loaded.source))
    elif toml:
        tell(recipe_as_file(loaded, recipe).rstrip("\n"), as_it_is=True)
    else:
        tell(paths_text(loaded) if paths else recipe_text(loaded))


@recipes_app.command("new", cls=Command)
def new_recipe(
    language: Annotated[str, typer.Option("--language", help="A code or a name: de, german.")],
    out: Annotated[Path, typer.Option("--out", help="The .toml file to write.")],
    json: Json = False,
) -> None:
    """Write a recipe for a language, to be changed.

    Normal strictness: the main text, Gopher's rules with numbers for the language, copies, personal data. As it is
    written it is what --recipe german is.

    Example: refinery recipes new --language de --out german.toml
    """
    from pipeline.recipes.shipped import write_plain

    name = write_plain(language, out)
    tell({"recipe": str(out), "name": name} if json else f"{out}: recipe {name!r}; run it with --recipe {out}")


@recipes_app.command("check", cls=Command)
def check_recipe(recipe: RecipeArgument, models: Models = None, changes: Set = None, json: Json = False) -> None:
    """Check that a recipe can be read and has its models.

    Prints its hash, over the recipe and all of its models, and the bounds that others make moot.

    Example: refinery recipes check my-recipe.toml
    """
    from pipeline.job.context import resolve_recipe
    from pipeline.recipes.moot import moot_bounds

    resolved, places = resolve_recipe(chosen(recipe, changes), models)
    moot = moot_bounds(resolved)
    answer = {"name": resolved.name, "sha256": resolved.sha256, "models": places, "moot": moot}
    line = f"{resolved.name}: {len(resolved.stages)} stages, sha256 {resolved.sha256}"
    tell(answer if json else "\n".join([line, *(f"moot: {each}" for each in moot)]))


@recipes_app.command("diff", cls=Command)
def diff_recipes(
    first: Annotated[str, typer.Argument(help="Name or file.")],
    second: Annotated[str | None, typer.Argument(help="Name or file; with --set the first, if none is given.")] = None,
    changes: Set = None,
) -> None:
    """Show the lines in which two recipes differ.

    --set changes the second.

    Example: refinery recipes diff falcon yi
    """
    from pipeline.recipes.text import difference

    if second is None and not changes:
        raise UsageError("recipes diff compares two recipes: name a second one, or change the first with --set")
    one, other = chosen(first, None), chosen(second or first, changes)
    names = first, other.name if changes else str(second)
    tell(difference(one, other, names) or "no difference")


@recipes_app.command("reference", cls=Command)
def reference() -> None:
    """Print all that a recipe may have, as Markdown.

    Stages, kinds of step, methods, extractors, options, defaults, edits.

    Example: refinery recipes reference
    """
    from pipeline.recipes.reference import reference_text

    tell(reference_text().rstrip("\n"), as_it_is=True)


@recipes_app.command("signals", cls=Command)
def list_signals(json: Json = False) -> None:
    """List the signals that a rule may use.

    Says of each what it measures, in which range, and where it comes from.

    Example: refinery recipes signals
    """
    from filters.catalog import SIGNALS
    from pipeline.steps.signals import STEP_SIGNALS

    rows: list[dict[str, Any]] = [
        {"signal": name, "what": signal.doc, "source": signal.source} for name, signal in sorted(SIGNALS.items())
    ]
    rows += [{"signal": name, "what": about, "source": ""} for name, about in STEP_SIGNALS.items()]
    lines = (f"{row['signal']}: {row['what']}" + (f" ({row['source']})" if row["source"] else "") for row in rows)
    tell(rows if json else "\n".join(lines))


def verify(
    dataset: Annotated[Path, typer.Argument(help="A dataset's folder, or a run's.")], json: Json = False
) -> None:
    """Check every file of a dataset against its manifest.

    It also checks that every token is in the vocabulary and that the manifest's counts add up. Exit code 1 if not.

    Example: refinery verify out
    """
    from pipeline.stages.check import faults_of

    answer = faults_of(dataset)
    lines = [f"{name}: {fault}" for name, faults in answer.items() for fault in faults]
    checked = "1 dataset" if len(answer) == 1 else f"{len(answer)} datasets"
    tell(answer if json else "\n".join(lines) or f"{checked}: every file is as it was written")
    if lines:
        raise typer.Exit(1)


def status(
    folder: Annotated[
        str,
        typer.Argument(help="The folder of a run, a dataset or a training, or a job of refinery submit."),
    ],
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="What each stage costs, in Prometheus' text format.")
    ] = False,
    json: Json = False,
) -> None:
    """Show how far a run or a training is.

    While a stage is made: its parts, rows a second, and the time left at that speed.

    Example: refinery status out
    """
    from infra.engines.ray_jobs import find_job
    from pipeline.stages.prometheus import exposition
    from pipeline.stages.status import status as read_status

    if prometheus:
        if json:
            raise UsageError("give --json or --prometheus, not both: stdout holds one of them")
        tell(exposition(anywhere(folder, "folder")).removesuffix("\n"), as_it_is=True)
        return
    if job := find_job(folder):
        tell(job.status() if json else job.text())
        return
    if folder.lower().startswith(("http://", "https://")):
        raise UsageError(
            f"{shown(folder)} names no job: give what `refinery submit` printed, as "
            f"{shown(folder).split('/#')[0].rstrip('/')}/#/jobs/raysubmit_..."
        )
    answer = read_status(anywhere(folder, "folder"))
    rows = [readable_stage(stage) for stage in answer.get("stages", ())]
    columns = ["stage", "state", "parts", "docs", "rejected", "rows/s", "left"]
    text = table(rows, columns if any("left" in row for row in rows) else columns[:5])
    if "training" in answer:
        text = training_text(answer["training"])
    tell(answer if json else text + ("\na process is at work on it" if answer["running"] else ""))


def readable_stage(stage: dict[str, Any]) -> dict[str, Any]:
    row = dict(stage)
    if "total" in stage:
        row["parts"] = f"{stage['parts']} of {stage['total']}"
        row["state"] = f"{stage['state']} ({stage['table']})" if "table" in stage else stage["state"]
        row["rows/s"] = None if stage["rate"] is None else round(stage["rate"])
        row["left"] = None if stage["seconds_left"] is None else duration(stage["seconds_left"])
    return row


def training_text(training: dict[str, Any]) -> str:
    steps = "" if training["steps"] is None else f" of {training['steps']:,}"
    text = f"{training['kind']}: step {training['step']:,}{steps}, {training['tokens']:,} tokens"
    if training["loss"] is not None:
        text += f", loss {training['loss']:.4f}"
    if training["seconds_a_step"] is not None:
        text += f", {training['seconds_a_step']:.2f} s a step"
    return text + (f", {duration(training['seconds_left'])} left" if training["seconds_left"] else "")


def report(
    run: Annotated[list[Path], typer.Option("--run", help="Folders of runs, comparisons, mixtures or trainings.")],
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.")] = Path("report.html"),
    source: Source = None,
    json: Json = False,
) -> None:
    """Write one HTML file about runs and trainings.

    Funnels, what recipes keep of each other, pages by rule, mixtures, loss curves; self-contained, without scripts.

    Example: refinery report --run out --out report.html
    """
    from infra.dataset.refusal import no_empty_folders
    from pipeline.report.report import write_report

    with quiet_stdout(json), no_empty_folders(out):
        write_report(run, out, source)
    tell({"report": str(out)} if json else str(out))
