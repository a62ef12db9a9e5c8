"""The connected components of a pool's edges: on one machine while they fit, in rounds of the engine beyond.

Edges stream from the parts of their datasets. The documents with an edge, each once, are a table in the order of the
dataset, so that nothing sorts them all at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.by_component import LABELS, label_rows
from dedup.components import Forest
from dedup.stars import STARS, both_ways, large_stars, small_stars
from dedup.tables import LOCATION, DocumentNumbers, batch_of, distinct, numbers_of, places, run_starts, values
from infra.dataset.manifest import InputRef
from infra.dataset.reader import Dataset, SideBySide
from infra.engines.task import Output
from infra.hashing import sha256_json
from pipeline.job.tables import Tables
from pipeline.stages.dedup_parts import shards_together

# Up to so many documents with an edge one process finds the components: at 8 bytes each 4.3 GB, which a machine that
# runs anything else has too. One snapshot has some 350 million.
FOREST_NODES = 1 << 29
ENDS = pa.schema(LOCATION)
# Two documents apart become one edge apart at the least: more rounds than a document's number has bits are a mistake.
MOST_ROUNDS = 64


def ends_of(tables: Tables, shards: int, edges: Sequence[Dataset], suffix: str = "") -> Dataset:
    """The documents that have an edge to another, each once, in the order of the `shards` of their dataset."""
    found = tables.map(f"ends-found{suffix}", EndsOf(), SideBySide(tuple(edges)))
    each = shards_together(shards, found.manifest.shards.sums.rows)
    return tables.reduce(f"ends{suffix}", [found], "shard", Once(), -(-shards // each), each)


def labels_of(tables: Tables, ends: Dataset, edges: Sequence[Dataset], suffix: str = "") -> Dataset:
    """LABELS: the component of each document of `ends`, named by its smallest document."""
    if ends.manifest.shards.sums.rows <= FOREST_NODES:
        return tables.map(f"labels{suffix}", ByForest(), Graph(tuple(edges), ends))
    return labels_by_rounds(tables, edges, suffix)


def labels_by_rounds(tables: Tables, edges: Sequence[Dataset], suffix: str = "") -> Dataset:
    """As `labels_of`, by large-star and small-star in turn. Each round leaves its tables until the stage is done."""
    stars = tables.map(f"stars{suffix}", AsStars(), SideBySide(tuple(edges)))
    for number in range(1, MOST_ROUNDS + 1):
        large = tables.reduce(f"large{suffix}-{number}", [stars], "key", LargeStars())
        if not large.manifest.counts.get(LOOSE, 0):
            return tables.map(f"labels{suffix}", AsLabels(), large)
        stars = tables.reduce(f"small{suffix}-{number}", [large], "key", SmallStars())
    raise AssertionError(f"no components after {MOST_ROUNDS} rounds")


@dataclass(frozen=True)
class Graph:
    """Edges and their ends: a source of one partition, itself."""

    edges: tuple[Dataset, ...]
    ends: Dataset

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(ref for dataset in (*self.edges, self.ends) for ref in dataset.refs)

    @property
    def fingerprint(self) -> str:
        return sha256_json([ref.sha256 for ref in self.refs])

    def parts(self) -> list["Graph"]:
        return [self]


@dataclass(frozen=True)
class ByForest:
    """The components of the whole pool, in one process."""

    schema: pa.Schema = LABELS
    fingerprint: str = "dedup:by-forest"

    def __call__(self, graph: Graph) -> Iterator[Output]:
        nodes = (numbers_of(part.table()) for part in graph.ends.parts() if part.rows)
        forest = Forest(nodes, graph.ends.manifest.shards.sums.rows)
        for dataset in graph.edges:
            for part in dataset.parts():
                forest.add(*apart(part))
        for numbers, labels in forest.labels():
            yield Output(label_rows(numbers, labels))


def apart(part: Any) -> tuple[DocumentNumbers, DocumentNumbers]:
    """Both ends of the edges in a part of EDGES; without edges from a document to itself."""
    table = part.table(["a", "b"])
    a, b = values(table, "a"), values(table, "b")
    different = a != b
    return a[different], b[different]


@dataclass(frozen=True)
class EndsOf:
    """The distinct ends of the edges in a part of EDGES."""

    schema: pa.Schema = ENDS
    fingerprint: str = "dedup:ends-of"

    def __call__(self, part: Any) -> Iterator[Output]:
        yield Output(batch_of(ENDS, places(distinct(np.concatenate(apart(part))))))


@dataclass(frozen=True)
class Once:
    """Each document once."""

    schema: pa.Schema = ENDS
    fingerprint: str = "dedup:once"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        del partition
        last = np.full(1, -1)
        for batch in rows:
            numbers = np.concatenate([last, numbers_of(batch)])
            last = numbers[-1:]
            yield Output(batch_of(ENDS, places(numbers[run_starts(numbers)][1:])))


# Counts the edges that are not yet those of a star around the smallest document of their component.
LOOSE = "stars/loose"


@dataclass(frozen=True)
class AsStars:
    """EDGES from both sides."""

    schema: pa.Schema = STARS
    fingerprint: str = "dedup:as-stars"

    def __call__(self, part: Any) -> Iterator[Output]:
        yield Output(both_ways(*apart(part)))


@dataclass(frozen=True)
class LargeStars:
    """As `dedup.stars.large_stars`."""

    schema: pa.Schema = STARS
    fingerprint: str = "dedup:large-stars"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        del partition
        for batch, loose in large_stars(rows):
            yield Output(batch, None, {LOOSE: loose})


@dataclass(frozen=True)
class SmallStars:
    """As `dedup.stars.small_stars`."""

    schema: pa.Schema = STARS
    fingerprint: str = "dedup:small-stars"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        del partition
        for batch in small_stars(rows):
            yield Output(batch)


@dataclass(frozen=True)
class AsLabels:
    """The edges of finished stars as LABELS."""

    schema: pa.Schema = LABELS
    fingerprint: str = "dedup:as-labels"

    def __call__(self, part: Any) -> Iterator[Output]:
        table = part.table()
        yield Output(label_rows(values(table, "key"), numbers_of(table)))
