"""A run's progress: on a terminal one screen with all stages, elsewhere lines; what it waits for or makes again."""

import io
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path

from infra.engines.live import Progress
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from pipeline.cli.progress import ProgressScreen, rejected_text
from pipeline.recipes.parse import load_recipe
from tests.infra.toy import Count, Slice, Slices, header
from tests.pipeline.cli.test_pager import run_on_terminal
from tests.pipeline.recipe_texts import BRIEF

ON_SCREEN = """
from infra.engines.live import Progress
from pipeline.cli.progress import ProgressScreen

with ProgressScreen() as screen:
    for stage in ("ingest", "filter", "same-text"):
        screen.report(Progress(stage, 0, 0, begun=False))
    screen.report(Progress("ingest", 4, 4, rows=80, seconds=2.0, parts=4.0))
    rules = {"size/min_words": 1200, "url/listed": 30, "a/b": 7, "c/d": 1}
    screen.report(Progress("filter", 1, 4, parts=1.5, rows=3000, seconds=3.0, rejected_by=rules))
    screen.note("waiting 60 s: 503 from [the] source")
"""


def drawn(text: str) -> list[str]:
    """The lines of the last screen, without colours."""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.replace("\r", "\n"))
    return [line.strip() for line in plain.split("\n") if line.strip()]


def test_one_screen_has_all_stages_and_what_is_waited_for() -> None:
    code = f"{ON_SCREEN}\n    screen._screen.refresh()\n    import os; os._exit(0)\n"
    shown, _ = run_on_terminal([sys.executable, "-c", code], {"TERM": "xterm", "COLUMNS": "120"}, 24)
    lines = drawn(shown)[-5:]
    for line, found in zip(
        (
            r"ingest .*4 of 4, 80 rows, 40 a second",
            r"filter .*1 of 4, 3,000 rows, 1,000 a second, 5 s left",
            r"same-text ",
            r"rejected: size/min_words 1,200, url/listed 30, a/b 7$",
            r"waiting 60 s: 503 from \[the\] source$",
        ),
        lines,
        strict=True,
    ):
        assert re.match(line, found), lines


def test_a_run_draws_the_stages_to_come_before_the_first_ends(small_run: Path, tmp_path: Path) -> None:
    (tmp_path / "brief.toml").write_text(BRIEF)
    command = [sys.executable, "-m", "refinery", "run", "--recipe", str(tmp_path / "brief.toml"), "--out",
               str(tmp_path / "out"), "--workers", "1", "--input", str(small_run / "crawl")]  # fmt: skip
    shown, code = run_on_terminal(command, {"TERM": "xterm"}, 40)
    assert code == 0
    lines, last = drawn(shown), load_recipe(str(tmp_path / "brief.toml")).stages[-1].name
    ended = next(number for number, line in enumerate(lines) if re.search(r"^ingest .* (\d+) of \1,", line))
    assert any(re.match(rf"{last} +\S+ +\S+$", line) for line in lines[:ended]), lines


def test_elsewhere_there_are_lines() -> None:
    with redirect_stderr(io.StringIO()) as told, ProgressScreen() as screen:
        screen.report(Progress("filter", 0, 0, begun=False))
        screen.report(Progress("filter", 0, 2))
        screen.report(Progress("filter", 1, 2, parts=1.0))
        screen.note("waiting 2 s: 503")
        screen.report(Progress("filter", 2, 2, parts=2.0, rows=30, seconds=3.0))
    assert told.getvalue() == "filter: 0 of 2\nwaiting 2 s: 503\nfilter: 2 of 2, 30 rows, 10 a second\n"


def test_rules_are_told_until_the_stage_is_made() -> None:
    now = Progress("filter", 1, 2, rejected_by={"b": 2, "a": 2, "c": 3, "d": 1})
    assert rejected_text(now) == "rejected: c 3, a 2, b 2"
    assert rejected_text(replace(now, done=2)) == rejected_text(Progress("filter", 1, 2)) == ""


@dataclass(frozen=True)
class DieOnce:
    """Kills the process that makes the first partition, the first time."""

    log: str
    fingerprint = "die once"
    schema = Count.schema

    def __call__(self, part: Slice) -> Iterator[Output]:
        if part.index == 0 and not (mark := Path(self.log)).exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield from Count()(part)


def test_a_worker_that_died_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    with LocalEngine(2) as engine:
        engine.say = told.append
        engine.map_shards(DieOnce(str(tmp_path / "mark")), [Slices(4)], tmp_path / "out", header())
    assert told and all("a worker process was killed" in line and "once more" in line for line in told)
