"""The worker processes of Beam's DirectRunner: a pipeline ends when one of them dies.

Beam itself waits for the dead one's answer for ever (apache-beam 2.77, `SubprocessSdkWorkerHandler`): all that tells of
its death is an exception in the thread that has started it.
"""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

# What Beam calls those threads, and the module that the processes run.
THREAD, MODULE = "run_worker", "apache_beam.runners.worker.sdk_worker_main"


class WorkerDied(Exception):
    """A worker process of the pipeline ended before it."""


def run_watched(pipeline: Any) -> Any:
    """The state in which the pipeline ends; raises what it raises, and WorkerDied. The other workers are killed where
    it does not end by itself."""
    outcome: SimpleQueue[Any] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put(pipeline.run().wait_until_finish())
        except BaseException as error:
            outcome.put(error)

    with deaths_in(outcome):
        # it goes on waiting where a worker died
        threading.Thread(target=run, daemon=True, name="pipeline").start()
        try:
            found = outcome.get()
        except BaseException:
            kill_workers()
            raise
        if isinstance(found, WorkerDied):
            kill_workers()
    if isinstance(found, BaseException):
        raise found
    return found


@contextmanager
def deaths_in(outcome: "SimpleQueue[Any]") -> Iterator[None]:
    """Puts a WorkerDied into the queue when a worker dies."""
    before = threading.excepthook

    def told(args: Any) -> None:
        if args.thread is not None and args.thread.name == THREAD:
            outcome.put(WorkerDied(str(args.exc_value)))
        else:
            before(args)

    threading.excepthook = told
    try:
        yield
    finally:
        threading.excepthook = before


def kill_workers() -> None:
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if MODULE in " ".join(process.cmdline()):
                process.kill()
