"""What is longer than the terminal goes through the user's pager; what is not, or goes elsewhere, is printed."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.pipeline.command import ROOT

LONG = "\n".join(f"line {number}" for number in range(100))


def on_terminal(text: str, environment: dict[str, str], lines: int = 24, times: int = 1) -> tuple[str, int]:
    """What appears on a terminal of this many lines, and the exit code. The text comes `times` over."""
    code = f"from pipeline.cli.console import show; show({text!r} * {times})"
    return run_on_terminal([sys.executable, "-c", code], environment, lines)


def run_on_terminal(command: Sequence[str], environment: dict[str, str], lines: int) -> tuple[str, int]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 80, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("PAGER", "NO_PAGER", "LESS", "LINES")}
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env=clean | environment, close_fds=True
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    return shown.decode().replace("\r\n", "\n"), process.wait(60)


def test_a_long_answer_goes_to_the_pager(tmp_path: Path) -> None:
    shown, code = on_terminal(LONG, {"PAGER": f"cat > {tmp_path}/seen; echo paged"})
    assert (shown, code) == ("paged\n", 0)
    assert (tmp_path / "seen").read_text() == LONG + "\n"


def test_who_leaves_the_pager_early_breaks_nothing() -> None:
    shown, code = on_terminal(LONG, {"PAGER": "head -n 2"}, times=5000)  # more than a pipe holds
    assert (shown, code) == ("line 0\nline 1\n", 0)


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("short", {"PAGER": "echo paged"}),
        (LONG, {"PAGER": "echo paged", "NO_PAGER": "1"}),
        (LONG, {"PAGER": ""}),
        (LONG, {"PAGER": "cat"}),
        (LONG, {"PAGER": "no-such-pager-of-anyone 2>/dev/null"}),
    ],
    ids=["short", "NO_PAGER", "empty", "cat", "missing"],
)
def test_what_is_printed_all_the_same(text: str, environment: dict[str, str]) -> None:
    assert on_terminal(text, environment) == (text + "\n", 0)


def test_elsewhere_than_on_a_terminal_there_is_no_pager() -> None:
    code = f"from pipeline.cli.console import show; show({LONG!r})"
    environment = {**os.environ, "PAGER": "echo paged"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.stdout == LONG + "\n"


def test_the_terminal_of_less_is_left_as_it_was(tmp_path: Path) -> None:
    """`less` quits by itself where all fits, keeps the screen and passes colours: the options that git gives it."""
    shown, _ = on_terminal(LONG, {"PAGER": 'echo "$LESS"; cat > /dev/null'})
    assert shown == "FRX\n"
