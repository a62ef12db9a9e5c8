"""How far a stage is while its partitions are being made.

Each partition's process writes, once a second, how many rows it has done to a small file beside the receipts, and in
the end appends this number to one file for all; the driver writes one with the number of partitions and when it began.
The progress bar reads them, and `status` in another process. They are temporary files: what a killed process leaves is
removed by the next run.
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


class LivePart:
    """Counts the rows of one partition. `total`: how many there will be, where that is known."""

    def __init__(self, folder: Path, index: int, total: int | None) -> None:
        self.folder = folder / RECEIPTS
        self.path = self.folder / f"{_PART}{index:05d}"
        self.total = total
        self.rows = 0
        self._written = time.monotonic()

    def add(self, rows: int) -> None:
        self.rows += rows
        now = time.monotonic()
        if now - self._written >= SECONDS:
            self._written = now
            with contextlib.suppress(OSError):  # it is for people alone: no work fails for it
                self.path.write_text(json.dumps([self.rows, self.total]))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
            with (self.folder / _DONE).open("a") as file:
                file.write(f"{self.rows}\n")


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
        self._began = time.monotonic()
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

    def finished(self) -> None:
        """One more partition is made."""
        with self._lock:
            self.done += 1
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
            rows, share = read_live(self.folder)
            parts = min(self.done + share, float(self.total))
            seconds = time.monotonic() - self._began
            self.report(Progress(self.stage, self.done, self.total, self.found, parts, rows, seconds))


def read_live(folder: Path) -> tuple[int, float]:
    """The rows that are done since the stage began or was resumed, and the sum of the shares of the partitions that are
    being made."""
    rows, shares = 0, 0.0
    if isinstance(folder, ObjectPath):  # where nothing is appended to a file
        return rows, shares
    with contextlib.suppress(OSError, ValueError):
        rows = sum(map(int, (folder / RECEIPTS / _DONE).read_text().split()))
    for path in (folder / RECEIPTS).glob(f"{_PART}*"):
        match read_json(path):
            case [int(done), total]:
                rows += done
                shares += min(1.0, done / total) if total else 0.0
    return rows, shares


def read_progress(folder: Path, stage: str, made: int) -> Progress | None:
    """The progress of a stage that another process makes; None if none does. `made`: partitions with a receipt."""
    plan = read_json(folder / RECEIPTS / _PLAN)
    if not isinstance(plan, dict) or not {"found", "total", "began"} <= plan.keys():
        return None
    rows, share = read_live(folder)
    return Progress(stage, made, plan["total"], plan["found"], made + share, rows, time.time() - plan["began"])
