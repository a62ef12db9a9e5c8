"""Reading a tokens dataset: Megatron-Core indexed shards, the table of their documents, and the tokenizer.

`manifest.json` (kind "tokens") names the shards; `part-NNNNN.bin` holds token ids one document after the other, each
ending in the end-of-document token; `part-NNNNN.idx` their lengths; `documents.parquet` says which document each span
is. The bins are mapped, never read whole. What does not fit together is a `UsageError` that names the file.
"""

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from infra.dataset.manifest import Kind, Manifest, manifest_path
from infra.errors import UsageError
from infra.hashing import sha256_file

INDEX_MAGIC = b"MMIDIDX\x00\x00"
INDEX_HEADER = struct.Struct("<9sQBQQ")
# Megatron-Core's codes for the token widths that a vocabulary can need.
DTYPES: dict[int, type[np.generic]] = {4: np.int32, 8: np.uint16}
DOCUMENTS = "documents.parquet"
TOKENIZER = "tokenizer.model"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DataRef:
    """What a run must know of its data to be repeated: hashes, and the tokenizer's sizes."""

    manifest_sha256: str
    tokenizer_sha256: str
    vocabulary: int
    eod: int


@dataclass(frozen=True)
class Documents:
    """The table of documents, a column each; row i is document i. `bytes` is the UTF-8 length of the text."""

    ids: list[str]
    domains: list[str]
    sources: list[str]
    shards: Ints
    offsets: Ints
    lengths: Ints
    bytes: Ints
    repeats: Ints

    def __len__(self) -> int:
        return len(self.ids)


class TokenDataset:
    """A finished tokens dataset. Opening reads the manifest, the indexes and the document table."""

    def __init__(self, path: Path) -> None:
        manifest_file = manifest_path(path)
        self.folder = manifest_file.parent
        manifest = Manifest.read(self.folder)
        if manifest.kind is not Kind.TOKENS:
            raise UsageError(
                f"{manifest_file} is a dataset of {manifest.kind}, not of tokens: run `refinery tokenize` on it first"
            )
        self.ref = _data_ref(manifest, manifest_file)
        bins = [shard.path for shard in manifest.shards if shard.path.endswith(".bin")]
        self.documents = _read_documents(self.folder / DOCUMENTS, bins)
        self.shards = [read_shard(self.folder / name) for name in bins]
        self._check()

    @cached_property
    def tokenizer(self) -> bytes:
        """The SentencePiece model, checked against the manifest's hash."""
        path = self.folder / TOKENIZER
        if not path.is_file():
            raise UsageError(f"{path} is missing: make the dataset again with `refinery tokenize`")
        if sha256_file(path) != self.ref.tokenizer_sha256:
            raise UsageError(f"{path} is not the tokenizer that the manifest names: its sha256 differs")
        return path.read_bytes()

    def tokens(self, document: int, start: int, count: int) -> npt.NDArray[np.generic]:
        """`count` tokens of a document from its token `start` on."""
        table = self.documents
        assert start >= 0 and start + count <= table.lengths[document]
        begin = int(table.offsets[document]) + start
        return self.shards[int(table.shards[document])][begin : begin + count]

    def _check(self) -> None:
        table = self.documents
        where = self.folder / DOCUMENTS
        if len(table) == 0 or table.lengths.min() < 1:
            raise UsageError(f"{where} holds no documents, or an empty one: nothing can be trained on it")
        if table.repeats.min() < 0 or table.bytes.min() < 0:
            raise UsageError(f"{where} has a negative number of repeats or bytes")
        if table.shards.min() < 0 or table.shards.max() >= len(self.shards):
            raise UsageError(f"{where} names a shard that is none of the {len(self.shards)} in the manifest")
        sizes = np.array([len(shard) for shard in self.shards], np.int64)[table.shards]
        if table.offsets.min() < 0 or (table.offsets + table.lengths > sizes).any():
            raise UsageError(f"{where} has a document that reaches beyond its shard: the dataset is damaged")


def read_shard(path: Path) -> npt.NDArray[np.generic]:
    """The tokens of one shard, mapped; the index beside it gives their type and must account for every byte."""
    index = path.with_suffix(".idx")
    try:
        size, content = path.stat().st_size, index.read_bytes()
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from None
    if len(content) < INDEX_HEADER.size:
        raise UsageError(f"{index} is too short to be an index of token shards")
    magic, version, code, sequences, documents = INDEX_HEADER.unpack_from(content)
    if magic != INDEX_MAGIC or version != 1 or code not in DTYPES:
        raise UsageError(f"{index} is not a Megatron-Core index of version 1 with 16- or 32-bit tokens")
    if len(content) != INDEX_HEADER.size + 12 * sequences + 8 * documents:
        raise UsageError(f"{index} is cut short or damaged: its length does not fit its counts")
    lengths = np.frombuffer(content, "<i4", sequences, INDEX_HEADER.size)
    if int(lengths.sum(dtype=np.int64)) * np.dtype(DTYPES[code]).itemsize != size:
        raise UsageError(f"{path} has {size} bytes, but {index.name} accounts for another number: it is damaged")
    if size == 0:
        return np.zeros(0, DTYPES[code])
    return np.memmap(path, DTYPES[code], "r")


def _data_ref(manifest: Manifest, path: Path) -> DataRef:
    try:
        tokenizer: Any = manifest.params["tokenizer"]
        return DataRef(sha256_file(path), str(tokenizer["sha256"]), int(tokenizer["vocab_size"]), int(tokenizer["eod"]))
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path}: params.tokenizer must have sha256, vocab_size and eod") from None


def _read_documents(path: Path, bins: list[str]) -> Documents:
    columns = ["id", "domain", "source", "shard", "offset", "length", "bytes", "repeats"]
    try:
        table = pq.read_table(path, columns=columns)
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: make the dataset again with `refinery tokenize`") from None
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UsageError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise UsageError(f"{path} has no column {missing[0]!r}")

    def words(name: str, absent: str = "") -> list[str]:
        return [value or absent for value in table.column(name).to_pylist()]

    def numbers(name: str) -> Ints:
        column = table.column(name)
        if column.null_count:
            raise UsageError(f"{path}: column {name!r} has empty values")
        return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)

    places = {name: i for i, name in enumerate(bins)}
    shards = np.array([places.get(name, -1) for name in words("shard")], np.int64)
    return Documents(
        words("id"), words("domain", "general"), words("source"),
        shards, numbers("offset"), numbers("length"), numbers("bytes"), numbers("repeats"),
    )  # fmt: skip
