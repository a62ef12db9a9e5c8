"""Merges of runs: as many as `FANOUT` of one level become one of the next, as in a log-structured merge tree.

A row is written once for each level, and there are as many levels as the logarithm of the snapshots, so the mean cost
of a snapshot grows with that alone. Rows of removed snapshots, and of documents that were taken down, are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from dedup.index.keys import bits_for
from dedup.index.tables import BANDS, CONTENTS, DOCUMENTS
from infra.dataset.manifest import Header, Kind, RecipeRef
from infra.engines.engine import Engine
from infra.engines.task import Output
from infra.hashing import sha256_json
from pipeline.index.manifest import KINDS, Index, IndexRun
from pipeline.index.runs import Alive, RangePart, Ranges, Stored, in_order
from pipeline.index.tasks import outputs

FANOUT = 4
SCHEMAS = {"contents": CONTENTS, "bands": BANDS, "documents": DOCUMENTS}
ORDERS = {
    "contents": ("key", "snapshot"),
    "bands": ("hash", "key", "snapshot"),
    "documents": ("key", "snapshot", "place"),
}
# Rows of a shard in the mean: some 64 MiB in memory.
SHARD_ROWS = {"contents": 16_384, "bands": 2_097_152, "documents": 262_144}


@dataclass(frozen=True)
class Merge:
    """One range of runs of a kind → its rows that count, sorted."""

    kind: str
    alive: Alive

    @property
    def schema(self) -> pa.Schema:
        return SCHEMAS[self.kind]

    @property
    def fingerprint(self) -> str:
        return f"index:merge:{self.kind}:{self.alive.fingerprint}"

    def __call__(self, part: RangePart) -> Iterator[Output]:
        table = part.table(self.schema)
        table = self.alive.of_documents(table) if self.kind == "documents" else self.alive.of_contents(table)
        yield from outputs(in_order(table, *ORDERS[self.kind]))


def merge_full_levels(index: Index, engine: Engine) -> Index:
    """Merge each level that is full, the lowest first. Each merge is a state of its own. Under the index's lock."""
    for kind in KINDS:
        while full := full_level(index, kind):
            index = merged(index, kind, full, engine)
    return index


def full_level(index: Index, kind: str) -> list[IndexRun]:
    """The runs of the lowest level that is full; empty if none is."""
    levels: dict[int, list[IndexRun]] = {}
    for run in index.runs:
        if run.kind == kind:
            levels.setdefault(run.level, []).append(run)
    return next((levels[level] for level in sorted(levels) if len(levels[level]) >= FANOUT), [])


def merge_all(index: Index, engine: Engine) -> Index:
    """One run of each kind, without anything that does not count."""
    for kind in KINDS:
        runs = [run for run in index.runs if run.kind == kind]
        if len(runs) > 1 or (runs and (index.gone or kept_too_much(index))):
            index = merged(index, kind, runs, engine)
    done = replace(index, gone=None)
    done.save()
    return done


def kept_too_much(index: Index) -> bool:
    """Whether runs may have rows of snapshots or documents that were removed."""
    documents = sum(run.rows for run in index.runs if run.kind == "documents")
    return documents != sum(snapshot.rows for snapshot in index.snapshots)


def merged(index: Index, kind: str, runs: Sequence[IndexRun], engine: Engine) -> Index:
    """The index with one run in place of these."""
    level = max(run.level for run in runs) + 1
    name = f"{index.next:05d}-{kind}"
    bits = bits_for(sum(run.rows for run in runs), SHARD_ROWS[kind])
    source = Ranges(tuple(Stored.of(index.dataset(run)) for run in runs), bits)
    alive = index.alive
    recipe = RecipeRef("index", sha256_json(alive.fingerprint))
    header = Header(Kind.TABLE, f"index.{kind}", recipe, {"level": level}, source.refs)
    made = engine.map_shards(Merge(kind, alive), [source], index.run_folder(name), header)
    others = tuple(run for run in index.runs if run not in runs)
    changed = replace(index, next=index.next + 1, runs=(*others, IndexRun.of(made, kind, level)))
    changed.save()
    return changed
