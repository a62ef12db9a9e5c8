"""What the methods of deduplication are made of: tables of numbered documents, reductions, and the way back to shards.

A document is its place, (shard, row). What is said of some documents (those of candidate pairs, the survivors) comes to
the task that reads them as a table of places, repartitioned like the groups of partitions that are read together:
nothing of it passes through the driver.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from dedup.named import NAMED, NAMES, NameSurvivors, id_table
from dedup.snapshots import NAMES as SNAPSHOT_NAMES
from dedup.snapshots import READ as SNAPSHOTS_READ
from dedup.snapshots import EachName, name_table
from dedup.tables import DECISIONS, PLACES, numbers_of
from infra.dataset.reader import Dataset, Source
from infra.engines.task import Output
from pipeline.job.tables import Tables
from pipeline.stages.dedup_parts import (
    ByGroup,
    ByShard,
    Everywhere,
    Numbered,
    PartGroup,
    part_groups,
    shards_together,
)
from pipeline.steps.dedup import Dedup


class Places(Protocol):
    """Rows about documents, sorted by their places."""

    def table(self) -> pa.Table: ...


Chosen = Callable[[pa.RecordBatch, int, pa.RecordBatch], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class TableTask:
    """A pure function from a batch of documents to a batch of a table, as a task: `function(batch, shard, first_row)`.

    `name` identifies the function in the fingerprint; `columns`: those of the documents that it reads.
    """

    name: str
    schema: pa.Schema
    function: Callable[..., pa.RecordBatch]
    columns: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return f"dedup:{self.name}"

    def __call__(self, group: PartGroup) -> Iterator[Output]:
        for part in group.parts:
            for batch, first_row in part.numbered(self.columns):
                yield Output(self.function(batch, part.index, first_row))


@dataclass(frozen=True)
class ChosenTask:
    """A function of a batch of documents and of rows of a table about some of them, as a task. The function gets the
    number of the first document of the batch, and the rows in the order of their places; it yields batches of a table.

    `name` identifies the function in the fingerprint; `columns`: those of the documents that it reads.
    """

    name: str
    schema: pa.Schema
    function: Chosen
    columns: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return f"dedup:{self.name}"

    def __call__(self, group: PartGroup, places: Places) -> Iterator[Output]:
        table = places.table()
        numbers = numbers_of(table)
        for part in group.parts:
            low, high = np.searchsorted(numbers, [part.index << 32, (part.index + 1) << 32])
            if low == high:
                continue  # nothing of it is read
            for batch, first_row in part.numbered(self.columns, numbers[low:high] & 0xFFFFFFFF):
                first = part.index << 32 | first_row
                begin, end = np.searchsorted(numbers, [first, first + batch.num_rows])
                if begin < end:
                    rows = table.slice(begin, end - begin).combine_chunks().to_batches()[0]
                    yield from (Output(made) for made in self.function(batch, first, rows))


def id_rows(documents: pa.RecordBatch, first: int, kept: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield id_table(documents, first >> 32, first & 0xFFFFFFFF, numbers_of(kept))


@dataclass(frozen=True)
class KeptPlaces:
    """The places of survivors, of DECISIONS."""

    schema: pa.Schema = PLACES
    fingerprint: str = "dedup:kept"

    def __call__(self, part: Any) -> Iterator[Output]:
        table = part.table(["shard", "row", "kept"])
        for batch in table.filter(table["kept"]).select(self.schema.names).combine_chunks().to_batches():
            yield Output(batch)


@dataclass(frozen=True)
class Reduce:
    """Adapts a reducer of `dedup/`, which yields batches, to the engine."""

    inner: Any
    schema: pa.Schema

    @property
    def fingerprint(self) -> str:
        return str(self.inner.fingerprint)

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        for batch in self.inner(partition, rows):
            yield Output(batch)


@dataclass(frozen=True)
class Forward:
    """Yields rows unchanged: used to repartition decisions like the shards of their documents, in document order."""

    schema: pa.Schema
    fingerprint: str = "dedup:forward"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        del partition
        for batch in rows:
            yield Output(batch.select(self.schema.names))


@dataclass(frozen=True)
class Work:
    """One deduplication: its step, its documents, and its intermediate tables."""

    step: Dedup
    source: Source
    tables: Tables

    def table(
        self,
        name: str,
        of: str,
        schema: pa.Schema,
        function: Callable[..., pa.RecordBatch],
        columns: Iterable[str],
    ) -> Dataset:
        """A table of the documents, by a function as `TableTask` has it; `of`: its name."""
        task = TableTask(of, schema, function, tuple(dict.fromkeys(columns)))
        return self.tables.map(name, task, Numbered(self.source))

    def reduce(self, name: str, tables: list[Dataset], reducer: Any, schema: pa.Schema) -> Dataset:
        """The tables' rows by `key`, through a reducer of `dedup/`."""
        return self.tables.reduce(name, tables, "key", Reduce(reducer, schema))

    def to_shards(self, table: Dataset, schema: pa.Schema, name: str = "by-shard") -> Source:
        """Repartitions a table with a `shard` column like the documents of its rows."""
        shards = len(self.source.parts())
        each = shards_together(shards, table.manifest.shards.sums.rows)
        made = self.tables.reduce(name, [table], "shard", Forward(schema), -(-shards // each), each)
        return made if each == 1 else ByShard(made, shards, each)

    def by_group(self, table: Dataset, schema: pa.Schema, name: str) -> ByGroup:
        """Repartitions a table with the places of documents like the groups in which documents are read."""
        parts = self.source.parts()
        each = shards_together(len(parts), table.manifest.shards.sums.rows)
        made = self.tables.reduce(name, [table], "shard", Forward(schema), -(-len(parts) // each), each)
        return ByGroup(made, part_groups(parts), each)

    def of_some(
        self, name: str, of: str, schema: pa.Schema, function: Chosen, columns: Iterable[str], places: Dataset
    ) -> Dataset:
        """A table of the documents at the `places`, by a function as `ChosenTask` has it; `of`: its name."""
        wanted = self.by_group(places, places.schema, f"{name}-places")
        task = ChosenTask(of, schema, function, tuple(dict.fromkeys(columns)))
        return self.tables.map(name, task, Numbered(self.source), wanted)

    def applicable(self, decisions: Dataset) -> list[Source]:
        """DECISIONS, whose `key` is the survivor, with the ids and locators of survivors, and partitioned like the
        documents; and the names of all snapshots, if there is a survivor."""
        kept = self.tables.map("kept", KeptPlaces(), decisions)
        if not kept.manifest.shards.sums.rows:
            return [self.to_shards(decisions, NAMED)]
        ids = self.of_some("ids", "ids", DECISIONS, id_rows, NAMES, kept)
        named = self.reduce("named", [ids, decisions], NameSurvivors(), NAMED)
        return [self.to_shards(named, NAMED), self.snapshot_names()]

    def snapshot_names(self) -> Everywhere:
        """`snapshots.NAMES`, in each part."""
        every = self.table("snapshot-names", "snapshot-names", SNAPSHOT_NAMES, name_table, SNAPSHOTS_READ)
        return Everywhere(self.reduce("snapshots", [every], EachName(), SNAPSHOT_NAMES), len(self.source.parts()))
