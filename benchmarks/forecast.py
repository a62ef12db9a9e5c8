"""How far a forecast from a small run is from what a larger one takes: core-hours, bytes and memory of each stage.

    python -m benchmarks forecast --pages crawl/*.warc.gz --recipe english --recipe fineweb --models models --workers 2

The pages are dealt by a hash of their place over `--files` archives, so that these are alike, as those of a snapshot
are. A run over the first `--probe` of them is the probe; a run over all others is what is forecast. `--probe-of FOLDER`
keeps what each probe took, for `refinery snapshots plan` and docs/scale.md. Passed where of each stage core-hours are
within a quarter, or within half a second a worker, and bytes within a tenth. A run over one file comes first.

Documents that are copies of others are fewer in a small pool than in a large one: a stage after `dedup` is forecast
too large, the more so the larger the run is. `--copies 8` writes each page eight times into its file, each time with
another last comment, so that no payload is another's and texts are: stages that a few thousand pages keep busy for
tenths of a second have seconds to forecast.
"""

import argparse
import gzip
import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.shared import add
from infra.engines.open import open_engine
from infra.errors import UsageError
from infra.http.limits import HttpLimits
from pipeline.snapshots.plan import Means, beside_actual, plan
from pipeline.snapshots.probe import keep, read_probe
from pipeline.stages.run import run_recipe
from pipeline.warc.containers import GZIP_MEMBERS
from pipeline.warc.file_bytes import open_bytes
from pipeline.warc.members import walk_members

HOURS, BYTES, SECOND = 0.25, 0.10, 0.5
LENGTH = re.compile(rb"(?mi)^(content-length:)[^\r\n]*")
DIGEST = re.compile(rb"(?mi)^warc-(?:payload|block)-digest:[^\n]*\n")


def options(parser: argparse.ArgumentParser) -> None:
    add(parser, "--pages", "--recipe", required=True)
    add(parser, "--models", "--out", "--workers")
    parser.add_argument("--files", type=int, default=12, help="the archives that the pages are dealt over")
    parser.add_argument("--probe", type=int, default=4, help="so many of them are the probe")
    parser.add_argument("--copies", type=int, default=1, help="of each page, with other payloads and the same text")
    parser.add_argument("--probe-of", type=Path, help="a folder for the coefficients of each probe")


def run(args: argparse.Namespace) -> dict[str, Any]:
    if not 0 < args.probe < args.files:
        raise UsageError("--probe must be at least 1, and fewer than --files")
    if args.copies < 1:
        raise UsageError("--copies must be at least 1")
    with ExitStack() as stack:
        folder = args.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = dealt(args.pages, folder / "input", args.files, args.copies)
        found = [forecast(recipe, files, folder / Path(recipe).name, args) for recipe in args.recipe]
    return {"workers": args.workers, "recipes": found, "passed": all(each["passed"] for each in found)}


def dealt(archives: Sequence[Path], folder: Path, number: int, copies: int = 1) -> list[Path]:
    """The gzip members of all archives, in so many files; each with its copies."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:03d}.warc.gz" for index in range(number)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for archive in sorted(archives):
            with open_bytes(str(archive)) as read:
                for segment in walk_members(GZIP_MEMBERS, read, 0, read.size, keep=False):
                    place = hashlib.sha256(f"{archive.name} {segment.start}".encode()).digest()
                    member = read.read(segment.start, segment.end)
                    file = files[int.from_bytes(place[:8], "big") % number]
                    file.write(member)
                    file.writelines(copy_of(member, copy) for copy in range(1, copies))
    return paths


def copy_of(member: bytes, copy: int) -> bytes:
    """The response of a gzip member with another id, and a body that ends in a comment with the number of the copy."""
    record = gzip.decompress(member)
    if not re.search(rb"(?mi)^warc-type: *response", record[: record.find(b"\r\n\r\n")]):
        return b""
    head, http, body = record.split(b"\r\n\r\n", 2)
    body = body.removesuffix(b"\r\n\r\n") + b"<!-- copy %d -->" % copy
    http = LENGTH.sub(rb"\g<1> %d" % len(body), http)
    head = LENGTH.sub(rb"\g<1> %d" % (len(http) + 4 + len(body)), DIGEST.sub(b"", head))
    head = re.sub(rb"(?mi)^(warc-record-id:[^>]*)>", rb"\g<1>-%d>" % copy, head)
    return gzip.compress(b"\r\n\r\n".join((head, http, body)) + b"\r\n\r\n", mtime=0)


def forecast(recipe: str, files: Sequence[Path], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """{recipe, probe, stages, passed}."""
    names = [str(path) for path in files]
    # the first run of an installation compiles loops, which are kept on the disk
    for name, inputs in (("warm", names[:1]), ("probe", names[: args.probe]), ("actual", names[args.probe :])):
        with open_engine("local", args.workers) as engine:  # new processes, which load all again
            run_recipe(recipe, inputs, folder / name, engine, models=args.models)
    probe, actual = read_probe(folder / "probe"), read_probe(folder / "actual")
    if args.probe_of:
        keep(probe, args.probe_of)
    means = Means(args.workers, 0.0, HttpLimits())
    made = plan(probe, 0, actual.files, means, actual.bytes)
    stages = [with_ratios(row, args.workers) for row in beside_actual(made, actual)]
    return {
        "recipe": recipe,
        "probe": {"files": probe.files, "bytes": probe.bytes},
        "actual": {"files": actual.files, "bytes": actual.bytes},
        "stages": stages,
        "passed": all(stage["passed"] for stage in stages),
    }


def with_ratios(row: Mapping[str, Any], workers: int) -> dict[str, Any]:
    """`…_ratio`: what was forecast over what it took."""
    off = abs(row["core_hours"] - row["actual_core_hours"])
    written, actual = (row[f"{prefix}disk_bytes"] + row[f"{prefix}table_bytes"] for prefix in ("", "actual_"))
    hold = off <= max(HOURS * row["actual_core_hours"], SECOND * workers / 3600)
    return {
        **row,
        "core_hours_ratio": ratio(row["core_hours"], row["actual_core_hours"]),
        "bytes_ratio": ratio(written, actual),
        "memory_ratio": ratio(row["memory_bytes"], row["actual_memory_bytes"]),
        "passed": hold and abs(written - actual) <= BYTES * actual,
    }


def ratio(forecast: float, actual: float) -> float | None:
    return round(forecast / actual, 3) if actual else None


def show(found: Mapping[str, Any]) -> Iterator[str]:
    for each in found["recipes"]:
        given, taken = each["probe"], each["actual"]
        yield (f"{each['recipe']}: from {given['files']} files, {given['bytes']:,} bytes, to {taken['files']} files, "
               f"{taken['bytes']:,} bytes; {found['workers']} workers; forecast, actual, ratio")  # fmt: skip
        yield from lines(each["stages"])
    yield "passed" if found["passed"] else "not passed: see the stages marked *"


def lines(stages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield f"{'stage':18}{'core-seconds':>26}{'MB, tables':>30}{'MiB a worker':>24}"
    for row in stages:
        seconds = [row[name] * 3600 for name in ("core_hours", "actual_core_hours")]
        megabytes = [(row[f"{prefix}disk_bytes"] + row[f"{prefix}table_bytes"]) / 1e6 for prefix in ("", "actual_")]
        memory = [row[name] / 2**20 for name in ("memory_bytes", "actual_memory_bytes")]
        yield (
            f"{'' if row['passed'] else '*'}{row['stage']:18}"
            f"{seconds[0]:>10.2f}{seconds[1]:>10.2f}{row['core_hours_ratio'] or 0:>7.2f}"
            f"{megabytes[0]:>13.3f}{megabytes[1]:>10.3f}{row['bytes_ratio'] or 0:>7.2f}"
            f"{memory[0]:>10.0f}{memory[1]:>7.0f}{row['memory_ratio'] or 0:>7.2f}"
        )
