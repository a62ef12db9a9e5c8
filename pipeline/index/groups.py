"""`index groups`: which documents of all snapshots are near-duplicates of each other.

A group is a function of the documents that the index has, not of the order in which they came: contents are paired by
the bands of all runs, pairs are verified, and contents connected by verified edges are a group, named by its smallest
key.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.index.groups import groups
from dedup.index.keys import KEY, among, bits_for, parts_of, prefixes, to_numpy
from dedup.index.tables import DOCUMENTS, GROUPS, PART, table_of
from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.engine import Engine
from infra.engines.task import Output
from infra.hashing import sha256_json
from pipeline.index.add import PART_DOCUMENTS, edges_of
from pipeline.index.decisions import AllEdges
from pipeline.index.manifest import Index, reading
from pipeline.index.runs import Alive, RangePart, Ranges, in_order
from pipeline.index.tasks import AllPairs, gathered, outputs
from pipeline.job.outputs import check_apart
from pipeline.job.tables import Tables

# a content that is not alone, and the name of its group
MEMBERS = pa.schema([PART, ("key", KEY), ("group", KEY)])
# a document of a group, and the key that names the group
PLACED = pa.schema([PART, ("name", KEY), *GROUPS])


@dataclass(frozen=True)
class Members:
    """EDGES of the whole index → MEMBERS, in one process: some 60 bytes an edge."""

    bits: int
    schema: pa.Schema = MEMBERS

    @property
    def fingerprint(self) -> str:
        return f"index:members:{self.bits}"

    def __call__(self, part: AllEdges) -> Iterator[Output]:
        edges = part.table().select(["a", "b"])
        if edges.num_rows:
            keys, names = groups(to_numpy(edges["a"]), to_numpy(edges["b"]))
            columns = {"part": parts_of(prefixes(keys), self.bits), "key": keys, "group": names}
            yield Output(table_of(MEMBERS, columns))


@dataclass(frozen=True)
class PlaceMembers:
    """Reducer over MEMBERS, by the content, to PLACED: the documents of contents that are in a group."""

    part: Ranges
    alive: Alive
    names: tuple[tuple[int, str], ...]
    bits: int
    schema: pa.Schema = PLACED

    @property
    def fingerprint(self) -> str:
        runs = [run.sha256 for run in self.part.runs]
        return sha256_json(["index:place", runs, self.alive.fingerprint, self.names, self.bits])

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        members = in_order(gathered(rows, MEMBERS), "key")
        documents = self.alive.of_documents(RangePart(self.part.runs, partition, self.bits).table(DOCUMENTS))
        keys = to_numpy(documents["key"])
        distinct, counts = np.unique(keys, return_counts=True)
        there, place = among(keys, to_numpy(members["key"]))
        names = keys.copy()
        names[there] = to_numpy(members["group"])[place[there]]
        several = there | (counts[np.searchsorted(distinct, keys)] > 1)
        chosen = documents.filter(pa.array(several))
        if chosen.num_rows:
            yield from outputs(pa.Table.from_batches([self._placed(chosen, names[several])]))

    def _placed(self, documents: pa.Table, names: Any) -> pa.RecordBatch:
        snapshots = dict(self.names)
        columns = {
            "part": parts_of(prefixes(names), self.bits),
            "name": names,
            "group": _hex(names),
            "key": _hex(to_numpy(documents["key"])),
            "snapshot": pa.array([snapshots[number] for number in documents["snapshot"].to_pylist()], pa.string()),
            **{name: pa.concat_arrays(documents[name].chunks) for name in ("id", "file_path", "warc_offset")},
        }
        return table_of(PLACED, columns)


@dataclass(frozen=True)
class InGroups:
    """Reducer over PLACED, by the group, to GROUPS, sorted."""

    schema: pa.Schema = GROUPS
    fingerprint: str = "index:groups"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:  # noqa: ARG002
        table = gathered(rows, PLACED)
        yield from outputs(in_order(table, *GROUPS.names).select(GROUPS.names))


def _hex(keys: Any) -> pa.Array:
    content = np.ascontiguousarray(keys).tobytes().hex()
    return pa.array([content[start : start + 32] for start in range(0, len(content), 32)], pa.string())


def make_groups(index: Index, out: Path, engine: Engine) -> Dataset:
    """The groups of two documents or more, as a table in `out`: a row for each document, sorted by group."""
    check_apart(out, [index.folder])
    with reading(index):
        return _groups_in(index, out, engine)


def _groups_in(index: Index, out: Path, engine: Engine) -> Dataset:
    recipe = RecipeRef("index", index.sha256)
    documents = sum(snapshot.counts["documents"] for snapshot in index.snapshots)
    bits = bits_for(documents, PART_DOCUMENTS)
    alive, parameters = index.alive, index.parameters
    tables = Tables(engine, recipe, "index", out / ".work")
    runs = {kind: index.stored(kind) for kind in ("contents", "bands", "documents")}
    pairs = tables.map("candidates", AllPairs(parameters.leaders, alive, bits), Ranges(runs["bands"], bits))
    edges = edges_of(tables, [pairs], runs["contents"], runs, alive, parameters.threshold, bits)
    members = tables.map("members", Members(bits), AllEdges((edges,)))
    names = tuple((snapshot.number, snapshot.name) for snapshot in index.snapshots)
    place = PlaceMembers(Ranges(runs["documents"], bits), alive, names, bits)
    placed = tables.reduce("placed", [members], "part", place, 1 << bits)
    header = Header(Kind.TABLE, "index.groups", recipe, {}, tuple(InputRef("run", run.sha256) for run in index.runs))
    return engine.reduce_by_key([placed], "part", InGroups(), 1 << bits, out, header)
