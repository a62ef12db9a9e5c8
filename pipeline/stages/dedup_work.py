"""What the methods of deduplication are made of: tables of numbered documents, reductions, and the way back to shards.

A document is its place, (shard, row). The numbers of some documents (those with an edge, the survivors) are one sorted
array in the driver, eight bytes each; a partition gets its rows as packed bytes.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.components import node_set
from dedup.named import NAMED, NameSurvivors, id_table
from dedup.tables import DECISIONS, numbers_of
from infra.dataset.manifest import InputRef
from infra.dataset.reader import Dataset, Source
from infra.engines.task import Output
from infra.hashing import sha256_json
from pipeline.job.tables import Tables
from pipeline.steps.dedup import Dedup

Numbers = npt.NDArray[np.int64]
ROW = np.dtype("<i4")


@dataclass(frozen=True)
class NumberedPart:
    """A partition of documents with its number. `wanted`: the rows to read, ascending, packed; None: all."""

    part: Any
    index: int
    wanted: bytes | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str:
        rows = None if self.wanted is None else hashlib.sha256(self.wanted).hexdigest()
        return sha256_json([self.part.fingerprint, self.index, rows])

    @property
    def numbers(self) -> Numbers:
        """The numbers of the documents to read, where these are some."""
        return np.frombuffer(self.wanted or b"", ROW).astype(np.int64) | self.index << 32

    def numbered(self, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Yields batches of those of `columns` that there are, with the row number in the shard of their first row."""
        if self.wanted == b"":
            return
        known = self.part.schema().names
        row = 0
        for batch in self.part.batches([name for name in columns if name in known]):
            yield batch, row
            row += batch.num_rows


@dataclass(frozen=True)
class Numbered:
    """A source of numbered parts; `wanted`: the sorted document numbers to read (None: all)."""

    source: Source
    wanted: Numbers | None = None

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.source.refs

    def parts(self) -> list[NumberedPart]:
        parts = self.source.parts()
        if self.wanted is None:
            return [NumberedPart(part, index) for index, part in enumerate(parts)]
        ends = np.searchsorted(self.wanted, np.arange(len(parts) + 1) << 32)
        rows = [self.wanted[low:high].astype(ROW).tobytes() for low, high in pairwise(ends)]
        return [NumberedPart(part, index, rows[index]) for index, part in enumerate(parts)]


@dataclass(frozen=True)
class TableTask:
    """A pure function from a batch of documents to a batch of a table, as a task: `function(batch, shard, first_row)`.

    `name` identifies the function in the fingerprint; `columns`: those of the documents that it reads; `chosen`: it
    takes the numbers of the `wanted` documents too.
    """

    name: str
    schema: pa.Schema
    function: Callable[..., pa.RecordBatch]
    columns: tuple[str, ...]
    chosen: bool

    @property
    def fingerprint(self) -> str:
        return f"dedup:{self.name}"

    def __call__(self, part: NumberedPart) -> Iterator[Output]:
        chosen = {"wanted": part.numbers} if self.chosen else {}
        for batch, first_row in part.numbered(self.columns):
            yield Output(self.function(batch, part.index, first_row, **chosen))


@dataclass(frozen=True)
class Reduce:
    """Adapts a reducer of `dedup/`, which yields batches, to the engine."""

    inner: Any
    schema: pa.Schema

    @property
    def fingerprint(self) -> str:
        return str(self.inner.fingerprint)

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        for batch in self.inner(partition, rows):
            yield Output(batch)


@dataclass(frozen=True)
class Forward:
    """Yields rows unchanged: used to repartition decisions like the shards of their documents, in document order."""

    schema: pa.Schema
    fingerprint: str = "dedup:forward"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        del partition
        for batch in rows:
            yield Output(batch.select(self.schema.names))


@dataclass(frozen=True)
class Work:
    """One deduplication: its step, its documents, and its intermediate tables."""

    step: Dedup
    source: Source
    tables: Tables

    def table(
        self,
        name: str,
        of: str,
        schema: pa.Schema,
        function: Callable[..., pa.RecordBatch],
        columns: Iterable[str],
        wanted: Numbers | None = None,
    ) -> Dataset:
        """A table of the documents, or of the `wanted` ones, by a function as `TableTask` has it; `of`: its name."""
        task = TableTask(of, schema, function, tuple(dict.fromkeys(columns)), wanted is not None)
        return self.tables.map(name, task, Numbered(self.source, wanted))

    def reduce(self, name: str, tables: list[Dataset], reducer: Any, schema: pa.Schema) -> Dataset:
        """The tables' rows by `key`, through a reducer of `dedup/`."""
        return self.tables.reduce(name, tables, "key", Reduce(reducer, schema))

    def to_shards(self, table: Dataset, schema: pa.Schema) -> Dataset:
        """Repartitions a table with a `shard` column like the documents of its rows."""
        return self.tables.reduce("by-shard", [table], "shard", Forward(schema), len(self.source.parts()))

    def applicable(self, decisions: Dataset) -> Dataset:
        """DECISIONS, whose `key` is the survivor, with the ids of survivors, and partitioned like the documents."""
        survivors = kept_numbers(decisions)
        if survivors.size:
            ids = self.table("ids", "ids", DECISIONS, id_table, ["id"], survivors)
            decisions = self.reduce("named", [ids, decisions], NameSurvivors(), NAMED)
        return self.to_shards(decisions, NAMED)


def kept_numbers(decisions: Dataset) -> Numbers:
    """The sorted document numbers of survivors."""
    tables = (part.table(["shard", "row", "kept"]) for part in decisions.parts())
    numbers = (numbers_of(table.filter(table["kept"])) for table in tables)
    return node_set((some, np.empty(0, np.int64)) for some in numbers)
