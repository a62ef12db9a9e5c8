"""How far a stage is while its partitions are being made.

The process of each job writes, once a second, how many rows and partitions it has done to a small file beside the
receipts, and in the end appends these numbers to one file for all; the driver writes one with the number of partitions
and when it began. The progress bar reads them, and `status` in another process. They are temporary files: what a killed
process leaves is removed by the next run.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from infra.dataset.receipts import RECEIPTS
from infra.storage import TEMPORARY, ObjectPath, read_json

_PLAN = f"{TEMPORARY}plan"
_PART = f"{TEMPORARY}live-"
_DONE = f"{TEMPORARY}done"
SECONDS = 1.0
TOLD_SECONDS = 0.1


@dataclass(frozen=True)
class Progress:
    """How far a stage is. `rows`: those that were done since it began or was resumed; `seconds`: since then.

    `parts` are `total` with those that are being made counted by their share; `found`: those that were there before.
    """

    stage: str
    done: int
    total: int
    found: int = 0
    parts: float = 0.0
    rows: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float | None:
        """Rows a second; None before there is one."""
        return self.rows / self.seconds if self.rows and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """At the mean speed so far; None as long as less than a hundredth is done."""
        made, missing = self.parts - self.found, self.total - self.parts
        if self.total == self.done:
            return 0.0
        return self.seconds * missing / made if made > 0.01 * (self.total - self.found) else None


class LiveJob:
    """Counts the rows and the partitions of one job, as a context. `first`: its first partition, which names its file;
    `parts`: how many partitions it has."""

    def __init__(self, folder: Path, first: int, parts: int) -> None:
        self.folder = folder / RECEIPTS
        self.path = self.folder / f"{_PART}{first:05d}"
        self.parts = parts
        self.rows = self.done = 0
        self._total: int | None = None  # the rows of the partition that is being made, where that is known
        self._before = 0
        self._written = time.monotonic()

    def begin(self, total: int | None) -> None:
        """The next partition; `total`: how many rows it will have, where that is known."""
        self._total, self._before = total, self.rows

    def add(self, rows: int) -> None:
        self.rows += rows
        self._tell()

    def end(self) -> None:
        """A partition is done."""
        self.done += 1
        self._total, self._before = None, self.rows
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._written >= SECONDS:
            self._written = now
            share = min(1.0, (self.rows - self._before) / self._total) if self._total else 0.0
            with contextlib.suppress(OSError):  # it is for people alone: no work fails for it
                self.path.write_text(json.dumps([self.rows, self.done + share]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
            with (self.folder / _DONE).open("a") as file:
                file.write(f"{self.rows} {self.done}\n")


def rows_of(parts: Sequence[Any]) -> int | None:
    """How many rows go into a partition, where its first input knows."""
    rows = getattr(parts[0], "rows", None) if parts else None
    return rows if isinstance(rows, int) else None


class Watch:
    """In the driver: reports the stage's progress when a partition is finished, and every second in between."""

    def __init__(self, folder: Path, stage: str, found: int, total: int, report: Callable[[Progress], None]) -> None:
        self.folder = folder
        self.stage = stage
        self.found = self.done = found
        self.total = total
        self.report = report
        self._began = self._told = time.monotonic()
        self._end = threading.Event()
        self._lock = threading.Lock()  # a line at a time

    def __enter__(self) -> Self:
        self.report(Progress(self.stage, self.done, self.total, self.found, float(self.done)))
        if self.done < self.total:
            self._thread = threading.Thread(target=self._every_second, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        with contextlib.suppress(OSError):
            for name in (_PLAN, _DONE) if self.done > self.found else ():
                (self.folder / RECEIPTS / name).unlink(missing_ok=True)

    def finished(self, parts: int) -> None:
        """So many more partitions are made. Told at once only if nothing was told in the last tenth of a second."""
        with self._lock:
            self.done += parts
        if self.done == self.total or time.monotonic() - self._told >= TOLD_SECONDS:
            self._tell()

    def _every_second(self) -> None:
        """From the second one on: most stages of a small run end before."""
        plan = {"found": self.found, "total": self.total, "began": time.time()}
        while not self._end.wait(SECONDS):
            with contextlib.suppress(OSError):
                if plan:
                    (self.folder / RECEIPTS / _PLAN).write_text(json.dumps(plan))
            plan = {}
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            self._told = time.monotonic()
            rows, made = read_live(self.folder)
            parts = min(max(self.found + made, float(self.done)), float(self.total))
            seconds = self._told - self._began
            self.report(Progress(self.stage, self.done, self.total, self.found, parts, rows, seconds))


def read_live(folder: Path) -> tuple[int, float]:
    """The rows and the partitions that were made since the stage began or was resumed; of partitions that are being
    made, their shares."""
    rows = 0
    parts: float = 0.0
    if isinstance(folder, ObjectPath):  # where nothing is appended to a file
        return rows, parts
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / RECEIPTS / _DONE).read_text().splitlines():
            done, made = map(int, line.split())
            rows, parts = rows + done, parts + made
    for path in (folder / RECEIPTS).glob(f"{_PART}*"):
        match read_json(path):
            case [int(done), int() | float() as share]:
                rows, parts = rows + done, parts + share
    return rows, parts


def read_progress(folder: Path, stage: str) -> Progress | None:
    """The progress of a stage that another process makes; None if none does."""
    plan = read_json(folder / RECEIPTS / _PLAN)
    if not isinstance(plan, dict) or not {"found", "total", "began"} <= plan.keys():
        return None
    rows, made = read_live(folder)
    parts = plan["found"] + made
    return Progress(stage, int(parts), plan["total"], plan["found"], parts, rows, time.time() - plan["began"])
