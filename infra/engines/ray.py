"""Ray as the engine: a task for each job; reductions go through files (`spill.py`).

Without an address Ray is started on this machine and stopped again; with one (`--address`, else `RAY_ADDRESS`, which
Ray sets in a job that was submitted) the tasks run on that cluster, whose nodes see the dataset's folder under the same
path. Ray itself (the extra `ray`) is imported at the first job. Why not Ray Data's shuffle: docs/performance.md.
"""

import argparse
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from infra.dataset.receipts import SPILL
from infra.engines.alike import told_versions
from infra.engines.engine import Done, Engine, Report
from infra.engines.failures import died
from infra.engines.job import Job, PartJobs
from infra.engines.options import Parser, address_towards, bytes_given, check_listens
from infra.engines.ray_auth import check_token, is_refusal, no_token
from infra.engines.ray_tasks import MEMORY_RETRIES, RayTasks
from infra.engines.shuffle import Spreads
from infra.engines.spill import shuffle_through_files
from infra.errors import UsageError, WorkError
from infra.extras import check_extra
from infra.http.budget import LOOPBACK, environment
from infra.storage import place

# On a loaded machine Ray's own servers may not come up in the time that Ray gives them.
START_ATTEMPTS = 3
# How long the servers of a start that failed are waited for.
END_SECONDS = 10.0
# What Ray says, before the traceback, where a node has no such function as a task.
NOT_LOADED = "The remote function failed to import on the worker"
# Seconds after which the number of processors is asked for again: a cluster may grow.
ASK_EVERY = 10.0


def start_ray(address: str | None, processors: int) -> None:
    """Connects to the cluster at `address`, or starts Ray on this machine. UsageError where there is no cluster,
    WorkError where Ray does not come up."""
    import ray

    if address:
        check_listens("a Ray cluster", address.removeprefix("ray://"))
        check_token(address)
    for name, value in MEMORY_RETRIES.items():
        os.environ.setdefault(name, value)
    here = {"address": "local", "num_cpus": processors, "include_dashboard": False}
    before = {process.pid for process in servers()}
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **({"address": address} if address else here))
            return
        # on a loaded machine a server of Ray's that does not come up in time is also told by a bare Exception
        except Exception as error:
            if is_refusal(error):
                raise no_token(address or "here") from None
            ray.shutdown()
            end_servers(before)
            reason = str(error).strip().split("\n")[0][:200]
            # the server of Ray Client starts a process for each driver, which may not come up in time either
            if address and not (address.startswith("ray://") and attempt < START_ATTEMPTS):
                raise UsageError(
                    f"the Ray cluster at {address} does not take this driver ({reason}): it must have the same "
                    "versions of Ray and Python; or hand the command to its head with `refinery submit`"
                ) from None
            if not address and (attempt == START_ATTEMPTS or is_final(error)):
                raise WorkError(f"Ray could not be started ({reason}): {advice(error)}") from None


def advice(error: Exception) -> str:
    """What to do where Ray does not come up. The paths of its sockets have 107 bytes, some 65 of which it takes itself,
    and TMPDIR is often a folder of a batch job."""
    if "AF_UNIX" in str(error):
        return "set RAY_TMPDIR to a folder whose path is short, such as /tmp, and run the same command again"
    return ("mend that, and " if is_final(error) else "") + "run the same command again"


def session_folder() -> Path | None:
    """Where the Ray that this process has started keeps its logs and sockets."""
    from ray._private import worker

    node = getattr(worker, "_global_node", None)
    return Path(node.get_session_dir_path()) if node is not None else None


def is_final(error: Exception) -> bool:
    """Whether the start would fail again: a wrong option, a folder that cannot be written, a full disk."""
    return isinstance(error, ValueError | OSError) and not isinstance(error, ConnectionError | TimeoutError)


def servers() -> list[Any]:
    """The processes of Ray's that this one started, as psutil has them."""
    import psutil
    import ray

    def is_ray(process: Any) -> bool:
        try:
            words = process.cmdline()
        except psutil.Error:  # it has ended
            return False
        return any(word.startswith(home) for word in words)

    home = f"{Path(ray.__file__).parent}{os.sep}"
    return [process for process in psutil.Process().children() if is_ray(process)]


def end_servers(kept: Collection[int]) -> None:
    """Ends those that a start left which failed: Ray itself does so when this process ends, and until then they would
    take memory and ports from the next."""
    import psutil

    left = [process for process in servers() if process.pid not in kept]
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=END_SECONDS)


class RayEngine(Engine):
    """`workers` bounds the tasks in flight (and is the number of processors of a Ray that is started here). On a
    cluster None is twice its processors, however it grows or shrinks.

    Options: `--address`, of a cluster; `--memory`, what a task is said to need, so that a node takes no more of them
    than fit.
    """

    name = "ray"
    _started = False
    # the folder of a Ray that was started here, which goes with it unless something failed: its logs may say why
    _session: Path | None = None

    def __init__(
        self, workers: int | None = None, progress: Report | None = None, options: Sequence[str] = (), here: int = 1
    ) -> None:
        check_extra("ray")
        given = read_options(options)
        self.address: str | None = given.address or os.environ.get("RAY_ADDRESS") or None
        self._memory: int | None = given.memory
        self._bounded = workers is not None or not self.address
        super().__init__(here if workers is None else workers, progress)

    def start(self) -> None:
        import ray

        if ray.is_initialized():
            return
        start_ray(self.address, self.workers)
        self._started = True
        if not self.address:
            self._session = session_folder()
        if not self._bounded:
            self.workers = self._bound()

    def run_jobs(self, jobs: Iterable[Job], done: Done) -> None:
        waiting = iter(jobs)
        bound, asked = self._bound(), time.monotonic()
        shared = environment(self._host()) | (told_versions() if self.address else {})
        tasks = RayTasks(str(Path.cwd()), shared, self._memory, self.say)
        try:
            while True:
                if time.monotonic() - asked > ASK_EVERY:
                    bound, asked = self._bound(), time.monotonic()
                while len(tasks) < bound and (job := next(waiting, None)) is not None:
                    tasks.start(job)
                if not tasks:
                    return
                for job, made in tasks.finished(ASK_EVERY):
                    if made.retries:
                        self.retried(f"a worker or its node died: {job.label} once more", made.retries)
                    done(made.partitions)
        except BaseException as error:
            self._session = None
            tasks.stop()
            raise_ours(error)

    def shuffle(self, spreads: Spreads, jobs: PartJobs, done: Done) -> float:
        return shuffle_through_files(self, place(jobs.operation.folder) / SPILL, spreads, jobs, done)

    def _host(self) -> str:
        """The address of this machine at which the workers reach it."""
        import ray

        if not self.address:
            return LOOPBACK
        if self.address.startswith("ray://"):  # from outside the cluster
            return address_towards(urlsplit(self.address).hostname)
        return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]

    def _bound(self) -> int:
        """How many tasks may be in flight."""
        if self._bounded:
            return self.workers

        import ray

        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return max(1, 2 * int(resources.get("CPU", 1)))

    def close(self) -> None:
        if not self._started:
            return

        import ray

        if ray.is_initialized():
            ray.shutdown()
        if self._session is not None:
            shutil.rmtree(self._session, ignore_errors=True)


def read_options(words: Sequence[str]) -> argparse.Namespace:
    parser = Parser("ray")
    parser.add_argument("--address")
    parser.add_argument("--memory", type=bytes_given)
    return parser.parse_args(words)


def raise_ours(error: BaseException) -> NoReturn:
    """Raises what the job raised, in place of Ray's wrapper; WorkError where its worker died too often."""
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

    if NOT_LOADED in str(error) and isinstance(error, RayTaskError):
        why = str(error).strip().splitlines()[-1][:200]
        raise UsageError(
            f"a node of the Ray cluster cannot load this refinery ({why}): install the same on every node, and run the "
            "same command again"
        ) from None
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        error.cause.add_note(str(error))  # with the traceback of the worker
        raise error.cause from None
    if isinstance(error, OutOfMemoryError | WorkerCrashedError | NodeDiedError):
        raise died(str(error)) from None
    raise error
