"""Where a recipe's CPU time goes, from WARC files to its filter stage, part by part; the parts sum to the whole.

    python -m benchmarks pipeline_profile --pages CRAWL/*.warc.gz --models MODELS [--recipe fineweb]

Runs `refinery run` in this process with one worker. The parts below are timed around the functions that do them, each
without those inside it; what the page sandboxes spent is asked of them. The timers themselves cost about one percent.
Beside the parts stands the share of what is not turning pages into text (engines, decoding, caps), and of what is not
the engines.
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.shared import add, recipe_until
from infra.metering import cpu_seconds
from infra.sandbox.sandbox import Sandbox
from pipeline.cli.app import main as refinery
from pipeline.extract import page
from pipeline.stages import extract
from pipeline.stages import run as stages_run
from pipeline.steps.table import STEPS

Label = str | Callable[..., str]
# How the names of the parts begin that are extraction: the engines, and what a page passes through before and after.
ENGINES: Final = ("extract: engine ",)
EXTRACTION: Final = (
    *ENGINES,
    *(f"extract: {part}" for part in ("decode", "caps", "count unread", "robots meta", "encode for", "pass messages")),
)


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--models", required=True)
    add(parser, "--recipe", action="store", default="yi", help="a shipped recipe")


class Clock:
    """CPU seconds of this process by part; a part's time does not run while one inside it does."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.stage = "start"
        self._part = "start: imports"
        self._since = 0.0

    def enter(self, part: str) -> str:
        """Begin `part`; returns the part that it interrupts."""
        now = time.process_time()
        self.spent[self._part] += now - self._since
        self._since = now
        before, self._part = self._part, part
        return before

    def around(self, place: Any, name: str, label: Label) -> None:
        """Time every call of `place.name` as the part `label`, which may depend on the call."""
        function = getattr(place, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            before = self.enter(f"{self.stage}: {label if isinstance(label, str) else label(*arguments)}")
            try:
                return function(*arguments, **named)
            finally:
                self.enter(before)

        setattr(place, name, timed)


def watch(clock: Clock) -> None:
    """Put the timers where the work is done."""
    stages: Any = stages_run
    pages: Any = page.PageExtractor
    run_stage, in_sandbox = stages.run_stage, pages._in_sandbox

    def staged(context: Any, stage: Any, *rest: Any) -> Any:
        clock.stage = stage.name
        before = clock.enter(f"{stage.name}: readers, rows, shards")
        try:
            return run_stage(context, stage, *rest)
        finally:
            clock.stage = "start"
            clock.enter(before)

    def sandboxed(extractor: Any, *rest: Any) -> Any:
        found = in_sandbox(extractor, *rest)
        clock.spent[f"{clock.stage}: engine {extractor.engine}, in its sandbox"] += found.cpu_seconds
        return found

    stages.run_stage = staged
    pages._in_sandbox = sandboxed
    clock.around(extract.BodyReader, "message", "read and inflate the body")
    clock.around(page, "decode", "decode")
    clock.around(page, "_unreadable", "count unreadable characters")
    clock.around(page, "check_caps", "caps")
    clock.around(page, "check_size", "caps")
    clock.around(pages, "_in_process", lambda extractor, *_: f"engine {extractor.engine}")
    clock.around(page, "meta_robots", "robots meta elements")
    clock.around(pages, "_in_sandbox", "encode for the sandbox, read its answer")
    clock.around(Sandbox, "call", "pass messages")
    clock.around(extract, "document_row", "rows and token counts")
    for kind in STEPS.values():
        for method in vars(kind).keys() & {"run", "on_record"}:
            clock.around(kind, method, lambda step, *_: f"step {step.name}")


def profile(recipe: str, pages: list[Path], models: str, scratch: Path) -> tuple[dict[str, float], float]:
    """CPU seconds by part, and of everything."""
    file = scratch / "recipe.toml"
    file.write_text(recipe_until(recipe))
    clock = Clock()
    watch(clock)
    words = ["run", "--recipe", str(file), "--out", str(scratch / "out"), "--models", models, "--json"]
    words += ["--workers", "1", "--input", *map(str, pages)]
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            refinery(words)
        except SystemExit as end:
            if end.code:
                raise  # it said why
    clock.enter("")
    whole = cpu_seconds()
    clock.spent["start: imports of the sandboxes, and the rest"] = whole - sum(clock.spent.values())
    return dict(clock.spent), whole


def run(args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="pipeline-profile-") as scratch:
        spent, whole = profile(args.recipe, args.pages, args.models, Path(scratch))
    running = sum(cpu for name, cpu in spent.items() if not name.startswith("start: "))
    outside = {}
    for title, names in (("extraction", EXTRACTION), ("engines", ENGINES)):
        inside = sum(cpu for name, cpu in spent.items() if name.startswith(names))
        outside[title] = {"share": 1 - inside / whole, "share_without_start": 1 - inside / running}
    return {"cpu_seconds": whole, "parts": spent, "outside": outside}


def show(found: dict[str, Any]) -> Iterator[str]:
    whole = found["cpu_seconds"]
    yield f"{whole:.1f} CPU s"
    parts = sorted(found["parts"].items(), key=lambda part: -part[1])
    for name, cpu in parts:
        if cpu >= whole / 200:
            yield f"{cpu:6.2f} s {cpu / whole:6.1%}  {name}"
    small = sum(cpu for _, cpu in parts if cpu < whole / 200)
    yield f"{small:6.2f} s {small / whole:6.1%}  parts of less than half a percent each"
    for title, row in found["outside"].items():
        yield f"not in {title}: {row['share']:.1%} of CPU time ({row['share_without_start']:.1%} without the start)"
