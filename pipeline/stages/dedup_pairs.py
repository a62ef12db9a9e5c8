"""Near copies, from documents to edges: bands retrieve candidate pairs, their shingle sets prove them.

The texts are read twice: once for the signature, the hash of the set of shingles and what the policy compares; then,
where there are candidates, for the sets that they are compared by, and once more in each further round.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.candidates import Again, Candidates, Stars, met_rows
from dedup.equal_sets import CopyEdges, EqualSets, better_rows, copy_rows
from dedup.marks import READ
from dedup.minhash import MinHash, band_rows, signature_table
from dedup.policy import Policy, columns_read, preference_fields
from dedup.rounds import Left, RemovedMembers, crowd_rows, link_rows
from dedup.tables import (
    BANDS,
    COPIES,
    CROWD,
    EDGES,
    LINKS,
    PAIRS,
    SAME,
    SETS,
    WANTED,
    WANTED_BANDS,
    batch_of,
    numbers_of,
    signed_schema,
    values,
)
from dedup.verify import Verify, set_rows
from infra.dataset.reader import Dataset, ShardReader
from infra.engines.task import Output
from pipeline.stages.dedup_parts import Numbered, OfShards, PartGroup, SomeColumns, large_batches
from pipeline.stages.dedup_work import ChosenTask, Work

# Rounds of candidates and their verification, at most; they end when one finds nothing.
ROUNDS = 3


def edges_of(work: Work, options: dict[str, Any], params: MinHash, signed: Dataset) -> list[Dataset]:
    """EDGES of the pool, in several datasets. A pair may have more than one. `signed`: as `signatures_of`."""
    policy: Policy = options["policy"]
    grouped = ("key", "check", "shard", "row", *(field.name for field in preference_fields(policy)))
    same = work.reduce("same", [SomeColumns(signed.folder, grouped)], EqualSets(policy), SAME)
    edges = [work.tables.map("edges-same", EqualEdges(params.bands), same)]
    bands = work.tables.map("bands", Bands(), signed, work.by_group(same, SAME, "copies"))
    pairs = work.reduce("candidates", [bands], Candidates(), PAIRS)
    verify = options["verify"]
    if verify:
        found = verified_edges(work, options, params, pairs, signed)
    else:
        found = [work.tables.map("edges", AsEdges(), pairs)]
    # a component has its equal sets as it is
    if rows_of(same) and (verify or options["link"] == "direct"):
        copies = work.tables.map("copy-sets", Each("copies", COPIES, copy_rows), same)
        better = [
            work.tables.map(f"copied-{number}", Each("edges", COPIES, better_rows), each)
            for number, each in enumerate(found, 1)
        ]
        edges.append(work.reduce("edges-copies", [copies, *better], CopyEdges(), EDGES))
    return [*edges, *found]


def verified_edges(
    work: Work, options: dict[str, Any], params: MinHash, pairs: Dataset, signed: Dataset
) -> list[Dataset]:
    """The candidate pairs whose shingle sets reach the similarity threshold, and those of further rounds."""
    wanted = work.reduce("wanted", [pairs], Stars(1), WANTED)
    edges = [compared(work, "", options, params, wanted, signed)]
    crowd = work.tables.map("crowd", Each("crowd", CROWD, crowd_rows), pairs)
    links: list[Dataset] = []
    met: list[Dataset] = []
    for number in range(2, ROUNDS + 1 if rows_of(crowd) else 0):
        suffix = f"-{number}"
        links.append(work.tables.map(f"links{suffix}", Each("links", LINKS, link_rows), edges[-1]))
        met.append(work.tables.map(f"met{suffix}", Each("met", PAIRS, met_rows), wanted))
        removed = work.reduce(f"removed{suffix}", links, RemovedMembers(), CROWD)
        left = work.reduce(f"left{suffix}", [crowd, removed], Left(), BANDS)
        pairs = work.reduce(f"candidates{suffix}", [left], Again(number), PAIRS)
        wanted = work.reduce(f"wanted{suffix}", [*met, pairs], Stars(number), WANTED)
        if not rows_of(wanted):
            break
        edges.append(compared(work, suffix, options, params, wanted, signed))
        if not rows_of(edges[-1]):
            break
    return edges


def compared(
    work: Work, suffix: str, options: dict[str, Any], params: MinHash, wanted: Dataset, signed: Dataset
) -> Dataset:
    """The EDGES of a round, of its WANTED."""
    of_group = work.by_group(wanted, WANTED, f"sets{suffix}-places")
    sets = work.tables.map(f"sets{suffix}", ShingleSets(params.ngram), Numbered(work.source), of_group, signed)
    return work.reduce(f"edges{suffix}", [sets], Verify(options["threshold"], options["measure"]), EDGES)


def signatures_of(work: Work, policy: Policy, params: MinHash) -> Dataset:
    """`signed_schema` of all documents with shingles, in the groups in which they are read."""
    made = partial(signature_table, params=params, policy=policy)
    schema, columns = signed_schema(policy, params.bands), (*READ, *columns_read(policy))
    return work.table("signatures", f"signatures:{params}:{policy}", schema, made, columns)


def rows_of(table: Dataset) -> int:
    return table.manifest.shards.sums.rows


@dataclass(frozen=True)
class Each:
    """A function from a batch of a table to a batch of another, or None, as a task. `name`: of the function."""

    name: str
    schema: pa.Schema
    function: Any

    @property
    def fingerprint(self) -> str:
        return f"dedup:{self.name}"

    def __call__(self, part: ShardReader) -> Iterator[Output]:
        for batch in large_batches(part):
            made = self.function(batch)
            if made is not None:
                yield Output(made)


@dataclass(frozen=True)
class Bands:
    """BANDS of a partition of signatures, but for the documents that another stands for (SAME)."""

    schema: pa.Schema = BANDS
    fingerprint: str = "dedup:bands"

    def __call__(self, part: ShardReader, copies: OfShards) -> Iterator[Output]:
        others = numbers_of(copies.table())
        for batch in large_batches(part, ["shard", "row", "rank", "bands"]):
            numbers = numbers_of(batch)
            low, high = np.searchsorted(others, [numbers[0], numbers[-1] + 1])
            stands = np.isin(numbers, others[low:high], assume_unique=True, invert=True)
            yield Output(band_rows(batch if stands.all() else batch.filter(pa.array(stands))))


@dataclass(frozen=True)
class ShingleSets:
    """SETS of the documents that are WANTED, with the bands of their signatures."""

    ngram: int
    schema: pa.Schema = SETS

    @property
    def fingerprint(self) -> str:
        return f"dedup:sets:{self.ngram}"

    def __call__(self, group: PartGroup, places: OfShards, signed: ShardReader) -> Iterator[Output]:
        task = ChosenTask("sets", SETS, partial(set_rows, ngram=self.ngram), READ)
        yield from task(group, WithBands(places, signed))


@dataclass(frozen=True)
class WithBands:
    """The rows of WANTED for some shards as WANTED_BANDS; `signed`: the signatures of all documents of these."""

    wanted: OfShards
    signed: ShardReader

    def table(self) -> pa.Table:
        """Sorted by place."""
        wanted = self.wanted.table()
        if not wanted.num_rows:
            return WANTED_BANDS.empty_table()
        signed = self.signed.table(["shard", "row", "bands"]).combine_chunks()
        place = np.searchsorted(numbers_of(signed), numbers_of(wanted))
        bands = signed["bands"].take(pa.array(place)).cast(WANTED_BANDS.field("bands").type)
        return wanted.append_column(WANTED_BANDS.field("bands"), bands).select(WANTED_BANDS.names)


@dataclass(frozen=True)
class EqualEdges:
    """EDGES of SAME. Documents of equal sets have all `bands` in common."""

    bands: int
    schema: pa.Schema = EDGES

    @property
    def fingerprint(self) -> str:
        return f"dedup:equal-edges:{self.bands}"

    def __call__(self, part: ShardReader) -> Iterator[Output]:
        for batch in large_batches(part):
            ones = np.ones(batch.num_rows)
            yield Output(edge_rows(batch, ones, ones, np.full(batch.num_rows, self.bands, np.int16)))


@dataclass(frozen=True)
class AsEdges:
    """Takes the pairs of the first round as edges without verification, as some published recipes do."""

    schema: pa.Schema = EDGES
    fingerprint: str = "dedup:as-edges"

    def __call__(self, part: ShardReader) -> Iterator[Output]:
        for batch in large_batches(part):
            batch = batch.filter(pa.array(values(batch, "key") != numbers_of(batch)))
            empty = pa.nulls(batch.num_rows, pa.float64())
            yield Output(edge_rows(batch, empty, empty, pa.nulls(batch.num_rows, pa.int16())))


def edge_rows(batch: pa.RecordBatch, jaccard: Any, containment: Any, bands: Any) -> pa.RecordBatch:
    """EDGES from `key` to the documents at the places of a batch."""
    columns = {"a": batch["key"], "b": numbers_of(batch), "jaccard": jaccard, "containment": containment}
    return batch_of(EDGES, columns | {"bands": bands})
