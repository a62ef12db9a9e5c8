"""What the methods of deduplication are made of: tables of numbered documents, reductions, and the way back to shards.

A document is its place, (shard, row). What is said of some documents (those of candidate pairs, the survivors) comes to
the task that reads them as a table of places, repartitioned like the groups of partitions that are read together:
nothing of it passes through the driver.

A partition of a table is made of several small partitions of documents, and decisions come back for several shards
together: each file costs some milliseconds, however little is in it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.named import NAMED, NAMES, NameSurvivors, id_table
from dedup.tables import DECISIONS, PLACES, numbers_of
from infra.dataset.manifest import InputRef
from infra.dataset.reader import Dataset, Part, PartList, ShardParts, ShardReader, Source, check_part
from infra.engines.task import Output
from infra.hashing import sha256_json
from pipeline.job.tables import Tables
from pipeline.steps.dedup import Dedup

Rows = npt.NDArray[np.int64]
Chosen = Callable[[pa.RecordBatch, int, pa.RecordBatch], Iterator[pa.RecordBatch]]
# Partitions of documents are read in at least so many groups if there are as many, and a group has at most so many
# documents, unless it is one partition. A table of theirs is spread as one piece: of 16,384 documents and 450 bands,
# 118 MB.
GROUPS, GROUP_DOCUMENTS = 64, 16_384
# Rows of a table that are handled at a time.
TABLE_ROWS = 4096
# Decisions for shards that follow each other are in one partition up to so many.
DECISION_ROWS = 65_536


@dataclass(frozen=True)
class NumberedPart:
    """A partition of documents with its number."""

    part: Any
    index: int

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.part.fingerprint, self.index])

    def numbered(self, columns: Sequence[str], rows: Rows | None = None) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Yields batches of those of `columns` that there are, with the row number in the shard of their first row.
        `rows`: only batches with these are needed; they ascend."""
        known = self.part.schema().names
        names = [name for name in columns if name in known]
        if rows is not None and isinstance(self.part, ShardReader):
            yield from ((batch, first) for first, batch in self.part.batches_with(rows.tolist(), names))
            return
        row = 0
        read = self.part.large_batches if isinstance(self.part, ShardReader) else self.part.batches
        for batch in read(names):
            yield batch, row
            row += batch.num_rows


@dataclass(frozen=True)
class PartGroup:
    """Partitions of documents that follow each other, as one."""

    parts: tuple[NumberedPart, ...]

    @property
    def fingerprint(self) -> str:
        return sha256_json([part.fingerprint for part in self.parts])

    def check(self) -> None:
        for part in self.parts:
            check_part(part)


@dataclass(frozen=True)
class Numbered:
    """A source of numbered parts, in groups."""

    source: Source

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.source.refs

    def parts(self) -> "PartGroups":
        parts = self.source.parts()
        return PartGroups(parts, part_groups(parts))


@dataclass(frozen=True)
class PartGroups(PartList[PartGroup]):
    """The groups of a source's parts."""

    parts: Sequence[Part]
    groups: list[range]

    def __len__(self) -> int:
        return len(self.groups)

    def part(self, index: int) -> PartGroup:
        return PartGroup(tuple(NumberedPart(self.parts[each], each) for each in self.groups[index]))


def part_groups(parts: Sequence[Any]) -> list[range]:
    """The numbers of parts that are read together: up to `GROUP_DOCUMENTS` documents, fewer where there would not be
    `GROUPS` groups. A part that does not know its rows is alone."""
    sizes = [getattr(part, "rows", None) for part in parts]
    most = min(GROUP_DOCUMENTS, sum(size or 0 for size in sizes) // GROUPS)
    starts, held = [], 0
    for number, size in enumerate(sizes):
        if number == 0 or size is None or sizes[number - 1] is None or held + size > most:
            starts.append(number)
            held = 0
        held += size or 0
    return [range(start, end) for start, end in pairwise([*starts, len(sizes)])]


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

    def __call__(self, group: PartGroup, places: "OfShards") -> Iterator[Output]:
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

    def by_group(self, table: Dataset, schema: pa.Schema, name: str) -> "ByGroup":
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

    def applicable(self, decisions: Dataset) -> Source:
        """DECISIONS, whose `key` is the survivor, with the ids and locators of survivors, and partitioned like the
        documents."""
        kept = self.tables.map("kept", KeptPlaces(), decisions)
        if kept.manifest.shards.sums.rows:
            ids = self.of_some("ids", "ids", DECISIONS, id_rows, NAMES, kept)
            decisions = self.reduce("named", [ids, decisions], NameSurvivors(), NAMED)
        return self.to_shards(decisions, NAMED)


@dataclass(frozen=True)
class SomeColumns(Dataset):
    """A dataset of which a reduction reads only these columns."""

    columns: tuple[str, ...]

    def parts(self) -> "ColumnParts":
        return ColumnParts(self, self.columns)


@dataclass(frozen=True)
class ColumnParts(ShardParts):
    columns: tuple[str, ...]

    def part(self, index: int) -> "ColumnReader":
        shard = self.dataset.manifest.shards[index]
        return ColumnReader(str(self.dataset.folder), shard.path, shard.rows, shard.sha256, self.columns)


@dataclass(frozen=True)
class ColumnReader(ShardReader):
    columns: tuple[str, ...]

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        return super().batches(columns or list(self.columns))

    def table(self, columns: list[str] | None = None) -> pa.Table:
        return super().table(columns or list(self.columns))


def shards_together(shards: int, rows: int) -> int:
    """For how many shards there are decisions in one partition: a power of two, so that it seldom changes when a
    dataset grows, with at most `DECISION_ROWS` rows in the mean and at least `GROUPS` partitions."""
    most = min(shards // GROUPS, shards * DECISION_ROWS // max(1, rows))
    return 1 << max(0, most.bit_length() - 1)


@dataclass(frozen=True)
class ByShard:
    """Decisions, of which each partition has those for `each` shards, as a source with a part for each shard."""

    decisions: Dataset
    shards: int
    each: int

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.decisions.refs

    def parts(self) -> "ShardDecisions":
        return ShardDecisions(self.decisions.parts(), self.shards, self.each)


@dataclass(frozen=True)
class ShardDecisions(PartList["OfShard"]):
    """The parts of `ByShard`."""

    readers: Sequence[ShardReader]
    shards: int
    each: int

    def __len__(self) -> int:
        return self.shards

    def part(self, index: int) -> "OfShard":
        return OfShard(self.readers[index // self.each], index)


@dataclass(frozen=True)
class OfShard:
    """The decisions for one shard, in the partition `part`, which is sorted by shard."""

    part: ShardReader
    shard: int

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.part.fingerprint, self.shard])

    def table(self, columns: list[str] | None = None) -> pa.Table:
        """As `ShardReader.table`."""
        table = _whole_table(self.part)
        low, high = np.searchsorted(table["shard"].to_numpy(), [self.shard, self.shard + 1])
        rows = table.slice(low, high - low)
        return rows if columns is None else rows.select(columns)


@dataclass(frozen=True)
class ByGroup:
    """A table, of which each partition has the rows for `each` shards, as a source with a part for each group."""

    table: Dataset
    groups: list[range]
    each: int

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.table.refs

    def parts(self) -> "GroupRows":
        return GroupRows(self.table.parts(), self.groups, self.each)


@dataclass(frozen=True)
class GroupRows(PartList["OfShards"]):
    """The parts of `ByGroup`."""

    readers: Sequence[ShardReader]
    groups: list[range]
    each: int

    def __len__(self) -> int:
        return len(self.groups)

    def part(self, index: int) -> "OfShards":
        group = self.groups[index]
        among = range(group.start // self.each, (group.stop - 1) // self.each + 1)
        return OfShards(tuple(self.readers[number] for number in among), group.start, group.stop)


@dataclass(frozen=True)
class OfShards:
    """The rows for the shards from `start` up to `stop`, in partitions that are sorted by shard."""

    readers: tuple[ShardReader, ...]
    start: int
    stop: int

    @property
    def fingerprint(self) -> str:
        return sha256_json([[reader.fingerprint for reader in self.readers], self.start, self.stop])

    def check(self) -> None:
        for reader in self.readers:
            reader.check()

    def table(self) -> pa.Table:
        """Sorted by place."""
        found = []
        for reader in self.readers:
            table = reader.table()
            low, high = np.searchsorted(table["shard"].to_numpy(), [self.start, self.stop])
            found.append(table.slice(low, high - low))
        return pa.concat_tables(found).combine_chunks()


@lru_cache(maxsize=1)
def _whole_table(reader: ShardReader) -> pa.Table:
    """Kept for the next shard, which the same process reads next."""
    return reader.table().combine_chunks()


def large_batches(part: ShardReader, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a partition of a table, TABLE_ROWS at a time."""
    table = part.table(list(columns) if columns else None)
    yield from table.combine_chunks().to_batches(max_chunksize=TABLE_ROWS)
