"""What `run.json` says that a stage cost: CPU of parts, tables and shuffles, bytes, rows, and what a process loads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from infra.dataset.batches import receipts_in
from infra.dataset.manifest import Manifest
from infra.dataset.receipts import WORK
from infra.engines.engine import Engine
from infra.engines.open import open_engine
from infra.engines.task import Output
from infra.metering import forget_peak_memory, worker_cpu_seconds, worker_peak_memory
from infra.storage import read_json
from tests.infra.toy import NUMBERS, Count, Slice, Slices, Sum, header

LOADING, MIB = 0.3, 2**20
_loaded: list[object] = []


@dataclass(frozen=True)
class LoadAndCount:
    """Spends CPU time once in a process."""

    fingerprint = "load and count"
    schema = NUMBERS

    def __call__(self, part: Slice) -> Iterator[Output]:
        if not _loaded:
            _loaded.append(burn(LOADING))
        yield from Count()(part)


def burn(seconds: float) -> None:
    began = worker_cpu_seconds()
    while worker_cpu_seconds() - began < seconds:
        sum(range(10_000))


@pytest.fixture
def engine() -> Iterator[Engine]:
    with open_engine("local") as opened:
        yield opened


def test_a_stage_costs_its_parts_its_tables_and_their_shuffles(engine: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    table = engine.map_shards(LoadAndCount(), [Slices(4)], out / WORK / "numbers", header())
    sums = engine.reduce_by_key([table], "key", Sum(), 3, out / WORK / "sums", header())
    reduced = sum(receipt["cost"]["cpu_seconds"] for receipt in receipts_in(sums.folder))
    of_tables = {path.name: read_json(path / "run.json") for path in (table.folder, sums.folder)}
    engine.map_shards(Count(), [Slices(2)], out, header())
    account = read_json(out / "run.json")
    assert account == {**account, "parts_made": 2, "parts_found": 0, "rows": 200, "engine": "local", "workers": 1}
    own = sum(receipt["cost"]["cpu_seconds"] for receipt in receipts_in(out))
    for made in account["tables"]:
        assert made == {name: of_tables[made["table"]].get(name, made["table"]) for name in made}
    assert [made["table"] for made in account["tables"]] == ["numbers", "sums"]
    assert account["cpu_seconds"] == pytest.approx(own + sum(made["cpu_seconds"] for made in account["tables"]))
    of_sums = account["tables"][1]
    assert of_sums["cpu_seconds"] == pytest.approx(reduced + of_sums["spread_cpu_seconds"], abs=0.002)
    assert account["cpu_seconds"] >= LOADING
    assert account["table_bytes"] == sum(made["bytes_written"] for made in account["tables"])


def test_bytes_are_those_of_the_files(engine: Engine, tmp_path: Path) -> None:
    made = engine.map_shards(Count(), [Slices(3)], tmp_path / "out", header())
    sums = engine.reduce_by_key([made], "key", Sum(), 2, tmp_path / "sums", header())
    written = [read_json(each.folder / "run.json")["bytes_written"] for each in (made, sums)]
    assert written == [sum(path.stat().st_size for path in each.folder.glob("part-*")) for each in (made, sums)]
    assert (
        read_json(sums.folder / "run.json")["bytes_read"] == Manifest.read(made.folder).shards.sums.bytes == written[0]
    )


def test_what_a_process_loads_is_told_by_its_first_part(engine: Engine, tmp_path: Path) -> None:
    _loaded.clear()
    engine.map_shards(LoadAndCount(), [Slices(5)], tmp_path / "out", header())
    account = read_json(tmp_path / "out" / "run.json")
    assert (account["first_parts"], account["first_rows"], account["rows"]) == (1, 100, 500)
    assert account["first_cpu_seconds"] >= LOADING > account["cpu_seconds"] - account["first_cpu_seconds"]


def test_every_process_has_a_first_part(tmp_path: Path) -> None:
    with open_engine("local", 2) as engine:
        engine.map_shards(LoadAndCount(), [Slices(40)], tmp_path / "out", header())
    account = read_json(tmp_path / "out" / "run.json")
    assert account["first_parts"] in (1, 2)
    assert account["first_rows"] == 100 * account["first_parts"]
    assert account["first_cpu_seconds"] >= LOADING * account["first_parts"]


def test_peak_memory_is_of_the_stage_and_not_of_an_earlier_one() -> None:
    large = np.ones(200 * MIB, np.uint8)
    assert worker_peak_memory() > 200 * MIB
    kept = worker_peak_memory()
    del large
    pa.default_memory_pool().release_unused()
    forget_peak_memory()
    assert worker_peak_memory() < kept - 150 * MIB
