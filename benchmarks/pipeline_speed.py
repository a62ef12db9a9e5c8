"""From WARC files to decisions: pages a second of one core, our recipes beside datatrove's FineWeb pipeline.

    python -m benchmarks pipeline_speed --pages CRAWL/*.warc.gz --models MODELS [--peer-python VENV/bin/python]
        [--recipe yi --recipe fineweb] [--repeats 3] [--copies 4 [--peer-once]] [--falcon-share 0.23]

All read the same files in one run, one after the other and over again, each bound to the same core: our recipes up to
their filter stage (ingest, copies of payloads, extraction, rules and scorers), the peer up to and without MinHash
(`datatrove_peer.py pipeline`).

CPU time is of the whole process and all that it started, which other work on the machine hardly changes; the clock is
printed beside it. A run over one page tells what the start costs (imports, models, the peer's 4.6 million hosts), which
does not grow with the pages: pages a second are given with it and without. The peer reads no page that libmagic does
not take for HTML and spends nothing on it: a ratio is also given per page that each side read. Figures are medians of
the repeats; ratios are taken within a repeat.

`--copies 4`: the input is each page four times, each at an address and with a comment of its own
(`benchmarks/copied_pages.py`), written before any clock starts. What an input costs once (the start; `yi`'s audit
sample of 180 pages) weighs less there, as it does in an archive of Common Crawl. The peer, which has no such costs but
its start, may read the pages as they are (`--peer-once`): all rates are by the pages of its own input.

`--falcon-share 0.23`: pages that `falcon` rejects are in the input so many times, as copies, that it keeps about this
share of all pages, as RefinedWeb's filters do of Common Crawl (arXiv 2306.01116, figure 2); collections of pages have
fewer bad ones, which `yi` rejects after the cheap extraction. Both sides read the copies; with `--copies`, those of
`falcon`'s pages are multiplied too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.copied_pages import write_copies
from benchmarks.shared import PEER, ROOT, add, recipe_until
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.warc.records import RawRecord

DATATROVE: Final = "datatrove"
REFINERY: Final = "from pipeline.cli.app import main; main()"


@dataclass(frozen=True)
class Cost:
    """Of one run, in seconds; `start`: CPU seconds of a run over one page; `given`: the pages of its input, of which it
    read `pages`."""

    cpu: float
    wall: float
    pages: int
    kept: int
    start: float = 0.0
    given: int = 1

    @property
    def steady(self) -> float:
        return self.cpu - self.start


# How many times a page of the archive of that name is in the input.
Weight = Callable[[str, RawRecord], int]
# What a ratio is taken of.
KINDS: Final = {
    "cpu": lambda cost: cost.cpu / cost.given,
    "cpu_without_start": lambda cost: cost.steady / cost.given,
    "cpu_without_start_per_page_read": lambda cost: cost.steady / cost.pages,
    "wall": lambda cost: cost.wall / cost.given,
}


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--models", required=True)
    add(parser, "--peer-python", "--repeats")
    add(parser, "--recipe", help="a shipped recipe; yi and fineweb unless given")
    parser.add_argument("--copies", type=int, default=1, help="how many times each page is in the input")
    parser.add_argument("--peer-once", action="store_true", help="datatrove reads each page once")
    parser.add_argument("--falcon-share", type=float, help="the share of the input's pages that falcon's rules keep")


def spend(command: Sequence[str], said: Path, **environment: str) -> tuple[float, float]:
    """CPU seconds (descendants included) and seconds on the clock of a command; its stdout goes to the file `said`."""
    errors = said.with_suffix(".err")
    with said.open("w") as output, errors.open("w") as complaints:
        begin = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=complaints,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            # one core: the last of those that this process may use
            preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}),
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
    if status:
        raise UsageError(f"{command[0]} failed: {errors.read_text().strip().splitlines()[-1:]}")
    return usage.ru_utime + usage.ru_stime, wall


class Bench:
    """Everything that a run of either side needs, in one scratch folder."""

    def __init__(self, args: argparse.Namespace, scratch: Path) -> None:
        self.models, self.peer, self.scratch = Path(args.models).absolute(), args.peer_python, scratch
        self.runs = 0
        self.pages = self.peer_pages = scratch / "once"
        self.pages.mkdir()
        for path in args.pages:
            (self.pages / path.name).symlink_to(path.absolute())
        weight = self._weights(args.falcon_share) if args.falcon_share else lambda *_: 1
        once = self._copied("rich", weight) if args.falcon_share else self.pages
        every = self._copied("copies", lambda *page: args.copies * weight(*page)) if args.copies > 1 else once
        self.pages, self.peer_pages = every, once if args.peer_once else every
        self.peer_part = args.copies if args.peer_once else 1

    def _copied(self, name: str, copies_of: Weight) -> Path:
        folder = self.scratch / name
        folder.mkdir()
        write_copies(sorted(self.pages.iterdir()), copies_of, folder)
        return folder

    def _weights(self, share: float) -> Weight:
        """How many times each page must be in the input so that `falcon` keeps about this share of it."""
        out = self.scratch / "falcon"
        self._ours("falcon", out, None, 0.0)
        first, *_, last = sorted(out.glob("[0-9]*/manifest.json"))
        kept = Dataset(last.parent).to_arrow(["file_path", "warc_offset", "member_record"]).to_pylist()
        places = {tuple(each.values()) for each in kept}
        rejected = json.loads(first.read_bytes())["counts"]["out"] - len(places)
        copies = max(1, round(len(places) * (1 - share) / share / max(rejected, 1)))
        print(f"falcon keeps {len(places)}; the {rejected} others {copies} times", file=sys.stderr)
        return lambda name, page: 1 if (name, page.offset, page.member_record) in places else copies

    def run(self, side: str, limit: int | None = None, start: float = 0.0) -> Cost:
        self.runs += 1
        out = self.scratch / f"run-{self.runs}"
        return self._peer(out, limit, start) if side == DATATROVE else self._ours(side, out, limit, start)

    def _ours(self, name: str, out: Path, limit: int | None, start: float) -> Cost:
        recipe = out.with_suffix(".toml")
        recipe.write_text(recipe_until(name))
        command = [sys.executable, "-c", REFINERY, "run", "--recipe", str(recipe), "--json", "--workers", "1"]
        command += ["--input", str(self.pages), "--out", str(out), "--models", str(self.models)]
        command += ["--limit", str(limit)] if limit else []
        cpu, wall = spend(command, out.with_suffix(".json"), PYTHONPATH=str(ROOT))
        first, *_, last = sorted(out.glob("[0-9]*/manifest.json"))
        pages, kept = (json.loads(each.read_bytes())["counts"]["out"] for each in (first, last))
        return Cost(cpu, wall, pages, kept, start)

    def _peer(self, out: Path, limit: int | None, start: float) -> Cost:
        said = out.with_suffix(".json")
        command = [str(self.peer), str(PEER), "pipeline", str(self.peer_pages), str(out)]
        command += [str(self.models / "lid.176.ftz"), str(limit or -1)]
        cpu, wall = spend(command, said, HF_ASSETS_CACHE=str(self.scratch / "assets"))
        steps = json.loads(said.read_text().splitlines()[-1])
        lost = {name: step[name] for step in steps for name in ("timeout", "broken_process") if step.get(name)}
        if lost:
            raise UsageError(f"the peer lost pages: {lost}")
        return Cost(cpu, wall, int(steps[0]["documents"]), int(steps[-1].get("total", 0)), start)


def summary(runs: Sequence[Cost]) -> dict[str, Any]:
    """Medians over the repeats of one side."""
    pages = runs[0].given
    cpu, steady = median(run.cpu for run in runs), median(run.steady for run in runs)
    return {
        "cpu_seconds": round(cpu, 2),
        "start_cpu_seconds": round(median(run.start for run in runs), 2),
        "wall_seconds": round(median(run.wall for run in runs), 2),
        "pages_per_second": round(pages / cpu, 2),
        "pages_per_second_without_start": round(pages / steady, 2),
        "pages": pages,
        "pages_read": runs[0].pages,
        "kept": runs[0].kept,
    }


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """How many times the pages a second, taken within each repeat: the median, the least and the most."""
    each = sorted(theirs_ / mine_ for mine_, theirs_ in zip(mine, theirs))
    return {"median": round(median(each), 2), "least": round(each[0], 2), "most": round(each[-1], 2)}


def measure(bench: Bench, sides: Sequence[str], repeats: int) -> dict[str, Any]:
    for side in sides:
        bench.run(side, limit=1)  # unpacks what is unpacked once, and reads the files that all runs read
    runs: dict[str, list[Cost]] = {side: [] for side in sides}
    for repeat in range(repeats):
        for side in sides:
            runs[side].append(bench.run(side, start=bench.run(side, limit=1).cpu))
            print(f"repeat {repeat + 1}: {side} {runs[side][-1].cpu:.1f} CPU s", file=sys.stderr)
    pages = max(run.pages for each in runs.values() for run in each)
    for side, each in runs.items():
        given = pages // bench.peer_part if side == DATATROVE else pages
        runs[side] = [replace(run, given=given) for run in each]
    found: dict[str, Any] = {
        "pages": pages,
        "repeats": repeats,
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "sides": {side: summary(runs[side]) for side in sides},
    }
    if DATATROVE in sides:
        found["ratio"] = {
            side: {
                kind: ratio(*(list(map(of, runs[each])) for each in (side, DATATROVE))) for kind, of in KINDS.items()
            }
            for side in sides
            if side != DATATROVE
        }
    return found


def run(args: argparse.Namespace) -> dict[str, Any]:
    sides = [*([DATATROVE] if args.peer_python else []), *(args.recipe or ["yi", "fineweb"])]
    with tempfile.TemporaryDirectory(prefix="pipeline-speed-") as scratch:
        return measure(Bench(args, Path(scratch)), sides, args.repeats)


def show(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['pages']} pages, medians of {found['repeats']} repeats, load average {found['load_average'][0]}"
    heads = ("CPU s", "of start", "wall s", "pages/s", "no start")
    yield f"{'':10} {' '.join(f'{head:>8}' for head in heads)} {'pages':>6} {'read':>6} {'kept':>6}"
    for name, side in found["sides"].items():
        *numbers, pages, read, kept = side.values()
        yield f"{name:10} {' '.join(f'{number:8.1f}' for number in numbers)} {pages:6} {read:6} {kept:6}"
    for name, kinds in found.get("ratio", {}).items():
        for kind, each in kinds.items():
            words = f"{each['median']:.1f} ({each['least']:.1f} to {each['most']:.1f})"
            yield f"{name}: {words} times {DATATROVE}'s pages a second, by {kind.replace('_', ' ')}"
