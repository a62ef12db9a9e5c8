"""Documents a second of one core through stages that mostly pass documents on: filters, deduplication, a mixture.

    python -m benchmarks stage_speed [--documents 20000]

Documents of 300 words with forty signals, as an earlier filter leaves them, in one shard; none is rejected but a copy
in a hundred. CPU seconds of this process for the whole stage: reading, deciding, writing, and the hashes of files.
`copy` is what reading the shard and writing it again costs: no stage is faster.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.pool_speed import texts
from infra.dataset import schema as schemas
from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.stages.stages import run_stage

SIGNALS: Final = [f"signal_{number:02}" for number in range(40)]
SCHEMA: Final = schemas.documents(SIGNALS)
BATCH = 256


def judge(rule: str) -> dict[str, Any]:
    return {"command": "filter", "step": [{"kind": "judge", "name": "all", "rules": [rule]}]}


STAGES: Final[dict[str, dict[str, Any]]] = {
    "filter by a column": judge("language_score >= 0"),
    "filter by a signal of the text": judge("characters >= 1"),
    "exact copies": {"command": "dedup", "step": [{"kind": "dedup", "method": "text"}]},
    "near copies": {"command": "dedup", "step": [{"kind": "dedup", "method": "minhash"}]},
    "mixture": {"command": "mix", "draw": {"targets": {"IQ": 0.5}, "max_epochs": 2.0, "tolerance": 0.5}},
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--documents", type=int, default=20_000)


@dataclass(frozen=True)
class MadeTexts:
    """So many documents as the one partition of a source."""

    count: int
    refs: tuple[InputRef, ...] = (InputRef("made", "zipf"),)

    @property
    def fingerprint(self) -> str:
        return str(self.count)

    def parts(self) -> list["MadeTexts"]:
        return [self]


@dataclass(frozen=True)
class Make:
    """Every hundredth document is a copy of the one before."""

    schema: pa.Schema = SCHEMA
    fingerprint: str = "make"

    def __call__(self, part: MadeTexts) -> Iterator[Output]:
        draw, made = np.random.default_rng(1), texts(part.count, 100)
        last = ""
        for first in range(0, part.count, BATCH):
            rows = []
            for number, text in enumerate(islice(made, BATCH), first):
                last = last if number % 100 == 99 else text
                signals = dict(zip(SIGNALS, draw.random(len(SIGNALS)).tolist(), strict=True))
                rows.append(
                    {"text": last, "id": f"<urn:uuid:{number:032x}>", "dump": "CC-MAIN-2024-51", "language": "en",
                     "url": f"https://example.org/{number}", "date": "2024-12-01T00:00:00Z", "warc_offset": number,
                     "file_path": f"crawl-data/CC-MAIN-2024-51/segments/{'0' * 50}.warc.gz", "warc_length": 9000,
                     "language_score": 0.9, "token_count": 300, "copies": 1, "snapshots": 1, "signals": signals,
                     "source": "web", "domain": "mathematics" if number % 2 else "general"}
                )  # fmt: skip
            yield Output(pa.RecordBatch.from_pylist(rows, SCHEMA), None, {"in": len(rows), "rejected": 0})


@dataclass(frozen=True)
class CopyTask:
    schema: pa.Schema = SCHEMA
    fingerprint: str = "copy"

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches():
            yield Output(batch, None, {"in": batch.num_rows, "rejected": 0})


def run(args: argparse.Namespace) -> dict[str, Any]:
    engine = LocalEngine()
    with tempfile.TemporaryDirectory(prefix="stage-speed-") as scratch:
        header = Header(Kind.DOCUMENTS, "make", RecipeRef("benchmark", ""), {}, ())
        documents = engine.map_shards(Make(), [MadeTexts(args.documents)], Path(scratch) / "documents", header)
        found = {}
        for name in ("warm-up", "copy", *STAGES):
            started = time.process_time()
            if name in STAGES or name == "warm-up":
                made = through(engine, STAGES.get(name, judge("characters >= 0")), documents, Path(scratch) / name)
            else:
                header = Header(Kind.DOCUMENTS, name, RecipeRef("benchmark", ""), {}, documents.refs)
                made = engine.map_shards(CopyTask(), [documents], Path(scratch) / name, header)
            seconds = time.process_time() - started
            kept = made.manifest.counts["out"]
            found[name] = {"seconds": round(seconds, 2), "a_second": round(args.documents / seconds), "kept": kept}
    return {"documents": args.documents, "stages": {name: found[name] for name in ("copy", *STAGES)}}


def through(engine: LocalEngine, stage: Mapping[str, Any], documents: Dataset, out: Path) -> Dataset:
    recipe = parse_recipe({"name": "speed", "stage": [{"name": "stage", **stage}]}, "benchmark")
    return run_stage(Context(recipe, engine, {}), recipe.stages[0], documents, out)


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{'':32} {'documents/s':>12} {'CPU s':>7} {'kept':>7}   of {found['documents']:,}"
    for name, row in found["stages"].items():
        yield f"{name:32} {row['a_second']:12,} {row['seconds']:7.2f} {row['kept']:7,}"
