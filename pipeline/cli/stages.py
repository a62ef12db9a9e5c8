"""The commands that make datasets: `run`, one for each stage, and `compare`."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.console import duration, quiet_stdout, readable_bytes, say, tell
from pipeline.cli.options import (
    Bucket,
    ByteRate,
    EngineName,
    FileNumber,
    FileShare,
    IdColumn,
    Input,
    InputOrSnapshot,
    Json,
    Kind,
    Limit,
    Models,
    Out,
    Recipe,
    RequestRate,
    Segments,
    Set,
    Snapshots,
    Source,
    StageName,
    TextColumn,
    UrlColumn,
    Workers,
)
from pipeline.cli.work import chosen, opened, report_damage
from pipeline.text_table import table

FUNNEL = ["stage", "step", "docs", "chars", "tokens"]


def run(
    recipe: Recipe,
    out: Out,
    input: InputOrSnapshot = None,
    snapshot: Snapshots = None,
    engine: EngineName = "local",
    workers: Workers = None,
    limit: Limit = None,
    models: Models = None,
    changes: Set = None,
    text_column: TextColumn = "text",
    id_column: IdColumn = "id",
    url_column: UrlColumn = "url",
    kind: Kind = "warc",
    files: FileNumber = None,
    sample: FileShare = None,
    segment: Segments = None,
    source: Bucket = None,
    budget: Annotated[
        float | None, typer.Option("--budget", min=0.0, help="Refuse a run of more core-hours: see `snapshots plan`.")
    ] = None,
    requests_per_second: RequestRate = 20.0,
    mib_per_second: ByteRate = None,
    json: Json = False,
) -> None:
    """Run every stage of a recipe.

    The input is archives, or documents, which skip extraction: of what comes before it the URL rules alone are run.
    Columns of documents that are not ours are kept. Each stage makes a dataset below --out. With --snapshot the files
    of Common Crawl are read where they are, within one rate for all workers.

    Example: refinery run --recipe english --input crawl/*.warc.gz --out out
    """
    from pipeline.inputs.columns import Columns
    from pipeline.snapshots.given import choice_of, given_inputs, http_limits, keep_forecast, within_budget
    from pipeline.snapshots.plan import Means
    from pipeline.stages.audit import audit_text, strictness_text
    from pipeline.stages.counts import kept_text
    from pipeline.stages.run import run_recipe

    limits = http_limits(requests_per_second, mib_per_second)
    choice = choice_of(snapshot or (), kind, files, sample, segment)
    columns, wanted = Columns(text_column, id_column, url_column), chosen(recipe, changes)
    with opened(engine, workers, json, limits) as made:
        given = given_inputs(input or (), choice, source, columns, out)
        means = Means(made.workers, 0.0, limits)
        planned = None if budget is None else within_budget(wanted, given, out, limit, means, budget)
        finished = run_recipe(wanted, given, out, made, limit, models, columns, say=say)
        keep_forecast(out, planned)
        summary = finished.summary()
    if json:
        tell(summary)
    else:
        tell(table(summary["funnel"], FUNNEL))
        for note in summary["ingest_notes"]:
            tell(note)
        if summary["audit"]:
            tell(audit_text(summary["audit"]))
        if summary["strictness"]:
            tell(strictness_text(summary["strictness"]))
        for note in summary["pool_notes"]:
            tell(note)
    try:
        report_damage([dataset.manifest for dataset in finished.datasets])
    finally:
        if not json:
            folder = shlex.quote(str(out))
            say(f"{kept_text(summary['counts'])}: {summary['result']}; next: refinery rejects --run {folder}")


def stage_command(name: str, about: str, example: str) -> Any:
    """The command of one stage: the same function as in `run`, for one dataset. `example`: what follows its name."""

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
        changes: Set = None,
        text_column: TextColumn = "text",
        id_column: IdColumn = "id",
        url_column: UrlColumn = "url",
        requests_per_second: RequestRate = 20.0,
        mib_per_second: ByteRate = None,
        json: Json = False,
    ) -> None:
        from mixers.told import COLUMNS, draw_lines, target_rows
        from pipeline.inputs.columns import Columns
        from pipeline.snapshots.given import http_limits
        from pipeline.stages.counts import ingest_notes
        from pipeline.stages.run import funnel, run_recipe_stage

        columns = Columns(text_column, id_column, url_column)
        with opened(engine, workers, json, http_limits(requests_per_second, mib_per_second)) as made:
            dataset = run_recipe_stage(
                chosen(recipe, changes), name, stage, input, out, made, limit, source, models, columns, say=say
            )
        manifest = dataset.manifest
        rows = funnel([manifest])
        if json:
            answer = {"manifest": str(out / "manifest.json"), "counts": dict(manifest.counts), "funnel": rows}
            tell(answer | ({"mixture": manifest.extra["mixture"]} if "mixture" in manifest.extra else {}))
        else:
            tell(table(rows, FUNNEL))
            for note in ingest_notes(manifest):
                tell(note)
            if "mixture" in manifest.extra:
                tell(table(target_rows(manifest.extra["mixture"]), COLUMNS))
                tell("\n".join(draw_lines(manifest.extra["mixture"])))
            say(f"{name}: {manifest.counts['out']:,} rows in {out}")
        report_damage([manifest])

    command.__name__ = name
    command.__doc__ = f"{about}\n\nExample: refinery {name} {example}"
    return command


ingest = stage_command(
    "ingest",
    "Index the pages of archives.\n\nA record says where a page is and what its headers say; no byte is lost.",
    "--recipe extract --input crawl/*.warc.gz --out records",
)
extract = stage_command(
    "extract",
    "Extract the text of records in a sandbox.\n\nBodies are read at their offsets and decoded.",
    "--recipe extract --input records --out documents",
)
filter = stage_command(
    "filter",
    "Filter documents by labels, rules and edits.\n\nWhat fails is in the ledger with every failing rule.",
    "--recipe language --input documents --out filtered",
)
dedup = stage_command(
    "dedup",
    "Remove copies over the whole pool.\n\nEach removal has its evidence in the ledger.",
    "--recipe minhash --input filtered --out unique",
)
mix = stage_command(
    "mix",
    "Draw a balanced mixture of documents.\n\nA column says how often each is seen in an epoch. Prints the shares "
    "asked for and drawn, and what limits them.",
    "--recipe mixture --input unique curated.jsonl.gz --out mixture",
)
tokenize = stage_command(
    "tokenize",
    "Write documents as shards of tokens.\n\nThe shards are in Megatron-Core's indexed format.",
    "--recipe tokens --models models --input mixture --out tokens",
)


def compare(
    recipe: Annotated[list[str], typer.Option("--recipe", help="Two recipes or more, or one with --set.")],
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
    changes: Set = None,
    text_column: TextColumn = "text",
    id_column: IdColumn = "id",
    url_column: UrlColumn = "url",
    requests_per_second: RequestRate = 20.0,
    mib_per_second: ByteRate = None,
    json: Json = False,
) -> None:
    """Run several recipes on the same input and compare them.

    Prints their funnels, the ratios of what they keep with intervals, and what each keeps that others reject. Stages
    that two recipes share from the start are made once. --set changes the last of them; where one recipe is
    named, it is compared with itself as changed.

    Example: refinery compare --recipe yi falcon ccnet --input crawl/*.warc.gz --out compared
    """
    from pipeline.compare.compare import compare as compare_recipes
    from pipeline.compare.gold import read_gold
    from pipeline.compare.text import compare_text
    from pipeline.inputs.columns import Columns
    from pipeline.inputs.inputs import read_inputs
    from pipeline.recipes.changes import read_changes
    from pipeline.snapshots.given import http_limits

    texts = read_gold(gold, groups, by or (), long_words)
    columns = Columns(text_column, id_column, url_column)
    with opened(engine, workers, json, http_limits(requests_per_second, mib_per_second)) as made:
        given = read_inputs(input, columns)
        changed = read_changes(changes or ())
        answer = compare_recipes(recipe, made, given, out, limit, models, texts, changed, say=say)
    tell(answer if json else compare_text(answer))


def estimate(
    recipe: Recipe,
    input: Input,
    sample: Annotated[int, typer.Option("--sample", min=1, help="How many pages or documents to try.")] = 300,
    workers: Workers = None,
    models: Models = None,
    changes: Set = None,
    text_column: TextColumn = "text",
    id_column: IdColumn = "id",
    url_column: UrlColumn = "url",
    json: Json = False,
) -> None:
    """Estimate time, memory, disk and result of a run.

    Runs the recipe over the first pages of some of the files, in a temporary folder, and writes nothing else.

    Example: refinery estimate --recipe yi --input crawl/*.warc.gz
    """
    from infra.engines.open import cores
    from pipeline.inputs.columns import Columns
    from pipeline.stages.estimate import estimate as run_sample

    columns = Columns(text_column, id_column, url_column)
    with quiet_stdout(json):
        answer = run_sample(chosen(recipe, changes), input, workers or cores(), sample, models, columns)
    tell(answer if json else estimate_text(answer))


def estimate_text(answer: dict[str, Any]) -> str:
    given, tried, kept = answer["input"], answer["sample"], answer["kept"]
    low, high = (f"{share:.1%}" for share in kept["interval"])
    time, cpu = duration(answer["seconds"]), duration(answer["cpu_seconds"])
    rows = [
        ("input", f"{given['files']:,} files, {readable_bytes(given['bytes'])}, about {answer['pages']:,} pages"),
        ("sample", f"{tried['pages']:,} pages of {tried['files']} files, {tried['share']:.2%} of the bytes"),
        ("time", f"{time} with {answer['workers']} workers, {cpu} of CPU time"),
        ("memory", readable_bytes(answer["memory_bytes"])),
        ("disk", f"{readable_bytes(answer['disk_bytes'])} below --out"),
        ("kept", f"at most about {kept['docs']:,} documents, {kept['share']:.1%} (95 % interval {low} to {high})"),
    ]
    return "\n".join(f"{name:<8}{text}" for name, text in rows)
