"""What the commands print: one JSON document on stdout where asked, lines for people on stderr, errors in a line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.text_table import terminal_width

# A shell's exit code for a command that is not there.
NOT_FOUND = 127


def say(line: str) -> None:
    """A line for people, on stderr."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def tell(value: Any, as_it_is: bool = False) -> None:
    """The answer, on stdout: text in lines no wider than the terminal (unless `as_it_is`), anything else as JSON."""
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    elif not as_it_is:
        from pipeline.text_lines import fitted

        value = fitted(value, width())
    print(value, flush=True)  # noqa: T201


@contextmanager
def may_be_left() -> Iterator[None]:
    """Ends what is written to stdout when whoever reads it has left, as `head` does: that is no failure."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still held goes there when Python ends


def tell_lines(rows: Iterable[Any]) -> None:
    """The answer as JSON lines, on stdout."""
    with may_be_left():
        for row in rows:
            print(json.dumps(row, ensure_ascii=False, allow_nan=False))  # noqa: T201
        sys.stdout.flush()


def width() -> int:
    """The cells of a line."""
    return terminal_width()


def show(text: str) -> None:
    """The answer for people: through a pager if it is longer than the terminal that it goes to, else as `tell` does.

    The pager is PAGER, else `less` as git starts it; none if NO_PAGER is set, or PAGER is empty or `cat`.
    """
    command = "" if os.environ.get("NO_PAGER") else os.environ.get("PAGER", "less")
    fits = text.count("\n") + 1 < shutil.get_terminal_size().lines
    if not sys.stdout.isatty() or fits or command.strip() in ("", "cat"):
        tell(text)
        return
    sys.stdout.flush()
    environment = {"LESS": "FRX", **os.environ}
    pager = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=environment)
    assert pager.stdin is not None
    with suppress(BrokenPipeError, KeyboardInterrupt):  # who reads may leave before the end; Ctrl-C is the pager's
        pager.stdin.write(f"{text}\n".encode("utf-8", "replace"))
    with suppress(BrokenPipeError):
        pager.stdin.close()
    while pager.poll() is None:
        with suppress(KeyboardInterrupt):
            pager.wait()
    if pager.returncode == NOT_FOUND:
        tell(text)


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


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 10 min`, `3 days 4 h`, `1,200 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h" if hours < 240 else f"{round(hours / 24):,} days"


def readable_bytes(number: float) -> str:
    """`512 bytes`, `3.4 MiB`, `1.2 TiB`."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"]
    order = 0
    while number >= 1024 and order < len(units) - 1:
        number, order = number / 1024, order + 1
    return f"{number:.0f} bytes" if order == 0 else f"{number:.1f} {units[order]}"
