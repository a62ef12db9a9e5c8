"""Event files hold the log's numbers, also after a resumed run cut the log."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.conftest import write_config
from trainer.api import train
from trainer.runs import read_rows
from trainer.tensorboard import FOLDER, EventFiles, scalars

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")


def read_events(run: Path) -> dict[str, dict[int, float]]:
    """By name and step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events: Any = EventAccumulator(str(run / FOLDER), {"scalars": 0})
    events.Reload()
    return {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}


def test_event_files_are_the_log(tmp_path: Path, data: Path) -> None:
    config = write_config(tmp_path, run={"checkpoint_interval_steps": 2})
    first = EventFiles(tmp_path / "run")
    train(config, data, tmp_path / "run", 3, first)
    train(config, data, tmp_path / "run", 5, EventFiles(tmp_path / "run"))
    found = read_events(tmp_path / "run")
    rows = read_rows(tmp_path / "run/log.jsonl")
    assert found["loss"] == pytest.approx({row["step"]: row["loss"] for row in rows}, rel=1e-6)
    for row in rows:
        for name, value in scalars(row):
            assert found[name][row["step"]] == pytest.approx(value, rel=1e-6)
    assert {"load_imbalance/layer_00", "load_imbalance_by_k/04", "skipped", "tokens_per_second"} <= set(found)


def test_numbers_that_are_not_finite_are_left_out() -> None:
    row = {"step": 1, "loss": None, "grad_norm": None, "mean_k": 2.0, "loss_by_domain": {"code": None}, "skipped": True}
    assert dict(scalars(row)) == {"mean_k": 2.0, "skipped": 1.0}
