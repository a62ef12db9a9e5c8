"""What an engine runs: tasks over partitions, reducers over sorted keys, and what both hand back.

A task is a picklable dataclass, pure but for reading. Its `fingerprint` names everything that decides what it
writes (steps, thresholds, models by sha256), never a path. The same holds for reducers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from infra.dataset.files import FileRef, Shard


class Output(NamedTuple):
    """A piece of a task's result: rows of the dataset, rows of its ledger, and counters that are summed.

    `counts` holds `in` and `rejected` for records and documents, and any counter named `group/name`; those named
    `sum/...` are for what the stage adds at the commit (`Extras`).
    """

    main: pa.RecordBatch | None = None
    ledger: pa.RecordBatch | None = None
    counts: Mapping[str, int] | None = None
    # a note for the receipt, which the commit reads (`Totals.notes`)
    notes: Mapping[str, Any] | None = None


class Task(Protocol):
    @property
    def fingerprint(self) -> str: ...

    @property
    def schema(self) -> pa.Schema: ...

    def __call__(self, *parts: Any) -> Iterator[Output]: ...


class Reducer(Protocol):
    """`rows` are one partition's rows, sorted by (key, shard, row), or by (key, file_path, warc_offset) where they have
    no such columns."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def schema(self) -> pa.Schema: ...

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]: ...


@dataclass
class Written:
    """What a sink put on disk for one partition."""

    shards: list[Shard]
    files: list[FileRef] = field(default_factory=list)
    languages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    domains: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    # paths of further files that the commit reads; they are gone when the dataset is finished
    work: list[str] = field(default_factory=list)


class Sink(Protocol):
    """Where a partition's rows go. A task that needs another format than Parquet has `open_sink(folder, index)`. What
    it writes may depend on the index, so its partitions are not found again under another one."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> Written: ...

    def abandon(self) -> None: ...
