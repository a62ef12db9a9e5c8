"""How the partitions of documents and of tables about them are put beside each other.

A partition of a table is made of several small partitions of documents, and decisions come back for several shards
together: each file costs some milliseconds, however little is in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from infra.dataset.manifest import InputRef
from infra.dataset.reader import Dataset, Part, PartList, ShardParts, ShardReader, Source, check_part
from infra.hashing import sha256_json

Rows = npt.NDArray[np.int64]
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


@dataclass(frozen=True)
class Everywhere:
    """A small table as a source of which each of `count` parts is the whole of it."""

    dataset: Dataset
    count: int

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.dataset.refs

    def parts(self) -> "WholeTables":
        return WholeTables(tuple(self.dataset.parts()), self.count)


@dataclass(frozen=True)
class WholeTables(PartList["WholeTable"]):
    """The parts of `Everywhere`."""

    readers: tuple[ShardReader, ...]
    size: int

    def __len__(self) -> int:
        return self.size

    def part(self, index: int) -> "WholeTable":
        del index
        return WholeTable(self.readers)


@dataclass(frozen=True)
class WholeTable:
    """All partitions of a table as one part."""

    readers: tuple[ShardReader, ...]

    @property
    def fingerprint(self) -> str:
        return sha256_json([reader.fingerprint for reader in self.readers])

    def check(self) -> None:
        for reader in self.readers:
            reader.check()

    def table(self, most: int) -> pa.Table:
        """The first rows, up to the partition that makes them `most` or more."""
        return _first_rows(self, most)


@lru_cache(maxsize=1)
def _first_rows(whole: WholeTable, most: int) -> pa.Table:
    """Kept for the next part, which is the same."""
    found: list[pa.Table] = []
    for reader in whole.readers:
        if sum(table.num_rows for table in found) < most:
            found.append(reader.table())
    return pa.concat_tables(found).slice(0, most)


@lru_cache(maxsize=1)
def _whole_table(reader: ShardReader) -> pa.Table:
    """Kept for the next shard, which the same process reads next."""
    return reader.table().combine_chunks()


def large_batches(part: ShardReader, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a partition of a table, TABLE_ROWS at a time."""
    table = part.table(list(columns) if columns else None)
    yield from table.combine_chunks().to_batches(max_chunksize=TABLE_ROWS)
