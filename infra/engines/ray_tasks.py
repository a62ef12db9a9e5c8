"""The tasks of one operation on a Ray cluster: started, waited for, stopped; and what is done if no node can run them.

Ray keeps a task waiting for ever that asks for more than any node has. A node may have gone and come back smaller, may
still come (an autoscaler, a preempted machine), or may never come.
"""

import contextlib
import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from infra.engines.alike import check_alike
from infra.engines.job import Job
from infra.engines.ray_stop import StopWord, interrupted_by, is_given
from infra.errors import UsageError, WorkError
from infra.http.budget import join_run

# How often a task is run again whose worker or node died. Ray counts those that it killed for memory apart, and without
# a number of its own runs them for ever.
RETRIES = 5
MEMORY_RETRIES = {"RAY_task_oom_retries": str(RETRIES)}
# What a task is said to need, unless a node has less for each of its processors.
TASK_MEMORY = 2 * 2**30
# How long the tasks that were told to stop are waited for.
STOP_SECONDS = 30.0
# After so long without a node for its tasks the run says so; so often it says it again; after so long it ends.
PLACE_SECONDS, TOLD_EVERY, PATIENCE = 30.0, 60.0, 3600.0


class Made(NamedTuple):
    """What a task did: how many partitions it made, and how often it had been begun before."""

    partitions: int
    retries: int


class RayTasks:
    """`folder`: the driver's working directory; `shared`: see `join_run`; `memory`: what a task needs in bytes, None:
    what every node has for each of its processors, up to 2 GiB. `say` is told, in a line, what is waited for."""

    def __init__(
        self, folder: str, shared: Mapping[str, str], memory: int | None, say: Callable[[str], object]
    ) -> None:
        self._words = folder, shared
        self._given = memory
        self._say = say
        self._running: dict[Any, Job] = {}
        self._stop_word = StopWord()
        self._without_node: float | None = None
        self._told = 0.0
        nodes = nodes_with_processors()
        self.memory = memory_of_task(nodes) if memory is None else memory
        if nodes and not self._fit(nodes):
            raise UsageError(f"--memory {self.memory} is more than any node of the cluster has")
        self._run = self._remote()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, job: Job) -> None:
        from ray import cloudpickle

        # as bytes: a node with other code may not be able to read it, and is to say that it has other code
        content = cloudpickle.dumps(job)  # type: ignore[no-untyped-call]
        self._running[self._run.remote(*self._words, self._stop_word.name, content)] = job

    def finished(self, seconds: float) -> Iterator[tuple[Job, Made]]:
        """Those that are finished within so many seconds. Raises what a task raised, and WorkError if no node can run
        them."""
        import ray

        results, _ = ray.wait([*self._running], timeout=seconds)
        if results:
            self._without_node = None
        else:
            self._check_nodes()
        for result in results:
            made = Made(*ray.get(result))
            yield self._running.pop(result), made

    def stop(self) -> None:
        """What goes on would write into the folder that the driver, or the next command, is about to write into."""
        import ray

        if not self._running:
            return
        with contextlib.suppress(Exception):  # of a cluster that is gone, or of Ray where it is being ended
            self._stop_word.give()
            # those that no node can run would be waited for in vain
            seconds = STOP_SECONDS if self._fit(nodes_with_processors()) else 0.0
            if not ray.wait([*self._running], num_returns=len(self._running), timeout=seconds)[1]:
                self._stop_word.forget()

    def _remote(self) -> Any:
        """One function for all tasks: Ray sends each that is made to every worker."""
        import ray

        return ray.remote(run_in).options(num_cpus=1, memory=self.memory, max_retries=RETRIES)

    def _fit(self, nodes: list[Mapping[str, float]]) -> bool:
        return any(node.get("memory", 0) >= self.memory for node in nodes)

    def _check_nodes(self) -> None:
        nodes, now = nodes_with_processors(), time.monotonic()
        if self._fit(nodes):
            self._without_node = None
            return
        if self._without_node is None:
            self._without_node = now
        waited, needs = now - self._without_node, f"1 processor and {self.memory / 2**30:.1f} GiB of memory"
        if waited < PLACE_SECONDS:
            return
        if nodes and self._given is not None:
            raise WorkError(
                f"no node of the Ray cluster can run a task, which needs {needs}: say less -- --memory, or add a node, "
                "and run the same command again"
            )
        if nodes:
            self._begin_again(memory_of_task(nodes))
        elif waited >= PATIENCE:
            raise WorkError(
                f"no node of the Ray cluster could run a task, which needs {needs}, for {PATIENCE / 60:.0f} minutes: "
                "add a node, and run the same command again"
            )
        elif now - self._told >= TOLD_EVERY:
            self._told = now
            self._say(f"no node of the Ray cluster can run a task, which needs {needs}: waiting for one")

    def _begin_again(self, memory: int) -> None:
        """The nodes that there are now are smaller than those for which the tasks were made."""
        self.stop()
        jobs, self._running, self._stop_word = [*self._running.values()], {}, StopWord()
        self.memory = memory
        self._run = self._remote()
        for job in jobs:
            self.start(job)


def nodes_with_processors() -> list[Mapping[str, float]]:
    """The resources of the nodes that are alive and run tasks."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return [resources for resources in alive if resources.get("CPU", 0) >= 1]


def memory_of_task(nodes: list[Mapping[str, float]]) -> int:
    """The smallest share that a processor has of its node's memory, in bytes, up to `TASK_MEMORY`."""
    shares = [int(node["memory"] / node["CPU"]) for node in nodes if node.get("memory")]
    return min([TASK_MEMORY, *shares])


def run_in(folder: str, shared: Mapping[str, str], stop_word: str, content: bytes) -> tuple[int, int]:
    """`job.run()` of a pickled job as `Made`, where paths mean what they mean to the driver, in its working directory.
    `shared`: see `join_run` and `check_alike`. Nothing is made once the word is given."""
    if is_given(stop_word):
        return 0, 0
    check_alike(shared)
    join_run(shared)
    with contextlib.suppress(OSError):  # on a node that has no such folder, only whole paths are of use
        os.chdir(folder)
    try:
        with interrupted_by(stop_word):
            return read_job(content).run(), retries_of_this()
    except KeyboardInterrupt:
        return 0, 0


def read_job(content: bytes) -> Job:
    """UsageError where it holds an object of a module, of the user's perhaps, that this node has not."""
    try:
        job: Job = pickle.loads(content)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the worker on {socket.gethostname()} cannot read its task ({error}): install the same on every node, and "
            "run the same command again"
        ) from None
    return job


def retries_of_this() -> int:
    """How often the task that runs here was begun before; 0 in a version of Ray that does not tell."""
    from ray._private.worker import global_worker

    asked = getattr(getattr(global_worker, "core_worker", None), "get_current_task_attempt_number", None)
    return int(asked()) if asked else 0
