"""One partition's work, for any process of any engine: run the task, write its shard and ledger, say what was made.

A job makes a range of partitions, one after the other, and leaves their receipts in one file. How partitions are put
into jobs decides no byte.
"""

import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.batches import ReceiptBatch, batch_name
from infra.dataset.files import Shard
from infra.dataset.reader import check_part
from infra.dataset.receipts import Tally
from infra.dataset.writer import ShardWriter
from infra.engines.live import LiveJob, rows_of
from infra.engines.task import Output, Sink, Task, Written
from infra.hashing import sha256_bytes, sha256_json
from infra.metering import forget_peak_memory, versions_sha256, worker_cpu_seconds, worker_peak_memory
from infra.storage import disk_errors, place, token_of, written_for

# A job has at most so many partitions, and a worker at least so many jobs as long as there are partitions enough: the
# jobs get smaller towards the end, so that no worker has much left when the others are done.
JOB_PARTS, JOBS_A_WORKER = 64, 8


@dataclass(frozen=True)
class PartJob:
    """A task over one partition. `folder`: the dataset's. `check`: whether the parts are compared with their hashes."""

    folder: str
    index: int
    task: Task
    parts: tuple[Any, ...]
    fingerprint: str
    check: bool = True

    def make(self, live: LiveJob, first: bool = False) -> dict[str, Any]:
        """Make the shard and its ledger, neither of them synced; returns the receipt. `first`: of its operation in this
        process, so that what the process loads for it is part of the cost."""
        if first:
            forget_peak_memory()
        if self.check:
            for part in self.parts:
                check_part(part)
        folder = place(self.folder)
        started, cpu_started, rows = time.monotonic(), worker_cpu_seconds(), live.rows
        with disk_errors(folder):
            written, ledger, tally = self._write(folder, self.task(*self.parts), live)
        return {
            "index": self.index,
            "fingerprint": self.fingerprint,
            "shards": [asdict(shard) for shard in written.shards],
            "files": [asdict(file) for file in written.files],
            "ledger": asdict(ledger) if ledger else None,
            "counts": dict(sorted(tally.counts.items())) | {"ledger_documents": tally.ledger_documents},
            "rejected_by": tally.rejected_by,
            "languages": written.languages,
            "domains": written.domains,
            **self._notes(written, tally),
            "cost": {
                "seconds": round(time.monotonic() - started, 3),
                "cpu_seconds": round(worker_cpu_seconds() - cpu_started, 3),
                "peak_memory_bytes": worker_peak_memory(),
                "rows": live.rows - rows,
                "first": first,
            },
        }

    def _notes(self, written: Written, tally: Tally) -> dict[str, Any]:
        """What only some receipts have: the parts that say where they are (`join` reads them there again), files that
        are needed until the dataset is committed, and the task's own notes."""
        reads = [part.described() for part in self.parts if hasattr(part, "described")]
        found = {"reads": reads, "work": written.work, "notes": tally.notes}
        return {name: values for name, values in found.items() if values}

    def _write(self, folder: Path, outputs: Iterator[Output], live: LiveJob) -> tuple[Written, Shard | None, Tally]:
        """Write all outputs; what was begun is removed if the task fails. The ledger is None if nothing is rejected."""
        open_sink = getattr(self.task, "open_sink", None)
        sink: Sink = open_sink(folder, self.index) if open_sink else ParquetSink(folder, self.index, self.task.schema)
        ledger: ShardWriter | None = None
        tally = Tally()
        try:
            for output in outputs:
                rejected = tally.ledger_documents
                if output.main is not None:
                    sink.write(output.main)
                if output.ledger is not None and output.ledger.num_rows:
                    tally.reject(output.ledger)
                    if ledger is None:
                        ledger = ShardWriter(folder, f"ledger/part-{self.index:05d}.parquet", schemas.LEDGER)
                    ledger.write(output.ledger)
                tally.add(output.counts or {})
                if output.notes is not None:
                    tally.notes.append(dict(output.notes))
                live.add((output.main.num_rows if output.main else 0) + tally.ledger_documents - rejected)
            return sink.close(), ledger.close() if ledger else None, tally
        except BaseException:
            sink.abandon()
            if ledger:
                ledger.abandon()
            raise


class Job(Protocol):
    """What an engine runs: picklable and small, for any process. `run` returns how many partitions were made."""

    @property
    def folder(self) -> str:
        """Where it writes."""
        ...

    @property
    def label(self) -> str:
        """What is made, for messages."""
        ...

    @property
    def count(self) -> int:
        """How many partitions it makes."""
        ...

    def run(self) -> int: ...


@dataclass(frozen=True)
class Operation:
    """What all partitions of one operation have in common."""

    folder: str
    task: Task
    check: bool
    # The token of the driver's lock on the folder.
    owner: str = ""

    def job(self, index: int, parts: tuple[Any, ...], fingerprint: str) -> PartJob:
        at = getattr(self.task, "at", None)  # the task of a reduction is told its partition
        return PartJob(self.folder, index, at(index) if at else self.task, parts, fingerprint, self.check)


@dataclass(frozen=True)
class Packed:
    """An operation as bytes: packed once by the driver and unpacked once by a process, however many jobs have it."""

    content: bytes = field(repr=False)
    sha256: str

    @classmethod
    def of(cls, operation: Operation) -> "Packed":
        """For workers, while this process holds the operation's folder."""
        owned = replace(operation, owner=token_of(place(operation.folder)))
        content = pickle.dumps(owned, pickle.HIGHEST_PROTOCOL)
        return cls(content, sha256_bytes(content))

    def operation(self) -> Operation:
        return _unpacked(self)


# The last operations that this process made a partition of, by hash: one after the other, or two at once.
_begun: deque[str] = deque(maxlen=8)


def _is_first(packed: Packed) -> bool:
    """Whether this process makes its first partition of the operation."""
    if packed.sha256 in _begun:
        return False
    _begun.append(packed.sha256)
    return True


@lru_cache(maxsize=4)
def _unpacked(packed: Packed) -> Operation:
    return cast("Operation", pickle.loads(packed.content))


@dataclass(frozen=True)
class RangeJob:
    """Some partitions of one operation, made one after the other. `parts`: what each reads."""

    packed: Packed
    indices: tuple[int, ...]
    parts: tuple[tuple[Any, ...], ...]
    fingerprints: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Of the dataset."""
        return self.packed.operation().folder

    @property
    def label(self) -> str:
        first, last = self.indices[0], self.indices[-1]
        return f"partition {first}" if first == last else f"partitions {first} to {last}"

    @property
    def count(self) -> int:
        return len(self.indices)

    def run(self) -> int:
        """Make those that an earlier attempt at this job has not made, and leave their receipts."""
        operation = self.packed.operation()
        folder = place(operation.folder)
        live = LiveJob(folder, self.indices[0], len(self.indices))
        receipts = ReceiptBatch(folder, batch_name(self.fingerprints, self.indices[0]))
        with disk_errors(folder), written_for(operation.owner), live, receipts as batch:
            made = batch.found()
            for index, parts, fingerprint in zip(self.indices, self.parts, self.fingerprints, strict=True):
                rejected_by: dict[str, int] = {}
                if index not in made:
                    live.begin(rows_of(parts))
                    receipt = operation.job(index, parts, fingerprint).make(live, _is_first(self.packed))
                    batch.add(receipt)
                    rejected_by = receipt["rejected_by"]
                live.end(rejected_by)
        return self.count


class PartJobs:
    """The partitions of one operation that are to be made, as jobs that are made when they are asked for.

    `rows`: for each input of a map its partitions; none for a reduction, whose rows come through a shuffle.
    """

    def __init__(
        self,
        operation: Operation,
        indices: npt.NDArray[np.int64],
        fingerprints: Sequence[str],
        rows: Sequence[Sequence[Any]],
    ) -> None:
        self.operation = operation
        self.packed = Packed.of(operation)
        self.indices = indices
        self.fingerprints = fingerprints
        self.rows = rows

    def __len__(self) -> int:
        return len(self.indices)

    def ranges(self, workers: int, parts_of: Callable[[int], tuple[Any, ...]] | None = None) -> Iterator[RangeJob]:
        """All of them, in jobs of some partitions each. `parts_of`: what a partition reads, where it is no input."""
        start = 0
        while start < len(self):
            size = min(JOB_PARTS, max(1, (len(self) - start) // (workers * JOBS_A_WORKER)))
            yield self.range_of(self.indices[start : start + size].tolist(), parts_of)
            start += size

    def range_of(self, indices: Sequence[int], parts_of: Callable[[int], tuple[Any, ...]] | None = None) -> RangeJob:
        parts = tuple(parts_of(index) if parts_of else tuple(row[index] for row in self.rows) for index in indices)
        return RangeJob(self.packed, tuple(indices), parts, tuple(self.fingerprints[index] for index in indices))


class ParquetSink:
    """The ordinary sink: one Parquet shard for a partition."""

    def __init__(self, folder: Path, index: int, schema: pa.Schema) -> None:
        self.writer = ShardWriter(folder, f"part-{index:05d}.parquet", schema)

    def write(self, batch: pa.RecordBatch) -> None:
        self.writer.write(batch)

    def close(self) -> Written:
        return Written([self.writer.close()], [], self.writer.languages, self.writer.domains)

    def abandon(self) -> None:
        self.writer.abandon()


def run_job(job: Job) -> int:
    """`job.run()` as a function, which is what engines send to their workers."""
    return job.run()


def part_fingerprint(task_fingerprint: str, seen: Any, decisive_sha256: str, code: str) -> str:
    """All that decides what a partition holds, the versions of Python and of libraries included. `seen`: the
    fingerprints of the parts that the task reads, as JSON; `decisive_sha256`: of the header without its inputs; `code`:
    the code version of all that takes part."""
    named = {"task": task_fingerprint, "parts": seen, "header": decisive_sha256, "code": code}
    return sha256_json({**named, "versions": versions_sha256()})
