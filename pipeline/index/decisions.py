"""From edges to documents: contents that are removed, their survivors by name, and what becomes of each document."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.index.decide import Keeping, decide
from dedup.index.keys import among, parts_of, prefixes, to_numpy
from dedup.index.tables import DECIDED, DOCUMENTS, NAMED, PLACES, REMOVALS, REMOVED, table_of
from dedup.tables import document_numbers, run_starts
from dedup.tables import places as places_of
from infra.dataset.manifest import InputRef
from infra.dataset.reader import Dataset
from infra.engines.task import Output
from infra.hashing import sha256_json
from pipeline.index.runs import Alive, RangePart, Stored, in_order
from pipeline.index.tasks import gathered, outputs

# What a step of `index add` is called in ledgers.
STEP = "index"
FEW = "few_copies"
SEEN = REMOVALS.field("seen").type


@dataclass(frozen=True)
class AllEdges:
    """All edges of a snapshot: a source of one partition, itself."""

    datasets: tuple[Dataset, ...]

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(ref for dataset in self.datasets for ref in dataset.refs)

    @property
    def fingerprint(self) -> str:
        return sha256_json([ref.sha256 for ref in self.refs])

    def parts(self) -> list["AllEdges"]:
        return [self]

    def table(self) -> pa.Table:
        return pa.concat_tables([dataset.to_arrow() for dataset in self.datasets])


@dataclass(frozen=True)
class DecideContents:
    """EDGES of the whole snapshot → REMOVED, in one process: some 100 bytes an edge."""

    choice: Keeping
    bits: int
    schema: pa.Schema = REMOVED

    @property
    def fingerprint(self) -> str:
        return f"index:decide:{self.choice}:{self.bits}"

    def __call__(self, part: AllEdges) -> Iterator[Output]:
        edges = part.table()
        if edges.num_rows:
            yield Output(decide(edges, self.choice, self.bits))


@dataclass(frozen=True)
class SurvivorNames:
    """Reducer over REMOVED, by the survivor, to NAMED, by the content that it removes.

    The survivor is the first kept document of its content: in the snapshot that is added (`places`), or in the earliest
    older one.
    """

    places: tuple[Stored, ...]
    documents: tuple[Stored, ...]
    alive: Alive
    snapshot: int
    bits: int
    schema: pa.Schema = NAMED

    @property
    def fingerprint(self) -> str:
        runs = [[run.sha256 for run in runs] for runs in (self.places, self.documents)]
        return sha256_json(["index:named", runs, self.alive.fingerprint, self.snapshot, self.bits])

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        table = gathered(rows, REMOVED)
        for old in (False, True):
            mine = table.filter(pa.array(table["old"].to_numpy() == old))
            if not mine.num_rows:
                continue
            survivors = to_numpy(mine["survivor"])
            keys, found = self._survivors(partition, old, np.unique(survivors))
            there, place = among(survivors, keys)
            assert bool(there.all()), "a survivor was kept"
            named = found.take(pa.array(place))
            own = to_numpy(mine["key"])
            columns = {
                "part": parts_of(prefixes(own), self.bits),
                "key": own,
                "removed": (own != survivors) | old,
                "old": np.full(own.size, old),
                "survivor_text": _one(named["text_hash"]),
                "survivor": _one(named["id"]),
                "survivor_path": _one(named["file_path"]),
                "survivor_offset": _one(named["warc_offset"]),
                "survivor_snapshot": _one(named["snapshot"]),
                "similarity": _one(mine["similarity"]),
                "snapshots": _one(mine["snapshots"]),
                "seen": _one(mine["seen"]),
                "survivor_place": np.full(own.size, -1) if old else document_numbers(named["shard"], named["row"]),
            }
            yield Output(table_of(NAMED, columns))

    def _survivors(self, partition: int, old: bool, keys: Any) -> tuple[Any, pa.Table]:
        wanted = np.unique(prefixes(keys))
        if old:
            table = RangePart(self.documents, partition, self.bits).table(DOCUMENTS, wanted)
            table = self.alive.of_documents(table)
            table = in_order(table.filter(table["kept"]), "key", "snapshot", "place")
        else:
            table = RangePart(self.places, partition, self.bits).table(PLACES, wanted)
            snapshot = pa.array(np.full(table.num_rows, self.snapshot, np.int32))
            table = table.append_column("snapshot", snapshot)
        all_keys = to_numpy(table["key"])
        starts = run_starts(all_keys)
        return all_keys[starts], table.take(pa.array(starts))


@dataclass(frozen=True)
class Decided:
    """PLACES and the NAMED of the same contents → DECIDED: whether each document is kept, and else by what it is
    removed. Of a content that stays the first document is kept."""

    choice: Keeping
    snapshot: int
    schema: pa.Schema = DECIDED

    @property
    def fingerprint(self) -> str:
        return f"index:decided:{self.choice}:{self.snapshot}"

    def __call__(self, part: Any, named_part: Any) -> Iterator[Output]:
        places, named = part.table().combine_chunks(), named_part.table().combine_chunks()
        keys = to_numpy(places["key"])
        starts = run_starts(keys)
        size = keys.size
        first = np.repeat(starts, np.diff(starts, append=size))
        told, place = among(keys, to_numpy(named["key"]))
        row = np.where(told, np.minimum(place, max(0, named.num_rows - 1)), 0)
        snapshots = np.ones(size, np.int32)
        removed = np.zeros(size, np.bool_)
        if named.num_rows:
            snapshots = np.where(told, named["snapshots"].to_numpy()[row], 1).astype(np.int32)
            removed = told & named["removed"].to_numpy().astype(np.bool_)[row]
        few = ~removed & (snapshots < self.choice.least)
        copy = ~removed & ~few & (np.arange(size) != first)
        kept = ~removed & ~few & ~copy
        evidence = self._evidence(places, named, first, row, removed, copy)
        evidence["seen"] = _taken(named["seen"], pa.array(row, mask=~told))
        evidence["rule"] = self._rules(places, named, first, row, removed, copy, few)
        columns = {name: _one(places[name]) for name in PLACES.names}
        made = table_of(DECIDED, {**columns, "kept": kept, "snapshots": snapshots, **evidence})
        yield from outputs(pa.Table.from_batches([made]))
        yield Output(None, None, _counts(made, starts.size))

    def _evidence(
        self, places: pa.Table, named: pa.Table, first: Any, row: Any, removed: Any, copy: Any
    ) -> dict[str, pa.Array]:
        """The survivor's columns: of `named` where the content is removed, of its first document for its copies."""
        of_named, of_first = pa.array(row, mask=~removed), pa.array(first, mask=~copy)
        found = {}
        pairs = {"survivor": "id", "survivor_path": "file_path", "survivor_offset": "warc_offset"}
        for name, own in pairs.items():
            found[name] = pc.coalesce(_taken(named[name], of_named), _taken(places[own], of_first))
        own_snapshot = pa.array(np.full(copy.size, self.snapshot, np.int32), mask=~copy)
        found["survivor_snapshot"] = pc.coalesce(_taken(named["survivor_snapshot"], of_named), own_snapshot)
        exact = pa.array(np.ones(copy.size), mask=~copy)
        found["similarity"] = pc.coalesce(_taken(named["similarity"], of_named), exact)
        there = pa.array(document_numbers(places["shard"], places["row"]))
        own_place = there.take(of_first)
        found["survivor_place"] = pc.fill_null(pc.coalesce(_taken(named["survivor_place"], of_named), own_place), -1)
        return found

    def _rules(
        self, places: pa.Table, named: pa.Table, first: Any, row: Any, removed: Any, copy: Any, few: Any
    ) -> pa.Array:
        """`older_…` or `within_…` with the measure: text (equal), shingles (equal), jaccard."""
        text = places["text_hash"].to_numpy()
        against = np.where(copy, text[first], 0)
        similarity, old = np.ones(copy.size), np.zeros(copy.size, np.bool_)
        if named.num_rows:
            against = np.where(removed, named["survivor_text"].to_numpy()[row], against)
            similarity = np.where(removed, named["similarity"].to_numpy()[row], 1.0)
            old = removed & named["old"].to_numpy().astype(np.bool_)[row]
        measure = np.where(similarity < 1.0, 2, np.where(text == against, 0, 1))
        names = np.array([f"{side}_{how}" for side in ("within", "older") for how in ("text", "shingles", "jaccard")])
        rules = np.where(few, FEW, names[3 * old + measure])
        return pa.array(rules, pa.string(), mask=~(removed | copy | few))


def _taken(column: pa.ChunkedArray, rows: pa.Array) -> pa.Array:
    """These rows of a column, null where the row is."""
    return _one(column).take(rows) if len(column) else pa.nulls(len(rows), column.type)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _counts(decided: pa.RecordBatch, contents: int) -> dict[str, int]:
    """What `report` shows of a snapshot."""
    kept = decided.filter(decided["kept"])
    counts = {
        "index/contents": contents,
        "index/documents": decided.num_rows,
        "index/tokens": pc.sum(decided["tokens"]).as_py() or 0,
        "index/kept": kept.num_rows,
        "index/kept_tokens": pc.sum(kept["tokens"]).as_py() or 0,
    }
    for row in decided["rule"].drop_null().value_counts().to_pylist():
        counts[f"index/{row['values']}"] = row["counts"]
    return counts


@dataclass(frozen=True)
class DocumentsOf:
    """DECIDED → DOCUMENTS, in the same order."""

    snapshot: int
    schema: pa.Schema = DOCUMENTS

    @property
    def fingerprint(self) -> str:
        return f"index:run-of-documents:{self.snapshot}"

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches():
            columns = {name: batch[name] for name in DOCUMENTS.names if name in batch.schema.names}
            columns["snapshot"] = pa.array(np.full(batch.num_rows, self.snapshot, np.int32))
            columns["place"] = pa.array(document_numbers(batch["shard"].to_numpy(), batch["row"].to_numpy()))
            yield Output(table_of(DOCUMENTS, columns))


@dataclass(frozen=True)
class RemovalsOf:
    """DECIDED → REMOVALS: of the documents that are not kept; and of survivors what they inherit of these, and the
    snapshots that have them."""

    schema: pa.Schema = REMOVALS
    fingerprint: str = "index:removals"

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches():
            removed = batch.filter(pc.is_valid(batch["rule"])).select(REMOVALS.names)
            yield Output(removed)
            mine = removed.filter(pc.greater_equal(removed["survivor_place"], 0))
            place, ones = mine["survivor_place"].to_numpy(), np.ones(mine.num_rows)
            yield Output(_inherited(place, mine["copies"], ones, pa.nulls(mine.num_rows, SEEN)))
            met = batch.filter(pc.and_(batch["kept"], pc.greater(batch["snapshots"], 1)))
            place = document_numbers(met["shard"], met["row"])
            yield Output(_inherited(place, np.zeros(met.num_rows), met["snapshots"], met["seen"]))


def _inherited(place: Any, copies: Any, snapshots: Any, seen: pa.Array) -> pa.RecordBatch:
    """REMOVALS without a rule, of the documents at these places."""
    nothing = {field.name: pa.nulls(place.size, field.type) for field in REMOVALS}
    given = {**places_of(place), "copies": copies, "snapshots": snapshots, "seen": seen}
    made = {name: column if isinstance(column, pa.Array) else pa.array(column.astype(np.int32))
            for name, column in given.items()}  # fmt: skip
    return table_of(REMOVALS, {**nothing, **made})
