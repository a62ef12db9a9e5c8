"""Forecasts of a run are in its folder before the steps that they are of, are scored, and survive a stop."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.errors import UsageError
from tests.trainer.conftest import REF, small_config, write_config
from trainer.api import ForecastConfig, train
from trainer.forecast import FORECAST, ForecastLog
from trainer.runs import read_rows
from trainer.scaling.collapse import collapses
from trainer.scaling.curves import Curve
from trainer.scaling.files import as_json
from trainer.scaling.schedule_law import LawShape
from trainer.scaling.sizes import fit_sizes
from trainer.schedule import learning_rate_factor

STEPS = 400
CONFIG = small_config(schedule={"warmup_steps": 8, "trunk_steps": 320, "decay_steps": 80})
SHAPE = LawShape(np.log([0.5, 12.0, 0.4, 0.6]), 3e-3)


def made(scale: float, steps: int = STEPS, noise: float = 0.002) -> Curve:
    at = np.arange(1.0, steps + 1)
    share = steps / STEPS
    rates = np.array([3e-3 * learning_rate_factor(CONFIG.schedule, int((s - 1) / share)) for s in at])
    level = scale * (1.0 + 0.5 * (at / steps + 0.02) ** -0.4)
    fall = np.interp(at / steps, [0.0, 0.8, 1.0], [0.0, 0.0, 0.08])
    losses = level * (1 - fall) + noise * np.random.default_rng(int(1000 * scale)).standard_normal(steps)
    return Curve(at, rates, "wsd", losses)


def law_in(folder: Path) -> Path:
    curves = {"1M": {"wsd": made(2.2)}, "4M": {"wsd": made(2.0)}, "16M": {"wsd": made(1.85)}}
    (folder / "law.json").write_text(json.dumps(as_json(fit_sizes(curves), collapses(curves))))
    return folder / "law.json"


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return law_in(tmp_path_factory.mktemp("law"))


def go(log: ForecastLog, folder: Path, losses: np.ndarray, first: int = 0) -> None:
    """Steps of a run, each in the run's log before the forecasts are told of it; every forecast of a step is there
    before."""
    for step in range(first + 1, len(losses) + 1):
        waiting = log.pending
        assert waiting is not None and waiting["at"] < step <= waiting["step"]
        assert read_rows(folder / FORECAST)[-1] == waiting
        row = {"step": step, "loss": float(losses[step - 1])}
        with (folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        log.step(row)


def forecasts(law: Path, every: int = 40) -> ForecastLog:
    return ForecastLog(ForecastConfig(law, every, 64e6), CONFIG, REF.vocab_size, STEPS)


def test_forecasts_come_before_and_get_better_with_what_the_run_shows(law: Path, tmp_path: Path) -> None:
    log = forecasts(law)
    log.begin(tmp_path, 0)
    curve = made(1.75)
    go(log, tmp_path, curve.losses)
    rows = read_rows(tmp_path / FORECAST)
    ahead, scores = [row for row in rows if "loss" in row], [row for row in rows if "measured" in row]
    assert [row["step"] for row in ahead] == [row["step"] for row in scores] == list(range(40, 401, 40))
    for forecast, score in zip(ahead, scores, strict=True):
        assert score["measured"] == pytest.approx(curve.losses[score["step"] - 40 : score["step"]].mean(), abs=1e-6)
        assert score["error"] == pytest.approx(forecast["loss"] - score["measured"], abs=2e-6)
        assert score["inside"] == (forecast["low"] <= score["measured"] <= forecast["high"])
    assert rows[0]["collapse"] is True and rows[0]["parameters"] == 64e6
    summary = rows[-1]
    assert summary["scored"] == 10 and summary["alarms"] == 0 and summary == {"at": 400, "step": 400, **log.summary()}
    assert summary["mae"] < summary["mae_before"] and summary["relative"] < 0.02
    end = ahead[3]["end"]["collapse"]
    assert end["low"] < curve.losses[-8:].mean() < end["high"]


def test_a_run_that_leaves_the_curve_is_an_alarm(law: Path, tmp_path: Path) -> None:
    log = forecasts(law)
    log.begin(tmp_path, 0)
    ill = made(1.75).losses
    ill[200:] *= 1.2
    go(log, tmp_path, ill)
    alarms = [row["step"] for row in read_rows(tmp_path / FORECAST) if row.get("alarm")]
    assert alarms and alarms[0] == 240


def test_a_stopped_run_writes_the_same_forecasts(law: Path, tmp_path: Path) -> None:
    losses = made(1.75).losses
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = forecasts(law)
    whole.begin(tmp_path / "whole", 0)
    go(whole, tmp_path / "whole", losses)
    first = forecasts(law)
    first.begin(tmp_path / "cut", 0)
    go(first, tmp_path / "cut", losses[:170])
    rows = (tmp_path / "cut/log.jsonl").read_text().splitlines()[:150]
    (tmp_path / "cut/log.jsonl").write_text("\n".join(rows) + "\n")
    again = forecasts(law)
    again.begin(tmp_path / "cut", 150)
    go(again, tmp_path / "cut", losses, 150)
    assert (tmp_path / "cut" / FORECAST).read_bytes() == (tmp_path / "whole" / FORECAST).read_bytes()


def test_a_training_scores_its_own_forecasts(law: Path, tmp_path: Path, data: Path) -> None:
    seen: list[Mapping[str, Any]] = []
    asked = ForecastConfig(law, 3)
    told = train(write_config(tmp_path), data, tmp_path / "run", 8, lambda row, _: seen.append(row), forecast=asked)
    rows = read_rows(tmp_path / "run" / FORECAST)
    assert told["forecast"]["scored"] == 3 and len(seen) == 8
    assert [(row["at"], row["step"]) for row in rows if "loss" in row] == [(0, 3), (3, 6), (6, 8)]
    without = train(write_config(tmp_path), data, tmp_path / "plain", 8)
    assert without["sha256"] == told["sha256"] and not (tmp_path / "plain" / FORECAST).exists()


def test_what_is_no_law_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "law.json").write_text("{}")
    with pytest.raises(UsageError, match="is no law"):
        train(write_config(tmp_path), data, tmp_path / "run", 2, forecast=ForecastConfig(tmp_path / "law.json"))
