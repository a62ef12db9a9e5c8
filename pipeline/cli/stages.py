"""The commands that make datasets: `run`, one for each stage, and `compare`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.command import Command
from pipeline.cli.console import say, tell
from pipeline.cli.options import EngineName, Input, Json, Limit, Models, Out, Recipe, Source, StageName, Workers
from pipeline.cli.work import opened, report_damage
from pipeline.text_table import table

FUNNEL = ["stage", "step", "docs", "chars", "tokens"]
# command: (its help, the rest of its example)
STAGE_HELP = {
    "ingest": (
        "Index the pages of archives.\n\nA record says where a page is and what its headers say; no byte is lost.",
        "--input crawl/*.warc.gz --out out/records",
    ),
    "extract": (
        "Extract the text of records in a sandbox.\n\nBodies are read at their offsets and decoded.",
        "--input out/records --out out/documents",
    ),
    "filter": (
        "Filter documents by labels, rules and edits.\n\nWhat fails is in the ledger with every failing rule.",
        "--input out/documents --out out/filtered",
    ),
    "dedup": (
        "Remove copies over the whole pool.\n\nEach removal has its evidence in the ledger.",
        "--input out/filtered --out out/unique",
    ),
    "mix": (
        "Draw a balanced mixture of documents.\n\nA column says how often each is seen in an epoch.",
        "--input out/unique curated.jsonl.gz --out out/mixture",
    ),
    "tokenize": (
        "Write documents as shards of tokens.\n\nThe shards are in Megatron-Core's indexed format.",
        "--input out/mixture --out out/tokens",
    ),
}


def add_to(app: typer.Typer) -> None:
    app.command("run", cls=Command)(run)
    for name, (about, example) in STAGE_HELP.items():
        recipe = {"mix": "mixture", "tokenize": "tokens"}.get(name, "yi")
        stage_help = f"{about}\n\nExample: refinery {name} --recipe {recipe} {example}"
        app.command(name, cls=Command, help=stage_help)(stage_command(name))
    app.command("compare", cls=Command)(compare)


def run(
    recipe: Recipe,
    input: Input,
    out: Out,
    engine: EngineName = "local",
    workers: Workers = None,
    limit: Limit = None,
    models: Models = None,
    json: Json = False,
) -> None:
    """Run every stage of a recipe.

    The input is archives, or documents, which skip the stages up to extraction. Each stage makes a dataset below --out.

    Example: refinery run --recipe yi --input crawl/*.warc.gz --out out
    """
    from pipeline.stages.audit import audit_text
    from pipeline.stages.run import run_recipe

    with opened(engine, workers, json) as made:
        finished = run_recipe(recipe, input, out, made, limit, models)
        summary = finished.summary()
    if json:
        tell(summary)
    else:
        tell(table(summary["funnel"], FUNNEL))
        if summary["audit"]:
            tell(audit_text(summary["audit"]))
        say(f"kept {summary['counts']['out']:,} documents: {summary['manifest']}")
    report_damage([dataset.manifest for dataset in finished.datasets])


def stage_command(name: str) -> Any:
    """The command of one stage: the same function as in `run`, for one dataset."""

    def command(
        recipe: Recipe,
        input: Input,
        out: Out,
        stage: StageName = None,
        engine: EngineName = "local",
        workers: Workers = None,
        limit: Limit = None,
        source: Source = None,
        models: Models = None,
        json: Json = False,
    ) -> None:
        from pipeline.stages.run import funnel, run_recipe_stage

        with opened(engine, workers, json) as made:
            manifest = run_recipe_stage(recipe, name, stage, input, out, made, limit, source, models).manifest
        rows = funnel([manifest])
        if json:
            tell({"manifest": str(out / "manifest.json"), "counts": dict(manifest.counts), "funnel": rows})
        else:
            tell(table(rows, FUNNEL))
            say(f"{name}: {manifest.counts['out']:,} rows in {out}")
        report_damage([manifest])

    command.__name__ = name
    return command


def compare(
    recipe: Annotated[list[str], typer.Option("--recipe", help="Two recipes or more.")],
    input: Input,
    out: Out,
    engine: EngineName = "local",
    workers: Workers = None,
    limit: Limit = None,
    models: Models = None,
    gold: Annotated[
        Path | None, typer.Option("--gold", help="True texts of pages: JSON lines with url or id, and text.")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option("--groups", help="With --gold: JSON lines with url or id, and what to group by.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="A field of --groups to group by (type and lang unless given).")
    ] = None,
    long_words: Annotated[int, typer.Option("--long-words", min=1, help="How many words make a true text long.")] = 200,
    json: Json = False,
) -> None:
    """Run several recipes on the same input and compare them.

    Prints their funnels, the ratios of what they keep with intervals, and what each keeps that others reject. Stages
    that two recipes share from the start are made once.

    Example: refinery compare --recipe yi falcon ccnet --input crawl/*.warc.gz --out out
    """
    from pipeline.compare.compare import compare as compare_recipes
    from pipeline.compare.gold import read_gold
    from pipeline.compare.text import compare_text
    from pipeline.inputs.inputs import read_inputs

    texts = read_gold(gold, groups, by or (), long_words)
    with opened(engine, workers, json) as made:
        answer = compare_recipes(recipe, made, read_inputs(input), out, limit, models, texts)
    tell(answer if json else compare_text(answer))
