"""The options that several commands have, each defined once."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Models = Annotated[
    str | None, typer.Option("--models", help="The model folder (else REFINERY_MODELS, else the user's cache).")
]
Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="Where the archives are now: their folder, the address of an archive or of a bucket, or a file with one "
        "archive's address a line.",
    ),
]

# Commands that make datasets
Recipe = Annotated[
    str, typer.Option("--recipe", help="A recipe by its name (`refinery recipes list`), or a .toml file.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change the recipe, say filter.gopher-quality.gopher_words.min=100; may be repeated. "
        "`refinery recipes show RECIPE --paths` lists what can be set.",
    ),
]
Input = Annotated[
    list[str],
    typer.Option(
        "--input",
        help="Files, folders or patterns: WARC, WET, ARC (or their http(s) addresses), Parquet, JSONL, or a dataset's "
        "folder.",
    ),
]
InputOrSnapshot = Annotated[
    list[str] | None,
    typer.Option("--input", help="Files, folders or patterns: WARC, WET, ARC, Parquet, JSONL, or a dataset's folder."),
]
Out = Annotated[Path, typer.Option("--out", help="The folder to make.")]
StageName = Annotated[
    str | None, typer.Option("--stage", help="Which stage, where the recipe has several of this command.")
]
EngineName = Annotated[
    str, typer.Option("--engine", help="local, ray or beam; its own options follow --, say -- --address=HOST:6379.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", help="Processes at once; the result does not depend on it.", show_default="the machine's cores"
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N pages or documents.")]

TextColumn = Annotated[
    str, typer.Option("--text-column", metavar="NAME", help="The texts' column in Parquet and JSONL files.")
]
IdColumn = Annotated[str, typer.Option("--id-column", metavar="NAME", help="The column of their ids.")]
UrlColumn = Annotated[str, typer.Option("--url-column", metavar="NAME", help="The column of their addresses.")]

# Commands that read runs
Run = Annotated[Path, typer.Option("--run", help="The folder of a finished run.")]
RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="Name or file.")]

# Commands that fit models
Positive = Annotated[list[Path], typer.Option("--positive", help="Texts: files, folders, or datasets of ours.")]
Negative = Annotated[list[Path], typer.Option("--negative", help="Texts of the other kind.")]
Reference = Annotated[
    list[Path] | None,
    typer.Option(
        "--reference", help="Texts of kinds that must be kept: further positives that the held-out score leaves out."
    ),
]
Language = Annotated[str, typer.Option("--language", help="Of the texts: en, zh, ...")]
Model = Annotated[Path, typer.Option("--out", help="Where the model is put; a card is written beside it.")]

# Commands that read snapshots
Snapshots = Annotated[
    list[str] | None, typer.Option("--snapshot", metavar="ID", help="A crawl, or all of them; may be repeated.")
]
Bucket = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="URL",
        help="Where the snapshots are: an address, or a folder laid out like the bucket.",
        show_default="REFINERY_SOURCE, else https://data.commoncrawl.org",
    ),
]
Refresh = Annotated[bool, typer.Option("--refresh", help="Fetch lists of files again that are in the user's cache.")]
RequestRate = Annotated[
    float,
    typer.Option("--requests-per-second", min=0.01, help="The most that a source is asked, by all workers together."),
]
ByteRate = Annotated[
    float | None,
    typer.Option("--mib-per-second", min=0.001, help="The most that is fetched.", show_default="no limit"),
]
Kind = Annotated[str, typer.Option("--kind", help="warc, wet, wat, robots or arc; of an ARC crawl, warc is its pages.")]
FileNumber = Annotated[int | None, typer.Option("--files", min=1, help="So many files of each, drawn by a hash.")]
FileShare = Annotated[str | None, typer.Option("--sample", metavar="SHARE", help="A share of the files: 0.1%.")]
Segments = Annotated[
    list[str] | None, typer.Option("--segment", metavar="NAME", help="Only files of this segment; may be repeated.")
]
