"""How far a run is, on stderr: on a terminal one screen with a bar for each stage, elsewhere plain lines."""

import sys
import time
from typing import TYPE_CHECKING, Any, Self

from pipeline.cli.console import duration, say

if TYPE_CHECKING:
    from infra.engines.live import Progress

# A stage that looks at the whole pool makes tables before its last pass, which are called STAGE.TABLE.
INNER = "."
SECONDS_A_LINE = 10
# How long the screen keeps what the run waits for.
NOTE_SECONDS = 30
MOST_REJECTED = 3


class ProgressScreen:
    """On a terminal a bar for each stage, those to come greyed; below them the rules that reject most in the stage that
    is made, and what the run waits for. Elsewhere a line when a stage begins, ends, and every ten seconds."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._said = 0.0
        self._notes: Notes | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console, Group
            from rich.live import Live
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            columns = (
                TextColumn("[{task.fields[style]}]{task.description:>14}"), BarColumn(30),
                TextColumn("[{task.fields[style]}]{task.fields[text]}"), TimeElapsedColumn(),
            )  # fmt: skip
            console, self._notes = Console(stderr=True), Notes()
            self._bars = Bars(*columns, console=console)
            self._screen = Live(Group(self._bars, self._notes), console=console, refresh_per_second=4)
            self._screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._notes:
            self._notes.clear()
            self._screen.stop()

    def report(self, now: "Progress") -> None:
        """What an engine reports its progress to."""
        stage, _, table = now.stage.partition(INNER)
        if self._bars:
            self._draw(stage, table, now)
        elif now.begun:
            self._line(stage, table, now)

    def note(self, line: str) -> None:
        """What the run waits for, or makes once more."""
        if self._notes:
            self._notes.say(line)
        else:
            say(line)

    def _draw(self, stage: str, table: str, now: "Progress") -> None:
        text = f"{table} {progress_text(now)}" if table else progress_text(now)
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, start=False, total=None, text="", style="dim")
            self._screen.refresh()
        if now.begun:
            assert self._notes is not None
            self._bars.start_task(self._tasks[stage])
            self._bars.update(self._tasks[stage], completed=now.parts, total=now.total, text=text, style="none")
            self._notes.rejected = rejected_text(now)

    def _line(self, stage: str, table: str, now: "Progress") -> None:
        seconds, text = time.monotonic(), progress_text(now)
        begins, ends = stage not in self._tasks, now.done == now.total and not table
        if begins or seconds - self._said >= SECONDS_A_LINE or (ends and self._tasks[stage] != now.done):
            self._said = seconds
            say(f"{stage}: {table} {text}" if table else f"{stage}: {text}")
        self._tasks[stage] = -1 if table else now.done


class Notes:
    """The lines below the bars; Rich asks for them whenever it draws."""

    def __init__(self) -> None:
        self.rejected = ""
        self._note = ""
        self._noted = 0.0

    def say(self, line: str) -> None:
        self._note, self._noted = line, time.monotonic()

    def clear(self) -> None:
        self.rejected = self._note = ""

    def __rich__(self) -> Any:
        from rich.text import Text

        old = time.monotonic() - self._noted > NOTE_SECONDS
        lines = [(self.rejected, "dim"), ("" if old else self._note, "yellow")]
        return Text("\n").join(Text(line, style, no_wrap=True, overflow="ellipsis") for line, style in lines if line)


def progress_text(now: "Progress") -> str:
    """`3 of 8, 12,000 rows, 850 a second, 2 min left`, as far as it is known."""
    text = f"{now.done} of {now.total}"
    if now.rows:
        text += f", {now.rows:,} rows"
    if now.rate and now.seconds >= 1:
        text += f", {now.rate:,.0f} a second"
    if now.done < now.total and now.seconds_left is not None:
        text += f", {duration(now.seconds_left)} left"
    return text


def rejected_text(now: "Progress") -> str:
    """`rejected: size/min_words 1,200, url/listed 310`: the rules that reject most, until the stage is made."""
    rules = sorted(now.rejected_by.items(), key=lambda rule: (-rule[1], rule[0]))[:MOST_REJECTED]
    if not rules or now.done == now.total:
        return ""
    return "rejected: " + ", ".join(f"{rule} {number:,}" for rule, number in rules)
