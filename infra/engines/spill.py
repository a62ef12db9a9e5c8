"""A shuffle through files, on storage that all workers see: a file for each group of parts, read by the reducers.

A file begins with where each partition's rows are in it (`partitions` + 1 offsets of eight bytes) and the CPU time that
it took (eight bytes, in microseconds); then come the rows, an Arrow stream for each partition that has some. A reducer
reads two ranges of each file. The files stay until their dataset is finished, so that a driver that was killed, or a
node that is lost, costs no more than what was being made.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from infra.code_version import code_version
from infra.dataset.receipts import SPILL
from infra.engines.job import Job, PartJobs
from infra.engines.shuffle import Spread, Spreads, from_bytes, to_bytes
from infra.hashing import sha256_json
from infra.metering import worker_cpu_seconds
from infra.storage import (
    ObjectPath,
    check_locked,
    disk_errors,
    new_file,
    place,
    read_range,
    remove_folder,
    remove_temporaries,
    scratch_folder,
)

OFFSET = np.dtype("<u8")
# Ranges that are read at once from an object store, where each takes its time.
READERS = 16


@dataclass(frozen=True)
class SpillJob:
    """Writes the rows of one group of parts into `folder`."""

    folder: str
    spread: Spread

    @property
    def index(self) -> int:
        return self.spread.order

    @property
    def count(self) -> int:
        """None of the result's partitions."""
        return 0

    @property
    def label(self) -> str:
        return f"the rows of {len(self.spread.parts)} parts for a reduction"

    def run(self) -> int:
        path = spill_path(self.folder, self.index)
        lengths, head = np.zeros(self.spread.partitions + 1, OFFSET), np.zeros(self.spread.partitions + 2, OFFSET)
        began = worker_cpu_seconds()
        with disk_errors(path.parent), new_file(path) as temporary, temporary.open("wb") as file:
            file.write(head.tobytes())
            for partition, table in self.spread.tables():
                lengths[partition + 1] = file.write(to_bytes(table))
            file.seek(0)
            head[:-1] = head.nbytes + lengths.cumsum()
            head[-1] = round((worker_cpu_seconds() - began) * 1e6)
            file.write(head.tobytes())
        return self.count


@dataclass(frozen=True)
class Spilled:
    """The spilled rows of all groups: given to a reducer in place of the tables themselves."""

    folder: str
    count: int

    def tables(self, partition: int) -> list[pa.Table]:
        """On a disk they stay there until they are used."""
        paths = [spill_path(self.folder, index) for index in range(self.count)]
        if not isinstance(place(self.folder), ObjectPath):
            return [table for path in paths if (table := map_piece(path, partition)) is not None]
        with ThreadPoolExecutor(READERS) as readers:
            found = [*readers.map(partial(read_piece, partition=partition), paths)]
        return [table for table in found if table is not None]


def read_piece(path: Path, partition: int) -> pa.Table | None:
    """The rows that a file in a store has for one partition; None where it has none."""
    start, end = piece_ends(path, partition)
    return from_bytes(read_range(path, start, end - start)) if end > start else None


def map_piece(path: Path, partition: int) -> pa.Table | None:
    """The same of a file on a disk, mapped: its rows take memory when they are used, which the system may take back."""
    start, end = piece_ends(path, partition)
    if end == start:
        return None
    with pa.memory_map(str(path)) as file:
        file.seek(start)
        return from_bytes(file.read_buffer(end - start))


def piece_ends(path: Path, partition: int) -> tuple[int, int]:
    content = read_range(path, partition * OFFSET.itemsize, 2 * OFFSET.itemsize)
    start, end = np.frombuffer(content, OFFSET).tolist()
    return start, end


def spread_cpu_seconds(path: Path, partitions: int) -> float:
    """The CPU time that a file took."""
    content = read_range(path, (partitions + 1) * OFFSET.itemsize, OFFSET.itemsize)
    return int(np.frombuffer(content, OFFSET)[0]) / 1e6


def local_spill(dataset: Path) -> Path:
    """Where the workers of one machine spill: in the dataset's folder, where a killed run finds its files again; for a
    dataset in an object store on this machine's disk."""
    if isinstance(dataset, ObjectPath):
        return scratch_folder() / f"spill-{sha256_json(str(dataset))[:16]}"
    return dataset / SPILL


def spill_path(folder: str, index: int) -> Path:
    return place(folder) / f"in-{index:05d}.arrow"


class RunsJobs(Protocol):
    """The part of an engine that a shuffle needs."""

    workers: int

    def run_jobs(self, jobs: Iterable[Job], done: Callable[[int], None]) -> None: ...


def shuffle_through_files(
    engine: RunsJobs, spill: Path, spreads: Spreads, jobs: PartJobs, done: Callable[[int], None]
) -> float:
    """`Engine.shuffle` by two calls of `run_jobs`, through files in `spill`.

    Files that an earlier run has finished are not made again: their folder is named by all that decides what they hold.
    """
    folder = spill / sha256_json([spreads.fingerprint, code_version(SpillJob)])[:16]
    dataset = place(jobs.operation.folder)
    check_locked(dataset)  # a driver that was stopped leaves the files to the one that followed it
    for other in spill.iterdir() if spill.exists() else ():
        if other != folder:
            remove_folder(other)
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    there = {path.name for path in folder.iterdir()}
    spills = (
        SpillJob(str(folder), spread) for spread in spreads if spill_path(str(folder), spread.order).name not in there
    )
    engine.run_jobs(spills, lambda _: None)
    paths = (spill_path(str(folder), index) for index in range(len(spreads)))
    seconds = sum(spread_cpu_seconds(path, spreads.partitions) for path in paths)
    spilled = (Spilled(str(folder), len(spreads)),)
    check_locked(dataset)
    engine.run_jobs(jobs.ranges(engine.workers, lambda _: spilled), done)
    check_locked(dataset)
    remove_folder(spill)
    return seconds
