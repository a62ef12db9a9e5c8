"""Two maps in one pass over some parts, where the second reads of a part what the first has just read.

Only receipts are left. The two operations, called after that as ever, find these partitions made and commit: with this
pass or without it the bytes are the same. The time of the pass is told with the second, which takes nearly all of it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infra.dataset.batches import batch_name, receipts_at, whole_receipts
from infra.dataset.build import open_build
from infra.dataset.manifest import MANIFEST, Header
from infra.dataset.placing import find_made
from infra.dataset.reader import ShardReader, Source
from infra.dataset.receipts import RECEIPTS, Receipt
from infra.dataset.refusal import undone_if_refused
from infra.engines.engine import Engine, map_fingerprints
from infra.engines.job import Operation, Packed, PartJobs, RangeJob
from infra.engines.live import Watch
from infra.engines.task import Task
from infra.hashing import sha256_json
from infra.storage import lock, place

# What holds, in the process that makes a part, while both of its partitions are made.
Around = Callable[[Any], AbstractContextManager[None]]
# The fingerprint of no partition.
UNKNOWN = "0" * 64


@dataclass(frozen=True)
class MapTo:
    """A map: its task, its dataset's folder and header. Of the second of two the inputs are not known yet."""

    task: Task
    out: Path
    header: Header

    @property
    def decisive(self) -> str:
        return sha256_json(self.header.decisive)


@dataclass(frozen=True)
class PassJob:
    """A partition of the first map, and then that of the second which reads it. `decisive`: of the second."""

    first: RangeJob
    second: Packed
    decisive: str
    around: Around

    @property
    def folder(self) -> str:
        return self.first.folder

    @property
    def label(self) -> str:
        return self.first.label

    @property
    def count(self) -> int:
        return 1

    def run(self) -> int:
        job, second = self.first, self.second.operation()
        with self.around(job.parts[0][0]):
            job.run()
            folder = place(job.packed.operation().folder)
            (receipt,) = receipts_at(folder, batch_name(job.fingerprints, job.indices[0]))
            reader = shard_of(folder, receipt)
            fingerprints = map_fingerprints(second.task, [[reader]], self.decisive)
            RangeJob(self.second, job.indices, ((reader,),), (fingerprints[0],)).run()
        return 1


def shard_of(folder: Path, receipt: Receipt) -> ShardReader:
    """The shard of a finished partition."""
    (shard,) = receipt["shards"]
    return ShardReader(str(folder), shard["path"], shard["rows"], shard["sha256"])


def one_pass(
    engine: Engine, source: Source, first: MapTo, second: MapTo, around: Around, wanted: Callable[[Any], bool]
) -> None:
    """Make the parts of `source` that are `wanted` and not made yet in both maps. Nothing is done where one of the two
    is finished. Errors as of `map_shards`."""
    if (second.out / MANIFEST).is_file():
        return
    with open_build(first.out, first.header) as build:
        if build.finished():
            return
        engine.start()
        began = time.monotonic()
        rows = source.parts()
        fingerprints = map_fingerprints(first.task, [rows], first.decisive)
        todo = np.array([index for index in build.missing(fingerprints) if wanted(rows[index])], np.int64)
        if not len(todo):
            return
        with _open_second(first, second, len(rows)):
            jobs = PartJobs(Operation(str(first.out), first.task, check=True), todo, fingerprints, [rows])
            packed = Packed.of(Operation(str(second.out), second.task, check=False))
            passes = (PassJob(jobs.range_of([index]), packed, second.decisive, around) for index in todo.tolist())
            total = len(fingerprints)
            with Watch(build.folder, first.header.stage, build.found, total, engine.progress) as watch:
                engine.run_jobs(passes, watch.finished)
        engine.made_in_pass(first.out, len(todo), 0.0)
        engine.made_in_pass(second.out, len(todo), time.monotonic() - began)


@contextmanager
def _open_second(first: MapTo, second: MapTo, parts: int) -> Iterator[None]:
    """The folder of the second map, with each of its finished partitions under the number that it has now. It is not
    claimed: the arguments name the first dataset, which is not finished."""
    with undone_if_refused(second.out), lock(second.out):
        for name in (RECEIPTS, "ledger"):
            (second.out / name).mkdir(exist_ok=True)
        made = sorted(whole_receipts(first.out), key=lambda receipt: receipt["index"])
        readers = [shard_of(first.out, receipt) for receipt in made]
        now = dict(
            zip(
                (receipt["index"] for receipt in made),
                map_fingerprints(second.task, [readers], second.decisive),
                strict=True,
            )
        )
        find_made(second.out, [now.get(index, UNKNOWN) for index in range(parts)])
        yield
