"""Reads a tokens dataset: Megatron-Core indexed shards, the table of their documents, and the tokenizer.

`manifest.json` (kind "tokens") lists the shards. `part-NNNNN.bin` holds the token ids of its documents one after
another, each document ending in the end-of-document token; `part-NNNNN.idx` holds their lengths; `documents.parquet`
says which document each span is. The .bin files are memory-mapped. A `UsageError` names the file that is missing,
damaged or inconsistent.
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
# Megatron-Core's dtype codes, by those that token ids use.
DTYPES: dict[int, type[np.generic]] = {4: np.int32, 8: np.uint16}
DOCUMENTS_FILE = "documents.parquet"
TOKENIZER_FILE = "tokenizer.model"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DataRef:
    """The identity of a tokens dataset, stored in checkpoints."""

    manifest_sha256: str
    tokenizer_sha256: str

    vocab_size: int
    """Token ids are below this."""

    eod_id: int
    """The end-of-document token."""


@dataclass(frozen=True)
class DocumentTable:
    """The columns of `documents.parquet`; row i is document i."""

    ids: list[str]
    domains: list[str]
    sources: list[str]

    shards: Ints
    """Number of the shard, in the order of the manifest."""

    offsets: Ints
    """First token of the document, in tokens of its shard."""

    lengths: Ints
    """Tokens of the document, the end-of-document token included."""

    bytes: Ints
    """UTF-8 length of the text."""

    repeats: Ints
    """How often an epoch has the document; 0 for never."""

    def __len__(self) -> int:
        return len(self.ids)


class TokenDataset:
    """A finished tokens dataset. Opening it reads and checks the manifest, the indexes and the document table."""

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
        self.documents = _read_documents(self.folder / DOCUMENTS_FILE, bins)
        self.shards = [read_shard(self.folder / name) for name in bins]
        self._check()

    @cached_property
    def tokenizer(self) -> bytes:
        """The SentencePiece model. UsageError unless it has the manifest's hash."""
        path = self.folder / TOKENIZER_FILE
        if not path.is_file():
            raise UsageError(f"{path} is missing: make the dataset again with `refinery tokenize`")
        if sha256_file(path) != self.ref.tokenizer_sha256:
            raise UsageError(f"{path} is not the tokenizer that the manifest names: its sha256 differs")
        return path.read_bytes()

    def tokens(self, document: int, start: int, count: int) -> npt.NDArray[np.generic]:
        """`count` token ids of a document from its token `start` on: a view of the memory map, shape (count,)."""
        table = self.documents
        assert start >= 0 and start + count <= table.lengths[document]
        begin = int(table.offsets[document]) + start
        return self.shards[int(table.shards[document])][begin : begin + count]

    def _check(self) -> None:
        table = self.documents
        where = self.folder / DOCUMENTS_FILE
        if len(table) == 0 or table.lengths.min() < 1:
            raise UsageError(f"{where} has no documents, or an empty one: it cannot be trained on")
        if table.repeats.min() < 0 or table.bytes.min() < 0:
            raise UsageError(f"{where} has a negative number of repeats or bytes")
        if table.shards.min() < 0 or table.shards.max() >= len(self.shards):
            raise UsageError(f"{where} names a shard that is none of the {len(self.shards)} in the manifest")
        sizes = np.array([len(shard) for shard in self.shards], np.int64)[table.shards]
        if table.offsets.min() < 0 or (table.offsets + table.lengths > sizes).any():
            raise UsageError(f"{where} has a document that ends beyond its shard: the dataset is damaged")


def read_shard(path: Path) -> npt.NDArray[np.generic]:
    """The tokens of one shard, memory-mapped. UsageError unless the index beside it accounts for every byte."""
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


def _read_documents(path: Path, bins: list[str]) -> DocumentTable:
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

    def strings(name: str, default: str = "") -> list[str]:
        return [value or default for value in table.column(name).to_pylist()]

    def integers(name: str) -> Ints:
        column = table.column(name)
        if column.null_count:
            raise UsageError(f"{path}: column {name!r} has nulls")
        return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)

    places = {name: i for i, name in enumerate(bins)}
    shards = np.array([places.get(name, -1) for name in strings("shard")], np.int64)
    return DocumentTable(
        strings("id"), strings("domain", "general"), strings("source"),
        shards, integers("offset"), integers("length"), integers("bytes"), integers("repeats"),
    )  # fmt: skip
