"""`index add`: a snapshot is compared with itself and with older ones, and becomes runs of the index.

Its documents are sketched in one pass over the texts. Everything after it is made of the sketches: which contents older
snapshots have (a join by ranges of keys), candidate pairs (by ranges of band hashes), the similarity of each pair,
decisions, and three sorted runs. Of older runs the row groups are read that may have what the snapshot has; nothing of
them is moved or written. So an add costs its own size, and a merge now and then (`merge.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dedup.candidates import PAIRS_OF_A_BUCKET
from dedup.index.decide import Keeping
from dedup.index.keys import bits_for
from dedup.index.tables import BAND_ROWS, BANDS, NAMED, PLACES, REMOVALS
from infra.dataset.manifest import MANIFEST, Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset, Source
from infra.engines.engine import Engine
from infra.engines.task import Reducer, Task
from infra.errors import UsageError
from infra.hashing import canonical_json, sha256_json
from infra.storage import read_json, write_bytes
from pipeline.index.apply import Apply
from pipeline.index.decisions import STEP, AllEdges, DecideContents, Decided, DocumentsOf, RemovalsOf, SurvivorNames
from pipeline.index.manifest import RUNS, WORK, Index, IndexRun, Snapshot, held, open_or_new
from pipeline.index.merge import merge_full_levels
from pipeline.index.proof import CompareSets, ContentSets, KnownContents
from pipeline.index.runs import Alive, Ranges, Stored
from pipeline.index.tasks import (
    BandsOf,
    Contents,
    Crowd,
    DistinctPairs,
    IndexCandidates,
    KeptBands,
    LeftInBuckets,
    Lost,
    Met,
    Sketch,
    Sorted,
    WantedSets,
    WithNumbers,
    WithoutShingles,
)
from pipeline.inputs.inputs import dataset_in
from pipeline.job.baseline import handed_on
from pipeline.job.carried import carried
from pipeline.job.outputs import check_apart
from pipeline.job.tables import Tables

# A range of keys has so many documents in the mean: with their shingles some 64 MiB.
PART_DOCUMENTS = 16_384
# Rounds of candidates and their comparison, at most; they end when one finds nothing.
ROUNDS = 3
ARGUMENTS = "add.json"
_NAME = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f-\x9f]{1,200}")


@dataclass(frozen=True)
class Added:
    """`index`: the state after it. `snapshot`: that which was added; `new`: whether it was not there before."""

    index: Index
    snapshot: Snapshot
    new: bool
    out: Dataset | None


def documents_in(folder: Path) -> Dataset:
    """The documents of a dataset's folder, or of the last dataset of a run's. UsageError if there are none."""
    dataset = dataset_in(folder)
    if dataset.kind is not Kind.DOCUMENTS:
        raise UsageError(f"{folder} contains {dataset.kind.value}, not documents: give a dataset with texts")
    return dataset


def default_name(source: Source) -> str:
    """The crawl that the first document is of, else the name of the dataset's folder."""
    parts: Any = source.parts()
    first = next((batch for part in parts[:1] for batch in part.batches(["dump"])), None)
    dump = first["dump"][0].as_py() if first is not None and first.num_rows and "dump" in first.schema.names else None
    return str(dump or (source.folder.absolute().name if isinstance(source, Dataset) else ""))


def checked_name(name: str) -> str:
    """The name of a snapshot. UsageError for one that is empty, or would be another place as the name of a file."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a snapshot: name one without slashes, such as 2024-51 (--snapshot)")
    return name


def add(
    folder: Path,
    source: Source,
    engine: Engine,
    name: str | None = None,
    choice: Keeping | None = None,
    out: Path | None = None,
    given: Mapping[str, Any] | None = None,
    header: Header | None = None,
    step: str = STEP,
) -> Added:
    """Add a snapshot to the index in `folder`, which is made if it is not there. `given`: parameters of the index that
    the user names; `out`: a folder for the documents that are kept, with the others in the ledger; `header` and `step`:
    of that dataset, where it is a stage's.

    A snapshot that is there with the same documents is left as it is. UsageError for one with others, for other
    parameters than the index has, for documents without ids, and if another command changes the index.
    """
    name, choice = checked_name(default_name(source) if name is None else name), choice or Keeping()
    folders = [source.folder] if isinstance(source, Dataset) else []
    check_apart(folder, folders)
    if out is not None:
        check_apart(out, [*folders, folder])
    with held(folder):
        index = open_or_new(folder, given or {})
        for snapshot in index.snapshots:
            if snapshot.name == name:
                if left_by(folder, source):  # killed after the index named the snapshot
                    index.clear()
                    index = merge_full_levels(index, engine)
                return _there(index, snapshot, source, out)
        adding = Adding(index, source, name, choice, engine)
        adding.begin()
        runs, counts = adding.runs()
        written = None if out is None else adding.write(out, header, step)
        snapshot = Snapshot(index.next, name, sha256_of(source), choice.policy, choice.copies, counts)
        changed = replace(index, next=index.next + 1, snapshots=(*index.snapshots, snapshot), runs=(*index.runs, *runs))
        changed.save()
        return Added(merge_full_levels(changed, engine), snapshot, True, written)


def left_by(folder: Path, source: Source) -> bool:
    """Whether a command that added these documents to the index was killed before it had ended."""
    left = read_json(folder / WORK / ARGUMENTS)
    return isinstance(left, dict) and left.get("dataset") == sha256_of(source)


def _there(index: Index, snapshot: Snapshot, source: Source, out: Path | None) -> Added:
    if snapshot.source != sha256_of(source):
        raise UsageError(
            f"{index.folder} has another dataset as {snapshot.name}: give --snapshot another name, or remove that one"
        )
    made = Dataset(out) if out is not None and (out / MANIFEST).is_file() else None
    if out is not None and made is None:
        raise UsageError(
            f"{snapshot.name} is in {index.folder} already, and {out} is not there: remove the snapshot, and add it "
            "again"
        )
    if made is not None and not {*source.refs} <= {*made.manifest.inputs}:
        raise UsageError(
            f"{snapshot.name} is in {index.folder} already, and {out} was made of other documents: name the folder "
            "that has what was kept, or leave --out out"
        )
    return Added(index, snapshot, False, made)


def sha256_of(source: Source) -> str:
    """What tells the documents of one source from those of another: of a dataset the hash of its manifest."""
    return source.refs[0].sha256 if len(source.refs) == 1 else sha256_json([ref.sha256 for ref in source.refs])


def rows_in(table: Dataset) -> int:
    return table.manifest.shards.sums.rows


def rows_of(source: Source) -> int:
    """The number of documents; files that do not know theirs are read for it."""
    parts: Any = source.parts()
    known = [getattr(part, "rows", None) for part in parts]
    return sum(
        sum(batch.num_rows for batch in part.batches(["id"])) if rows is None else rows
        for part, rows in zip(parts, known, strict=True)
    )


class Adding:
    """One snapshot on its way into an index: its intermediate tables, each made of those before it."""

    def __init__(self, index: Index, source: Source, name: str, choice: Keeping, engine: Engine) -> None:
        self.index, self.source, self.name, self.choice, self.engine = index, source, name, choice, engine
        self.number = index.next
        parameters = index.parameters
        self.recipe = RecipeRef(STEP, sha256_json([asdict(parameters), asdict(choice)]))
        self.tables = Tables(engine, self.recipe, STEP, index.folder / WORK)
        self.params = parameters.minhash
        self.bits = bits_for(rows_of(source), PART_DOCUMENTS)
        self.alive: Alive = index.alive
        self.older: dict[str, tuple[Stored, ...]] = {
            kind: index.stored(kind) for kind in ("contents", "bands", "documents")
        }
        if choice.policy == "within":
            self.older = dict.fromkeys(self.older, ())

    def begin(self) -> None:
        """Remove what a killed command left, unless it was this one."""
        arguments = canonical_json({"index": self.index.sha256, "dataset": sha256_of(self.source),
                                    "name": self.name, **asdict(self.choice)})  # fmt: skip
        path = self.index.folder / WORK / ARGUMENTS
        if not path.is_file() or path.read_bytes() != arguments:
            self.index.clear()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, arguments)

    def runs(self) -> tuple[list[IndexRun], dict[str, int]]:
        """The snapshot's runs, and its counts."""
        sketches = self.tables.map("sketches", Sketch(self.params.ngram, self.bits), WithNumbers(self.source))
        contents = self._run("contents", [sketches], Contents(self.number))
        places = self._by_part("places", [self.tables.map("documents", WithoutShingles(), sketches)],
                               Sorted(PLACES, ("key", "tie", "shard", "row")))  # fmt: skip
        bands = self.tables.map("band-rows", BandsOf(self.params, self.bits), contents)
        edges = self._edges(contents, bands)
        removed = self.tables.map("removed", DecideContents(self.choice, self.bits), AllEdges(edges))
        name = SurvivorNames((Stored.of(places),), self.older["documents"], self.alive, self.number, self.bits)
        named = self._by_part("named", [removed], name)
        named = self._by_part("named-sorted", [named], Sorted(NAMED, ("key",)))
        self.decided = self.tables.map("decided", Decided(self.choice, self.number), places, named)
        kept = self.tables.map("kept-bands", KeptBands(self.number), bands, self.decided)
        documents = self._map_run("documents", DocumentsOf(self.number), self.decided)
        made = self._run("bands", [kept], Sorted(BANDS, ("hash", "key")))
        found = {"contents": contents, "bands": made, "documents": documents}
        counts = {key.removeprefix("index/"): value for key, value in self.decided.manifest.counts.items()
                  if key.startswith("index/")}  # fmt: skip
        return [IndexRun.of(run, kind, 0) for kind, run in found.items()], dict(sorted(counts.items()))

    def _edges(self, contents: Dataset, bands: Dataset) -> tuple[Dataset, ...]:
        new, parameters = (Stored.of(contents),), self.index.parameters
        of_hash = self._by_part("bands", [bands], Sorted(BAND_ROWS, ("hash", "key")))
        ranges = Ranges(self.older["bands"], self.bits)
        candidates = IndexCandidates(parameters.leaders, self.alive, self.choice.policy, self.bits)
        found = self.tables.map("candidates", candidates, of_hash, ranges)
        proof = edges_of(self.tables, [found], new, self.older, self.alive, parameters.threshold, self.bits)
        known = KnownContents(self.alive)
        edges = [proof, self.tables.map("known", known, contents, Ranges(self.older["documents"], self.bits))]
        crowd = self.tables.map("crowd", Crowd(), found)
        again = replace(candidates, least=PAIRS_OF_A_BUCKET)
        met: list[Dataset] = []
        for number in range(2, ROUNDS + 1):
            met.append(self.tables.map(f"met-{number}", Met(), found))
            left = self._left(f"-{number}", crowd, edges)
            if not rows_in(left):
                break
            found = self.tables.map(f"candidates-{number}", again, left, ranges)
            if not rows_in(found):
                break
            tables = [found, *met]
            made = edges_of(self.tables, tables, new, self.older, self.alive, parameters.threshold, self.bits, number)
            if not rows_in(made):
                break
            edges.append(made)
        return tuple(edges)

    def _left(self, suffix: str, crowd: Dataset, edges: list[Dataset]) -> Dataset:
        """BAND_ROWS, sorted by bucket, of the contents of crowded buckets that edges so far do not remove."""
        if not rows_in(crowd):
            return crowd
        removed = self.tables.map(f"removed{suffix}", DecideContents(self.choice, self.bits), AllEdges(tuple(edges)))
        lost = self.tables.map(f"lost{suffix}", Lost(self.bits), removed)
        left = self._by_part(f"left{suffix}", [crowd, lost], LeftInBuckets(self.bits))
        return self._by_part(f"bands{suffix}", [left], Sorted(BAND_ROWS, ("hash", "key")))

    def write(self, out: Path, header: Header | None, step: str) -> Dataset:
        """The documents that are kept."""
        removals = self.tables.map("removals", RemovalsOf(), self.decided)
        shards = len(self.source.parts())
        by_shard = self.tables.reduce("by-shard", [removals], "shard", Sorted(REMOVALS, ("shard", "row")), shards)
        names = tuple((snapshot.number, snapshot.name) for snapshot in self.index.snapshots)
        recipe = header.recipe if header else self.recipe
        task = Apply(
            step, self.choice, self.index.parameters.threshold, recipe.sha256, carried(self.source),
            (*names, (self.number, self.name)),
        )  # fmt: skip
        if header is None:
            params = {"snapshot": self.name, "policy": self.choice.policy, "copies": self.choice.least}
            refs = (*self.source.refs, *(InputRef("run", run.sha256) for run in self.index.runs))
            header = Header(Kind.DOCUMENTS, STEP, recipe, params, refs)
        return self.engine.map_shards(task, [self.source, by_shard], out, header, handed_on(self.source, dedup=True))

    def _by_part(self, name: str, tables: list[Dataset], reducer: Reducer) -> Dataset:
        return self.tables.reduce(name, tables, "part", reducer, 1 << self.bits)

    def _run(self, kind: str, tables: list[Dataset], reducer: Reducer) -> Dataset:
        refs = tuple(ref for table in tables for ref in table.refs)
        return self.engine.reduce_by_key(
            tables, "part", reducer, 1 << self.bits, self._folder(kind), self._header(kind, refs)
        )

    def _map_run(self, kind: str, task: Task, source: Source) -> Dataset:
        return self.engine.map_shards(task, [source], self._folder(kind), self._header(kind, source.refs))

    def _folder(self, kind: str) -> Path:
        return self.index.folder / RUNS / f"{self.number:05d}-{kind}"

    def _header(self, kind: str, refs: tuple[InputRef, ...]) -> Header:
        return Header(Kind.TABLE, f"{STEP}.{kind}", self.recipe, {"snapshot": self.name}, refs)


def edges_of(
    tables: Tables,
    candidates: list[Dataset],
    new: tuple[Stored, ...],
    older: Mapping[str, tuple[Stored, ...]],
    alive: Alive,
    threshold: float,
    bits: int,
    number: int = 1,
) -> Dataset:
    """The EDGES of candidate pairs: see `ContentSets` and `CompareSets`. `number`: of the round."""
    suffix = f"-{number}" if number > 1 else ""

    def reduce(name: str, inputs: list[Dataset], reducer: Reducer) -> Dataset:
        return tables.reduce(f"{name}{suffix}", inputs, "part", reducer, 1 << bits)

    pairs = reduce("pairs", candidates, DistinctPairs())
    wanted = tables.map(f"wanted{suffix}", WantedSets(bits), pairs)
    sets = reduce("sets", [wanted], ContentSets(new, older["contents"], older["documents"], alive, bits))
    return reduce("edges", [pairs, sets], CompareSets(new, threshold, bits))
