"""Near copies at size: time, CPU and peak memory of each pass of the stage, over generated documents.

    python -m benchmarks dedup_scale --copies 200000 | --near 200000 | --documents 5000000 [--words 2000] [--workers 2]

`--copies`: so many copies of one page; `--near`: as many, each with one word changed; `--documents`: so many documents
of a tenth of the words, of which one in twenty is a near copy of the one before; `--equal`: the same with exact copies.
`--method text` looks for these. `--warm`: a thousand other documents first, outside the time, so that the start of a
worker (compiled code, tables of Unicode) is not counted. Documents are written as Parquet first, 10,000 in a shard,
outside the time. A pass is a table of the stage: a map over documents or over another table, or a reduction; the last
one, `apply`, writes the documents that are kept, and the decisions alone are all others. Peak memory is that of a
worker process, or of this one where there is one worker.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.shared import add, markdown
from infra.dataset import schema as schemas
from infra.dataset.manifest import RUN, Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from infra.storage import read_json
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.stages import run_stage

SHARD, BATCH, WORDS = 10_000, 256, 50_000
SCHEMA: Final = schemas.documents([])
KINDS: Final = ("copies", "near", "documents", "equal")


def options(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_mutually_exclusive_group(required=True)
    for kind in KINDS:
        kinds.add_argument(f"--{kind}", type=int)
    parser.add_argument("--words", type=int, default=2000)
    parser.add_argument("--policy", default="content")
    parser.add_argument("--as-many-as", type=int, help="a table of what so many documents would take, in proportion")
    parser.add_argument("--method", choices=("minhash", "text"), default="minhash")
    parser.add_argument("--warm", action="store_true", help="do not count the start")
    add(parser, "--workers", default=2)
    add(parser, "--out", help="a folder for documents and tables; by default one that is deleted")


@dataclass(frozen=True)
class DrawnTexts:
    """One shard of documents."""

    kind: str
    first: int
    count: int
    words: int

    @property
    def fingerprint(self) -> str:
        return f"{self.kind}-{self.first}-{self.count}-{self.words}"


@dataclass(frozen=True)
class AllDrawnTexts:
    kind: str
    count: int
    words: int
    refs: tuple[InputRef, ...] = (InputRef("made", "drawn"),)

    def parts(self) -> list[DrawnTexts]:
        starts = range(0, self.count, SHARD)
        return [DrawnTexts(self.kind, first, min(SHARD, self.count - first), self.words) for first in starts]


@dataclass(frozen=True)
class Write:
    schema: pa.Schema = SCHEMA
    fingerprint: str = "write"

    def __call__(self, part: DrawnTexts) -> Iterator[Output]:
        texts = drawn(part)
        for first in range(part.first, part.first + part.count, BATCH):
            numbers = range(first, min(first + BATCH, part.first + part.count))
            yield Output(documents(numbers, [next(texts) for _ in numbers]), None, {"in": len(numbers), "rejected": 0})


def documents(numbers: range, texts: list[str]) -> pa.RecordBatch:
    same = {
        "dump": "CC-MAIN-2024-51", "date": "2024-12-01T00:00:00Z", "warc_length": 9000, "language": "en",
        "file_path": f"crawl-data/CC-MAIN-2024-51/segments/{'0' * 50}.warc.gz", "language_score": 0.9,
        "token_count": texts[0].count(" ") + 1, "copies": 1, "snapshots": 1,
    }  # fmt: skip
    own = {
        "text": texts, "id": [f"<urn:uuid:{number:032x}>" for number in numbers], "warc_offset": numbers,
        "url": [f"https://example.org/{number}" for number in numbers],
    }  # fmt: skip
    columns = [
        pa.array(own[field.name], field.type) if field.name in own
        else pa.repeat(pa.scalar(same.get(field.name), field.type), len(numbers))
        for field in SCHEMA
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def drawn(part: DrawnTexts) -> Iterator[str]:
    words = [f"w{number:x}" for number in range(WORDS)]
    if part.kind in ("documents", "equal"):
        draw, last = np.random.default_rng(part.first), [""]
        for number in range(part.count):
            if number % 20 == 19 and part.kind == "documents":
                last[len(last) // 2] = "changed"
            elif number % 20 != 19:
                last = [words[each] for each in draw.integers(0, WORDS, part.words // 10)]
            yield " ".join(last)
        return
    page = [words[each] for each in np.random.default_rng(1).integers(0, WORDS, part.words)]
    for number in range(part.first, part.first + part.count):
        if part.kind == "near":
            place = number * 7919 % part.words
            yield " ".join([*page[:place], f"changed{number}", *page[place + 1 :]])
        else:
            yield " ".join(page)


class Watched(LocalEngine):
    """Keeps the account of each operation."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.passes: list[dict[str, Any]] = []

    def map_shards(self, task: Any, inputs: Any, out: Path, header: Header, extras: Any = None) -> Dataset:
        return self._noted("map", header, super().map_shards(task, inputs, out, header, extras))

    def reduce_by_key(self, inputs: Any, key: str, reducer: Any, partitions: int, out: Path, header: Header,
                      together: int = 1) -> Dataset:  # fmt: skip
        made = super().reduce_by_key(inputs, key, reducer, partitions, out, header, together)
        return self._noted(f"by {key}", header, made)

    def _noted(self, how: str, header: Header, made: Dataset) -> Dataset:
        run, shards = read_json(made.folder / RUN) or {}, made.manifest.shards.sums
        names = ("wall_seconds", "cpu_seconds", "peak_memory_bytes")
        row = {
            "pass": header.stage.partition(".")[2] or "apply",
            "how": how,
            "rows": shards.rows,
            "bytes": shards.bytes,
        }
        self.passes.append({**row, **{name: run.get(name, 0) for name in names}})
        return made


def run(args: argparse.Namespace) -> dict[str, Any]:
    kind = next(each for each in KINDS if getattr(args, each))
    source = AllDrawnTexts(kind, getattr(args, kind), args.words)
    step = {"kind": "dedup", "method": args.method, "options": {"policy": args.policy}}
    recipe = parse_recipe({"name": "scale", "stage": [{"name": "near", "command": "dedup", "step": [step]}]}, "scale")
    with tempfile.TemporaryDirectory(prefix="dedup-scale-", dir=args.out) as scratch, Watched(args.workers) as engine:
        header = Header(Kind.DOCUMENTS, "write", RecipeRef("benchmark", ""), {}, ())
        if args.warm:
            few = engine.map_shards(Write(), [AllDrawnTexts(kind, 1000, 50)], Path(scratch) / "few", header)
            run_stage(Context(recipe, engine, {}), recipe.stages[0], few, Path(scratch) / "warm")
        documents = engine.map_shards(Write(), [source], Path(scratch) / "documents", header)
        engine.passes.clear()
        started = time.monotonic()
        made = run_stage(Context(recipe, engine, {}), recipe.stages[0], documents, Path(scratch) / "out")
        seconds = time.monotonic() - started
        engine.passes[-1]["cpu_seconds"] -= sum(each["cpu_seconds"] for each in engine.passes[:-1])
        kept = made.manifest.counts["out"]
    every = {name: sum(each[name] for each in engine.passes) for name in ("wall_seconds", "cpu_seconds")}
    return {
        "kind": kind, "documents": source.count, "words": args.words, "workers": args.workers, "kept": kept,
        "seconds": round(seconds, 1), "cpu_seconds": round(every["cpu_seconds"], 1), "passes": engine.passes,
        "a_cpu_second": round(source.count / every["cpu_seconds"]), "method": args.method,
        "decided_a_cpu_second": round(
            source.count / max(0.01, every["cpu_seconds"] - engine.passes[-1]["cpu_seconds"])
        ),
        "peak_memory_bytes": max(each["peak_memory_bytes"] for each in engine.passes),
        "as_many_as": args.as_many_as,
    }  # fmt: skip


def show(found: dict[str, Any]) -> Iterator[str]:
    head = ("pass", "how", "rows", "MB", "s", "CPU s", "peak MiB")
    rows = [
        (each["pass"], each["how"], f"{each['rows']:,}", f"{each['bytes'] / 1e6:.1f}", f"{each['wall_seconds']:.1f}",
         f"{each['cpu_seconds']:.1f}", f"{each['peak_memory_bytes'] / 2**20:,.0f}")
        for each in found["passes"]
    ]  # fmt: skip
    yield from markdown(head, rows)
    if found["as_many_as"]:
        yield from in_proportion(found)
    yield (
        "{documents:,} documents ({kind}, {method}), {kept:,} kept, {workers} workers: {seconds} s, {cpu_seconds} "
        "CPU s, {a_cpu_second:,} documents a CPU second, {decided_a_cpu_second:,} decided without writing; peak "
        "{peak:,.0f} MiB a worker"
    ).format(**found, peak=found["peak_memory_bytes"] / 2**20)


def in_proportion(found: dict[str, Any]) -> Iterator[str]:
    """CPU hours and bytes of each pass if they grow with the documents; passes of less than a hundredth are summed."""
    times = found["as_many_as"] / found["documents"]
    whole = {name: sum(each[name] for each in found["passes"]) for name in ("cpu_seconds", "bytes")}
    few = dict.fromkeys(whole, 0.0)
    rows = []
    for each in found["passes"]:
        if all(each[name] < whole[name] / 100 for name in whole):
            few = {name: few[name] + each[name] for name in whole}
        else:
            rows.append((each["pass"], each))
    rows += [("the others", few), ("all", whole)]
    cells = [
        (name, f"{row['cpu_seconds'] * times / 3600:,.1f}", f"{row['bytes'] * times / 1e9:,.0f}") for name, row in rows
    ]
    yield ""
    yield from markdown((f"{found['as_many_as']:,} documents: pass", "CPU hours", "GB written"), cells)
    yield ""
