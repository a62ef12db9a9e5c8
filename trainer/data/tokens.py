"""Reads a tokens dataset: shards of token ids, the table of their documents, and the tokenizer.

`manifest.json` (kind "tokens") lists the files. `part-NNNNN.bin` holds the token ids of its documents one after
another, each document ending in the end-of-document token; `documents.arrow` says where each document is;
`documents.parquet` has its id and address, and is opened only for these. The dataset may be in an object store; then
files are copied to this machine as they are needed (`cache.py`). Shards are memory-mapped. A `UsageError` names the
file that is missing, damaged or inconsistent.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.dataset.manifest import Kind, Manifest, manifest_path
from infra.errors import UsageError
from infra.hashing import sha256_file
from infra.storage import ObjectPath, readable
from trainer.data.cache import cache_folder, local_copy
from trainer.data.documents import DocumentTable, Ints, read_documents
from trainer.mapped_file import mapped

TABLE_FILE, NAMES_FILE, TOKENIZER_FILE = "documents.arrow", "documents.parquet", "tokenizer.model"
# Token ids by their size in bytes, as Megatron-Core has them: uint16 below 65,536 ids, else int32.
DTYPES: dict[int, type[np.generic]] = {2: np.uint16, 4: np.int32}
# Shards that are mapped at a time: Linux gives a process 65,530 maps.
MOST_MAPS = 16_384
FETCHES_AT_ONCE = 8
# A dataset's shards are compared with their hashes, as they are mapped, where they have at most so many bytes together:
# hashing more would be reading all tokens before the first steps. `refinery verify` compares those of any size.
MOST_HASHED = 2**28

Tokens = npt.NDArray[Any]


@dataclass(frozen=True)
class DataRef:
    """The identity of a tokens dataset, stored in checkpoints."""

    manifest_sha256: str
    tokenizer_sha256: str

    vocab_size: int
    """Token ids are below this."""

    eod_id: int
    """The end-of-document token."""


class TokenDataset:
    """A finished tokens dataset, on this machine or in an object store.

    Opening it reads the manifest and maps the table of documents; shards are mapped when they are first read.
    """

    def __init__(self, path: Path, cache: Path | None = None) -> None:
        """`path`: the dataset's folder or manifest. `cache`: where copies from an object store are kept."""
        manifest_file = manifest_path(path)
        self.folder = manifest_file.parent
        self._cache = cache or cache_folder()
        if not manifest_file.exists():
            raise UsageError(
                f"{path} is no dataset (it has no {manifest_file.name}): make one with `refinery tokenize`"
            )
        manifest = Manifest.read(self.folder)
        if manifest.kind is not Kind.TOKENS:
            raise UsageError(
                f"{manifest_file} is a dataset of {manifest.kind}, not of tokens: run `refinery tokenize` on it first"
            )
        self.ref = _data_ref(manifest, manifest_file)
        self._sums = {file.path: file.sha256 for file in manifest.files}
        shards = [shard for shard in manifest.shards if shard.path.endswith(".bin")]
        self.shard_names = [shard.path for shard in shards]
        self.shard_sums = [shard.sha256 for shard in shards]
        self.shard_bytes = np.array([shard.bytes for shard in shards], np.int64)
        self.shard_tokens = np.array([shard.tokens for shard in shards], np.int64)
        self._maps: OrderedDict[int, Tokens] = OrderedDict()
        table = self._file(TABLE_FILE)
        if table.is_file() and sha256_file(table) != self._sums.get(TABLE_FILE):
            raise not_named(table)  # seconds for 10^8 documents
        self.documents: DocumentTable = read_documents(table)

    @cached_property
    def tokenizer(self) -> bytes:
        """The SentencePiece model. UsageError unless it has the manifest's hash."""
        path = self._file(TOKENIZER_FILE, self.ref.tokenizer_sha256)
        if not path.is_file():
            raise UsageError(f"{path} is missing: make the dataset again with `refinery tokenize`")
        if sha256_file(path) != self.ref.tokenizer_sha256:
            raise not_named(path)
        return path.read_bytes()

    def tokens(self, document: int, start: int, count: int) -> Tokens:
        """`count` token ids of a document from its token `start` on: a view of the memory map, shape (count,)."""
        table = self.documents
        assert start >= 0 and start + count <= int(table.lengths[document])
        begin = int(table.offsets[document]) + start
        found = self.shard(int(table.shards[document]))[begin : begin + count]
        if len(found) != count:
            raise table.damaged()
        return found

    def shard(self, number: int) -> Tokens:
        """The tokens of a shard, memory-mapped, shape (tokens,). Fetches it if need be."""
        found = self._maps.get(number)
        if found is None:
            if not 0 <= number < len(self.shard_names):
                raise self.documents.damaged()
            path = local_copy(self.folder / self.shard_names[number], self.shard_sums[number], self._cache)
            found = map_shard(path, int(self.shard_bytes[number]), int(self.shard_tokens[number]))
            if int(self.shard_bytes.sum()) <= MOST_HASHED and sha256_file(path) != self.shard_sums[number]:
                raise not_named(path)
            if len(self._maps) >= MOST_MAPS:
                self._maps.popitem(last=False)
            self._maps[number] = found
        return found

    def fetch(self, shards: Iterable[int]) -> None:
        """Copy those of these shards to this machine that are in an object store, several at a time."""
        if not isinstance(self.folder, ObjectPath):
            return
        missing = [number for number in shards if number not in self._maps]
        if len(missing) > 1:
            with ThreadPoolExecutor(FETCHES_AT_ONCE) as threads:
                for _ in threads.map(
                    lambda n: local_copy(self.folder / self.shard_names[n], self.shard_sums[n], self._cache), missing
                ):
                    pass

    def find(self, name: str) -> Ints:
        """The documents whose id or URL is `name`, in order. Reads both columns of the names, a part at a time, once
        the file has the manifest's hash."""
        found = []
        names, sha256 = self.folder / NAMES_FILE, self._sums.get(NAMES_FILE)
        if sha256 and names.exists() and sha256_file(names) != sha256:
            raise not_named(names)
        for first, rows in self._names(["id", "url"]):
            same = pc.or_kleene(pc.equal(rows["id"], name), pc.equal(rows["url"], name))
            found.append(first + np.flatnonzero(pc.fill_null(same, False).to_numpy(False)))
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _names(self, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The first row of each batch of `documents.parquet`, and the batch."""
        path = self.folder / NAMES_FILE
        first = 0
        try:
            with pq.ParquetFile(readable(path)) as file:
                for rows in file.iter_batches(columns=columns):
                    yield first, rows
                    first += rows.num_rows
        except FileNotFoundError:
            raise UsageError(
                f"{path} is missing, which has ids and addresses of documents: take another copy"
            ) from None
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None

    def _file(self, name: str, sha256: str = "") -> Path:
        """A file of the dataset on this machine."""
        return local_copy(self.folder / name, self._sums.get(name, sha256), self._cache)


def not_named(path: Path) -> UsageError:
    return UsageError(f"{path} is not the file that the manifest names (its sha256 differs): take another copy")


def map_shard(path: Path, size: int, tokens: int) -> Tokens:
    """The tokens of one shard, memory-mapped. UsageError unless the file has the manifest's size."""
    try:
        found = path.stat().st_size
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}; take another copy of it") from None
    if found != size:
        raise UsageError(f"{path} has {found} bytes, and the manifest says {size}: it is damaged; take another copy")
    dtype = DTYPES.get(size // tokens if tokens else 0)
    if dtype is None or size % tokens:
        raise UsageError(f"{path} has {size} bytes for {tokens} tokens: these are not 16- or 32-bit tokens")
    return mapped(path, dtype)


def _data_ref(manifest: Manifest, path: Path) -> DataRef:
    try:
        tokenizer: Any = manifest.params["tokenizer"]
        return DataRef(sha256_file(path), str(tokenizer["sha256"]), int(tokenizer["vocab_size"]), int(tokenizer["eod"]))
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path}: params.tokenizer must have sha256, vocab_size and eod") from None
