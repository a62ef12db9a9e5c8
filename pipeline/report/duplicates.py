"""What deduplication removed: the largest clusters and how much their copies have in common with the survivor, and the
share of each host.

All is in the ledgers. They are read up to a bound, each partition with the documents that its stage kept of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.charts import percent, short
from pipeline.report.parts import Figure, Table, clipped
from pipeline.report.values import number
from pipeline.report.views import StageView
from pipeline.stages.counts import COPIES, COPY, OLDER, WITHIN, is_copy

# So many removed copies of a stage are looked at, and kept documents.
MOST_ROWS = 1_000_000
TOP = 15
# A cluster of near copies is told of from so many documents on, or from fewer where more than this share of its copies
# is similar to another copy only: Marin met 859,091 different documents in one. Large clusters of exact copies are
# usual in a crawl, so one is told of where it is this share of all documents too: one text, or one address, for many
# different pages.
LARGE, SMALL, MOST_THROUGH, SHARE_OF_ALL = 1_000, 10, 0.5, 0.01
# And a host of at least so many documents, of which more than this share were copies: a mirror, or a form of page that
# is one text for all.
LARGE_HOST, MOST_OF_HOST = 1_000, 0.9
NEAR = (f"{COPY}minhash", *(f"{side}{how}" for side in (WITHIN, OLDER) for how in ("shingles", "jaccard")))

LEDGER = ["rule", "url", "survivor", "survivor_path", "survivor_offset", "similarity", "via"]
CLUSTER = ["rule", "survivor", "survivor_path", "survivor_offset"]
HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"


@dataclass(frozen=True)
class Duplicates:
    """`clusters`: by survivor, the largest first, with `copies`, `documents` (the survivor among them), `least` and
    `mean` similarity, `through`, the number of copies that are similar to another copy only, and the `url` of one copy.
    `hosts`: `host`, `removed`, `kept`. `whole`: whether all rows were looked at."""

    label: str
    clusters: pa.Table
    hosts: pa.Table
    whole: bool


def duplicates(seen: Sequence[StageView]) -> tuple[list[Figure], list[str]]:
    """The figures of all stages that removed copies, and what is to be looked at."""
    figures: list[Figure] = []
    lines: list[str] = []
    for view in seen:
        if any(is_copy(rule) for rule in view.dataset.manifest.rejected_by):
            found = read_duplicates(view)
            figures += [*yield_figure(view), clusters_figure(found), hosts_figure(found)]
            lines += warnings(found)
    return figures, lines


def yield_figure(view: StageView) -> Iterator[Figure]:
    """What a snapshot adds to those that an index had before it; nothing for other deduplications."""
    manifest = view.dataset.manifest
    counts, rejected = manifest.counts, manifest.rejected_by
    sums = {
        side: sum(number for rule, number in rejected.items() if rule.rpartition("/")[2].startswith(side))
        for side in (WITHIN, OLDER)
    }
    if not any(sums.values()):
        return
    tokens = manifest.shards.sums.tokens
    whole, kept = counts["in"], counts["out"]
    row = (*(f"{number:,}" for number in (whole, sums[WITHIN], sums[OLDER], kept)), percent(kept / max(1, whole)))
    columns = ("documents", "copies within it", "of older snapshots", "kept", "%", "tokens kept")
    yield Figure(f"{view.label}: what the snapshot adds", Table(columns, clipped([(*row, f"{tokens:,}")]), numeric=0))


def read_duplicates(view: StageView, most: int = MOST_ROWS) -> Duplicates:
    clusters: list[pa.Table] = []
    hosts: list[pa.Table] = []
    rows, whole = 0, True
    for part, ledger in zip(view.dataset.parts(), view.dataset.ledger_parts(), strict=True):
        if rows >= most:
            whole = False
            break
        removed = ledger.table(LEDGER)
        removed = removed.filter(pc.match_substring_regex(removed["rule"], f"^({'|'.join(COPIES)})"))
        clusters.append(by_cluster(removed))
        hosts += [by_host(removed["url"], "removed"), by_host(part.table(["url"])["url"], "kept")]
        rows += ledger.rows + part.rows
    return Duplicates(view.label, all_clusters(clusters), all_hosts(hosts), whole)


def by_cluster(removed: pa.Table) -> pa.Table:
    """The copies of each survivor in a partition, as they are added up."""
    table = removed.append_column("through", pc.cast(pc.is_valid(removed["via"]), pa.int64()))
    wanted = {
        "copies": ("rule", "count"),
        "through": ("through", "sum"),
        "least": ("similarity", "min"),
        "total": ("similarity", "sum"),
        "measured": ("similarity", "count"),
        "url": ("url", "min"),
    }
    return grouped(table, CLUSTER, wanted)


def all_clusters(parts: Sequence[pa.Table]) -> pa.Table:
    """The clusters of all partitions, the largest first."""
    summed = {name: (name, "sum") for name in ("copies", "through", "total", "measured")}
    table = grouped(pa.concat_tables(parts), CLUSTER, {**summed, "least": ("least", "min"), "url": ("url", "min")})
    table = table.append_column("documents", pc.add(table["copies"], 1))
    # 0 / 0 is NaN, and nothing is said of it
    mean = pc.divide(table["total"], pc.cast(table["measured"], pa.float64()))
    table = table.append_column("mean", mean)
    return table.sort_by([("documents", "descending"), *((name, "ascending") for name in CLUSTER)])


def by_host(urls: pa.ChunkedArray, name: str) -> pa.Table:
    """How many of these addresses each host has, in the column `removed` or `kept`."""
    hosts = pc.utf8_lower(pc.fill_null(pc.struct_field(pc.extract_regex(urls, HOST), "host"), ""))
    table = grouped(pa.table({"host": hosts}), ["host"], {name: ("host", "count")})
    other = ({"removed", "kept"} - {name}).pop()
    return table.append_column(other, pa.array([0] * table.num_rows, pa.int64())).select(["host", "removed", "kept"])


def all_hosts(parts: Sequence[pa.Table]) -> pa.Table:
    """The hosts of all partitions, those with the most removed copies first."""
    table = grouped(pa.concat_tables(parts), ["host"], {name: (name, "sum") for name in ("removed", "kept")})
    return table.sort_by([("removed", "descending"), ("host", "ascending")])


def grouped(table: pa.Table, by: list[str], wanted: Mapping[str, tuple[str, str]]) -> pa.Table:
    """By the columns `by` the sums, minima and counts that are `wanted`: by name, of which column, and what."""
    made = table.group_by(by).aggregate(list(wanted.values()))
    columns = {name: made[f"{column}_{what}"] for name, (column, what) in wanted.items()}
    return pa.table({**{name: made[name] for name in by}, **columns})


def clusters_figure(found: Duplicates) -> Figure:
    rows = [
        (
            name_of(row),
            row["url"] or "",
            f"{row['documents']:,}",
            *("" if number(row[name]) is None else short(row[name]) for name in ("least", "mean")),
            percent(row["through"] / row["copies"]),
        )
        for row in found.clusters.slice(0, TOP).to_pylist()
    ]
    columns = ("survivor", "one of its copies", "documents", "least similarity", "mean", "through others")
    return Figure(f"{found.label}: largest clusters", Table(columns, clipped(rows), numeric=2), note=note_of(found))


def hosts_figure(found: Duplicates) -> Figure:
    rows = []
    for row in found.hosts.slice(0, TOP).to_pylist():
        removed, whole = row["removed"], row["removed"] + row["kept"]
        if removed:
            rows.append((row["host"] or "(no address)", f"{removed:,}", f"{whole:,}", percent(removed / whole)))
    return Figure(f"{found.label}: by host", Table(("host", "removed", "of", "%"), clipped(rows)), note=note_of(found))


def note_of(found: Duplicates) -> str:
    return "" if found.whole else "Of the first partitions, not of all."


def name_of(cluster: Mapping[str, Any]) -> str:
    return cluster["survivor"] or f"{cluster['survivor_path']} at {cluster['survivor_offset']}"


def warnings(found: Duplicates) -> Iterator[str]:
    """At most TOP clusters of near copies that are large, or most of whose copies are similar to other copies only, or
    of exact copies that are large and a share of all; and as many hosts of which hardly anything is left."""
    table = found.clusters
    hosts = found.hosts.append_column("whole", pc.add(found.hosts["removed"], found.hosts["kept"]))
    every = pc.sum(hosts["whole"]).as_py() or 0
    through = pc.greater(pc.cast(table["through"], pa.float64()), pc.multiply(table["copies"], MOST_THROUGH))
    loose = pc.and_(pc.greater_equal(table["documents"], SMALL), through)
    near = pc.is_in(table["rule"], pa.array(NEAR, table["rule"].type))
    told = pc.and_(near, pc.or_(loose, pc.greater_equal(table["documents"], LARGE)))
    told = pc.or_(told, pc.greater_equal(table["documents"], max(LARGE, SHARE_OF_ALL * every)))
    for row in table.filter(told).slice(0, TOP).to_pylist():
        share = row["through"] / row["copies"]
        line = f"{found.label}: {row['documents']:,} documents became one, {name_of(row)}"
        if share > MOST_THROUGH:
            line += f'; {percent(share)} of the copies are similar to others only (`link = "direct"` keeps these)'
        yield line
    gone = pc.greater(pc.cast(hosts["removed"], pa.float64()), pc.multiply(hosts["whole"], MOST_OF_HOST))
    named = pc.and_(pc.greater_equal(hosts["whole"], LARGE_HOST), pc.not_equal(hosts["host"], ""))
    for row in hosts.filter(pc.and_(gone, named)).slice(0, TOP).to_pylist():
        share = percent(row["removed"] / row["whole"])
        yield f"{found.label}: {share} of the {row['whole']:,} documents of {row['host']} were copies"
