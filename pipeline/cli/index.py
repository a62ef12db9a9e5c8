"""`index`: snapshots that are compared with all that came before them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.command import Command, group
from pipeline.cli.console import say, tell
from pipeline.cli.options import EngineName, Json, Workers
from pipeline.cli.work import opened
from pipeline.text_table import table

index_app = group("Find duplicates across snapshots, by an index.\n\nExample: refinery index report index")

IndexFolder = Annotated[Path, typer.Argument(metavar="INDEX", help="The folder of the index.")]


@index_app.command("add", cls=Command)
def add(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="The folder of the index; made if it is not there.")],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset of documents, or a run.")],
    name: Annotated[
        str | None, typer.Option("--snapshot", help="Of the snapshot.", show_default="the crawl of its first document")
    ] = None,
    policy: Annotated[
        str,
        typer.Option("--policy", help="What removes a document: within (its snapshot), older (those too), or copies."),
    ] = "older",
    copies: Annotated[
        int, typer.Option("--copies", min=1, help="With --policy copies: the snapshots that a kept document is in.")
    ] = 2,
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder for what is kept.", show_default="only the index")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Of a new index: the least similarity.", show_default="0.8")
    ] = None,
    bands: Annotated[
        int | None, typer.Option("--bands", help="Of a new index: bands of a signature.", show_default="14")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", help="Of a new index: values of a band.", show_default="8")
    ] = None,
    ngram: Annotated[
        int | None, typer.Option("--ngram", help="Of a new index: words of a shingle.", show_default="5")
    ] = None,
    engine: EngineName = "local",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Add a snapshot, and keep of it what no older one has.

    Each removal is verified and has its survivor in the ledger of --out. The order of adding decides which document of
    a group is kept, not what the groups are.

    Example: refinery index add index unique --snapshot 2024-51 --out new
    """
    from dedup.index.decide import Keeping
    from pipeline.index.add import add as add_snapshot
    from pipeline.index.add import documents_in
    from pipeline.index.report import report_of

    named = {"threshold": threshold, "bands": bands, "rows": rows, "ngram": ngram}
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    choice = Keeping(policy, copies)  # type: ignore[arg-type]
    with opened(engine, workers, json) as made:
        added = add_snapshot(index, documents_in(dataset), made, name, choice, out, given)
    row = next(each for each in report_of(added.index)["snapshots"] if each["snapshot"] == added.snapshot.name)
    if json:
        tell({**row, "new": added.new})
        return
    tell(table([row], ["snapshot", "policy", "documents", "within", "older", "few_copies", "kept", "kept_tokens"]))
    if not added.new:
        say(f"{added.snapshot.name} was in {index} already, with the same documents: nothing to do")
    elif out is not None:
        say(f"{row['kept']:,} of {row['documents']:,} documents: {out}")


@index_app.command("list", cls=Command)
def list_snapshots(index: IndexFolder, json: Json = False) -> None:
    """List the snapshots of an index, and its runs.

    Example: refinery index list index
    """
    from pipeline.index.manifest import read_index

    found = read_index(index)
    if json:
        tell(found.as_dict())
        return
    snapshots = [
        {
            "snapshot": each.name,
            "policy": each.policy,
            "documents": each.counts["documents"],
            "source": each.source[:12],
        }
        for each in found.snapshots
    ]
    runs = [{"run": run.name, "level": run.level, "rows": run.rows, "bytes": run.bytes} for run in found.runs]
    tell(table(snapshots, ["snapshot", "policy", "documents", "source"]))
    tell(f"\n{table(runs, ['run', 'level', 'rows', 'bytes'])}")


@index_app.command("report", cls=Command)
def report(index: IndexFolder, json: Json = False) -> None:
    """Show what each snapshot added to those before it.

    That is its marginal yield: the documents and tokens that were kept of it, beside its duplicates.

    Example: refinery index report index
    """
    from pipeline.index.manifest import read_index
    from pipeline.index.report import report_of, report_text

    found = report_of(read_index(index))
    tell(found if json else report_text(found))


@index_app.command("groups", cls=Command)
def groups(
    index: IndexFolder,
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
    engine: EngineName = "local",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Write which documents are near-duplicates of each other.

    They are the same whatever the order of adding. The table has a row for each document, sorted by its group.

    Example: refinery index groups index --out groups
    """
    from pipeline.index.groups import make_groups
    from pipeline.index.manifest import read_index

    with opened(engine, workers, json) as made:
        dataset = make_groups(read_index(index), out, made)
    rows = dataset.manifest.shards.sums.rows
    if json:
        tell({"manifest": str(out / "manifest.json"), "documents": rows})
    else:
        say(f"{rows:,} documents that have duplicates: {out}")


@index_app.command("remove", cls=Command)
def remove(
    index: IndexFolder,
    snapshot: Annotated[str | None, typer.Option("--snapshot", help="The snapshot to remove.")] = None,
    url_list: Annotated[
        Path | None, typer.Option("--url-list", help="Documents to take down: a file with one address a line.")
    ] = None,
    ids: Annotated[
        Path | None, typer.Option("--ids", help="Documents to take down: a file with one id a line.")
    ] = None,
    json: Json = False,
) -> None:
    """Remove a snapshot, or take documents down.

    They count no more. Their rows stay in the runs until these are merged, which `refinery index merge` does at once.

    Example: refinery index remove index --snapshot 2024-51
    """
    from infra.errors import UsageError
    from pipeline.index.remove import remove_snapshot, take_down
    from pipeline.revise.listed import read_listed

    if (snapshot is None) == (url_list is None and ids is None):
        raise UsageError("say what to remove: --snapshot SNAPSHOT; or --ids FILE, --url-list FILE, or both")
    if snapshot is not None:
        left = remove_snapshot(index, snapshot)
        tell(
            {"removed": snapshot, "snapshots": [each.name for each in left.snapshots]}
            if json
            else f"{snapshot} is removed"
        )
        return
    listed = read_listed(url_list, ids)
    if hosts := sorted({*listed.hosts, *listed.domains}):
        raise UsageError(f"an index has hashes of whole addresses: list those of {hosts[0]}, not host: or domain:")
    count = take_down(index, listed.urls, listed.ids)
    tell({"documents": count} if json else f"{count:,} documents are taken down")
    if not count:
        raise typer.Exit(1)


@index_app.command("merge", cls=Command)
def merge(index: IndexFolder, engine: EngineName = "local", workers: Workers = None, json: Json = False) -> None:
    """Merge all runs, and erase the rows of what was removed.

    `index add` merges as much as it has to; this rewrites the whole index.

    Example: refinery index merge index
    """
    from pipeline.index.manifest import held_index
    from pipeline.index.merge import merge_all

    with opened(engine, workers, json) as made, held_index(index) as found:
        found.clear()
        merged = merge_all(found, made)
    tell({"runs": len(merged.runs)} if json else f"{len(merged.runs)} runs")


@index_app.command("verify", cls=Command)
def verify(index: IndexFolder, json: Json = False) -> None:
    """Check every byte that an index is read from, and its order.

    What is damaged is named; then the exit code is 1.

    Example: refinery index verify index
    """
    from pipeline.index.check import faults_of, unhashed
    from pipeline.index.manifest import read_index

    found = read_index(index)
    faults = faults_of(found)
    if faults and (now := read_index(index)) != found:  # another command has merged runs meanwhile, or removed some
        found, faults = now, faults_of(now)
    older = unhashed(found)
    if json:
        tell({"runs": len(found.runs), "damaged": faults, "without_hash": older})
    else:
        for name, several in faults.items():
            for fault in several:
                tell(f"{name}: {fault}")
        for name in older:
            say(f"{name} has no hash (an earlier version wrote it): not all damage to it shows; `refinery index merge` "
                "writes it anew, with one")  # fmt: skip
        runs = sum(run.name in faults for run in found.runs)
        say(f"{runs} of {len(found.runs)} runs are damaged" if runs else f"{len(found.runs)} runs are sound")
    if faults:
        raise typer.Exit(1)
