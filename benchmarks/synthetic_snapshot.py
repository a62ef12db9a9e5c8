"""What the number of parts costs: a synthetic snapshot of tiny documents through a map, a filter and deduplication.

    python -m benchmarks synthetic_snapshot [--parts 2000 20000] [--documents 250] [--dedup text] [--workers 2]

Stages: `nothing`, a map that makes one number a part, which is the fixed cost; `ingest`, which draws documents of 30
words, a tenth of them copies of others; `filter`, which rejects an eighth of them; `dedup`. Each number of parts is run
in a process of its own, the driver, whose peak memory is read after each stage; the parts are made by `--workers`
others. The last line opens a manifest of 90,000 parts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import shared
from infra.dataset import schema as schemas
from infra.dataset.files import Shard, write_files
from infra.dataset.manifest import Header, InputRef, Kind, Manifest, RecipeRef
from infra.dataset.reader import Dataset, PartList
from infra.engines.open import open_engine
from infra.engines.task import Output
from infra.ledger import ledger_batch
from infra.metering import cpu_seconds, worker_peak_memory
from infra.storage import write_bytes
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.dedup import dedup_stage

SNAPSHOT_PARTS = 90_000
WORDS, VOCABULARY, COPIES = 30, 50_000, 0.1
DOCUMENTS = schemas.documents(())
NUMBER = pa.schema([("number", pa.int64())])
MIB = 2**20


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--documents", type=int, default=250, help="of each part")
    parser.add_argument("--dedup", choices=["text", "minhash", "none"], default="text")
    parser.add_argument("--here", action="store_true", help="in this process: one number of parts")
    shared.add(parser, "--workers", "--out", default=None)


@dataclass(frozen=True)
class SyntheticPart:
    index: int
    documents: int

    @property
    def fingerprint(self) -> str:
        return f"{self.index}:{self.documents}"


@dataclass(frozen=True)
class SyntheticParts(PartList[SyntheticPart]):
    number: int
    documents: int

    def __len__(self) -> int:
        return self.number

    def part(self, index: int) -> SyntheticPart:
        return SyntheticPart(index, self.documents)


@dataclass(frozen=True)
class SyntheticSnapshot:
    """A source of parts that are drawn from their number."""

    count: int
    documents: int

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return (InputRef("synthetic", f"{self.count}:{self.documents}"),)

    def parts(self) -> SyntheticParts:
        return SyntheticParts(self.count, self.documents)


@dataclass(frozen=True)
class OneNumber:
    """The least that a part can hold."""

    fingerprint: str = "one-number"
    schema: pa.Schema = NUMBER

    def __call__(self, part: SyntheticPart) -> Iterator[Output]:
        yield Output(pa.RecordBatch.from_pydict({"number": [part.index]}, NUMBER))


@cache
def vocabulary() -> list[str]:
    return [f"word{number}" for number in range(VOCABULARY)]


@dataclass(frozen=True)
class DrawDocuments:
    """Documents of 30 words; a tenth are copies of one that other parts have too."""

    fingerprint: str = "draw-documents"
    schema: pa.Schema = DOCUMENTS

    def __call__(self, part: SyntheticPart) -> Iterator[Output]:
        draw, count, words = np.random.default_rng(part.index), part.documents, vocabulary()
        numbers = draw.integers(0, VOCABULARY, (count, WORDS))
        copies = draw.random(count) < COPIES
        numbers[copies] = np.arange(WORDS) * draw.integers(1, 1000, (count, 1))[copies] % VOCABULARY
        rows = np.arange(count)
        given = {
            "text": pa.array([" ".join([words[number] for number in row]) for row in numbers.tolist()]),
            "id": pa.array([f"<{part.index}:{row}>" for row in rows.tolist()]),
            "url": pa.array([f"http://host-{part.index}.example/{row}" for row in rows.tolist()]),
            "dump": pa.array(["CC-MAIN-2024-51"] * count),
            "file_path": pa.array([f"crawl-data/CC-MAIN-2024-51/{part.index:05d}.warc.gz"] * count),
            "warc_offset": pa.array(rows * 1000),
            "token_count": pa.array(np.full(count, WORDS)),
            "language": pa.array(["en"] * count),
        }
        columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(count, f.type) for f in self.schema]
        counts = {"in": count, "rejected": 0}
        yield Output(pa.RecordBatch.from_arrays(columns, schema=self.schema), None, counts)


@dataclass(frozen=True)
class RejectSome:
    """Every eighth document is rejected, without a look at its text."""

    fingerprint: str = "reject-some"
    schema: pa.Schema = DOCUMENTS

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches():
            eighth = pc.equal(pc.bit_wise_and(pc.divide(batch["warc_offset"], 1000), 7), 0)
            gone = batch.filter(eighth).select(["id", "url", "file_path", "warc_offset"]).to_pylist()
            ledger = ledger_batch({**row, "step": "some", "rule": "eighth", "recipe": ""} for row in gone)
            kept = batch.filter(pc.invert(eighth))
            yield Output(kept, ledger, {"in": batch.num_rows, "rejected": len(gone)})


def recipe_of(method: str) -> Any:
    step = {"kind": "dedup", "method": method}
    stage = {"name": "dedup", "command": "dedup", "step": [step]}
    return parse_recipe({"name": "synthetic", "about": "tiny documents", "stage": [stage]}, "synthetic")


def here(parts: int, args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """One row for each stage: {stage, parts, seconds, driver_mib, files}."""
    rows, source = [], SyntheticSnapshot(parts, args.documents)
    ref = RecipeRef("synthetic", "")

    def measured(name: str, make: Any) -> Dataset:
        started, cpu_started = time.monotonic(), cpu_seconds()
        dataset: Dataset = make(folder / name)
        seconds, used = time.monotonic() - started, cpu_seconds() - cpu_started
        peak = worker_peak_memory() / MIB
        files = sum(1 for path in (folder / name).rglob("*") if path.is_file())
        times = {"seconds": round(seconds, 2), "cpu_seconds": round(used, 2)}
        found = {"driver_mib": round(peak, 1), "files": files, "rows": dataset.manifest.counts["out"]}
        rows.append({"stage": name, "parts": parts, **times, **found})
        print(_line(rows[-1]), file=sys.stderr, flush=True)  # the whole may take an hour
        return dataset

    def header(name: str, kind: Kind, inputs: Sequence[InputRef]) -> Header:
        return Header(kind, name, ref, {}, tuple(inputs))

    with open_engine("local", args.workers or 2) as engine:
        measured("start", lambda out: engine.map_shards(
            OneNumber(), [SyntheticSnapshot(4, 1)], out, header("start", Kind.TABLE, ())))  # fmt: skip
        measured("nothing", lambda out: engine.map_shards(
            OneNumber(), [source], out, header("nothing", Kind.TABLE, source.refs)))  # fmt: skip
        drawn = measured("ingest", lambda out: engine.map_shards(
            DrawDocuments(), [source], out, header("ingest", Kind.DOCUMENTS, source.refs)))  # fmt: skip
        kept = measured("filter", lambda out: engine.map_shards(
            RejectSome(), [drawn], out, header("filter", Kind.DOCUMENTS, drawn.refs)))  # fmt: skip
        if args.dedup != "none":
            recipe = recipe_of(args.dedup)
            measured("dedup", lambda out: dedup_stage(Context(recipe, engine, {}), recipe.stages[0], kept, out))
    return rows


def opened(folder: Path) -> dict[str, Any]:
    """CPU seconds to open a manifest of a snapshot's parts, to ask for its last shard, and to make all of its parts."""
    folder.mkdir()
    shards = [
        Shard(f"part-{number:05d}.parquet", 33_000, 10**8 + number, 10**9, 2 * 10**8, f"{number:064x}")
        for number in range(SNAPSHOT_PARTS)
    ]
    refs = tuple(InputRef(f"crawl-data/CC-MAIN-2024-51/{shard.path}", shard.sha256) for shard in shards)
    header = Header(Kind.DOCUMENTS, "ingest", RecipeRef("synthetic", ""), {}, refs)
    manifest = Manifest(header, (), write_files(folder, shards, shards), {"in": 0, "out": 0})
    write_bytes(folder / "manifest.json", manifest.to_bytes())
    started = time.process_time()
    dataset = Dataset(folder)
    assert dataset.manifest.shards.sums.rows == SNAPSHOT_PARTS * 33_000
    read = time.process_time()
    assert dataset.manifest.shards[-1] == shards[-1]
    last = time.process_time()
    assert sum(part.rows for part in dataset.parts()) == SNAPSHOT_PARTS * 33_000
    all_parts = time.process_time()
    return {
        "parts": SNAPSHOT_PARTS,
        "manifest_seconds": round(read - started, 3),
        "last_shard_seconds": round(last - read, 3),
        "all_parts_seconds": round(all_parts - last, 3),
        "table_bytes": manifest.table.ref.bytes,
    }


def run(args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        if args.here:
            return {"rows": [row for parts in args.parts for row in here(parts, args, Path(folder))]}
        rows = [row for parts in args.parts for row in _in_a_process(parts, args)]
        return {"rows": rows, "opened": opened(Path(folder) / "opened")}


def _in_a_process(parts: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    words = [sys.executable, "-m", "benchmarks", "synthetic_snapshot", "--here", "--json", "--parts", str(parts)]
    words += ["--documents", str(args.documents), "--dedup", args.dedup, "--workers", str(args.workers or 2)]
    words += ["--out", str(args.out)] if args.out else []
    done = subprocess.run(words, cwd=shared.ROOT, stdout=subprocess.PIPE, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


def show(found: dict[str, Any]) -> Iterator[str]:
    yield "  parts stage     seconds  ms a part  CPU ms  driver MiB    files      rows"
    yield from map(_line, found["rows"])
    if found.get("opened"):
        yield (
            "a manifest of {parts} parts, CPU seconds: opened {manifest_seconds}, its last shard {last_shard_seconds}, "
            "all its parts {all_parts_seconds}; files.parquet has {table_bytes} bytes".format(**found["opened"])
        )


def _line(row: dict[str, Any]) -> str:
    made = 4 if row["stage"] == "start" else row["parts"]
    each, used = (1000 * row[name] / made for name in ("seconds", "cpu_seconds"))
    return (
        f"{row['parts']:7} {row['stage']:8} {row['seconds']:8.1f} {each:10.2f} {used:7.2f} "
        f"{row['driver_mib']:11.1f} {row['files']:8} {row['rows']:9}"
    )
