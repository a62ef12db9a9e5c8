"""Tensors in files: raw bytes in parts that several ranks write, and a hash for each tensor that does not depend on how
many did.

```
part-00000.bin    rows of tensors, one piece after the other
part-00000.sums   the sha256 of each leaf of these pieces, 32 bytes each
part-00000.json   which pieces: name, dtype, shape of the whole tensor, first row, number of rows
```
A leaf is a row, along the first dimension, of a tensor of two or more; a smaller tensor is one leaf. The hash of a
tensor covers its name, dtype and shape and the hashes of its leaves in order. So each rank hashes what it writes, and
whoever reads some rows can verify them without reading others. Nothing is pickled: reading runs no code from a file.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from infra.errors import UsageError
from infra.hashing import canonical_json, readable_json, sha256_file
from infra.storage import sync_file, write_bytes
from trainer.mapped_file import mapped

Bytes = npt.NDArray[np.uint8]
DTYPES = {torch.float32: "float32", torch.int64: "int64", torch.uint8: "uint8"}
NUMPY = {"float32": "<f4", "int64": "<i8", "uint8": "|u1"}
SUM = hashlib.sha256().digest_size


class TensorRows(NamedTuple):
    """Rows of a tensor, in memory."""

    name: str
    shape: tuple[int, ...]
    """Of the whole tensor."""

    first: int
    rows: Tensor
    """On the CPU, contiguous, not empty. All of the tensor if it has no dimension, or one."""


@dataclass(frozen=True)
class TensorPiece:
    """Rows of a tensor in a file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    first: int
    rows: int
    """1 for a tensor without dimensions."""

    part: str
    """Name of the part, without suffix."""

    offset: int
    """Of its bytes in the part."""

    sums: int
    """Number of leaves before its own in the part."""

    @property
    def leaf_rows(self) -> int:
        return 1 if len(self.shape) > 1 else self.rows

    @property
    def leaves(self) -> int:
        return self.rows // self.leaf_rows

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * np.dtype(NUMPY[self.dtype]).itemsize


def write_part(folder: Path, index: int, pieces: Iterable[TensorRows]) -> None:
    """Write the part `index` into `folder`. It is whole once its .json is there."""
    base = folder / f"part-{index:05d}"
    table: list[dict[str, Any]] = []
    with base.with_suffix(".bin").open("wb") as data, base.with_suffix(".sums").open("wb") as sums:
        for name, shape, first, rows in pieces:
            dtype, count = DTYPES[rows.dtype], len(rows) if rows.ndim else 1
            content = rows.reshape(count, -1).view(torch.uint8).numpy()
            data.write(content.data)
            for leaf in content if len(shape) > 1 else [content]:
                sums.write(hashlib.sha256(leaf.data).digest())
            table.append({"name": name, "dtype": dtype, "shape": list(shape), "first": first, "rows": count})
    for suffix in (".bin", ".sums"):
        sync_file(base.with_suffix(suffix))
    write_bytes(base.with_suffix(".json"), readable_json(table))


class TensorFiles(Mapping[str, Tensor]):
    """The tensors in a folder's parts by name, read when they are asked for."""

    def __init__(self, folder: Path, parts: Iterable[str]) -> None:
        """UsageError, which names the file, for a part that is missing or not whole."""
        self.folder = folder
        self._pieces: dict[str, list[TensorPiece]] = {}
        self._sums: dict[str, Bytes] = {}
        self._data: dict[str, Bytes] = {}
        for part in parts:
            self._open(part)
        for pieces in self._pieces.values():
            pieces.sort(key=lambda piece: piece.first)

    def _open(self, part: str) -> None:
        base = self.folder / part
        offset = leaves = 0
        for row in json.loads(_content(base.with_suffix(".json"))):
            piece = TensorPiece(**{**row, "shape": tuple(row["shape"])}, part=part, offset=offset, sums=leaves)
            self._pieces.setdefault(piece.name, []).append(piece)
            offset, leaves = offset + piece.rows * piece.row_bytes, leaves + piece.leaves
        sums = np.frombuffer(_content(base.with_suffix(".sums")), np.uint8)
        if len(sums) != leaves * SUM:
            raise changed(base.with_suffix(".sums"))
        self._sums[part] = sums.reshape(leaves, SUM)
        data = base.with_suffix(".bin")
        if not data.is_file():
            raise missing(data)
        # A checkpoint that is open can be read to its end, though the run that wrote it replaces it by the next.
        self._data[part] = mapped(data, np.uint8)
        if len(self._data[part]) != offset:
            raise changed(data)

    def table(self) -> list[dict[str, Any]]:
        """Name, dtype, shape and sha256 of each tensor, in the order of their names."""
        return [self._row(name) for name in sorted(self._pieces)]

    def _row(self, name: str) -> dict[str, Any]:
        pieces = self._pieces[name]
        about = {"name": name, "dtype": pieces[0].dtype, "shape": list(pieces[0].shape)}
        sha256, end = hashlib.sha256(canonical_json(about)), 0
        for piece in pieces:
            if piece.first != end:
                raise changed(self.folder / f"{piece.part}.json")
            sha256.update(self._sums[piece.part][piece.sums : piece.sums + piece.leaves].data)
            end += piece.rows
        if end != (pieces[0].shape[0] if pieces[0].shape else 1):
            raise changed(self.folder / f"{pieces[-1].part}.json")
        return about | {"sha256": sha256.hexdigest()}

    def __getitem__(self, name: str) -> Tensor:
        shape = self._pieces[name][0].shape
        return self.rows(name, 0, shape[0] if shape else 1).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._pieces))

    def __len__(self) -> int:
        return len(self._pieces)

    def rows(self, name: str, first: int, count: int) -> Tensor:
        """Rows of a tensor, verified. UsageError when they were changed."""
        pieces = self._pieces[name]
        found = [self._read(piece, first, first + count) for piece in pieces]
        content = np.concatenate(found) if len(found) > 1 else found[0]
        shape = pieces[0].shape
        return torch.from_numpy(content.view(NUMPY[pieces[0].dtype]).reshape((count, *shape[1:]) if shape else ()))

    def _read(self, piece: TensorPiece, first: int, end: int) -> Bytes:
        """The bytes of the rows `first` to `end` that the piece has."""
        begin, stop = max(first, piece.first) - piece.first, min(end, piece.first + piece.rows) - piece.first
        if begin >= stop:
            return np.empty(0, np.uint8)
        size = piece.leaf_rows * piece.row_bytes
        leaves = range(begin // piece.leaf_rows, -(-stop // piece.leaf_rows))
        start = piece.offset + leaves.start * size
        content = self._data[piece.part][start : start + len(leaves) * size].copy()
        sums = self._sums[piece.part]
        for i, leaf in zip(leaves, content.reshape(len(leaves), size), strict=True):
            if hashlib.sha256(leaf.data).digest() != sums[piece.sums + i].tobytes():
                raise changed(self.folder / f"{piece.part}.bin")
        at = (begin - leaves.start * piece.leaf_rows) * piece.row_bytes
        return content[at : at + (stop - begin) * piece.row_bytes]

    def verify(self) -> None:
        """Read everything. UsageError, which names the file, when a byte was changed."""
        for pieces in self._pieces.values():
            for piece in pieces:
                self._read(piece, piece.first, piece.first + piece.rows)


def part_names(folder: Path) -> list[str]:
    """The parts of a folder that are whole, in order."""
    return sorted(path.stem for path in folder.glob("part-*.json"))


def part_files(part: str) -> tuple[str, ...]:
    return f"{part}.json", f"{part}.sums", f"{part}.bin"


def check_file(path: Path, sha256: str) -> None:
    """UsageError, which names the file, unless it is there and has this hash."""
    if not path.is_file():
        raise missing(path)
    if sha256_file(path) != sha256:
        raise changed(path)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise missing(path) from None


def missing(path: Path) -> UsageError:
    return UsageError(f"{path} is missing: the checkpoint is not whole; take another copy")


def changed(path: Path) -> UsageError:
    return UsageError(f"{path} was changed after it was written (its sha256 differs): take another copy")
