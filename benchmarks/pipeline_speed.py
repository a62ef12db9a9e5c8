"""From WARC files to decisions: pages per second of one core, our recipes beside datatrove's FineWeb pipeline.

    python benchmarks/pipeline_speed.py --input crawl.warc.gz --models MODELS --peer-python VENV/bin/python
        [--recipe yi --recipe fineweb] [--repeats 3] [--json]

All read the same files in one run, one after the other and over again, each bound to the same core: our recipes up to
their filter stage (ingest, copies of payloads, extraction, rules and scorers), the peer up to and without MinHash
(`pipeline_peer.py`). `--peer-python` names the interpreter of an environment with `datatrove[io,processing]` 0.10.1
(without it, only ours are measured).

CPU time is of the whole process and all that it started, which other work on the machine hardly changes; the clock is
printed beside it. A run over one page tells what the start costs (imports, models, the peer's 4.6 million hosts), which
does not grow with the pages: pages per second are given with it and without. The peer reads no page that libmagic does
not take for HTML and spends nothing on it: a ratio is also given per page that each side read. Figures are medians of
the repeats; ratios are taken within a repeat.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
RECIPES = HERE.parent / "pipeline" / "recipes"
PEER = "datatrove"

# `refinery`, with two sums written to a file at the end: the CPU seconds of the engines in the page sandbox, and of
# pages from bytes to text, which are those and the decoding and the caps before them.
OURS = """
import atexit, sys, time
from pathlib import Path
from infra.sandbox.sandbox import Sandbox
from pipeline.cli.app import main
from pipeline.extract.page import PageExtractor

account, engines, around = Path(sys.argv.pop(1)), [0.0], [0.0]
call, extract = Sandbox.call, PageExtractor.extract

def counted_call(sandbox, payload):
    result = call(sandbox, payload)
    engines[0] += result.cpu_seconds
    return result

def counted_extract(*arguments):
    begin = time.process_time()
    page = extract(*arguments)
    around[0] += time.process_time() - begin
    return page

Sandbox.call, PageExtractor.extract = counted_call, counted_extract
atexit.register(lambda: account.write_text(f"{engines[0]} {engines[0] + around[0]}"))
main()
"""


@dataclass(frozen=True)
class Cost:
    """Of one run. `engine`, `extraction`: CPU seconds of engines, and of pages from bytes to text; 0 of the peer."""

    cpu: float
    wall: float
    pages: int
    kept: int
    engine: float = 0.0
    extraction: float = 0.0


def bind() -> None:
    """One core: the last of those that this process may use."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def spend(command: Sequence[str], environment: Mapping[str, str], said: Path) -> tuple[float, float]:
    """CPU seconds (descendants included) and seconds on the clock of a command; its stdout goes to the file `said`."""
    errors = said.with_suffix(".err")
    with said.open("w") as output, errors.open("w") as complaints:
        begin = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=complaints,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            preexec_fn=bind,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
    if status:
        sys.exit(f"{command[0]} failed: {errors.read_text().strip().splitlines()[-1:]}")
    return usage.ru_utime + usage.ru_stime, wall


def up_to_filter(name: str) -> str:
    """The shipped recipe without what comes after the stage that is called `filter`."""
    head, *stages = (RECIPES / f"{name}.toml").read_text().split("[[stage]]\n")
    last = next(index for index, stage in enumerate(stages) if '\nname = "filter"\n' in f"\n{stage}")
    return "[[stage]]\n".join([head, *stages[: last + 1]])


class Bench:
    """Everything that a run of either side needs, in one scratch folder."""

    def __init__(self, inputs: Sequence[Path], models: Path, peer: Path | None, scratch: Path) -> None:
        self.models, self.peer, self.scratch = models.absolute(), peer, scratch
        self.pages = scratch / "pages"
        self.pages.mkdir()
        for path in inputs:
            (self.pages / path.name).symlink_to(path.absolute())
        self.runs = 0

    def run(self, side: str, limit: int | None = None) -> Cost:
        self.runs += 1
        out = self.scratch / f"run-{self.runs}"
        return self._peer(out, limit) if side == PEER else self._ours(side, out, limit)

    def _ours(self, name: str, out: Path, limit: int | None) -> Cost:
        recipe, account = out.with_suffix(".toml"), out.with_suffix(".cpu")
        recipe.write_text(up_to_filter(name))
        command = [sys.executable, "-c", OURS, str(account), "run", "--recipe", str(recipe), "--json"]
        command += ["--input", str(self.pages), "--out", str(out), "--models", str(self.models), "--workers", "1"]
        command += ["--limit", str(limit)] if limit else []
        cpu, wall = spend(command, {"PYTHONPATH": str(HERE.parent)}, out.with_suffix(".json"))
        first, *_, last = sorted(out.glob("*/manifest.json"))
        pages, kept = (json.loads(each.read_bytes())["counts"]["out"] for each in (first, last))
        return Cost(cpu, wall, pages, kept, *map(float, account.read_text().split()))

    def _peer(self, out: Path, limit: int | None) -> Cost:
        said = out.with_suffix(".json")
        command = [str(self.peer), str(HERE / "pipeline_peer.py"), str(self.pages), str(out)]
        command += [str(self.models / "lid.176.ftz"), str(limit or -1)]
        cpu, wall = spend(command, {"HF_ASSETS_CACHE": str(self.scratch / "assets")}, said)
        steps = json.loads(said.read_text().splitlines()[-1])
        lost = {name: step[name] for step in steps for name in ("timeout", "broken_process") if step.get(name)}
        if lost:
            sys.exit(f"the peer lost pages: {lost}")
        return Cost(cpu, wall, int(steps[0]["documents"]), int(steps[-1].get("total", 0)))


def summary(starts: Sequence[Cost], runs: Sequence[Cost], pages: int) -> dict[str, Any]:
    """Medians over the repeats of one side."""
    steady = [run.cpu - start.cpu for run, start in zip(runs, starts)]
    found: dict[str, Any] = {
        "cpu_seconds": round(median(run.cpu for run in runs), 2),
        "start_cpu_seconds": round(median(start.cpu for start in starts), 2),
        "wall_seconds": round(median(run.wall for run in runs), 2),
        "pages_read": runs[0].pages,
        "kept": runs[0].kept,
        "pages_per_second": round(pages / median(run.cpu for run in runs), 2),
        "pages_per_second_without_start": round(pages / median(steady), 2),
    }
    if runs[0].extraction:
        found["engine_cpu_seconds"] = round(median(run.engine for run in runs), 2)
        found["extraction_cpu_seconds"] = round(median(run.extraction for run in runs), 2)
        for name in ("engine", "extraction"):
            shares = [1 - getattr(run, name) / run.cpu for run in runs]
            rest = [1 - getattr(run, name) / cpu for run, cpu in zip(runs, steady)]
            found[f"share_not_{name}"] = round(median(shares), 4)
            found[f"share_not_{name}_without_start"] = round(median(rest), 4)
    return found


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """How many times the pages a second, taken within each repeat: the median, the least and the most."""
    each = sorted(theirs_ / mine_ for mine_, theirs_ in zip(mine, theirs))
    return {"median": round(median(each), 2), "least": round(each[0], 2), "most": round(each[-1], 2)}


def measure(bench: Bench, sides: Sequence[str], repeats: int) -> dict[str, Any]:
    for side in sides:
        bench.run(side, limit=1)  # unpacks what is unpacked once, and reads the files that all runs read
    starts: dict[str, list[Cost]] = {side: [] for side in sides}
    runs: dict[str, list[Cost]] = {side: [] for side in sides}
    for repeat in range(repeats):
        for side in sides:
            starts[side].append(bench.run(side, limit=1))
            runs[side].append(bench.run(side))
            print(f"repeat {repeat + 1}: {side} {runs[side][-1].cpu:.1f} CPU s", file=sys.stderr)
    pages = max(run.pages for each in runs.values() for run in each)
    found: dict[str, Any] = {
        "pages": pages,
        "repeats": repeats,
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "sides": {side: summary(starts[side], runs[side], pages) for side in sides},
    }
    if PEER in sides:
        whole = {side: [run.cpu for run in runs[side]] for side in sides}
        steady = {side: [r.cpu - s.cpu for r, s in zip(runs[side], starts[side])] for side in sides}
        each = {side: [cpu / runs[side][0].pages for cpu in steady[side]] for side in sides}
        clock = {side: [run.wall for run in runs[side]] for side in sides}
        found["ratio"] = {
            side: {
                "cpu": ratio(whole[side], whole[PEER]),
                "cpu_without_start": ratio(steady[side], steady[PEER]),
                "cpu_without_start_per_page_read": ratio(each[side], each[PEER]),
                "wall": ratio(clock[side], clock[PEER]),
            }
            for side in sides
            if side != PEER
        }
    return found


def show(found: Mapping[str, Any]) -> None:
    print(f"{found['pages']} pages, medians of {found['repeats']} repeats, load average {found['load_average'][0]}")
    print(f"{'':10} {'CPU s':>8} {'of start':>8} {'wall s':>8} {'pages/s':>8} {'no start':>8} {'read':>6} {'kept':>6}")
    for name, side in found["sides"].items():
        keys = "cpu_seconds", "start_cpu_seconds", "wall_seconds", "pages_per_second", "pages_per_second_without_start"
        numbers = " ".join(f"{side[key]:8.1f}" for key in keys)
        print(f"{name:10} {numbers} {side['pages_read']:6} {side['kept']:6}")
    for name, side in found["sides"].items():
        for part, words in (("extraction", "turning pages into text"), ("engine", "the engines alone")):
            if f"share_not_{part}" in side:
                shares = side[f"share_not_{part}"], side[f"share_not_{part}_without_start"]
                print(f"{name}: not in {words}: {shares[0]:.1%} of CPU time ({shares[1]:.1%} without the start)")
    for name, kinds in found.get("ratio", {}).items():
        for kind, each in kinds.items():
            words = f"{each['median']:.1f} ({each['least']:.1f} to {each['most']:.1f})"
            print(f"{name}: {words} times {PEER}'s pages per second, by {kind.replace('_', ' ')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, action="append", help="a WARC file; may be repeated")
    parser.add_argument("--models", type=Path, required=True, help="where `refinery fit defaults` put its models")
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--recipe", action="append", help="a shipped recipe; yi and fineweb unless given")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sides = [*([PEER] if options.peer_python else []), *(options.recipe or ["yi", "fineweb"])]
    with tempfile.TemporaryDirectory(prefix="pipeline-speed-") as scratch:
        bench = Bench(options.input, options.models, options.peer_python, Path(scratch))
        found = measure(bench, sides, options.repeats)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
