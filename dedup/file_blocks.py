"""Blocks of files, within which CCNet counts lines: so many files of a snapshot that follow each other by name.

cc_net counts in blocks of 50 of the 1,600 shards into which it cuts a snapshot's list of files, in the order of the
list. A block here is made of names alone, so neither the order of the input nor how it is cut into parts changes
it: the files of a snapshot (`dump`) are sorted by name, and each `most` of them are a block. No block has files of two
snapshots.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.strings import hashes
from dedup.tables import Hashes, run_starts, values

READ = ("dump", "file_path")
# `key`: a hash of both names
FILES = pa.schema([("key", pa.uint64()), ("dump", pa.string()), ("file_path", pa.string())])


class FileBlocks(NamedTuple):
    """The block of each file: `keys` of FILES, ascending, and their `blocks`, int32. Shape (files,)."""

    keys: Hashes
    blocks: npt.NDArray[np.int32]

    @classmethod
    def of(cls, files: pa.Table, most: int) -> "FileBlocks":
        """Of FILES, each once, in any order; `most`: files of a block."""
        files = files.sort_by([("dump", "ascending"), ("file_path", "ascending")])
        starts = run_starts(files["dump"].to_numpy())
        sizes = np.diff(starts, append=files.num_rows)
        place = np.arange(files.num_rows) - np.repeat(starts, sizes)
        blocks_of = -(-sizes // most)
        before = np.cumsum(blocks_of) - blocks_of
        blocks = (np.repeat(before, sizes) + place // most).astype(np.int32)
        keys = values(files, "key")
        order = np.argsort(keys)
        return cls(keys[order], blocks[order])

    def of_documents(self, documents: pa.RecordBatch) -> npt.NDArray[np.int32]:
        """The block of each document, int32, shape (documents,)."""
        found: npt.NDArray[np.int32] = self.blocks[np.searchsorted(self.keys, _keys(*_names(documents)))]
        return found


def file_table(documents: pa.RecordBatch, shard: int, first_row: int) -> pa.RecordBatch:  # noqa: ARG001
    """FILES of a batch of documents, each once. Names that are missing are empty."""
    dump, path = _names(documents)
    table = pa.table({"dump": dump, "file_path": path}).group_by(["dump", "file_path"], use_threads=False).aggregate([])
    dump, path = (table[name].combine_chunks() for name in ("dump", "file_path"))
    return pa.RecordBatch.from_arrays([pa.array(_keys(dump, path)), dump, path], schema=FILES)


@dataclass(frozen=True)
class EachFile:
    """Reducer over FILES by `key` to the same, each once. Memory: one batch."""

    fingerprint: str = "dedup.file_blocks.EachFile()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        last: int | None = None
        for batch in rows:
            keys = values(batch, "key")
            if not keys.size:
                continue
            first = np.zeros(keys.size, np.bool_)
            first[run_starts(keys)] = True
            first[0] = keys[0] != last
            last = int(keys[-1])
            yield batch.select(FILES.names).filter(pa.array(first))


def _names(documents: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    named = documents.schema.names
    empty = pa.nulls(documents.num_rows, pa.string())
    dump, path = (documents[name].cast(pa.string()) if name in named else empty for name in READ)
    return pc.fill_null(dump, ""), pc.fill_null(path, "")


def _keys(dump: pa.Array, path: pa.Array) -> Hashes:
    between = pa.scalar("\0", pa.large_string())
    return hashes(pc.binary_join_element_wise(dump.cast(pa.large_string()), path.cast(pa.large_string()), between))
