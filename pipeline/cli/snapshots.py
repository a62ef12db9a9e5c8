"""`snapshots`: which crawls there are, and the files of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.command import Command, Commands
from pipeline.cli.console import quiet_stdout, say, show, tell
from pipeline.cli.options import Json
from pipeline.text_table import table

if TYPE_CHECKING:
    from pipeline.snapshots.crawls import Crawls

COMMON_CRAWL = "https://data.commoncrawl.org"

snapshots_app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Find the crawls of Common Crawl and their files.\n\nExample: refinery snapshots list",
)

Bucket = Annotated[
    str, typer.Option("--source", metavar="URL", help="Where the bucket is: an address, or a folder laid out like it.")
]
Refresh = Annotated[bool, typer.Option("--refresh", help="Fetch lists of files again that are in the user's cache.")]
RequestRate = Annotated[
    float, typer.Option("--requests-per-second", min=0.01, help="The most of the whole run, on all machines.")
]
ByteRate = Annotated[
    float | None,
    typer.Option("--mib-per-second", min=0.001, help="The most of the whole run.", show_default="no limit"),
]
Kind = Annotated[
    str, typer.Option("--kind", help="warc, wet, wat, robots or arc; for an ARC crawl, warc is its pages.")
]
Files = Annotated[int | None, typer.Option("--files", min=1, help="So many files of each snapshot, drawn by a hash.")]
Sample = Annotated[
    str | None, typer.Option("--sample", metavar="SHARE", help="A share of the files of each snapshot: 0.1%.")
]
Segment = Annotated[list[str] | None, typer.Option("--segment", help="Only files of this segment; may be repeated.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(snapshots_app, name="snapshots")


@contextmanager
def asked(source: str, refresh: bool, requests_per_second: float, mib_per_second: float | None) -> "Iterator[Crawls]":
    """The snapshots of a source, asked within one budget for this process and all that it starts."""
    from infra.http.budget import serve_budget
    from infra.http.limits import HttpLimits
    from pipeline.snapshots.cache import PathFiles, snapshot_cache
    from pipeline.snapshots.crawls import Crawls
    from pipeline.snapshots.source import open_source

    limits = HttpLimits(requests_per_second, mib_per_second and mib_per_second * 2**20)
    with serve_budget(limits, say):
        yield Crawls(open_source(source), PathFiles(snapshot_cache(), refresh))


@snapshots_app.command("list", cls=Command)
def list_snapshots(
    snapshots: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Only these.", show_default="all")
    ] = None,
    source: Bucket = COMMON_CRAWL,
    refresh: Refresh = False,
    requests_per_second: RequestRate = 20.0,
    json: Json = False,
) -> None:
    """List the snapshots and how many files each has.

    All crawls are listed, those of 2008 to 2012 too, which are ARC files. The first time each list of files is fetched,
    which takes a few minutes; they are kept in the user's cache.

    Example: refinery snapshots list CC-MAIN-2024-51
    """
    from pipeline.snapshots.crawls import KINDS, coverage

    with quiet_stdout(json), asked(source, refresh, requests_per_second, None) as crawls:
        rows = coverage(crawls, snapshots or crawls.ids())
    if json:
        tell(rows)
    else:
        shown = [{name: value or "-" for name, value in row.items()} for row in rows]
        show(table(shown, ["snapshot", *KINDS]))


@snapshots_app.command("files", cls=Command)
def list_files(
    snapshots: Annotated[list[str], typer.Argument(metavar="ID...", help="Snapshots, or all.")],
    kind: Kind = "warc",
    files: Files = None,
    sample: Sample = None,
    segment: Segment = None,
    source: Bucket = COMMON_CRAWL,
    refresh: Refresh = False,
    requests_per_second: RequestRate = 20.0,
    json: Json = False,
) -> None:
    """List the files of a snapshot, or a sample of them.

    A sample is drawn by a hash of the names: it is the same everywhere, and a larger one contains it.

    Example: refinery snapshots files CC-MAIN-2024-51 --files 8
    """
    from dataclasses import asdict

    from pipeline.snapshots.choose import Choice, chosen_files, read_share

    choice = Choice(tuple(snapshots), kind, files, read_share(sample), tuple(segment or ()))
    with quiet_stdout(json), asked(source, refresh, requests_per_second, None) as crawls:
        found = chosen_files(crawls, choice)
    if json:
        tell([asdict(file) for file in found])
    else:
        tell("\n".join(file.url for file in found), as_it_is=True)
