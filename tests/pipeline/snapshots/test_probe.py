"""What grows with the input and what each process loads are told apart; a plan of the probe's size is the probe."""

from pathlib import Path
from typing import Any

import pytest

from infra.http.limits import HttpLimits
from infra.storage import read_json
from pipeline.snapshots.plan import Means, beside_actual, plan
from pipeline.snapshots.probe import read_probe, start_seconds


@pytest.mark.parametrize(
    ("first_rows", "first", "rows", "cpu", "spread", "expected"),
    [
        pytest.param(20, 5.0, 100, 13.0, 0.0, 3.0, id="a tenth of a second a row, and three to load"),
        pytest.param(20, 5.0, 100, 15.0, 2.0, 3.0, id="a shuffle is no part"),
        pytest.param(20, 1.0, 100, 9.0, 0.0, 0.0, id="the first parts were the cheaper ones"),
        pytest.param(100, 9.0, 100, 9.0, 0.0, 0.0, id="first parts alone tell nothing"),
        pytest.param(0, 1.0, 100, 2.0, 0.0, 1.0, id="a first part without rows is all loading"),
    ],
)
def test_what_first_parts_took_beyond_the_others(
    first_rows: int, first: float, rows: int, cpu: float, spread: float, expected: float
) -> None:
    account = {"first_parts": 2, "first_rows": first_rows, "first_cpu_seconds": first, "rows": rows, "cpu_seconds": cpu}
    assert start_seconds({**account, "spread_cpu_seconds": spread}) == pytest.approx(expected)


def planned(run: Path, times: int, cores: int) -> dict[str, Any]:
    probe = read_probe(run)
    return plan(probe, 1, probe.files * times, Means(cores, 1.0, HttpLimits()), probe.bytes * times)


def test_a_plan_of_the_probes_size_is_what_the_probe_took(small_run: Path) -> None:
    run = small_run / "out"
    probe = read_probe(run)
    for row in beside_actual(planned(run, 1, probe.workers), probe):
        account = read_json(run / row["stage"] / "run.json")
        assert row["core_hours"] == pytest.approx(account["cpu_seconds"] / 3600, abs=2e-6)
        assert row["core_hours"] == pytest.approx(row["actual_core_hours"], abs=2e-6)
        for name in ("disk_bytes", "table_bytes", "memory_bytes"):
            assert row[name] == row[f"actual_{name}"]
        assert row["disk_bytes"] == account["bytes_written"]


def test_what_processes_load_does_not_grow_with_the_input(small_run: Path) -> None:
    probe = read_probe(small_run / "out")
    small, large = (planned(small_run / "out", times, probe.workers)["stages"] for times in (1, 10))
    assert any(row["start_core_hours"] for row in small)
    for one, ten, cost in zip(small, large, probe.stages, strict=True):
        assert ten["start_core_hours"] <= max(cost.processes, probe.workers) * cost.start_seconds / 3600 + 1e-6
        assert ten["core_hours"] - ten["start_core_hours"] == pytest.approx(
            10 * (one["core_hours"] - one["start_core_hours"]), abs=2e-5
        )
