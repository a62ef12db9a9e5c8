"""What the rules over a pool cost: exact quantiles by language, the fit of clusters, and assigning to them.

    python -m benchmarks pool_speed [--values 2000000] [--sample 20000] [--clusters 100]

Values are drawn from a log-normal distribution in five languages; texts are 300 words of a Zipf distribution, half of
them from the vocabulary of one cluster. CPU seconds of one process; the quantiles are held against sorting.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from infra.dataset.manifest import InputRef, RecipeRef
from infra.engines.local import LocalEngine
from infra.engines.task import Output
from pipeline.job.tables import Tables
from pipeline.pool.clusters_model import fit_clusters
from pipeline.pool.quantile import VALUES, find_quantiles

LANGUAGES, SHARES = ["en", "zh", "de", "fr", "ru"], [0.5, 0.2, 0.1, 0.1, 0.1]
SHARD, ASSIGNED, BATCH = 100_000, 5000, 256


def options(parser: argparse.ArgumentParser) -> None:
    for name, default in (("values", 2_000_000), ("sample", 20_000), ("clusters", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)


@dataclass(frozen=True)
class DrawnPart:
    index: int

    @property
    def fingerprint(self) -> str:
        return str(self.index)


@dataclass(frozen=True)
class Parts:
    count: int
    refs: tuple[InputRef, ...] = (InputRef("drawn", "log-normal"),)

    def parts(self) -> list[DrawnPart]:
        return [DrawnPart(index) for index in range(self.count)]


@dataclass(frozen=True)
class Draw:
    schema: pa.Schema = VALUES
    fingerprint: str = "draw"

    def __call__(self, part: DrawnPart) -> Iterator[Output]:
        draw = np.random.default_rng(part.index)
        groups, values = draw.choice(LANGUAGES, SHARD, p=SHARES), draw.lognormal(6, 1, SHARD)
        yield Output(pa.RecordBatch.from_arrays([pa.array(groups), pa.array(values)], schema=VALUES))


def quantiles(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(LocalEngine(), RecipeRef("benchmark", ""), "benchmark", Path(folder))
        values = tables.map("values", Draw(), Parts(max(count // SHARD, 1)))
        started = time.process_time()
        found = find_quantiles(tables, values, 0.3, "low", 100)
        seconds = time.process_time() - started
        levels = len(list(Path(folder).glob("counts-*")))
        table = values.to_arrow()
    languages, numbers = np.array(table["group"].to_pylist()), table["value"].to_numpy()
    for each in found:
        assert each.threshold == np.quantile(numbers[languages == each.group], 0.3, method="inverted_cdf")
    return {"values": sum(each.docs for each in found), "levels": levels, "seconds": round(seconds, 2)}


def word(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number, 20)
        letters += "bcdfghjklmnpqrstvwxz"[rest] + "aeiou"[rest % 5]
    return letters


def texts(count: int, clusters: int) -> Iterator[str]:
    draw = np.random.default_rng(7)
    ranks = np.minimum(draw.zipf(1.2, (count, 300)), 50_000)
    own = draw.random((count, 300)) < 0.5
    numbers = np.where(own, ranks * clusters + np.arange(count)[:, None] % clusters, ranks)
    yield from (" ".join(map(word, row)) for row in numbers.tolist())


def clusters(sample: int, count: int) -> dict[str, Any]:
    given = list(texts(sample, count))
    started = time.process_time()
    model: Any = fit_clusters(given, count)
    fitted = time.process_time()
    for start in range(0, ASSIGNED, BATCH):
        model.assign(given[start : min(start + BATCH, ASSIGNED)])
    seconds = time.process_time() - fitted
    fit = {"sample": sample, "terms": len(model.terms), "clusters": count, "seconds": round(fitted - started, 2)}
    return {**fit, "assigned_per_second": round(ASSIGNED / seconds)}


def run(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "quantiles": quantiles(args.values),
        "clusters": clusters(max(args.sample, ASSIGNED), args.clusters),
    }


def show(found: dict[str, Any]) -> Iterator[str]:
    yield "quantiles: {values:,} values, {levels} levels, {seconds} CPU s; exact".format(**found["quantiles"])
    yield "fit: {sample:,} documents, {terms:,} terms, {clusters} clusters, {seconds} CPU s".format(**found["clusters"])
    yield f"assign: {found['clusters']['assigned_per_second']:,} documents per CPU s"
