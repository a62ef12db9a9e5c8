"""The commands that go over what is there once more: `measure`, `readmit`, `takedown`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import say, tell
from pipeline.cli.options import (
    ByteRate,
    EngineName,
    IdColumn,
    Input,
    Json,
    Limit,
    Models,
    Out,
    Recipe,
    RequestRate,
    Set,
    Source,
    TextColumn,
    UrlColumn,
    Workers,
)
from pipeline.cli.work import chosen, opened, report_damage
from pipeline.text_table import table

SignalNames = Annotated[
    list[str] | None,
    typer.Option("--signals", help="Names of signals; `recipe` for those that the recipe names; all if not given."),
]
RuleNames = Annotated[
    list[str] | None,
    typer.Option("--rule", help="Only what these rules rejected, as STEP/RULE; everything if not given."),
]


def measure(
    recipe: Recipe,
    input: Input,
    out: Out,
    signals: SignalNames = None,
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
    """Measure every signal of every document.

    Makes a dataset of the text that the recipe's rules would judge, with its signals; nothing is dropped.

    Example: refinery measure --recipe yi --input crawl/*.warc.gz --out measured
    """
    from infra.dataset.schema import signal_names
    from pipeline.inputs.columns import Columns
    from pipeline.inputs.inputs import read_inputs
    from pipeline.inputs.places import places_below
    from pipeline.job.context import open_context
    from pipeline.recipes.curves import curve_files, with_curves
    from pipeline.revise.measure import measure as measure_signals
    from pipeline.revise.measure import plan
    from pipeline.snapshots.given import http_limits

    columns = Columns(text_column, id_column, url_column)
    with opened(engine, workers, json, http_limits(requests_per_second, mib_per_second)) as made:
        loaded = chosen(recipe, changes)
        used = {*plan(with_curves(loaded, models), signals or ()).models(), *curve_files(loaded)}
        context = open_context(loaded, made, models, used)
        moved = places_below(source) if source else None
        dataset = measure_signals(context, read_inputs(input, columns), out, signals or (), limit, moved)
        manifest, names = dataset.manifest, signal_names(dataset.schema)
    if json:
        tell({"manifest": str(out / "manifest.json"), "counts": dict(manifest.counts), "signals": names})
    else:
        tell(table([{"step": step, "documents": n} for step, n in sorted(manifest.rejected_by.items())],
                   ["step", "documents"]) if manifest.rejected_by else "every document was read")  # fmt: skip
        say(f"measured {len(names)} signals of {manifest.counts['out']:,} documents: {out}")
    report_damage([manifest])


def readmit(
    ledger: Annotated[Path, typer.Option("--ledger", help="The folder of a stage, or of a whole run.")],
    recipe: Recipe,
    out: Out,
    rule: RuleNames = None,
    ids: Annotated[Path | None, typer.Option("--ids", help="Only these records: a file with one id a line.")] = None,
    source: Source = None,
    engine: EngineName = "local",
    workers: Workers = None,
    models: Models = None,
    changes: Set = None,
    requests_per_second: RequestRate = 20.0,
    mib_per_second: ByteRate = None,
    json: Json = False,
) -> None:
    """Run rejected records through another recipe.

    They are read again at the locators of the ledger, and the result is a run like any other.

    Example: refinery readmit --ledger out/03-filter --rule gopher-quality/min_gopher_words --recipe
    lax.toml --out again
    """
    from pipeline.inputs.places import places_below
    from pipeline.job.context import open_context
    from pipeline.revise.readmit import readmit as readmit_records
    from pipeline.snapshots.given import http_limits

    with opened(engine, workers, json, http_limits(requests_per_second, mib_per_second)) as made:
        moved = places_below(source) if source else None
        context = open_context(chosen(recipe, changes), made, models)
        run, numbers = readmit_records(context, ledger, out, rule or (), ids, moved, say=say)
        summary = run.summary()
    if json:
        tell({**summary, **numbers})
    else:
        tell(table(summary["funnel"], ["stage", "step", "docs", "chars", "tokens"]))
        say(f"read again {numbers['in']:,}: readmitted {numbers['readmitted']:,}, rejected {numbers['rejected']:,}, "
            f"skipped {numbers['skipped']:,}: {summary['result']}")  # fmt: skip
    lost = run.datasets[0].manifest.rejected_by.get("readmit/no_record", 0)
    if lost:
        say(f"{lost:,} records are not where the ledger says; they are in the ledger of {run.datasets[0].folder}")
        raise typer.Exit(1)
    report_damage([dataset.manifest for dataset in run.datasets])


def takedown(
    run: Annotated[Path, typer.Option("--run", help="The folder of a finished run, or of a dataset.")],
    out: Out,
    url_list: Annotated[
        Path | None, typer.Option("--url-list", help="A file with one address, host:NAME or domain:NAME a line.")
    ] = None,
    ids: Annotated[Path | None, typer.Option("--ids", help="A file with one id a line.")] = None,
    engine: EngineName = "local",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Make a run's datasets again without listed documents.

    A receipt proves that they are gone. Entries that met no document are named; exit code 1 if none met any.

    Example: refinery takedown --url-list gone.txt --run out --out out-without
    """
    from pipeline.revise.listed import read_listed
    from pipeline.revise.takedown import takedown as take_down
    from pipeline.revise.takedown import takedown_text, unmatched_text

    with opened(engine, workers, json) as made:
        receipt = take_down(read_listed(url_list, ids), run, out, made)
    tell(receipt if json else takedown_text(receipt, out))
    if warning := unmatched_text(receipt):
        say(warning)
    if not receipt["list"]["matched"]:
        say("nothing was taken down: no entry of the list met any document")
        raise typer.Exit(1)
