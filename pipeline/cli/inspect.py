"""The verbs that look at what was made: `explain`, `recipes`, `verify`, `status`, `report`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.command import Words
from pipeline.cli.console import quiet_stdout, tell
from pipeline.text_table import table

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Models = Annotated[
    str | None, typer.Option("--models", help="The model folder (else REFINERY_MODELS, else the user's cache).")
]

recipes_app = typer.Typer(
    no_args_is_help=True,
    help="The recipes: list, show, check, diff, and the signals they may use.\n\nExample: refinery recipes show yi",
)


def add_to(app: typer.Typer) -> None:
    app.command("explain", cls=Words)(explain)
    app.add_typer(recipes_app, name="recipes")
    app.command("verify", cls=Words)(verify)
    app.command("status", cls=Words)(status)
    app.command("report", cls=Words)(report)


def explain(
    what: Annotated[str, typer.Argument(help="A URL or a document's id.")],
    run: Annotated[Path, typer.Option("--run", help="The folder of a finished run.")],
    source: Annotated[Path | None, typer.Option("--source", help="Where the archives lie, if they have moved.")] = None,
    models: Models = None,
    json: Json = False,
) -> None:
    """One document through every step: each number beside its threshold, the text before and after, its copies.

    Example: refinery explain https://example.org/ --run out
    """
    from pipeline.explain.explain import explain as explain_document
    from pipeline.explain.text import explain_text

    with quiet_stdout(json):
        told = explain_document(what, run, source, models)
    tell(told if json else "\n\n".join(explain_text(one) for one in told))


@recipes_app.command("list", cls=Words)
def list_recipes(json: Json = False) -> None:
    """The recipes that come with the package.

    Example: refinery recipes list
    """
    from pipeline.recipes.parse import load_recipe, shipped

    rows = [{"name": name, "about": load_recipe(name).about} for name in shipped()]
    tell(rows if json else table(rows, ["name", "about"]))


@recipes_app.command("show", cls=Words)
def show_recipe(recipe: Annotated[str, typer.Argument(help="Name or file.")], json: Json = False) -> None:
    """A recipe's stages, steps and thresholds.

    Example: refinery recipes show falcon
    """
    from pipeline.recipes.parse import load_recipe
    from pipeline.recipes.text import recipe_text

    loaded = load_recipe(recipe)
    tell(dict(loaded.source) if json else recipe_text(loaded))


@recipes_app.command("check", cls=Words)
def check_recipe(
    recipe: Annotated[str, typer.Argument(help="Name or file.")], models: Models = None, json: Json = False
) -> None:
    """Whether a recipe can be read and its models are there; prints its hash.

    Example: refinery recipes check my-recipe.toml
    """
    from pipeline.job.context import resolve_recipe
    from pipeline.recipes.parse import load_recipe

    resolved, places = resolve_recipe(load_recipe(recipe), models)
    answer = {"name": resolved.name, "sha256": resolved.sha256, "models": places}
    tell(answer if json else f"{resolved.name}: {len(resolved.stages)} stages, sha256 {resolved.sha256}")


@recipes_app.command("diff", cls=Words)
def diff_recipes(
    first: Annotated[str, typer.Argument(help="Name or file.")],
    second: Annotated[str, typer.Argument(help="Name or file.")],
) -> None:
    """The lines in which two recipes differ.

    Example: refinery recipes diff falcon yi
    """
    import difflib

    from pipeline.recipes.parse import load_recipe
    from pipeline.recipes.text import recipe_text

    one, other = (recipe_text(load_recipe(name)).splitlines() for name in (first, second))
    tell("\n".join(difflib.unified_diff(one, other, first, second, lineterm="", n=1)) or "no difference")


@recipes_app.command("signals", cls=Words)
def list_signals(json: Json = False) -> None:
    """Every signal that a rule may use: what it measures, in which range, and after whom.

    Example: refinery recipes signals
    """
    from filters.catalog import SIGNALS
    from pipeline.steps.signals import STEP_SIGNALS

    rows: list[dict[str, Any]] = [
        {"signal": name, "what": signal.doc, "source": signal.source} for name, signal in sorted(SIGNALS.items())
    ]
    rows += [{"signal": name, "what": about, "source": ""} for name, about in STEP_SIGNALS.items()]
    tell(rows if json else table(rows, ["signal", "what", "source"]))


def verify(
    dataset: Annotated[Path, typer.Argument(help="A dataset's folder, or a run's.")], json: Json = False
) -> None:
    """Whether every file is as it was written, every token in the vocabulary, and the manifest obeys its law. Exit
    code 1 if not.

    Example: refinery verify out/02-extract
    """
    from infra.dataset.manifest import MANIFEST, Kind, check_invariant
    from infra.dataset.reader import Dataset
    from pipeline.stages.tokenize import token_faults

    folders = [dataset] if (dataset / MANIFEST).is_file() else sorted(p.parent for p in dataset.glob(f"*/{MANIFEST}"))
    if not folders:
        raise UsageError(f"{dataset} holds no finished dataset")
    answer = {}
    for folder in folders:
        opened = Dataset(folder)
        check_invariant(opened.manifest)
        tokens = token_faults(opened) if opened.kind is Kind.TOKENS else []
        answer[str(folder)] = opened.verify() + tokens + chain_faults(opened, folders)
    bad = {name: faults for name, faults in answer.items() if faults}
    lines = [f"{name}: {fault}" for name, faults in bad.items() for fault in faults]
    tell(answer if json else "\n".join(lines) or f"{len(folders)} datasets: every file is as it was written")
    if bad:
        raise typer.Exit(1)


def chain_faults(dataset: Any, folders: list[Path]) -> list[str]:
    """Whether the manifest is the one that was written, and its inputs are the manifests beside it."""
    from infra.dataset.manifest import RUN
    from infra.dataset.reader import Dataset
    from infra.storage import read_json

    written = (read_json(dataset.folder / RUN) or {}).get("manifest_sha256")
    faults = []
    if written is not None and written != dataset.refs[0].sha256:
        faults.append("manifest.json: not as it was written")
    beside = {Dataset(folder).manifest.stage: Dataset(folder).refs[0].sha256 for folder in folders}
    strangers = [ref.name for ref in dataset.manifest.inputs if beside.get(ref.name, ref.sha256) != ref.sha256]
    return faults + [f"manifest.json: its input {name} is not the dataset of that stage here" for name in strangers]


def status(folder: Annotated[Path, typer.Argument(help="A run's folder, or a dataset's.")], json: Json = False) -> None:
    """How far a run is.

    Example: refinery status out
    """
    from pipeline.stages.status import status as read_status

    answer = read_status(folder)
    text = table(answer["stages"], ["stage", "state", "parts", "docs", "rejected"])
    tell(answer if json else text + ("\na process is at work on it" if answer["running"] else ""))


def report(
    run: Annotated[list[Path], typer.Option("--run", help="Folders of runs, comparisons, mixtures or trainings.")],
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.")] = Path("report.html"),
    source: Annotated[Path | None, typer.Option("--source", help="Where the archives lie, if they have moved.")] = None,
    json: Json = False,
) -> None:
    """One self-contained HTML file: funnels, what recipes keep of each other, pages by rule, the mixture, loss curves.

    Example: refinery report --run out --out report.html
    """
    from pipeline.report.report import write_report

    with quiet_stdout(json):
        write_report(run, out, source)
    tell({"report": str(out)} if json else str(out))
