"""One partition's work, for any process of any engine: run the task, write its shard and ledger, leave the receipt.

Each file is written under a temporary name, synced and renamed; the receipt comes last.
"""

import os
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.manifest import Shard
from infra.dataset.reader import check_part
from infra.dataset.receipts import Tally, write_receipt
from infra.dataset.writer import ShardWriter
from infra.engines.live import LivePart, rows_of
from infra.engines.task import Output, Sink, Task, Written
from infra.hashing import sha256_json
from infra.metering import worker_cpu_seconds
from infra.storage import disk_errors, place


@dataclass(frozen=True)
class PartJob:
    """A task over one partition, ready to be sent to any process of any engine. `folder`: the dataset's."""

    folder: str
    index: int
    task: Task
    parts: tuple[Any, ...]
    fingerprint: str

    def run(self) -> int:
        """Make the shard and its ledger, commit both, and leave the receipt; returns the partition's index."""
        for part in self.parts:
            check_part(part)
        folder = place(self.folder)
        started, cpu_started = time.monotonic(), worker_cpu_seconds()
        with disk_errors(folder):
            written, ledger, tally = self._write(folder, self.task(*self.parts))
            receipt = {
                "fingerprint": self.fingerprint,
                "shards": [asdict(shard) for shard in written.shards],
                "files": [asdict(file) for file in written.files],
                "ledger": asdict(ledger),
                "counts": dict(sorted(tally.counts.items())) | {"ledger_documents": tally.ledger_documents},
                "rejected_by": tally.rejected_by,
                "languages": written.languages,
                "domains": written.domains,
                "schema": schemas.describe(self.task.schema),
                **self._notes(written, tally),
                "cost": {
                    "seconds": round(time.monotonic() - started, 3),
                    "cpu_seconds": round(worker_cpu_seconds() - cpu_started, 3),
                    "peak_memory_bytes": _peak_memory(),
                },
            }
            write_receipt(folder, self.index, receipt)
        return self.index

    def _notes(self, written: Written, tally: Tally) -> dict[str, Any]:
        """What only some receipts have: the parts that say where they are (`join` reads them there again), files that
        are needed until the dataset is committed, and the task's own notes."""
        reads = [part.described() for part in self.parts if hasattr(part, "described")]
        found = {"reads": reads, "work": written.work, "notes": tally.notes}
        return {name: values for name, values in found.items() if values}

    def _write(self, folder: Path, outputs: Iterator[Output]) -> tuple[Written, Shard, Tally]:
        """Write all outputs; what was begun is removed if the task fails."""
        open_sink = getattr(self.task, "open_sink", None)
        sink: Sink = open_sink(folder, self.index) if open_sink else ParquetSink(folder, self.index, self.task.schema)
        ledger = ShardWriter(folder, f"ledger/part-{self.index:05d}.parquet", schemas.LEDGER)
        tally = Tally()
        live = LivePart(folder, self.index, rows_of(self.parts))
        try:
            for output in outputs:
                rejected = tally.ledger_documents
                if output.main is not None:
                    sink.write(output.main)
                if output.ledger is not None:
                    tally.reject(output.ledger)
                    ledger.write(output.ledger)
                tally.add(output.counts or {})
                if output.notes is not None:
                    tally.notes.append(dict(output.notes))
                live.add((output.main.num_rows if output.main else 0) + tally.ledger_documents - rejected)
            return sink.close(), ledger.close(), tally
        except BaseException:
            sink.abandon()
            ledger.abandon()
            raise
        finally:
            live.close()


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


def run_job(job: PartJob) -> int:
    """`job.run()` as a function, which is what engines send to their workers."""
    return job.run()


def part_fingerprint(task_fingerprint: str, seen: Any, decisive_sha256: str, code: str) -> str:
    """All that decides what a partition holds. `seen`: the fingerprints of the parts that the task reads, as JSON;
    `decisive_sha256`: of the header without its inputs; `code`: the code version of all that takes part."""
    return sha256_json({"task": task_fingerprint, "parts": seen, "header": decisive_sha256, "code": code})


def _peak_memory() -> int:
    """The largest resident size, in bytes, of this process and of its children that ended."""
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return largest * unit
