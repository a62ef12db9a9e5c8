"""Where a recipe's CPU time goes, from WARC files to its filter stage, part by part; the parts sum to the whole.

    python -m benchmarks.pipeline_profile --input crawl.warc.gz --models MODELS [--recipe yi] [--json]

Runs `refinery run` in this process with one worker. The parts below are timed around the functions that do them, each
without those inside it; what the page sandboxes spent is asked of them. The timers themselves cost about one percent.
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.pipeline_speed import up_to_filter

os.environ["OMP_NUM_THREADS"] = "1"
Label = str | Callable[..., str]


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
    import pipeline.extract.page as page
    import pipeline.stages.extract as extract
    import pipeline.stages.run as run
    import pipeline.steps.interpreter as interpreter
    from infra.sandbox.sandbox import Sandbox

    stages: Any = run
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
    clock.around(extract.BodyReader, "read", "read and inflate the body")
    clock.around(page, "decode", "decode")
    clock.around(page, "_unreadable", "count unreadable characters")
    clock.around(page, "check_caps", "caps")
    clock.around(page, "check_size", "caps")
    clock.around(pages, "_in_process", lambda extractor, *_: f"engine {extractor.engine}")
    clock.around(page, "meta_robots", "robots meta elements")
    clock.around(pages, "_in_sandbox", "encode for the sandbox, read its answer")
    clock.around(Sandbox, "call", "pass messages")
    clock.around(extract, "document_row", "rows and token counts")
    clock.around(extract, "gate", lambda step, *_: f"step {step.name}")
    clock.around(extract, "run_step", lambda _, step, *__: f"step {step.name}")
    clock.around(interpreter, "run_step", lambda _, step, *__: f"step {step.name}")


def profile(recipe: str, inputs: list[Path], models: Path, scratch: Path) -> tuple[dict[str, float], float]:
    """CPU seconds by part, and of everything."""
    from infra.metering import cpu_seconds
    from pipeline.cli.app import main as refinery

    file = scratch / "recipe.toml"
    file.write_text(up_to_filter(recipe))
    clock = Clock()
    watch(clock)
    words = ["run", "--recipe", str(file), "--out", str(scratch / "out"), "--models", str(models), "--json"]
    for path in inputs:
        words += ["--input", str(path)]
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            refinery([*words, "--workers", "1"])
        except SystemExit as end:
            if end.code:
                raise  # it said why
    clock.enter("")
    whole = cpu_seconds()
    clock.spent["start: imports of the sandboxes, and the rest"] = whole - sum(clock.spent.values())
    return dict(clock.spent), whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, action="append", help="a WARC file; may be repeated")
    parser.add_argument("--models", type=Path, required=True, help="where `refinery fit defaults` put its models")
    parser.add_argument("--recipe", default="yi")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pipeline-profile-") as scratch:
        spent, whole = profile(options.recipe, options.input, options.models, Path(scratch))
    parts = sorted(spent.items(), key=lambda part: -part[1])
    if options.json:
        print(json.dumps({"cpu_seconds": round(whole, 2), "parts": {name: round(cpu, 3) for name, cpu in parts}}))
        return
    print(f"{whole:.1f} CPU s")
    for name, cpu in parts:
        if cpu >= whole / 200:
            print(f"{cpu:6.2f} s {cpu / whole:6.1%}  {name}")
    small = sum(cpu for _, cpu in parts if cpu < whole / 200)
    print(f"{small:6.2f} s {small / whole:6.1%}  parts of less than half a percent each")


if __name__ == "__main__":
    main()
