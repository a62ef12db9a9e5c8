"""The embedded engine: a pool of processes on one machine; reductions spill to disk.

Workers are spawned, not forked (threads of Arrow do not survive a fork), and die with the driver.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice

import pyarrow as pa

from infra.engines.engine import Done, Engine
from infra.engines.job import Job, PartJobs, run_job
from infra.engines.shuffle import Spreads
from infra.engines.spill import local_spill, shuffle_through_files
from infra.errors import WorkError
from infra.hidden_imports import hidden
from infra.storage import place

PR_SET_PDEATHSIG = 1
# The jobs that are handed to the pool at once, for each worker: the one that it runs, and the next.
IN_FLIGHT = 2


def leave_pandas_out() -> None:
    """Keep pyarrow from importing pandas, which it does at its first conversion of Python values, for objects of it.

    There are none here, and the import takes .3 CPU seconds. `to_pandas()` works all the same.
    """
    if "pandas" in sys.modules:
        return
    with hidden("pandas"):
        pa.array([])  # pandas is tried once, at this conversion


def start_worker(driver: int) -> None:
    """Leave Ctrl-C to the driver, whose process number is `driver`, and end when it ends."""
    leave_pandas_out()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != driver:  # which is 1 in a container
            os._exit(1)  # it ended before the kernel was asked


class LocalEngine(Engine):
    """Runs in this process when `workers` is 1, else in a pool that is kept for the engine's life."""

    name = "local"
    _pool: ProcessPoolExecutor | None = None

    def shuffle(self, spreads: Spreads, jobs: PartJobs, done: Done) -> float:
        return shuffle_through_files(self, local_spill(place(jobs.operation.folder)), spreads, jobs, done)

    def run_jobs(self, jobs: Iterable[Job], done: Done) -> None:
        waiting = iter(jobs)
        first = list(islice(waiting, 2))
        # A job alone is not worth the start of a pool. Where there is one it is run there all the same: what it takes
        # in memory stays out of the driver, which lives to the end of the run.
        if self.workers == 1 or (len(first) <= 1 and self._pool is None):
            for job in chain(first, waiting):
                done(job.run())
            return
        # Jobs that were lost with a worker (killed for memory, say) once more, one at a time: the one that needs too
        # much is then alone.
        for job in self._run_in_pool(chain(first, waiting), done):
            self.retried(f"a worker process was killed (out of memory?): {job.label} once more, alone")
            if self._run_in_pool([job], done):
                raise WorkError(
                    f"a worker process was killed twice while it made {job.label} "
                    "(out of memory?): free some memory or use fewer --workers, and run the same command again"
                )

    def _run_in_pool(self, jobs: Iterable[Job], done: Done) -> list[Job]:
        """Returns the jobs that were lost with a worker, in their order; raises what a job raised."""
        waiting = enumerate(jobs)
        pending: dict[Future[int], tuple[int, Job]] = {}
        lost: list[tuple[int, Job]] = []
        lost_now: list[tuple[int, Job]] = []  # with the pool that is in use
        try:
            while True:
                # A pool that lost a worker takes nothing more; it is replaced when all that it had is known to be lost.
                room = 0 if lost_now else self.workers * IN_FLIGHT - len(pending)
                for number, job in islice(waiting, room):
                    try:
                        pending[self._submit(job)] = number, job
                    except BrokenProcessPool:  # while jobs were handed to it
                        lost_now.append((number, job))
                        break
                if not pending and not lost_now:
                    break
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    which = pending.pop(future)
                    try:
                        done(future.result())
                    except BrokenProcessPool:
                        lost_now.append(which)
                if lost_now and not pending:
                    self.kill()
                    lost += lost_now
                    lost_now = []
        except BaseException:
            self.kill()
            raise
        return [job for _, job in sorted(lost, key=lambda which: which[0])]

    def _submit(self, job: Job) -> Future[int]:
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=spawn, initializer=start_worker, initargs=(os.getpid(),)
            )
        return self._pool.submit(run_job, job)

    def kill(self) -> None:
        """Stop the workers at once: after Ctrl-C, or when one of them died."""
        if self._pool is None:
            return
        for process in list((self._pool._processes or {}).values()):
            with contextlib.suppress(ProcessLookupError, AttributeError):
                process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
