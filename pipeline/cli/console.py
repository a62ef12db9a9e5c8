"""What the commands print: one JSON document on stdout where asked, progress and logs on stderr, errors in a line."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def say(line: str) -> None:
    """A line for people, on stderr."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def tell(value: Any) -> None:
    """The answer, on stdout: text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    print(text, flush=True)  # noqa: T201


@contextmanager
def quiet_stdout(wanted: bool) -> Iterator[None]:
    """While `wanted`, whatever libraries and their processes print to stdout goes to stderr."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


# Intermediate tables are called STAGE.TABLE; people are told of stages.
INNER = "."


class ProgressBar:
    """A progress bar on a terminal; elsewhere a plain line when a stage begins, ends, and every ten seconds."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._said = 0.0

    def __enter__(self) -> Callable[[str, int, int], None]:
        """The engine's progress: a stage, how many of its parts are done, how many there are."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
            return self._draw
        return self._line

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def _draw(self, stage: str, done: int, total: int) -> None:
        if INNER in stage:
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._tasks[stage], completed=done, total=total)

    def _line(self, stage: str, done: int, total: int) -> None:
        if INNER in stage:
            return
        now = time.monotonic()
        if done in (0, total) or now - self._said >= 10:
            self._said = now
            say(f"{stage}: {done} of {total}")
