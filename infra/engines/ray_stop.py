"""How an operation's tasks on Ray are stopped: by a key in the cluster's own store, for which each task asks.

Not by `ray.cancel`: in Ray 2.60 it ends the driver's process with "Check failed: it != submissible_tasks_.end()" where
the task finishes in the same moment (ray-project/ray#54798 is about the same race), and tasks that meet the same fault,
a source that is out or a full disk, finish in the same moment.
"""

import contextlib
import signal
import threading
import uuid
from collections.abc import Iterator

NAMESPACE = "refinery"
# Seconds between two questions of a task.
ASK_EVERY = 2.0
SIGNAL = signal.SIGURG


class StopWord:
    """The key of one operation; its tasks get `name`."""

    def __init__(self) -> None:
        self.name = f"stop-{uuid.uuid4().hex}"

    def give(self) -> None:
        """From now on no task of the operation begins, and those that run end within `ASK_EVERY` seconds, also one that
        sleeps, but not one inside a library's call."""
        from ray.experimental.internal_kv import _internal_kv_put

        _internal_kv_put(self.name, b"1", namespace=NAMESPACE)

    def forget(self) -> None:
        """To be called when all tasks have ended."""
        from ray.experimental.internal_kv import _internal_kv_del

        _internal_kv_del(self.name, namespace=NAMESPACE)


def is_given(name: str) -> bool:
    """Whether it is, as far as the cluster's store can tell: where it does not answer, the work goes on."""
    from ray.experimental.internal_kv import _internal_kv_exists

    try:
        return bool(_internal_kv_exists(name, namespace=NAMESPACE))
    except Exception:
        return False


@contextlib.contextmanager
def interrupted_by(name: str) -> Iterator[None]:
    """KeyboardInterrupt in the main thread, in which Ray runs a task, as soon as the word is given, and again as long
    as the block goes on; it does not outlast it. By a signal, which ends a sleep too: one that otherwise does nothing,
    since Ray blocks SIGINT in its workers."""
    over, lock, main = threading.Event(), threading.Lock(), threading.main_thread().ident
    assert main is not None

    def watch() -> None:
        while not over.wait(ASK_EVERY):
            if is_given(name):
                with lock:
                    if not over.is_set():
                        signal.pthread_kill(main, SIGNAL)

    before = signal.signal(SIGNAL, signal.default_int_handler)
    watching = threading.Thread(target=watch, daemon=True, name="stop-word")
    watching.start()
    try:
        yield
    finally:
        with contextlib.suppress(KeyboardInterrupt):
            over.set()
        with contextlib.suppress(KeyboardInterrupt):
            over.set()
            with lock:  # a signal that was just being sent has come
                pass
        signal.signal(SIGNAL, before)
