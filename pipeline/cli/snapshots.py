"""`snapshots`: which crawls there are, and the files of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.command import Command, group
from pipeline.cli.console import quiet_stdout, readable_bytes, say, show, tell
from pipeline.cli.options import (
    Bucket,
    ByteRate,
    FileNumber,
    FileShare,
    Json,
    Kind,
    Recipe,
    Refresh,
    RequestRate,
    Segments,
    Set,
    Snapshots,
)
from pipeline.cli.work import chosen
from pipeline.snapshots.choice import WARC
from pipeline.text_table import table

if TYPE_CHECKING:
    from infra.http.limits import HttpLimits

# Seconds of nothing but failures after which a command that only looks something up ends.
LOOKUP_PATIENCE = 60.0

snapshots_app = group("Find the crawls of Common Crawl and their files.\n\nExample: refinery snapshots list")


@contextmanager
def within(limits: "HttpLimits", json: bool) -> Iterator[None]:
    """The budget of a command without an engine, for which a person waits: it gives up sooner than a run."""
    from infra.http.budget import serve_budget

    with quiet_stdout(json), serve_budget(replace(limits, patience=LOOKUP_PATIENCE), say):
        yield


@snapshots_app.command("list", cls=Command)
def list_snapshots(
    snapshots: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Only these; or all.", show_default="all")
    ] = None,
    source: Bucket = None,
    refresh: Refresh = False,
    requests_per_second: RequestRate = 20.0,
    json: Json = False,
) -> None:
    """List the snapshots and how many files each has.

    All crawls are listed, those of 2008 to 2012 too, which are ARC files. The lists of files are fetched once, some 100
    MB in all, and kept in the user's cache, or in REFINERY_SNAPSHOTS, a folder or s3://bucket/folder.

    Example: refinery snapshots list CC-MAIN-2024-51
    """
    from pipeline.snapshots.choose import named
    from pipeline.snapshots.crawls import KINDS, coverage
    from pipeline.snapshots.given import crawls_of, http_limits

    with within(http_limits(requests_per_second), json):
        crawls = crawls_of(source, refresh)
        found = coverage(crawls, named(crawls, snapshots or ()))
    if json:
        tell(found.rows)
    elif found.rows:
        shown = [{name: value or "-" for name, value in row.items()} for row in found.rows]
        show(table(shown, ["snapshot", *KINDS]))
    found.check()


@snapshots_app.command("keep", cls=Command)
def keep_names(
    snapshot: Annotated[str, typer.Argument(metavar="ID", help="A crawl of 2008 to 2012.")],
    names: Annotated[Path, typer.Option("--names", help="A list of its files, one a line.")],
    source: Bucket = None,
    json: Json = False,
) -> None:
    """Keep a list of ARC files that the source does not give.

    The crawls of 2008 to 2012 have no path files, and Common Crawl's bucket is listed for those with credentials alone.
    Lines may be names, addresses, or what `aws s3 ls --recursive` prints. The list is kept in the user's cache, or in
    REFINERY_SNAPSHOTS.

    Example: refinery snapshots keep CC-MAIN-2009-2010 --names arc-files.txt
    """
    from pipeline.snapshots.given import crawls_of, read_list

    kept = crawls_of(source).keep_names(snapshot, read_list(names))
    tell({"snapshot": snapshot, "files": len(kept)} if json else f"kept: {len(kept):,} files of {snapshot}")


@snapshots_app.command("files", cls=Command)
def list_files(
    snapshots: Annotated[list[str], typer.Argument(metavar="ID...", help="Snapshots, or all.")],
    kind: Kind = "warc",
    files: FileNumber = None,
    sample: FileShare = None,
    segment: Segments = None,
    source: Bucket = None,
    refresh: Refresh = False,
    requests_per_second: RequestRate = 20.0,
    json: Json = False,
) -> None:
    """List the files of a snapshot, or a sample of them.

    A sample is drawn by a hash of the names: it is the same everywhere, and a larger one contains it.

    Example: refinery snapshots files CC-MAIN-2024-51 --files 8
    """
    from dataclasses import asdict

    from pipeline.snapshots.choose import chosen_files
    from pipeline.snapshots.given import choice_of, crawls_of, http_limits

    choice = choice_of(snapshots, kind, files, sample, segment)
    with within(http_limits(requests_per_second), json):
        found = chosen_files(crawls_of(source, refresh), choice)
    if json:
        tell([asdict(file) for file in found])
    else:
        tell("\n".join(file.url for file in found), as_it_is=True)


@snapshots_app.command("plan", cls=Command)
def plan_run(
    snapshot: Snapshots,
    recipe: Recipe,
    probe: Annotated[
        Path | None,
        typer.Option("--probe", help="A run of the recipe over some files.", show_default="the last one"),
    ] = None,
    cores: Annotated[int, typer.Option("--cores", min=1, help="How many there are to run on.")] = 64,
    price: Annotated[float, typer.Option("--price", min=0.0, help="Of one core for an hour.")] = 0.04,
    changes: Set = None,
    kind: Kind = "warc",
    files: FileNumber = None,
    sample: FileShare = None,
    segment: Segments = None,
    source: Bucket = None,
    requests_per_second: RequestRate = 20.0,
    mib_per_second: ByteRate = None,
    json: Json = False,
) -> None:
    """Plan a run over snapshots.

    Prints core-hours, hours, disk, memory, requests and price of each stage. Numbers are what the probe took, times the
    files of the plan, over the files of the probe; what each process loads is counted apart. What a probe took is kept
    for the next plan of its recipe.

    Example: refinery snapshots plan --snapshot CC-MAIN-2024-51 --recipe extract --probe probe
    """
    from pipeline.snapshots.choose import chosen_names
    from pipeline.snapshots.given import choice_of, crawls_of, http_limits, probe_of
    from pipeline.snapshots.plan import Means, plan

    limits = http_limits(requests_per_second, mib_per_second)
    choice = choice_of(snapshot or (), kind, files, sample, segment)
    with within(limits, json):
        cost = probe_of(chosen(recipe, changes), probe)
        counts = [len(names) for _, names in chosen_names(crawls_of(source), choice)]
        made = plan(cost, len(counts), sum(counts), Means(cores, price, limits))
    if choice.kind != WARC:
        say(f"the plan is right if the probe read {choice.kind} files too: it does not know")
    tell(made if json else plan_text(made))


def plan_text(made: dict[str, Any]) -> str:
    shown = ["stage", "read", "disk", "core-hours", "hours", "memory", "requests", "price"]

    def row(name: str, of: dict[str, Any], read: int) -> dict[str, Any]:
        return {
            "stage": name,
            "read": readable_bytes(read),
            "disk": readable_bytes(of["disk_bytes"]),
            "core-hours": readable(of["core_hours"]),
            "hours": readable(of["hours"]),
            "memory": readable_bytes(of["memory_bytes"]),
            "requests": of["requests"],
            "price": readable(of["price"]),
        }

    rows = [row(each["stage"], each, each["bytes_read"]) for each in made["stages"]]
    rows.append(row("all", made["total"], made["bytes"]))
    probe, cores = made["probe"], made["cores"]
    whole = "1 snapshot" if made["snapshots"] == 1 else f"{made['snapshots']:,} snapshots"
    return (
        f"{made['files']:,} files of {whole}, {readable_bytes(made['bytes'])}; {cores} "
        f"cores\n\n{table(rows, shown)}\n\nmemory is that of a worker, and in all of {cores} workers; the probe "
        f"of {probe['taken']} read {probe['files']} files, {readable_bytes(probe['bytes'])}"
    )


def readable(number: float) -> str:
    """`12,345`, `12.3`, `0.00123`: three digits at least."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
