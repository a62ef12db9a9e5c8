"""Reads the next batches on a thread, while a step runs: the same batches, since a loader holds no position."""

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from trainer.data.cursor import Cursor
from trainer.data.loader import Loader
from trainer.data.pack import Batch

DEPTH = 2  # batches that are ready and not taken


class Prefetcher:
    """Iterates over (batch, cursor after it). A context: the thread has ended when the block is left, however it is.

    What the loader raises is raised where its batch would have been taken. Nothing else may use the loader meanwhile.
    """

    def __init__(
        self,
        loader: Loader,
        cursor: Cursor,
        batches: int,
        sequences: int,
        rank: int = 0,
        world_size: int = 1,
        depth: int = DEPTH,
    ) -> None:
        """`batches`: how many; no more are read. `sequences`: of each global batch, of which this rank gets its
        slice."""
        self._loader, self._cursor, self._batches = loader, cursor, batches
        self._share = (sequences, rank, world_size)
        self._ready: queue.Queue[tuple[Batch, Cursor] | BaseException] = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="prefetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed.set()
        while self._thread.is_alive():
            self._drain()
            self._thread.join(0.05)

    def __iter__(self) -> Iterator[tuple[Batch, Cursor]]:
        for _ in range(self._batches):
            found = self._ready.get()
            if isinstance(found, BaseException):
                raise found
            yield found

    def _read(self) -> None:
        cursor = self._cursor
        try:
            for _ in range(self._batches):
                if self._closed.is_set():
                    return
                batch, cursor = self._loader.batch(cursor, *self._share)
                self._ready.put((batch, cursor))
        except BaseException as error:
            self._ready.put(error)

    def _drain(self) -> None:
        """Let go of a thread that waits for room."""
        while True:
            try:
                self._ready.get_nowait()
            except queue.Empty:
                return
