"""The two sides of a reduction, alike on every engine: rows are spread by key, and a partition's rows are sorted.

An engine only moves what `Spread` makes to where `ReduceTask` is run: in memory, as bytes (`pieces`, `reduce_pieces`),
or through files (`spill.py`). All that decides the bytes of the result is here.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.dataset.reader import ShardReader, check_part
from infra.engines.job import PartJobs
from infra.engines.task import Output, Reducer

# The rows that a reducer is handed at a time.
REDUCE_ROWS = 65536

# The rows of one part for one partition, as shuffles that move bytes carry them: the part's order, an Arrow stream.
Piece = tuple[int, bytes]


@dataclass(frozen=True)
class Spread:
    """The map side for one part: its rows by partition. `order`: the part's place among all parts of all inputs;
    `source`: the input that it belongs to."""

    order: int
    source: int
    part: ShardReader
    key: str
    partitions: int
    check: bool = True

    def tables(self) -> list[pa.Table]:
        """One table for each partition."""
        if self.check:
            check_part(self.part)
        return partition_part(self.part, self.source, self.key, self.partitions)

    def pieces(self, wanted: Container[int]) -> Iterator[tuple[int, Piece]]:
        """(partition, piece) for the partitions that are still to be made."""
        for partition, table in enumerate(self.tables()):
            if partition in wanted:
                yield partition, (self.order, to_bytes(table))


@dataclass(frozen=True)
class Gathered:
    """One partition's tables, already in this process, in the order of the inputs."""

    pieces: tuple[pa.Table, ...]

    def tables(self, partition: int) -> tuple[pa.Table, ...]:
        del partition
        return self.pieces


@dataclass(frozen=True)
class ReduceTask:
    """A reducer as the task of one partition."""

    reducer: Reducer
    partition: int
    key: str

    @property
    def fingerprint(self) -> str:
        return self.reducer.fingerprint

    @property
    def schema(self) -> pa.Schema:
        return self.reducer.schema

    def at(self, partition: int) -> "ReduceTask":
        return replace(self, partition=partition)

    def __call__(self, *parts: Any) -> Iterator[Output]:
        """`parts`: one object whose `tables(partition)` gives the partition's rows in the order of the inputs."""
        table = sort_rows(parts[0].tables(self.partition), self.key)
        yield from self.reducer(self.partition, iter(table.to_batches(max_chunksize=REDUCE_ROWS)))


def reduce_pieces(jobs: PartJobs, partition: int, pieces: Iterable[Piece]) -> int:
    """Make one partition of a reduction from its pieces, which may come in any order."""
    tables = tuple(from_bytes(batch) for _, batch in sorted(pieces, key=lambda piece: piece[0]))
    return jobs.range_of([partition], lambda _: (Gathered(tables),)).run()


def sort_rows(tables: Sequence[pa.Table], key: str) -> pa.Table:
    """One table sorted by (key, file_path, warc_offset); equal rows keep the order of the inputs."""
    if not tables:
        return pa.table({})
    filled = [table for table in tables if table.num_rows] or tables[:1]
    table = pa.concat_tables(filled, promote_options="default").combine_chunks()
    order = [key, *(name for name in ("file_path", "warc_offset") if name in table.schema.names)]
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in order]))


def partition_part(part: ShardReader, source: int, key: str, partitions: int) -> list[pa.Table]:
    """A shard's rows by partition (`key` modulo `partitions`), each row marked with the input it came from."""
    table = part.table()
    table = table.append_column("_input", pa.array([source] * table.num_rows, pa.int8()))
    keys = table[key].to_numpy()
    if keys.dtype.kind not in "iu":
        raise TypeError(f"the key {key!r} of a reduction must be an integer column, not {keys.dtype}")
    target = keys % keys.dtype.type(partitions)
    order = target.argsort(kind="stable")
    ends = target[order].searchsorted(range(1, partitions + 1))
    rows = table.take(pa.array(order))
    starts = [0, *ends[:-1]]
    return [rows.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]


def to_bytes(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def from_bytes(content: bytes) -> pa.Table:
    return pa.ipc.open_stream(content).read_all()
