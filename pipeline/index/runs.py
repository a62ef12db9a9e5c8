"""The runs of an index: sorted, immutable datasets; and how a range of them is read.

A run is cut into 2^bits shards by the first bits of its first column. A range of it is some shards, and of these some
row groups: their statistics say which of the rows that are wanted they may have.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dedup.index.keys import KEY, part_range, prefixes, to_numpy
from dedup.tables import Hashes
from infra.dataset.manifest import InputRef
from infra.dataset.reader import Dataset, PartList, ShardReader
from infra.dataset.schema import describe
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.storage import StoreError, place, readable


@dataclass(frozen=True)
class Stored:
    """A run as workers find it: its folder, how many bits its shards are cut by, the sha256 of its manifest."""

    folder: str
    bits: int
    sha256: str

    @classmethod
    def of(cls, dataset: Dataset) -> "Stored":
        parts = len(dataset.parts())
        return cls(str(dataset.folder), (parts - 1).bit_length(), dataset.refs[0].sha256)

    def rows(self, low: int, high: int, wanted: Hashes | None = None) -> pa.Table:
        """The rows whose first column is in [low, high], as numbers of 64 bits; of `wanted` (sorted) ones alone.

        UsageError if what is read of the run is damaged: pages have checksums, unless an earlier version wrote them.
        """
        dataset = _opened(self.folder)
        parts, found, schema = dataset.parts(), [], None
        for number in range(low >> (64 - self.bits), (high >> (64 - self.bits)) + 1):
            part = self._part(parts, number)
            if not part.rows and schema is not None:
                continue
            try:
                with pq.ParquetFile(readable(part.file), page_checksum_verification=True) as file:
                    schema = file.schema_arrow
                    if _columns(describe(schema)) != _columns(dataset.manifest.schema):
                        raise pa.ArrowInvalid("other columns than the run has")
                    groups = [n for n in range(file.num_row_groups) if _may_have(file, n, low, high, wanted)]
                    found += [file.read_row_group(group, use_threads=False) for group in groups]
            except StoreError:
                raise
            except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
                raise _damaged(part.file, error) from None
        assert schema is not None
        table = pa.concat_tables(found) if found else schema.empty_table()
        return _within(table, low, high, wanted)

    def _part(self, parts: Sequence[ShardReader], number: int) -> ShardReader:
        try:
            return parts[number]
        except UsageError as error:  # the run's table of files
            raise _damaged(self.folder, error) from None


def _damaged(what: object, error: Exception) -> UsageError:
    reason = str(error).splitlines()[0]
    return UsageError(f"{what} cannot be read ({reason}): `refinery index verify` says which runs are damaged")


def _columns(schema: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names and types; Parquet calls the items of a list elements."""
    return [(name, kind.replace("<item:", "<element:")) for name, kind in schema]


def first_numbers(table: pa.Table) -> Hashes:
    """The first column as numbers of 64 bits."""
    column = table.column(0)
    if column.type == KEY:
        return prefixes(to_numpy(column))
    numbers: Hashes = column.to_numpy()
    return numbers


def _within(table: pa.Table, low: int, high: int, wanted: Hashes | None) -> pa.Table:
    numbers = first_numbers(table)
    chosen = (numbers >= np.uint64(low)) & (numbers <= np.uint64(high))
    if wanted is not None:
        chosen &= np.isin(numbers, wanted)
    return table if chosen.all() else table.filter(pa.array(chosen))


def _may_have(file: pq.ParquetFile, group: int, low: int, high: int, wanted: Hashes | None) -> bool:
    """Whether a row group may have rows of the range."""
    statistics = file.metadata.row_group(group).column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    least, most = (_number(value) for value in (statistics.min, statistics.max))
    if most < low or least > high:
        return False
    if wanted is None:
        return True
    first, last = np.searchsorted(wanted, [np.uint64(least)]), np.searchsorted(wanted, [np.uint64(most)], "right")
    return bool(last[0] > first[0])


def _number(value: Any) -> int:
    return int.from_bytes(value[:8], "big") if isinstance(value, bytes) else int(value)


@lru_cache(maxsize=64)
def _opened(folder: str) -> Dataset:
    return Dataset(place(folder))


@dataclass(frozen=True)
class RangePart:
    """One range of several runs, of the same kind."""

    runs: tuple[Stored, ...]
    number: int
    bits: int

    @property
    def fingerprint(self) -> str:
        return sha256_json([[run.sha256 for run in self.runs], self.number, self.bits])

    def tables(self, wanted: Hashes | None = None) -> Iterator[pa.Table]:
        """The rows of each run, sorted; see `Stored.rows`."""
        low, high = part_range(self.number, self.bits)
        for run in self.runs:
            yield run.rows(low, high, wanted)

    def table(self, schema: pa.Schema, wanted: Hashes | None = None) -> pa.Table:
        """The rows of all runs, one after the other."""
        return joined(self.tables(wanted), schema)


def joined(tables: Iterator[pa.Table], schema: pa.Schema) -> pa.Table:
    return pa.concat_tables([schema.empty_table(), *(table.select(schema.names).cast(schema) for table in tables)])


@dataclass(frozen=True)
class Ranges:
    """Some runs as a source of 2^bits partitions, each a range of them all."""

    runs: tuple[Stored, ...]
    bits: int

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(InputRef("run", run.sha256) for run in self.runs)

    def parts(self) -> Sequence[RangePart]:
        return RangeParts(self.runs, self.bits)


@dataclass(frozen=True)
class RangeParts(PartList[RangePart]):
    """The partitions of `Ranges`."""

    runs: tuple[Stored, ...]
    bits: int

    def __len__(self) -> int:
        return 1 << self.bits

    def part(self, index: int) -> RangePart:
        return RangePart(self.runs, index, self.bits)


@dataclass(frozen=True)
class Alive:
    """Which rows of runs count: those of snapshots that the index has, but for documents that were taken down.

    `gone`: the places of these, packed as int64 pairs (snapshot, place); `contents`: (key, snapshot) packed as 20
    bytes, of contents of which a snapshot has no document left.
    """

    snapshots: tuple[int, ...]
    gone: bytes = b""
    contents: bytes = b""

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.snapshots, self.gone.hex(), self.contents.hex()])

    def of_contents(self, table: pa.Table) -> pa.Table:
        """The rows, with `key` and `snapshot`, that count."""
        chosen = np.isin(table["snapshot"].to_numpy(), self.snapshots)
        if self.contents:
            chosen &= ~np.isin(_packed(table), np.frombuffer(self.contents, "S20"))
        return table if chosen.all() else table.filter(pa.array(chosen))

    def of_documents(self, table: pa.Table) -> pa.Table:
        """The rows of DOCUMENTS that count."""
        chosen = np.isin(table["snapshot"].to_numpy(), self.snapshots)
        if self.gone:
            places = np.stack([table["snapshot"].to_numpy().astype("<i8"), table["place"].to_numpy()], axis=1)
            mine = np.frombuffer(np.ascontiguousarray(places).tobytes(), "S16")
            chosen &= ~np.isin(mine, np.frombuffer(self.gone, "S16"))
        return table if chosen.all() else table.filter(pa.array(chosen))

    @classmethod
    def of(cls, snapshots: Sequence[int], gone: pa.Table | None) -> "Alive":
        """`gone`: GONE."""
        if gone is None:
            return cls(tuple(snapshots))
        places = np.stack([gone["snapshot"].to_numpy().astype("<i8"), gone["place"].to_numpy()], axis=1)
        whole = gone.filter(gone["content"])
        return cls(tuple(snapshots), np.ascontiguousarray(places).tobytes(), _packed(whole).tobytes())


def _packed(table: pa.Table) -> np.ndarray[Any, np.dtype[np.bytes_]]:
    """(key, snapshot) of each row as 20 bytes, shape (rows,)."""
    rows = np.empty((table.num_rows, 20), np.uint8)
    rows[:, :16] = np.frombuffer(to_numpy(table["key"]).tobytes(), np.uint8).reshape(-1, 16)
    numbers = table["snapshot"].to_numpy().astype(">i4")
    rows[:, 16:] = np.frombuffer(numbers.tobytes(), np.uint8).reshape(-1, 4)
    return np.frombuffer(rows.tobytes(), "S20")


def in_order(table: pa.Table, *names: str) -> pa.Table:
    """The rows sorted by these columns."""
    # sort_indices takes fixed-size binaries
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names]))
