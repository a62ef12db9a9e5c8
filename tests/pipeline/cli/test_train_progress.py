"""The progress line of a training, and what `plan-training` prints."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import train_progress
from pipeline.cli.train_progress import TrainingProgress, rate_text
from pipeline.cli.train_text import amount
from tests.pipeline.command import refinery

ROW: dict[str, Any] = {
    "loss": 2.5,
    "learning_rate": 1e-3,
    "mean_k": 9.5,
    "load_imbalance": [1.25, 2.0],
    "seconds": 2.0,
    "tokens_per_second": 1000.0,
    "flops_per_second": 3e12,
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; a test sets its only item."""
    now = [100.0]
    monkeypatch.setattr(train_progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_says_how_far_and_how_fast(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrainingProgress()
    progress(ROW | {"step": 1}, 10)
    assert capsys.readouterr().err == (
        "step 1 of 10: loss 2.5000, 1,000 tokens/s, 3 TFLOP/s, load 2.00, k 9.5, learning rate 1.00e-03, 18 s left\n"
    )
    clock[0] = 104.0
    progress(ROW | {"step": 2, "seconds": 4.0}, 10)
    assert capsys.readouterr().err == ""
    clock[0] = 112.0
    progress(ROW | {"step": 3, "seconds": 1.0, "tokens_per_second": 6000.0, "loss": None, "skipped": True}, 10)
    line = capsys.readouterr().err
    # Two steps since the first line: 4 s at 1,000 and 1 s at 6,000 tokens a second, 12 s by the clock.
    assert line.startswith("step 3 of 10: loss not finite, 1 of 2 steps skipped, 2,000 tokens/s, ")
    assert line.endswith(", 42 s left\n")
    clock[0] = 113.0
    progress(ROW | {"step": 4, "skipped": True}, 10)
    clock[0] = 118.0
    progress(ROW | {"step": 5}, 10)
    assert "loss 2.5000, 1 of 2 steps skipped, " in capsys.readouterr().err


def test_mfu_stands_where_there_is_a_peak(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrainingProgress()
    progress(ROW | {"step": 9, "mfu": 0.312, "load_imbalance": []}, 10)
    assert capsys.readouterr().err == (
        "step 9 of 10: loss 2.5000, 1,000 tokens/s, MFU 31.2%, learning rate 1.00e-03, 2 s left\n"
    )
    progress(ROW | {"step": 10, "mfu": 0.5}, 10)
    last = capsys.readouterr().err
    assert "MFU 50.0%, load 2.00" in last and "left" not in last


def test_amounts_and_rates_for_people() -> None:
    assert [amount(value) for value in (950.0, 12_340.0, 4.5e6, 1.2e9, 1.5e13, 2.04e15)] == [
        *("950", "12.3 thousand", "4.5 million", "1.2 billion", "15 trillion", "2,040 trillion")
    ]
    assert [rate_text(value) for value in (5e8, 2.5e9, 3e14, 2e16)] == [
        *("0.5 GFLOP/s", "2.5 GFLOP/s", "300 TFLOP/s", "20 PFLOP/s")
    ]


def test_a_plan_for_people_and_for_programs(tmp_path: Path) -> None:
    text = refinery("plan-training", "--config", "base", "--vocab-size", 65536, "--gpus", 1, 1024)
    assert "953 million" in text and "MFU 25%, by arithmetic" in text and "more GPUs than sequences a step" in text
