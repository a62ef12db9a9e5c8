r"""Token shards: writes Megatron-Core's indexed dataset as a stream, and reads it by memory map.

A shard is two files. `part.bin` holds the tokens of all documents, one after another, little-endian. `part.idx`:

    bytes  content
    9      b"MMIDIDX\0\0"
    8      version, uint64 = 1
    1      dtype code of the tokens: 4 = int32, 8 = uint16
    8      S, the number of sequences, uint64
    8      D + 1, the number of documents plus one, uint64
    4 S    length of each sequence in tokens, int32
    8 S    offset of each sequence in `part.bin` in bytes, int64
    8 D+8  index of each document's first sequence, then S, int64

Here each sequence is one document, ending in the end-of-document token, so the last table is 0, 1, ..., S. (Layout:
NVIDIA Megatron-LM, megatron/core/datasets/indexed_dataset.py; megatron-core 0.16.1 reads these files.) The table
`documents.parquet` beside the shards, with the columns `DOCUMENT_COLUMNS`, says which document each sequence is
(`document_table.py` writes its numbers for the trainer).
"""

import hashlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from infra.dataset.files import FileRef
from infra.errors import UsageError
from infra.storage import commit_shard, temporary_name

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
DTYPE_OF_CODE: dict[int, np.dtype[Any]] = {4: np.dtype("<i4"), 8: np.dtype("<u2")}
_HEADER_BYTES = 34
_MAX_DOCUMENT_TOKENS = 2**31 - 1

# `offset` and `length` are in tokens of the shard's .bin; `length` includes the end-of-document token; `bytes` is the
# UTF-8 length of the text; `repeats` is how often a training epoch has the document (0: never).
DOCUMENT_COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("domain", pa.string()),
        ("source", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("bytes", pa.int64()),
        ("repeats", pa.int32()),
        ("file_path", pa.string()),
        ("warc_offset", pa.int64()),
        ("language", pa.string()),
    ]
)

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WrittenShard:
    """A committed shard: its two files, with paths relative to the writer's folder, and its counts."""

    bin: FileRef
    idx: FileRef
    documents: int
    tokens: int


class TokenShardWriter:
    """Streams documents into `folder/name.bin` and, on `close`, `folder/name.idx`.

    Both files have temporary names until `close` gives them theirs, the .idx last: a shard with an index is
    complete. `vocab_size` bounds the ids.
    """

    def __init__(self, folder: Path, name: str, dtype: npt.DTypeLike, vocab_size: int, eod_id: int) -> None:
        self._dtype = np.dtype(dtype).newbyteorder("<")
        codes = {kind: code for code, kind in DTYPE_OF_CODE.items()}
        assert self._dtype in codes, f"tokens are uint16 or int32, not {self._dtype}"
        assert 0 <= eod_id < vocab_size <= np.iinfo(self._dtype).max + 1
        self._code = codes[self._dtype]
        self._vocab_size, self._eod_id = vocab_size, eod_id
        self._bin, self._idx = folder / f"{name}.bin", folder / f"{name}.idx"
        self._lengths = array("i")
        self._sha256 = hashlib.sha256()
        self._bin_temporary = temporary_name(self._bin)
        self._file = self._bin_temporary.open("wb")
        self.tokens = 0

    @property
    def documents(self) -> int:
        return len(self._lengths)

    def add(self, tokens: Tokens) -> int:
        """Append one document, shape (length,), which must end in `eod_id`. Returns its offset in tokens."""
        length = len(tokens)
        assert 0 < length <= _MAX_DOCUMENT_TOKENS and int(tokens[-1]) == self._eod_id, "a document ends in eod_id"
        assert int(tokens.min()) >= 0 and int(tokens.max()) < self._vocab_size, "a token id outside the vocabulary"
        data = tokens.astype(self._dtype, copy=False).tobytes()
        self._file.write(data)
        self._sha256.update(data)
        self._lengths.append(length)
        offset, self.tokens = self.tokens, self.tokens + length
        return offset

    def close(self) -> WrittenShard | None:
        """Commit both files. Without documents, leaves no files and returns None: Megatron cannot map an empty .bin."""
        if not self._lengths:
            self.abandon()
            return None
        self._file.close()
        index = self._index()
        bin_sha256, idx_sha256 = self._sha256.hexdigest(), hashlib.sha256(index).hexdigest()
        idx_temporary = temporary_name(self._idx)
        idx_temporary.write_bytes(index)
        commit_shard(self._bin_temporary, self._bin, self._bin.parent, bin_sha256)
        commit_shard(idx_temporary, self._idx, self._idx.parent, idx_sha256)
        return WrittenShard(
            FileRef(self._bin.name, self.tokens * self._dtype.itemsize, bin_sha256),
            FileRef(self._idx.name, len(index), idx_sha256),
            len(self._lengths),
            self.tokens,
        )

    def abandon(self) -> None:
        """Delete what was written so far."""
        self._file.close()
        self._bin_temporary.unlink(missing_ok=True)

    def _index(self) -> bytes:
        lengths = np.frombuffer(self._lengths, dtype=np.int32)
        count = len(lengths)
        header = MAGIC + VERSION.to_bytes(8, "little") + bytes([self._code])
        header += count.to_bytes(8, "little") + (count + 1).to_bytes(8, "little")
        pointers = _starts(lengths)[:-1] * self._dtype.itemsize
        documents = np.arange(count + 1)
        return (
            header
            + lengths.astype("<i4").tobytes()
            + pointers.astype("<i8").tobytes()
            + documents.astype("<i8").tobytes()
        )


class TokenShardReader:
    """Reads a shard. Opening it checks the whole index, so that no document can point outside the .bin.

    `lengths` and `offsets` are in tokens, shape (documents,). UsageError when a file is missing, cut or inconsistent.
    """

    def __init__(self, path: Path) -> None:
        """`path` names the shard with or without `.bin` or `.idx`."""
        stem = path.with_suffix("") if path.suffix in {".bin", ".idx"} else path
        self.bin_path, self.idx_path = stem.with_name(stem.name + ".bin"), stem.with_name(stem.name + ".idx")
        for file in (self.idx_path, self.bin_path):
            if not file.is_file():
                raise UsageError(f"the token shard {stem} has no {file.name}; tokenize again")
        self.dtype, self.lengths = self._read_index()
        starts = _starts(self.lengths)
        self.offsets: Ints = starts[:-1]
        self.tokens = int(starts[-1])
        expected = self.tokens * self.dtype.itemsize
        size = self.bin_path.stat().st_size
        if size != expected:
            raise UsageError(f"{self.bin_path} has {size} bytes, its index says {expected}; tokenize again")
        self.data: Tokens = np.memmap(self.bin_path, dtype=self.dtype, mode="r", shape=(self.tokens,))

    def _read_index(self) -> tuple[np.dtype[Any], npt.NDArray[np.int32]]:
        with self.idx_path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            size = self.idx_path.stat().st_size
            if len(header) < _HEADER_BYTES or not header.startswith(MAGIC):
                raise self._broken("its first bytes are not those of an index")
            version, code = int.from_bytes(header[9:17], "little"), header[17]
            count, ends = int.from_bytes(header[18:26], "little"), int.from_bytes(header[26:34], "little")
            if version != VERSION:
                raise self._broken(f"its version is {version}, not {VERSION}")
            if code not in DTYPE_OF_CODE:
                raise self._broken(f"its token type {code} is neither int32 (4) nor uint16 (8)")
            if count == 0 or ends != count + 1:
                raise self._broken(f"{count} sequences for {ends - 1} documents, where one document is one sequence")
            # Before anything is allocated: the counts come from the file.
            if size != _HEADER_BYTES + 12 * count + 8 * ends:
                raise self._broken(
                    f"it has {size} bytes, {count} documents need {_HEADER_BYTES + 12 * count + 8 * ends}"
                )
            lengths = np.fromfile(file, dtype="<i4", count=count)
            pointers = np.fromfile(file, dtype="<i8", count=count)
            documents = np.fromfile(file, dtype="<i8", count=ends)
        dtype = DTYPE_OF_CODE[code]
        if lengths.min() < 1:
            raise self._broken("a document without tokens")
        if not np.array_equal(pointers, _starts(lengths)[:-1] * dtype.itemsize):
            raise self._broken("its documents are not stored one after another")
        if not np.array_equal(documents, np.arange(ends)):
            raise self._broken("its documents are not its sequences")
        return dtype, lengths

    def _broken(self, reason: str) -> UsageError:
        return UsageError(f"{self.idx_path} is not an index of a token shard: {reason}; tokenize again")

    def __len__(self) -> int:
        return len(self.lengths)

    def document(self, index: int) -> Tokens:
        """Read-only view of one document's tokens, the end-of-document token included. IndexError outside [0, len)."""
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)} in {self.bin_path}")
        start = int(self.offsets[index])
        return self.data[start : start + int(self.lengths[index])]

    def check_tokens(self, vocab_size: int, eod_id: int) -> None:
        """Read every token. UsageError for an id outside the vocabulary or a document that does not end in `eod_id`."""
        if not (self.data[self.offsets + self.lengths - 1] == eod_id).all():
            raise UsageError(
                f"{self.bin_path} has a document that does not end in token {eod_id}; was it made by another tokenizer?"
            )
        for start in range(0, self.tokens, 2**24):
            block = self.data[start : start + 2**24]
            low, high = int(block.min()), int(block.max())
            if low < 0 or high >= vocab_size:
                raise UsageError(
                    f"{self.bin_path} has token ids in [{low}, {high}], not in [0, {vocab_size}); tokenize again"
                )


def _starts(lengths: npt.NDArray[np.int32]) -> Ints:
    """First token of each sequence and the end of the last, shape (len + 1,). int64: shards may pass 2^31 tokens."""
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, dtype=np.int64, out=starts[1:])
    return starts
