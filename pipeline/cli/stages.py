"""The verbs that make datasets: `run`, one for each stage, and `compare`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.command import Words
from pipeline.cli.console import say, tell
from pipeline.cli.options import (
    EngineName,
    InputWords,
    Json,
    Limit,
    Models,
    Out,
    RecipeName,
    SourceRoot,
    StageName,
    Workers,
    opened,
    report_damage,
)
from pipeline.text_table import table

STAGE_HELP = {
    "ingest": (
        "Archives to records: what is where, by splits; every byte accounted for.",
        "--input crawl/*.warc.gz --out out/records",
    ),
    "extract": (
        "Records to documents: bodies read at their offsets, decoded, and turned into text in a sandbox.",
        "--input out/records --out out/documents",
    ),
    "filter": (
        "Documents through labels, rules and edits; what fails is in the ledger with every failing rule.",
        "--input out/documents --out out/filtered",
    ),
    "dedup": (
        "Remove copies over the whole pool, with evidence for each removal.",
        "--input out/filtered --out out/unique",
    ),
    "mix": (
        "A balanced draw over documents: how often each is seen in an epoch.",
        "--input out/unique curated.jsonl.gz --out out/mixture",
    ),
    "tokenize": (
        "Documents to token shards in Megatron-Core's indexed format.",
        "--input out/mixture --out out/tokens",
    ),
}


def add_to(app: typer.Typer) -> None:
    app.command("run", cls=Words)(run)
    for verb, (about, example) in STAGE_HELP.items():
        app.command(verb, cls=Words, help=f"{about}\n\nExample: refinery {verb} --recipe yi {example}")(
            stage_command(verb)
        )
    app.command("compare", cls=Words)(compare)


def run(
    recipe: RecipeName,
    input: InputWords,
    out: Out,
    engine: EngineName = "local",
    workers: Workers = 1,
    limit: Limit = None,
    models: Models = None,
    json: Json = False,
) -> None:
    """All stages of a recipe over archives or documents, each a dataset below --out.

    Example: refinery run --recipe yi --input crawl/*.warc.gz --out out --workers 2
    """
    from pipeline.inputs.inputs import read_inputs
    from pipeline.job.context import open_context
    from pipeline.stages.audit import audit_text
    from pipeline.stages.run import run as run_recipe

    with opened(engine, workers, json) as made:
        finished = run_recipe(open_context(recipe, made, models), read_inputs(input), out, limit)
        summary = finished.summary()
    if json:
        tell(summary)
    else:
        tell(table(summary["funnel"], ["stage", "step", "docs", "chars", "tokens"]))
        if summary["control"]:
            tell(audit_text(summary["control"]))
        say(f"kept {summary['counts']['out']:,} documents: {summary['manifest']}")
    report_damage([dataset.manifest for dataset in finished.datasets])


def stage_command(verb: str) -> Any:
    """The command of one stage: the same function as in `run`, for one dataset."""

    def command(
        recipe: RecipeName,
        input: InputWords,
        out: Out,
        stage: StageName = None,
        engine: EngineName = "local",
        workers: Workers = 1,
        limit: Limit = None,
        source: SourceRoot = None,
        models: Models = None,
        json: Json = False,
    ) -> None:
        from pipeline.inputs.inputs import read_inputs
        from pipeline.job.context import open_context
        from pipeline.stages.run import funnel, limit_param
        from pipeline.stages.stages import first_source, places_below, run_stage

        with opened(engine, workers, json) as made:
            context = open_context(recipe, made, models, **limit_param(limit))
            chosen = context.recipe.stage(verb, stage)
            inputs = first_source(read_inputs(input), chosen, limit)
            dataset = run_stage(context, chosen, inputs, out, places_below(source) if source else None)
            manifest = dataset.manifest
        rows = funnel([manifest])
        if json:
            tell({"manifest": str(out / "manifest.json"), "counts": dict(manifest.counts), "funnel": rows})
        else:
            tell(table(rows, ["stage", "step", "docs", "chars", "tokens"]))
            say(f"{verb}: {manifest.counts['out']:,} rows in {out}")
        report_damage([manifest])

    command.__name__ = verb
    return command


def compare(
    recipe: Annotated[list[str], typer.Option("--recipe", help="Two recipes or more.")],
    input: InputWords,
    out: Out,
    engine: EngineName = "local",
    workers: Workers = 1,
    limit: Limit = None,
    models: Models = None,
    gold: Annotated[
        Path | None, typer.Option("--gold", help="True texts of pages: JSON lines with url or id, and text.")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option("--groups", help="With --gold: JSON lines with url or id, and what to group by.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="A word of --groups to group by (type and lang unless given).")
    ] = None,
    long_words: Annotated[int, typer.Option("--long-words", min=1, help="How many words make a true text long.")] = 200,
    json: Json = False,
) -> None:
    """The same input through several recipes: funnels, ratios with intervals, what each keeps that others reject.

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
