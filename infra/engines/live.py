"""How far a stage is while its partitions are being made.

The process of each job writes, once a second, how many rows and partitions it has done, and what rejected how many, to
a small file beside the receipts, and in the end appends these numbers to one file for all; the driver writes one with
the number of partitions and when it began. The progress bars read them, and `status` in another process. They are
temporary files: what a killed process leaves is removed by the next run.
"""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

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

    `parts` are `total` with those that are being made counted by their share; `found`: those that were there before;
    `rejected_by`: the rows that each rule rejected, of partitions that were done since. A stage of which `begun` is
    False comes later.
    """

    stage: str
    done: int
    total: int
    found: int = 0
    parts: float = 0.0
    rows: int = 0
    seconds: float = 0.0
    rejected_by: Mapping[str, int] = field(default_factory=dict)
    begun: bool = True

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


class Live(NamedTuple):
    """What was made since a stage began or was resumed: `parts` with the shares of those that are being made."""

    rows: int
    parts: float
    rejected_by: Mapping[str, int]


class LiveJob:
    """Counts the rows and the partitions of one job, as a context. `first`: its first partition, which names its file;
    `parts`: how many partitions it has."""

    def __init__(self, folder: Path, first: int, parts: int) -> None:
        self.folder = folder / RECEIPTS
        self.path = self.folder / f"{_PART}{first:05d}"
        self.parts = parts
        self.rows = self.done = 0
        self.rejected_by: Counter[str] = Counter()
        self._total: int | None = None  # the rows of the partition that is being made, where that is known
        self._before = 0
        self._written = time.monotonic()

    def begin(self, total: int | None) -> None:
        """The next partition; `total`: how many rows it will have, where that is known."""
        self._total, self._before = total, self.rows

    def add(self, rows: int) -> None:
        self.rows += rows
        self._tell()

    def end(self, rejected_by: Mapping[str, int]) -> None:
        """A partition is done."""
        self.done += 1
        self.rejected_by.update(rejected_by)
        self._total, self._before = None, self.rows
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._written >= SECONDS:
            self._written = now
            share = min(1.0, (self.rows - self._before) / self._total) if self._total else 0.0
            with contextlib.suppress(OSError):  # it is for people alone: no work fails for it
                self.path.write_text(json.dumps([self.rows, self.done + share, self.rejected_by]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
            with (self.folder / _DONE).open("a") as file:
                file.write(json.dumps([self.rows, self.done, self.rejected_by]) + "\n")


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
            now = read_live(self.folder)
            parts = min(max(self.found + now.parts, float(self.done)), float(self.total))
            seconds = self._told - self._began
            self.report(
                Progress(self.stage, self.done, self.total, self.found, parts, now.rows, seconds, now.rejected_by)
            )


def read_live(folder: Path) -> Live:
    """Of a stage that is being made, by what its jobs have written; nothing in a store, whose files do not grow."""
    rows, parts, rejected_by = 0, 0.0, Counter[str]()
    for found in [] if isinstance(folder, ObjectPath) else _counts(folder / RECEIPTS):
        match found:
            case [int(done), int() | float() as share, dict(rejected)]:
                rows, parts = rows + done, parts + share
                rejected_by.update(rejected)
    return Live(rows, parts, rejected_by)


def _counts(receipts: Path) -> Iterator[Any]:
    """What each job that has ended wrote, and each that runs."""
    with contextlib.suppress(OSError, ValueError):
        yield from map(json.loads, (receipts / _DONE).read_text().splitlines())
    yield from map(read_json, receipts.glob(f"{_PART}*"))


def read_progress(folder: Path, stage: str) -> Progress | None:
    """The progress of a stage that another process makes; None if none does."""
    plan = read_json(folder / RECEIPTS / _PLAN)
    if not isinstance(plan, dict) or not {"found", "total", "began"} <= plan.keys():
        return None
    now, seconds = read_live(folder), time.time() - plan["began"]
    parts = plan["found"] + now.parts
    return Progress(stage, int(parts), plan["total"], plan["found"], parts, now.rows, seconds, now.rejected_by)
