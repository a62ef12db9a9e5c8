"""The commands that hand the result of a run on: `export`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.command import Command
from pipeline.cli.console import say, tell
from pipeline.cli.options import Json

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


def add_to(app: typer.Typer) -> None:
    app.command("export", cls=Command)(export)


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

    Example: refinery export --run out --columns text,url,signals.words --out result.jsonl.gz
    """
    from pipeline.export.export import STDOUT
    from pipeline.export.export import export as export_documents

    made = export_documents(run, out, format, columns or (), limit, separator)
    if out == STDOUT:
        return
    if json:
        tell(made)
    else:
        say(f"{made['documents']:,} documents: {out}")
