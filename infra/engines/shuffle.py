"""The two sides of a reduction, alike on every engine: rows are spread by key, and a partition's rows are sorted.

An engine only moves what `Spread` makes to where `ReduceTask` is run: through files (`spill.py`), or as bytes through a
shuffle of its own (`pieces`, `reduce_pieces`). All that decides the bytes of the result is here.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
import pyarrow as pa

from infra.code_version import code_version
from infra.dataset.reader import Dataset, ShardReader
from infra.engines.job import RangeJob
from infra.engines.sizes import bytes_of, groups_of, piece_bytes
from infra.engines.sorted_runs import as_before, combined, sorted_rows
from infra.engines.task import Output, Reducer
from infra.hashing import sha256_json

# Where rows come from: the number of the input, among those of a reduction.
INPUT = "_input"
# In this order, as far as a table has them, rows of equal key follow each other.
PLACE = (("shard", "row"), ("file_path", "warc_offset"))
# So many bytes of rows are taken at a time from those of a group of parts.
TAKEN_BYTES = 2**26

# The rows of a group of parts for one partition, as shuffles that move bytes carry them: the group's number, and an
# Arrow stream.
Piece = tuple[int, bytes]


@dataclass(frozen=True)
class Spread:
    """The map side for a group of parts of one input: their rows by partition. `order`: the group's place among all
    groups of all inputs; `source`: the number of the input."""

    order: int
    source: int
    parts: tuple[ShardReader, ...]
    key: str
    partitions: int
    together: int = 1
    check: bool = True

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """(partition, its rows in the order of the parts), for the partitions that have some, in ascending order."""
        for part in self.parts if self.check else ():
            part.check()
        yield from by_partition(self._rows(), self.key, self.partitions, self.together)

    def _rows(self) -> pa.Table:
        table = pa.concat_tables([part.table() for part in self.parts])
        return table.append_column(INPUT, pa.array(np.full(table.num_rows, self.source, np.int8)))

    def pieces(self, wanted: Container[int]) -> Iterator[tuple[int, Piece]]:
        """(partition, piece) for the partitions that are still to be made."""
        for partition, table in self.tables():
            if partition in wanted:
                yield partition, (self.order, to_bytes(table))


class Spreads(Sequence[Spread]):
    """The map side of a reduction: all parts of all inputs, in groups that depend on the data alone. They are made as
    they are asked for."""

    def __init__(
        self, inputs: Sequence[Dataset], key: str, partitions: int, together: int = 1, check: bool = True
    ) -> None:
        self.inputs = inputs
        self.key = key
        self.partitions = partitions
        self.together = together
        self.check = check

    @cached_property
    def groups(self) -> list[tuple[int, range]]:
        """(the number of the input, the numbers of its parts)."""
        size = piece_bytes(sum(bytes_of(dataset) for dataset in self.inputs))
        return [(source, parts) for source, dataset in enumerate(self.inputs) for parts in groups_of(dataset, size)]

    @property
    def fingerprint(self) -> str:
        """What decides the rows of all groups."""
        inputs = [[ref.sha256 for ref in dataset.refs] for dataset in self.inputs]
        groups = [[source, parts.start, parts.stop] for source, parts in self.groups]
        return sha256_json([inputs, groups, self.key, self.partitions, self.together, code_version(Spread)])

    def __len__(self) -> int:
        return len(self.groups)

    @overload
    def __getitem__(self, order: int) -> Spread: ...

    @overload
    def __getitem__(self, order: slice) -> list[Spread]: ...

    def __getitem__(self, order: int | slice) -> Spread | list[Spread]:
        if isinstance(order, slice):
            return [self[each] for each in range(len(self))[order]]
        source, numbers = self.groups[order]
        parts = self.inputs[source].parts()
        filled = tuple(part for part in (parts[number] for number in numbers) if part.rows)
        return Spread(order, source, filled, self.key, self.partitions, self.together, self.check)


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
        yield from self.reducer(self.partition, sort_rows(parts[0].tables(self.partition), self.key))


def reduce_pieces(job: RangeJob, pieces: Iterable[Piece]) -> int:
    """Run the job of one partition of a reduction on its pieces, which may come in any order."""
    tables = tuple(from_bytes(batch) for _, batch in sorted(pieces, key=lambda piece: piece[0]))
    return replace(job, parts=((Gathered(tables),),)).run()


def sort_rows(tables: Sequence[pa.Table], key: str) -> Iterator[pa.RecordBatch]:
    """The rows of all tables by key, then by their place (`PLACE`); equal rows keep the order of the inputs."""
    names = {name for table in tables for name in table.schema.names}
    place = next((each for each in PLACE if {*each} <= names), ())
    return sorted_rows(tables, [(name, "ascending") for name in dict.fromkeys((key, *place))]) if tables else iter(())


def by_partition(table: pa.Table, key: str, partitions: int, together: int = 1) -> Iterator[tuple[int, pa.Table]]:
    """A table's rows by partition (`key // together` modulo `partitions`), for the partitions that have some."""
    keys = table[key].to_numpy()
    if keys.dtype.kind not in "iu":
        raise TypeError(f"the key {key!r} of a reduction must be an integer column, not {keys.dtype}")
    if not len(keys):
        return
    target = keys // keys.dtype.type(together) % keys.dtype.type(partitions)
    order = target.argsort(kind="stable")
    found, starts = np.unique(target[order], return_index=True)
    schema, table = table.schema, combined(table)
    # rows are taken for some partitions at a time: all at once would be in memory twice
    at_once = max(1, len(order) * TAKEN_BYTES // max(1, table.nbytes))
    rows, first, end = table.slice(0, 0), 0, 0
    for partition, start, stop in zip(found.tolist(), starts.tolist(), [*starts.tolist()[1:], len(order)], strict=True):
        if stop > end:
            first, end = start, max(stop, min(len(order), start + at_once))
            rows = table.take(pa.array(order[first:end]))
        yield partition, as_before(rows.slice(start - first, stop - start), schema)


def to_bytes(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def from_bytes(content: bytes) -> pa.Table:
    return pa.ipc.open_stream(content).read_all()
