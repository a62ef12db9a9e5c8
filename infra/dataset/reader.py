"""A finished dataset on disk, and the readers of its shards that tasks are given.

Lists of partitions are made as they are read: a snapshot has 90,000.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, overload

import pyarrow as pa
import pyarrow.parquet as pq

from infra.dataset.manifest import RUN, InputRef, Kind, Manifest, manifest_ref
from infra.dataset.schema import LEDGER
from infra.errors import UsageError, WorkError
from infra.hashing import sha256_file
from infra.storage import StoreError, place, read_json, readable, sizes_in

if TYPE_CHECKING:
    import polars

BATCH_ROWS = 256
# As many rows as a row group of texts has, if it has no more bytes than this.
LARGE_BATCH_ROWS, LARGE_BATCH_BYTES = 1024, 2**25
P = TypeVar("P")
Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)


class Part(Protocol):
    """One partition of an input: picklable, and named by what it holds rather than by its path."""

    @property
    def fingerprint(self) -> str: ...


class Source(Protocol):
    """What an engine can map over: a dataset, several side by side, or files cut into splits."""

    @property
    def refs(self) -> tuple[InputRef, ...]: ...

    def parts(self) -> Sequence[Part]: ...


@dataclass(frozen=True)
class ShardReader:
    """One Parquet shard. `batches()` yields it in fixed slices, so that what a task emits is deterministic too."""

    folder: str
    path: str
    rows: int
    sha256: str

    @property
    def fingerprint(self) -> str:
        return self.sha256

    @property
    def file(self) -> Path:
        return place(self.folder) / self.path

    def check(self) -> None:
        """WorkError unless the shard is, byte for byte, what its manifest says: damage is not handed on."""
        try:
            sound = sha256_file(self.file) == self.sha256
        except StoreError:
            raise
        except OSError as error:
            raise UsageError(f"{self.file} cannot be read: {error.strerror}; make its dataset again") from None
        if not sound:
            raise WorkError(f"{self.file} is not as it was written (its sha256 differs): make its dataset again")

    def schema(self) -> pa.Schema:
        try:
            return pq.read_schema(readable(self.file))
        except StoreError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{self.file} cannot be read: {str(error).splitlines()[0]}") from None

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        with self._opened() as file:
            yield from file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)

    def large_batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """As `batches`, fewer and larger: a row group of texts as one piece, unless it has many bytes."""
        with self._opened() as file:
            for group in range(file.num_row_groups):
                yield from _of_group(file, group, columns)

    def batches_with(self, rows: Sequence[int], columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(the number of its first row, batch), as `large_batches`, of the row groups that have some of these rows,
        which ascend."""
        end = 0
        with self._opened() as file:
            for group in range(file.num_row_groups):
                first, end = end, end + file.metadata.row_group(group).num_rows
                if bisect_left(rows, first) == bisect_left(rows, end):
                    continue
                for batch in _of_group(file, group, columns):
                    yield first, batch
                    first += batch.num_rows

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(readable(self.file)) as file:
                yield file
        except StoreError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{self.file} cannot be read: {str(error).splitlines()[0]}") from None

    def table(self, columns: list[str] | None = None) -> pa.Table:
        """All rows at once. `columns`: only these, in the order of the file; `struct.field` gives a smaller struct."""
        with self._opened() as file:
            # by row groups: what a group holds fits in one array, of nested columns too
            groups = (file.read_row_group(n, columns, use_threads=False) for n in range(file.num_row_groups))
            return pa.concat_tables([*groups] or [file.read(columns)])


def _of_group(file: pq.ParquetFile, group: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    size = BATCH_ROWS if file.metadata.row_group(group).total_byte_size > LARGE_BATCH_BYTES else LARGE_BATCH_ROWS
    yield from file.iter_batches(size, [group], columns, use_threads=False)


def check_part(part: Any) -> None:
    """Check the bytes of a dataset's shard, also where other parts wrap it."""
    while part is not None:
        check = getattr(part, "check", None)
        if check:
            check()
        part = getattr(part, "part", None)


@dataclass(frozen=True)
class Dataset:
    """A folder with a manifest. Opening reads the manifest only; `verify` reads every byte."""

    folder: Path

    def __fspath__(self) -> str:
        """Its folder: a dataset may stand where its path is asked for."""
        return str(self.folder)

    @cached_property
    def manifest(self) -> Manifest:
        return Manifest.read(self.folder)

    @cached_property
    def refs(self) -> tuple[InputRef, ...]:
        return (manifest_ref(self.folder),)

    @property
    def kind(self) -> Kind:
        return self.manifest.kind

    def __reduce__(self) -> tuple[type["Dataset"], tuple[Path]]:
        """To another process it goes as its folder, without what was read."""
        return Dataset, (self.folder,)

    @cached_property
    def schema(self) -> pa.Schema:
        assert self.manifest.shards, "a dataset has at least one shard"
        return self.parts()[0].schema()

    def parts(self) -> "ShardParts":
        return ShardParts(self)

    def places(self) -> dict[str, str]:
        """The paths of the files that it was made from (archives, document files), by name; handed on from dataset to
        dataset, so that bodies can be read again from any of them."""
        return dict((read_json(self.folder / RUN) or {}).get("inputs", {}))

    def ledger_parts(self) -> "LedgerParts":
        """The ledger of each partition, in order: one without rows for those that rejected nothing."""
        return LedgerParts(self)

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in order, at most 256 at a time; `columns`: only these. UsageError for a dataset of tokens."""
        for part in self._rows(columns):
            yield from part.batches(columns)

    def to_arrow(self, columns: list[str] | None = None) -> pa.Table:
        """All rows in order, in memory at once; `columns`: only these. UsageError for a dataset of tokens."""
        return pa.concat_tables([part.table(columns) for part in self._rows(columns)])

    def to_polars(self, columns: list[str] | None = None) -> "polars.DataFrame":
        """As `to_arrow`, as a data frame of Polars. UsageError where Polars is not installed."""
        try:
            import polars
        except ModuleNotFoundError:
            raise UsageError("to_polars needs Polars, which is not installed: pip install polars") from None
        return cast("polars.DataFrame", polars.from_arrow(self.to_arrow(columns)))  # of a table, never a series

    def _rows(self, columns: list[str] | None) -> "ShardParts":
        if self.kind is Kind.TOKENS:
            raise UsageError(f"{self.folder} contains tokens, not rows: docs/reading.md says how to read them")
        if isinstance(columns, str):
            raise UsageError(f"columns is {columns!r}: give a list of names")
        for name in columns or ():
            if name.split(".")[0] not in self.schema.names:
                raise UsageError(f"{self.folder} has no column {name!r}: there are {', '.join(self.schema.names)}")
        return self.parts()

    def ledger(self) -> pa.Table:
        found = [part.table() for part in self.ledger_parts() if part.rows]
        return pa.concat_tables(found) if found else LEDGER.empty_table()

    def is_whole(self) -> bool:
        """Whether all files that the manifest names are there, in their size."""
        size_of = sizes_in(self.folder)
        return all(size_of(file.path) == file.bytes for file in self.manifest.all_files())

    def verify(self) -> list[str]:
        """What is wrong with the files that the manifest names; empty when every byte is as it was written."""
        faults: list[str] = []
        try:
            files = self.manifest.all_files()
        except UsageError as error:
            return [f"{self.manifest.table.ref.path}: {error}"]
        for shard in files:
            path = self.folder / shard.path
            if not path.is_file():
                faults.append(f"{shard.path}: missing")
            elif path.stat().st_size != shard.bytes:
                faults.append(f"{shard.path}: {path.stat().st_size} bytes, the manifest says {shard.bytes}")
            elif sha256_file(path) != shard.sha256:
                faults.append(f"{shard.path}: its sha256 is not the manifest's")
        return faults


class PartList(Sequence[P], Generic[P]):
    """The partitions of a source, each made when it is asked for. A subclass has `__len__` and `part`."""

    def part(self, index: int) -> P:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> P: ...

    @overload
    def __getitem__(self, index: slice) -> list[P]: ...

    def __getitem__(self, index: int | slice) -> P | list[P]:
        if isinstance(index, slice):
            return [self.part(number) for number in range(*index.indices(len(self)))]
        return self.part(range(len(self))[index])


@dataclass(frozen=True)
class ShardParts(PartList[ShardReader]):
    """The shards of a dataset."""

    dataset: Dataset

    def __len__(self) -> int:
        return len(self.dataset.manifest.shards)

    def part(self, index: int) -> ShardReader:
        shard = self.dataset.manifest.shards[index]
        return ShardReader(str(self.dataset.folder), shard.path, shard.rows, shard.sha256)


@dataclass(frozen=True)
class LedgerParts(PartList[ShardReader]):
    """The ledgers of a dataset's partitions."""

    dataset: Dataset

    def __len__(self) -> int:
        return self.dataset.manifest.parts

    def part(self, index: int) -> ShardReader:
        ledger = self.dataset.manifest.ledger.of_part(index)
        if ledger is None:
            return NoRows(str(self.dataset.folder), f"ledger/part-{index:05d}.parquet", 0, "empty")
        return LedgerReader(str(self.dataset.folder), ledger.path, ledger.rows, ledger.sha256)


@dataclass(frozen=True)
class LedgerReader(ShardReader):
    """The ledger of a partition. Columns that an earlier version did not write are null."""

    def schema(self) -> pa.Schema:
        return LEDGER

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        for batch in super().batches(columns):
            yield _completed(batch, columns)

    def table(self, columns: list[str] | None = None) -> pa.Table:
        return _completed(super().table(columns), columns)


def _completed(rows: Rows, columns: list[str] | None) -> Rows:
    for field in LEDGER:
        if field.name not in rows.schema.names and (columns is None or field.name in columns):
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows


@dataclass(frozen=True)
class NoRows(ShardReader):
    """The ledger of a partition that rejected nothing: there is no file."""

    def check(self) -> None:
        """Nothing can be damaged."""

    def schema(self) -> pa.Schema:
        return LEDGER

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        del columns
        return iter(())

    def table(self, columns: list[str] | None = None) -> pa.Table:
        return LEDGER.empty_table() if columns is None else LEDGER.empty_table().select(columns)


@dataclass(frozen=True)
class Joined(PartList[Part]):
    """The partitions of several sources, one source after the other."""

    rows: tuple[Sequence[Part], ...]

    def __len__(self) -> int:
        return sum(map(len, self.rows))

    def part(self, index: int) -> Part:
        for row in self.rows:
            if index < len(row):
                return row[index]
            index -= len(row)
        raise IndexError(index)


@dataclass(frozen=True)
class SideBySide:
    """Several sources as one: their partitions one after the other, in the order given."""

    sources: tuple[Source, ...]

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(ref for source in self.sources for ref in source.refs)

    def parts(self) -> Sequence[Part]:
        return Joined(tuple(source.parts() for source in self.sources))
