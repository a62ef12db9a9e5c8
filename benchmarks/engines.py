"""What each engine costs: its start, a map, a reduction, and how many documents a second a core filters on it.

    python -m benchmarks engines [--engines local,ray,beam] [--workers 2] [--rows 10000000] [--parts 200]
        [--partitions 200] [--documents 20000] [--ray-data]

Fixed cost: eight parts of a hundred rows, mapped and reduced; the second time of each, when workers are there. The
reduction of `--rows` has random keys of 8 bytes and two more integers, in `--parts`. Documents are 300 words of a Zipf
distribution through the filter of the recipe `gopher` without its language, after some that warm the workers up.
`--ray-data` does the same reductions by Ray Data's hash shuffle.
"""

import argparse
import contextlib
import json
import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from infra.dataset.manifest import InputRef, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.engine import Engine
from infra.engines.open import open_engine
from infra.engines.task import Output
from pipeline.inputs.columns import Columns
from pipeline.job.tables import Tables
from pipeline.recipes.parse import load_recipe
from pipeline.stages.run import run_recipe_stage

ROWS = pa.schema([("key", pa.uint64()), ("shard", pa.int32()), ("row", pa.int32())])
COUNTS = pa.schema([("partition", pa.int32()), ("rows", pa.int64())])
SMALL, SMALL_ROWS = 8, 100
WORDS, VOCABULARY, DOCUMENTS_IN_FILE = 300, 20_000, 500


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engines", default="local,ray,beam", help="with their options, divided by commas")
    for name, default in (
        ("workers", 2), ("rows", 10_000_000), ("parts", 200), ("partitions", 200), ("documents", 20_000)
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--ray-data", action="store_true", help="beside them: Ray Data's hash shuffle")


@dataclass(frozen=True)
class RowsPart:
    index: int
    size: int

    @property
    def fingerprint(self) -> str:
        return f"{self.index}:{self.size}"


@dataclass(frozen=True)
class RowsSource:
    count: int
    size: int
    refs: tuple[InputRef, ...] = (InputRef("drawn", "random keys"),)

    def parts(self) -> list[RowsPart]:
        return [RowsPart(index, self.size) for index in range(self.count)]


@dataclass(frozen=True)
class DrawRows:
    schema: pa.Schema = ROWS
    fingerprint: str = "draw"

    def __call__(self, part: RowsPart) -> Iterator[Output]:
        yield Output(drawn(part.index, part.size).to_batches()[0])


@dataclass(frozen=True)
class CountRows:
    schema: pa.Schema = COUNTS
    fingerprint: str = "count"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        yield Output(pa.RecordBatch.from_pydict({"partition": [partition], "rows": [sum(map(len, rows))]}, COUNTS))


def drawn(index: int, size: int) -> pa.Table:
    keys = np.random.default_rng(index).integers(0, 2**63, size, dtype=np.uint64)
    columns = [keys, np.full(size, index, np.int32), np.arange(size, dtype=np.int32)]
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=ROWS)


class Stopwatch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 2)


def run(args: argparse.Namespace) -> dict[str, Any]:
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_documents(folder / "documents", args.documents)
        write_documents(folder / "few", 4 * DOCUMENTS_IN_FILE)
        for number, engine in enumerate(args.engines.split(",")):
            with open_engine(engine, args.workers) as opened:
                found[engine] = measured(opened, folder / str(number), folder / "documents", args)
    answer: dict[str, Any] = {"workers": args.workers, "rows": args.rows, "engines": found}
    if args.ray_data:
        answer["ray data"] = ray_data(args)
    return answer


def measured(engine: Engine, folder: Path, documents: Path, args: argparse.Namespace) -> dict[str, Any]:
    clock = Stopwatch()
    with clock.of("start"):
        engine.start()
    tables = Tables(engine, RecipeRef("benchmark", ""), "benchmark", folder)
    for name in ("first", "map"):
        with clock.of(name):
            small = tables.map(name, DrawRows(), RowsSource(SMALL, SMALL_ROWS))
    with clock.of("reduction"):
        tables.reduce("few", [small], "key", CountRows(), SMALL)
    many = tables.map("many", DrawRows(), RowsSource(args.parts, args.rows // args.parts))
    with clock.of("large reduction"):
        counted = tables.reduce("counted", [many], "key", CountRows(), args.partitions)
    assert sum(counted.to_arrow()["rows"].to_pylist()) == args.rows // args.parts * args.parts
    filter_documents(engine, documents.with_name("few"), folder / "warm")
    with clock.of("filter"):
        filter_documents(engine, documents, folder / "filtered")
    rate = args.documents / clock.seconds["filter"] / args.workers
    return {**clock.seconds, "documents/s/core": round(rate)}


def filter_documents(engine: Engine, documents: Path, out: Path) -> Dataset:
    recipe = load_recipe("gopher", {"filter.language": "off"})
    return run_recipe_stage(
        recipe, "filter", None, [str(documents)], out, engine, None, None, None, Columns("text", "id", "url"),
        say=lambda _: None,
    )  # fmt: skip


def write_documents(folder: Path, count: int) -> None:
    generator = np.random.default_rng(7)
    letters = np.array([*"etaoinshrdlu"])
    words = ["".join(generator.choice(letters, generator.integers(2, 9))) for _ in range(VOCABULARY)]
    folder.mkdir()
    for first in range(0, count, DOCUMENTS_IN_FILE):
        with (folder / f"{first:08d}.jsonl").open("w") as file:
            for index in range(first, min(first + DOCUMENTS_IN_FILE, count)):
                ranks = np.minimum(generator.zipf(1.2, WORDS), VOCABULARY) - 1
                text = " ".join(words[rank] for rank in ranks)
                file.write(json.dumps({"id": str(index), "text": f"{text}."}) + "\n")


def ray_data(args: argparse.Namespace) -> dict[str, Any]:
    """The same reductions, by `groupby().map_groups()` of Ray Data with its hash shuffle over Arrow columns."""
    import ray
    import ray.data
    from ray.data.context import DataContext, ShuffleStrategy

    clock = Stopwatch()
    with clock.of("start"):
        ray.init(address="local", num_cpus=args.workers, include_dashboard=False, log_to_driver=False)
    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.shuffle_strategy = ShuffleStrategy.HASH_SHUFFLE
    logging.getLogger("ray.data").setLevel(logging.ERROR)

    def reduce(parts: int, size: int, partitions: int) -> None:
        def spread(batch: pa.Table) -> pa.Table:
            table = pa.concat_tables([drawn(index, size) for index in batch["index"].to_pylist()])
            target = table["key"].to_numpy() % np.uint64(partitions)
            return table.append_column("partition", pa.array(target.astype(np.int32)))

        def count(group: pa.Table) -> pa.Table:
            return pa.table({"partition": group["partition"][:1], "rows": [group.num_rows]})

        numbers = ray.data.from_items([{"index": index} for index in range(parts)], override_num_blocks=parts)
        groups = numbers.map_batches(spread, batch_format="pyarrow", batch_size=None).groupby(
            "partition", num_partitions=partitions
        )
        counted = groups.map_groups(count, batch_format="pyarrow")
        assert sum(row["rows"] for row in counted.iter_rows()) == parts * size

    try:
        for name in ("first", "reduction"):
            with clock.of(name):
                reduce(SMALL, SMALL_ROWS, SMALL)
        with clock.of("large reduction"):
            reduce(args.parts, args.rows // args.parts, args.partitions)
        below = psutil.Process().children(recursive=True)
        memory = sum(process.memory_info().rss for process in below)
    finally:
        ray.shutdown()
    return {**clock.seconds, "resident MB in the end": memory // 10**6}


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['workers']} workers, {found['rows']:,} rows in the large reduction; seconds"
    rows = {**found["engines"], **({"ray data": found["ray data"]} if "ray data" in found else {})}
    for name, numbers in rows.items():
        yield f"{name:10} " + ", ".join(f"{what} {number}" for what, number in numbers.items())
