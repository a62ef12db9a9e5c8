"""The commands about the result of a run: `export` hands on what was kept, `rejects` shows what was not."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import may_be_left, quiet_stdout, say, show, tell, tell_lines, width
from pipeline.cli.options import Json, Run, Source

Documents = Annotated[Path, typer.Option("--run", help="The folder of a finished run, or of a dataset.")]
Format = Annotated[
    str | None,
    typer.Option("--format", help="jsonl, jsonl.gz, jsonl.zst, parquet, text, text.gz or text.zst; else by the name."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", help="Names, with commas between; signals.NAME for a signal.", show_default="all"),
]
ExportOut = Annotated[
    str, typer.Option("--out", help="A file; a folder, which gets a file for each shard; or - for stdout.")
]
Separator = Annotated[
    str, typer.Option("--separator", help="In a text, the line between two documents.", show_default="an empty line")
]


def export(
    run: Documents,
    out: ExportOut,
    format: Format = None,
    columns: Columns = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N documents.")] = None,
    separator: Separator = "",
    json: Json = False,
) -> None:
    """Write the documents of a run as JSONL, Parquet or text.

    Columns that came with the input are written too. With --out FOLDER and --format, each shard is a file of its own.

    Example: refinery export --run out --columns text,url --out result.jsonl.gz
    """
    from pipeline.export.export import STDOUT
    from pipeline.export.export import export as export_documents

    with may_be_left():
        made = export_documents(run, out, format, columns or (), limit, separator)
    if out == STDOUT:
        return
    if json:
        tell(made)
    else:
        say(f"{made['documents']:,} documents: {out}")


def rejects(
    run: Run,
    rule: Annotated[
        str | None, typer.Option("--rule", help="STEP/RULE, as listed.", show_default="list the rules")
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="Only this stage.")] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many documents.")] = 50,
    near: Annotated[bool, typer.Option("--near", help="Those nearest to the threshold, not a spread.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Another number gives other documents.")] = 0,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, not their beginnings.")] = False,
    source: Source = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines on stdout, with whole texts.")] = False,
) -> None:
    """Show what was rejected, and by which rules.

    Without --rule it lists the rules. With one it shows documents, spread from its threshold to the farthest value: the
    value beside the threshold, of a copy the survivor, and the text, which is extracted again if it must be. What is
    longer than the screen goes through a pager (PAGER, or NO_PAGER=1 for none). To see every step of these documents,
    pipe --json into `refinery explain --run out --from -`.

    Example: refinery rejects --run out
    """
    from pipeline.explain.rejects import RejectSampling, rules_of
    from pipeline.explain.rejects import rejects as rejected_documents
    from pipeline.explain.rejects_text import rejects_text, rules_text

    if rule is None:
        rows = rules_of(run, stage)
        if json:
            tell_lines(rows)
        else:
            show(rules_text(rows, width()))
        return
    with quiet_stdout(json):
        found, faults = rejected_documents(run, rule, stage, RejectSampling(n, seed, near), source)
    if json:
        tell_lines(found)
    else:
        documents = sum(row["documents"] for row in rules_of(run, stage) if row["rule"] == rule)
        show(rejects_text(found, documents, full, width()))
    for fault in faults:
        say(f"texts are missing: {fault}")
