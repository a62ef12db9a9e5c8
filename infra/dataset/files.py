"""The files of a dataset: one row for each, in `files-HASH.parquet` beside the manifest.

A snapshot has 90,000 shards and more, so the manifest itself holds sums only and names this table by its hash. The
table is written while the receipts are summed, a part after the other, and is read by row groups: a list of files
(`FileList`) holds the table's bytes, about 60 a file, and never an object for each. The table has its hash in its
name: a driver that has lost the folder, and writes its table late, writes over no other.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.errors import UsageError
from infra.hashing import sha256_bytes
from infra.storage import StoreError, commit_file, temporary_name

# The name that datasets of earlier versions have is `files.parquet`.
TABLE_NAME = re.compile(r"files(-[0-9a-f]{16})?\.parquet")
ROW_GROUP = 2048
# Behind all partitions: lists of partitions stay sorted.
NO_PART = 2**31 - 1
# `part`: the number of the partition that the file belongs to; null for a file of the whole dataset. What is not a
# table of rows has only bytes and sha256.
COLUMNS = pa.schema(
    [
        ("kind", pa.string()),
        ("part", pa.int32()),
        ("path", pa.string()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("chars", pa.int64()),
        ("tokens", pa.int64()),
        ("sha256", pa.string()),
    ]
)
# In the order of the fields of a shard.
NAMES = [name for name in COLUMNS.names if name != "part"]


class FileKind(StrEnum):
    SHARD = "shard"
    LEDGER = "ledger"
    FILE = "file"


@dataclass(frozen=True)
class Shard:
    """One file of a dataset. `bytes` is its size on disk; `chars` and `tokens` are sums over its documents."""

    path: str
    rows: int
    bytes: int
    chars: int
    tokens: int
    sha256: str


@dataclass(frozen=True)
class FileRef:
    """A file of a dataset that is not a shard of rows: an index beside a token shard, a tokenizer."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Sums:
    """Of all files of one kind; the last three are 0 for what has no rows."""

    files: int = 0
    bytes: int = 0
    rows: int = 0
    chars: int = 0
    tokens: int = 0

    def plus(self, file: Shard | FileRef) -> "Sums":
        rows = (file.rows, file.chars, file.tokens) if isinstance(file, Shard) else (0, 0, 0)
        return Sums(
            self.files + 1, self.bytes + file.bytes, self.rows + rows[0], self.chars + rows[1], self.tokens + rows[2]
        )


@dataclass(frozen=True)
class TableRef:
    """The table of files, as the manifest names it."""

    path: str
    rows: int
    bytes: int
    sha256: str


class FileTable:
    """All files of a dataset. Nothing is read before a file is asked for; then the table's bytes are, once.

    `parts`: how many partitions the dataset has. `sums`: by kind, as the manifest has them.
    """

    def __init__(self, folder: Path, ref: TableRef, parts: int, sums: Mapping[FileKind, Sums]) -> None:
        self.folder = folder
        self.ref = ref
        self.parts = parts
        self.sums = {kind: sums.get(kind, Sums()) for kind in FileKind}
        self._group: tuple[int, list[Any]] = (-1, [])

    @classmethod
    def of_bytes(cls, content: bytes, ref: TableRef, parts: int, sums: Mapping[FileKind, Sums]) -> "FileTable":
        """A table that is in no file of its own."""
        table = cls(Path(), ref, parts, sums)
        table.__dict__["_bytes"] = content
        return table

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read, unless it cannot be read again."""
        kept = ("folder", "ref", "parts", "sums", *(("_bytes",) if not self.folder.name else ()))
        return {name: self.__dict__[name] for name in kept if name in self.__dict__} | {"_group": (-1, [])}

    @cached_property
    def _bytes(self) -> bytes:
        path = self.folder / self.ref.path
        try:
            content = path.read_bytes()
        except StoreError:
            raise
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}; make its dataset again") from None
        if sha256_bytes(content) != self.ref.sha256:
            raise UsageError(f"{path} is not as it was written (its sha256 differs): make its dataset again")
        return content

    @cached_property
    def _file(self) -> pq.ParquetFile:
        return pq.ParquetFile(io.BytesIO(self._bytes))

    @cached_property
    def _places(self) -> dict[FileKind, tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]:
        """By kind, the row numbers of its files, and the partitions they belong to (NO_PART: none)."""
        table = self._file.read(["kind", "part"])
        part = pc.fill_null(table["part"], NO_PART).to_numpy()
        rows = {kind: np.flatnonzero(pc.equal(table["kind"], kind.value).to_numpy()) for kind in FileKind}
        return {kind: (rows[kind], part[rows[kind]]) for kind in FileKind}

    def row(self, number: int) -> Shard | FileRef:
        """The file in row `number`. Raises UsageError for a path that leaves the dataset's folder."""
        group, inside = divmod(number, ROW_GROUP)
        if self._group[0] != group:
            rows = self._file.read_row_group(group)
            self._group = (group, list(zip(*(rows[name].to_pylist() for name in NAMES), strict=True)))
        return _as_file(*self._group[1][inside])

    def rows_of(self, kind: FileKind) -> npt.NDArray[np.int64]:
        return self._places[kind][0]

    def parts_of(self, kind: FileKind) -> npt.NDArray[np.int32]:
        """The partition of each file of this kind, in order; NO_PART for a file of the whole dataset."""
        return self._places[kind][1]

    def __iter__(self) -> Iterator[Shard | FileRef]:
        """All files, in order. UsageError if the table is not there, or is not what the manifest says."""
        assert self._bytes is not None  # refused here, not at the first file
        return map(self.row, range(self.ref.rows))

    def of(self, kind: FileKind) -> "FileList[Any]":
        return FileList(self, kind)


def _as_file(kind: str, path: str, rows: int, size: int, chars: int, tokens: int, sha256: str) -> Shard | FileRef:
    if path.startswith("/") or ".." in path.split("/"):
        raise UsageError(f"the manifest is broken: the path {path!r} leaves the dataset's folder")
    return FileRef(path, size, sha256) if kind == FileKind.FILE else Shard(path, rows, size, chars, tokens, sha256)


F = TypeVar("F", Shard, FileRef)


class FileList(Sequence[F], Generic[F]):
    """The files of one kind, in the order of their partitions. Its length and sums are known without reading."""

    def __init__(self, table: FileTable, kind: FileKind) -> None:
        self.table = table
        self.kind = kind

    @property
    def sums(self) -> Sums:
        return self.table.sums[self.kind]

    def __len__(self) -> int:
        return self.sums.files

    @overload
    def __getitem__(self, index: int) -> F: ...

    @overload
    def __getitem__(self, index: slice) -> list[F]: ...

    def __getitem__(self, index: int | slice) -> F | list[F]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        return cast("F", self.table.row(int(self.table.rows_of(self.kind)[number])))

    def __iter__(self) -> Iterator[F]:
        return (cast("F", self.table.row(number)) for number in self.table.rows_of(self.kind).tolist())

    def of_part(self, part: int) -> F | None:
        """The first file of a partition; None where it has none."""
        parts = self.table.parts_of(self.kind)
        at = int(np.searchsorted(parts, part))
        return self[at] if at < len(parts) and parts[at] == part else None


class FileTableWriter:
    """Writes the table row by row: the files of the partitions in their order, then those of the whole dataset.

    Used as a context: the file is committed by `close`, and what was begun is removed where the block ends otherwise.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = temporary_name(folder / "files.parquet")
        self.parts = 0
        self.sums = {kind: Sums() for kind in FileKind}
        self._writer = _writer(self.temporary)
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer.is_open:
            self._writer.close()
        self.temporary.unlink(missing_ok=True)

    def add(self, kind: FileKind, part: int | None, file: Shard | FileRef) -> None:
        self.sums[kind] = self.sums[kind].plus(file)
        self._rows.append({"kind": kind.value, "part": part, **asdict(file)})
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, COLUMNS))
        self._rows = []

    def close(self) -> FileTable:
        """Commits the file, synced."""
        if self._rows:
            self._flush()
        self._writer.close()
        ref = _ref(self.temporary.read_bytes(), self.sums)
        commit_file(self.temporary, self.folder / ref.path)
        return FileTable(self.folder, ref, self.parts, self.sums)


def write_files(
    folder: Path, shards: Sequence[Shard], ledger: Sequence[Shard | None] = (), files: Sequence[FileRef] = ()
) -> FileTable:
    """The table of a dataset that has one shard for each partition, and at most one ledger."""
    with FileTableWriter(folder) as writer:
        writer.parts = len(shards)
        for part, shard in enumerate(shards):
            writer.add(FileKind.SHARD, part, shard)
            if part < len(ledger) and (rejected := ledger[part]):
                writer.add(FileKind.LEDGER, part, rejected)
        for file in files:
            writer.add(FileKind.FILE, None, file)
        return writer.close()


def table_in_memory(rows: Sequence[tuple[FileKind, int | None, Shard | FileRef]], parts: int) -> FileTable:
    """The table of a dataset whose manifest lists its files itself (refinery.dataset/1)."""
    sums = {kind: Sums() for kind in FileKind}
    for kind, _, file in rows:
        sums[kind] = sums[kind].plus(file)
    sink = io.BytesIO()
    with _writer(sink) as writer:
        for start in range(0, len(rows), ROW_GROUP):
            group = [{"kind": k.value, "part": p, **asdict(file)} for k, p, file in rows[start : start + ROW_GROUP]]
            writer.write_table(pa.Table.from_pylist(group, COLUMNS))
    content = sink.getvalue()
    return FileTable.of_bytes(content, _ref(content, sums), parts, sums)


def _writer(where: Path | io.BytesIO) -> pq.ParquetWriter:
    return pq.ParquetWriter(where, COLUMNS, compression="zstd", compression_level=3, version="2.6")


def _ref(content: bytes, sums: Mapping[FileKind, Sums]) -> TableRef:
    sha256 = sha256_bytes(content)
    return TableRef(f"files-{sha256[:16]}.parquet", sum(each.files for each in sums.values()), len(content), sha256)
