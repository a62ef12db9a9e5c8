"""Connected components of graphs of duplicates, and decisions on them: time, peak memory, bytes a document.

    python -m benchmarks components [--edges 1000000 10000000 100000000] [--workers 2] [--rounds] [--decide]

A graph of n edges: nine in ten between documents drawn at random from 2n, which makes trees of a few; stars of a
thousand; and one chain of n / 100, whose documents are all over the dataset. Edges are written as the stage has them,
outside the time. `ends` is the list of documents with an edge, by a map and a reduction; `forest` the union-find in one
process; `--rounds` the same by large-star and small-star; `--decide` brings nodes and edges together by component and
decides. Bytes a document are those above the peak of a graph of a thousand edges.

Last, one component of `--members` documents, a star with two more edges each, decided in one piece.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.shared import add, markdown
from dedup.by_component import ByComponent, Decide, members_schema
from dedup.survivors import select_survivors
from dedup.tables import DECISIONS, EDGES, batch_of, nodes_schema, numbers_of, places
from infra.dataset.manifest import RUN, Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from infra.metering import forget_peak_memory, worker_peak_memory
from infra.storage import read_json
from pipeline.job.tables import Tables
from pipeline.stages.dedup_components import ends_of, labels_by_rounds, labels_of
from pipeline.stages.dedup_decide import AsMembers
from pipeline.stages.dedup_work import Reduce

EACH, SHARD, CLUSTER, FEW = 1_000_000, 100_000, 1000, 1000
RECIPE: Final = RecipeRef("benchmark", "")
Numbers = npt.NDArray[np.int64]


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--edges", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument("--rounds", action="store_true")
    parser.add_argument("--decide", action="store_true")
    add(parser, "--workers", default=2)
    add(parser, "--out", help="a folder for the tables; by default one that is deleted")


@dataclass(frozen=True)
class Drawn:
    """The edges from `first` on, of a graph of `edges`."""

    edges: int
    first: int

    @property
    def fingerprint(self) -> str:
        return f"{self.edges}-{self.first}"


@dataclass(frozen=True)
class AllDrawn:
    edges: int
    refs: tuple[InputRef, ...] = (InputRef("made", "drawn"),)

    def parts(self) -> list[Drawn]:
        return [Drawn(self.edges, first) for first in range(0, self.edges, EACH)]


def shape(edges: int) -> tuple[int, int]:
    """(documents in the chain, documents of which edges are drawn at random)."""
    return edges // 100, 2 * edges


def numbers(documents: Numbers) -> Numbers:
    return documents // SHARD << 32 | documents % SHARD


@dataclass(frozen=True)
class WriteEdges:
    schema: pa.Schema = EDGES
    fingerprint: str = "write-edges"

    def __call__(self, part: Drawn) -> Iterator[Output]:
        count = min(EACH, part.edges - part.first)
        chain, random = shape(part.edges)
        edge = np.arange(part.first, part.first + count)
        draw = np.random.default_rng(part.first)
        a, b = draw.integers(0, random, (2, count))
        # one in ten is of a star; those that come first are of the chain, in the order of a multiplication
        stars = edge % 10 == 0
        a[stars], b[stars] = random + edge[stars] // 10 // CLUSTER * CLUSTER * 2, random + edge[stars] // 10 * 2 + 1
        linked = edge < chain - 1
        first = 3 * random
        a[linked] = first + edge[linked] * step_of(chain) % chain
        b[linked] = first + (edge[linked] + 1) * step_of(chain) % chain
        same = np.full(count, 0.9)
        columns = {"a": numbers(a), "b": numbers(b), "jaccard": same, "containment": same}
        yield Output(batch_of(EDGES, columns | {"bands": np.full(count, 5, np.int16)}))


def step_of(size: int) -> int:
    """A number that shares no factor with the size, far from 1."""
    return next(step for step in range(size // 3 + 1, size + 2) if np.gcd(step, size) == 1)


@dataclass(frozen=True)
class AsNodes:
    """Ends as nodes under the policy `content`."""

    fingerprint: str = "as-nodes"

    @property
    def schema(self) -> pa.Schema:
        return members_schema("content")

    def __call__(self, part: Any) -> Iterator[Output]:
        table = part.table()
        if table.num_rows:
            yield Output(batch_of(self.schema, node_columns(numbers_of(table))))


def node_columns(documents: Numbers) -> dict[str, Any]:
    ones = np.ones(documents.size, np.int32)
    content = (documents.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(3)
    own = {"key": documents, "other": np.full(documents.size, -1), "similarity": pa.nulls(documents.size, pa.float64())}
    dumps = pa.ListArray.from_arrays(pa.array(np.arange(documents.size + 1), pa.int32()), pa.array(content % 100))
    return {**own, **places(documents), "content": content, "dumps": dumps, "copies": ones, "snapshots": ones}


def run(args: argparse.Namespace) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="components-", dir=args.out) as scratch,
        LocalEngine(args.workers) as engine,
    ):
        base = graph(engine, Path(scratch) / "few", FEW, args)
        rows = [row for edges in args.edges for row in graph(engine, Path(scratch) / f"{edges}", edges, args)]
    floor = {row["what"]: row["peak"] for row in base}
    for row in rows:
        row["bytes a document"] = round((row["peak"] - floor[row["what"]]) / row["documents"], 1)
    rows.append(one_component(args.members))
    return {"rows": rows, "workers": args.workers, "passed": all(row.get("right", True) for row in rows)}


def graph(engine: LocalEngine, folder: Path, edges: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each thing that is measured on a graph of so many edges."""
    drawn = engine.map_shards(
        WriteEdges(), [AllDrawn(edges)], folder / "edges", Header(Kind.TABLE, "edges", RECIPE, {}, ())
    )
    tables = Tables(engine, RECIPE, "benchmark", folder)
    shards = -(-(3 * shape(edges)[1] + edges) // SHARD)
    ends = ends_of(tables, shards, [drawn])
    labels = labels_of(tables, ends, [drawn])
    documents = ends.manifest.shards.sums.rows
    rows = [
        {"what": "ends", **cost([folder / "ends-found", folder / "ends"])},
        {"what": "forest", **cost([labels.folder]), "right": is_right(labels, edges)},
    ]
    if args.rounds:
        made = labels_by_rounds(tables, [drawn], "-by-rounds")
        steps = [*folder.glob("*-by-rounds*")]
        count = sum(step.name.startswith("large") for step in steps)
        rows.append({"what": "rounds", **cost(steps), "rounds": count, "right": is_right(made, edges)})
    if args.decide:
        nodes = tables.map("nodes", AsNodes(), ends)
        linked = tables.map("linked", AsMembers("content", "jaccard"), drawn)
        reducer = Reduce(ByComponent("content"), members_schema("content"))
        members = tables.reduce("members", [labels, nodes, linked], "key", reducer)
        made = tables.reduce("decided", [members], "key", Reduce(Decide("content", "direct"), DECISIONS))
        right = made.manifest.shards.sums.rows == documents
        rows.append({"what": "decide", **cost([linked.folder, members.folder, made.folder]), "right": right})
    return [{"edges": edges, "documents": documents, **row} for row in rows]


def cost(folders: list[Path]) -> dict[str, Any]:
    accounts = [read_json(folder / RUN) or {} for folder in folders]
    sums = {name: sum(each.get(f"{name}_seconds", 0) for each in accounts) for name in ("wall", "cpu")}
    return {**sums, "peak": max(each.get("peak_memory_bytes", 0) for each in accounts)}


def is_right(labels: Dataset, edges: int) -> bool:
    """Whether the chain is one component, and each star."""
    chain, random = shape(edges)
    found: dict[str, int] = {"chain": 0, "stars": 0}
    starts = numbers(np.array([random, 3 * random]))
    firsts = set()
    for part in labels.parts():
        table = part.table(["key", "label"])
        key, label = table["key"].to_numpy(), table["label"].to_numpy()
        found["chain"] += int(np.count_nonzero(label == starts[1]))
        star = (key >= starts[0]) & (key < starts[1])
        found["stars"] += int(np.count_nonzero(star))
        firsts |= set(np.unique(label[star]).tolist())
    of_star = np.arange(0, edges, 10)
    of_star = of_star[of_star >= chain - 1] // 10
    clusters = np.unique(of_star // CLUSTER)
    expected = numbers(random + clusters * CLUSTER * 2).tolist()
    return found["chain"] == chain and found["stars"] == of_star.size + clusters.size and firsts == set(expected)


def one_component(members: int) -> dict[str, Any]:
    documents = numbers(np.arange(members))
    columns = node_columns(documents)
    nodes = batch_of(nodes_schema("content"), columns)
    draw = np.random.default_rng(1)
    a = np.concatenate([np.zeros(members - 1, np.int64), draw.integers(0, members, 2 * members)])
    b = np.concatenate([np.arange(1, members), draw.integers(0, members, 2 * members)])
    a, b = numbers(a[a != b]), numbers(b[a != b])
    similarity = np.full(a.size, 0.9)
    decide = partial(select_survivors, nodes, a, b, similarity, "content")
    select_survivors(nodes.slice(0, 2), a[:0], b[:0], similarity[:0], "content")  # compiles, or reads
    forget_peak_memory()
    before, began, cpu = worker_peak_memory(), time.monotonic(), time.process_time()
    made = decide()
    taken = {"wall": time.monotonic() - began, "cpu": time.process_time() - cpu}
    peak = worker_peak_memory()
    kept = pc.sum(made["kept"]).as_py()
    return {
        "what": "one component", "edges": a.size, "documents": members, **taken, "peak": peak,
        "bytes a document": round((peak - before) / members, 1), "right": 0 < kept < members,
    }  # fmt: skip


def show(found: dict[str, Any]) -> Iterator[str]:
    head = ("what", "edges", "documents", "s", "CPU s", "peak MiB", "bytes a document")
    rows = [
        (row["what"] + (f" ({row['rounds']})" if "rounds" in row else ""), f"{row['edges']:,}", f"{row['documents']:,}",
         f"{row['wall']:.1f}", f"{row['cpu']:.1f}", f"{row['peak'] / 2**20:,.0f}", row["bytes a document"])
        for row in found["rows"]
    ]  # fmt: skip
    yield from markdown(head, rows)
    yield f"{found['workers']} workers; the components are {'right' if found['passed'] else 'WRONG'}"
