"""What the rules over a pool cost: exact quantiles by language, the fit of clusters, and assigning to them.

    python -m benchmarks.pool_speed [--values 2000000] [--sample 20000] [--clusters 100]

Values are drawn from a log-normal distribution in five languages; texts are 300 words of a Zipf distribution, half of
them from the vocabulary of one cluster. Each figure is of one process; the quantiles are held against sorting.
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
SHARD = 100_000


@dataclass(frozen=True)
class Part:
    index: int

    @property
    def fingerprint(self) -> str:
        return str(self.index)


@dataclass(frozen=True)
class Parts:
    count: int
    refs: tuple[InputRef, ...] = (InputRef("drawn", "log-normal"),)

    def parts(self) -> list[Part]:
        return [Part(index) for index in range(self.count)]


@dataclass(frozen=True)
class Draw:
    schema: pa.Schema = VALUES
    fingerprint: str = "draw"

    def __call__(self, part: Part) -> Iterator[Output]:
        draw = np.random.default_rng(part.index)
        groups, values = draw.choice(LANGUAGES, SHARD, p=SHARES), draw.lognormal(6, 1, SHARD)
        yield Output(pa.RecordBatch.from_arrays([pa.array(groups), pa.array(values)], schema=VALUES))


def quantiles(count: int) -> None:
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
        mine = numbers[languages == each.group]
        assert each.threshold == np.quantile(mine, 0.3, method="inverted_cdf")
    total = sum(each.docs for each in found)
    print(f"quantiles: {total:,} values, {levels} levels, {seconds:.1f} CPU s, {total / seconds:,.0f} values/s; exact")


def texts(count: int, clusters: int) -> list[str]:
    draw = np.random.default_rng(7)
    ranks = np.minimum(draw.zipf(1.2, (count, 300)), 50_000)
    own = draw.random((count, 300)) < 0.5
    return [
        " ".join(
            word(int(rank) * clusters + index % clusters if mine else int(rank))
            for rank, mine in zip(ranks[index], own[index], strict=True)
        )
        for index in range(count)
    ]


def word(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number, 20)
        letters += "bcdfghjklmnpqrstvwxz"[rest] + "aeiou"[rest % 5]
    return letters


def clusters(sample: int, count: int) -> None:
    given = texts(sample, count)
    started = time.process_time()
    model: Any = fit_clusters(given, count)
    fitted = time.process_time()
    for start in range(0, 5000, 256):
        model.assign(given[start : min(start + 256, 5000)])
    seconds = time.process_time() - fitted
    terms = len(model.terms)
    print(f"fit: {sample:,} documents, {terms:,} terms, {count} clusters, {fitted - started:.1f} CPU s")
    print(f"assign: {5000 / seconds:,.0f} documents per CPU s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("values", 2_000_000), ("sample", 20_000), ("clusters", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    quantiles(chosen.values)
    clusters(max(chosen.sample, 5000), chosen.clusters)
