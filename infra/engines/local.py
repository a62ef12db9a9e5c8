"""The embedded engine: a pool of processes on one machine; reductions spill to disk.

Workers are spawned, not forked (threads of Arrow do not survive a fork), and die with the driver.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from infra.dataset.build import PartJob, check_part, software
from infra.dataset.dataset import Part
from infra.engines.engine import Engine, one_batch, partition_part
from infra.errors import WorkError
from infra.hashing import canonical_json, sha256_json
from infra.storage import commit_file, read_json, remove_folder, remove_temporaries, temporary_name, write_bytes

SPILL = ".spill"
PR_SET_PDEATHSIG = 1


class _NoPandas:
    """Says that there is no pandas."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG003
        if name == "pandas":
            raise ModuleNotFoundError(name)


def leave_pandas_out() -> None:
    """Have pyarrow not look for pandas, which it does at its first conversion of Python values, to know its objects.

    There are none here, and the import takes .3 CPU seconds. Who asks pyarrow for a data frame still gets it.
    """
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([])  # it looks once, and at this
    finally:
        sys.meta_path.remove(_NoPandas)


def start_worker() -> None:
    """Ctrl-C is the driver's business, and a worker must not outlive its driver."""
    leave_pandas_out()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:
            os._exit(1)


def run_job(job: PartJob) -> int:
    job.run()
    return job.index


@dataclass(frozen=True)
class SpillJob:
    """The map side of a reduction for one part: an Arrow file with one table per partition."""

    folder: str
    index: int
    part: Part
    source: int
    key: str
    partitions: int

    @property
    def path(self) -> Path:
        return Path(self.folder) / f"in-{self.index:05d}"

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.part.fingerprint, self.source, self.key, self.partitions, software()])

    def done(self) -> bool:
        return read_json(self.path.with_suffix(".json")) == self.fingerprint

    def run(self) -> int:
        check_part(self.part)
        tables = partition_part(self.part, self.source, self.key, self.partitions)  # type: ignore[arg-type]
        final = self.path.with_suffix(".arrow")
        temporary = temporary_name(final)
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, tables[0].schema) as writer:
            for table in tables:
                writer.write_batch(one_batch(table))
        commit_file(temporary, final)
        write_bytes(self.path.with_suffix(".json"), canonical_json(self.fingerprint))
        return self.index


def run_spill(job: SpillJob) -> int:
    return job.run()


@dataclass(frozen=True)
class Spilled:
    """Where the spilled tables of every part lie; given to a reducer in place of the tables themselves."""

    folder: str
    count: int
    fingerprint: str = ""

    def tables(self, partition: int) -> list[pa.Table]:
        tables = []
        for index in range(self.count):
            with pa.memory_map(str(Path(self.folder) / f"in-{index:05d}.arrow")) as file:
                tables.append(pa.Table.from_batches([pa.ipc.open_file(file).get_batch(partition)]))
        return [table for table in tables if table.num_rows] or tables[:1]


class LocalEngine(Engine):
    """Runs in this process when `workers` is 1, else in a pool that is kept for the engine's life."""

    name = "local"
    _pool: ProcessPoolExecutor | None = None

    def run_jobs(self, jobs: Sequence[PartJob], done: Callable[[], None]) -> None:
        self._run(run_job, jobs, done)

    def shuffle(
        self,
        parts: Sequence[tuple[int, Part]],
        key: str,
        partitions: int,
        jobs: Sequence[PartJob],
        done: Callable[[], None],
    ) -> None:
        folder = Path(jobs[0].folder) / SPILL
        folder.mkdir(exist_ok=True)
        remove_temporaries(folder)
        spills = [SpillJob(str(folder), i, part, source, key, partitions) for i, (source, part) in enumerate(parts)]
        self._run(run_spill, [spill for spill in spills if not spill.done()], lambda: None)
        spilled = Spilled(str(folder), len(spills))
        self._run(run_job, [replace(job, parts=(spilled,)) for job in jobs], done)
        remove_folder(folder)

    def _run(self, function: Callable[[Any], int], jobs: Sequence[Any], done: Callable[[], None]) -> None:
        if self.workers == 1 or len(jobs) <= 1:
            for job in jobs:
                function(job)
                done()
            return
        lost = self._run_in_pool(function, jobs, done)
        if lost:
            # A worker died (killed for memory, say). Once more, one at a time, so that the culprit is alone.
            for job in lost:
                if self._run_in_pool(function, [job], done):
                    raise WorkError(
                        f"a worker process was killed twice while it made partition {job.index} "
                        "(out of memory?): free some memory or use fewer --workers, and run the same command again"
                    )

    def _run_in_pool(self, function: Callable[[Any], int], jobs: Sequence[Any], done: Callable[[], None]) -> list[Any]:
        """Returns the jobs that were lost with a worker; raises what a job raised."""
        pool = self._open_pool()
        pending: dict[Future[int], Any] = {pool.submit(function, job): job for job in jobs}
        lost = []
        try:
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    job = pending.pop(future)
                    try:
                        future.result()
                        done()
                    except BrokenProcessPool:
                        lost.append(job)
        except BaseException:
            self.kill()
            raise
        if lost:
            self.kill()
        return sorted(lost, key=lambda job: job.index)

    def _open_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=start_worker
            )
        return self._pool

    def kill(self) -> None:
        """Stop the workers at once: after Ctrl-C, or when one of them died."""
        if self._pool is None:
            return
        processes = list((self._pool._processes or {}).values())
        for process in processes:
            with contextlib.suppress(ProcessLookupError, AttributeError):
                process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
