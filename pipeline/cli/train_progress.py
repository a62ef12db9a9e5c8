"""The line on stderr that says how far a training is, how fast, and how its experts are used."""

import time
from collections.abc import Mapping
from typing import Any

from pipeline.cli.console import duration, say

SECONDS_A_LINE = 5.0
UNITS = ((1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s"))


class TrainingProgress:
    """Prints a line every `SECONDS_A_LINE` (a `trainer.train.OnStep`). Rates are means since the line before,
    and steps that were skipped since then are counted."""

    def __init__(self) -> None:
        self._printed = 0.0
        self._began: float | None = None
        self._steps = self._skipped = 0
        self._totals = dict.fromkeys(("seconds", "tokens", "flops", "peak_seconds"), 0.0)

    def __call__(self, row: Mapping[str, Any], last_step: int) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = now - row["seconds"]
        self._steps += 1
        self._skipped += bool(row.get("skipped"))
        self._add(row)
        if now - self._printed >= SECONDS_A_LINE or row["step"] == last_step:
            say(self._line(row, last_step, (now - self._began) / self._steps))
            self._printed, self._began, self._steps, self._skipped = now, now, 0, 0
            self._totals = dict.fromkeys(self._totals, 0.0)

    def _add(self, row: Mapping[str, Any]) -> None:
        seconds = row["seconds"]
        self._totals["seconds"] += seconds
        self._totals["tokens"] += row["tokens_per_second"] * seconds
        self._totals["flops"] += row["flops_per_second"] * seconds
        self._totals["peak_seconds"] += row.get("mfu", 0.0) * seconds

    def _line(self, row: Mapping[str, Any], last_step: int, seconds_a_step: float) -> str:
        seconds = self._totals["seconds"]
        parts = [f"loss {loss_text(row['loss'])}"]
        if self._skipped:
            parts.append(f"{self._skipped} of {self._steps} steps skipped")
        parts.append(f"{self._totals['tokens'] / seconds:,.0f} tokens/s")
        if "mfu" in row:
            parts.append(f"MFU {self._totals['peak_seconds'] / seconds:.1%}")
        else:
            parts.append(rate_text(self._totals["flops"] / seconds))
        if row["load_imbalance"]:
            parts.append(f"load {max(row['load_imbalance']):.2f}, k {row['mean_k']:.1f}")
        parts.append(f"learning rate {row['learning_rate']:.2e}")
        if row["step"] < last_step:
            parts.append(f"{duration((last_step - row['step']) * seconds_a_step)} left")
        return f"step {row['step']} of {last_step}: {', '.join(parts)}"


def loss_text(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.4f}"


def rate_text(flops: float) -> str:
    """FLOP/s with the unit that leaves at least one digit before the point."""
    size, unit = next((each for each in UNITS if flops >= each[0]), UNITS[-1])
    return f"{flops / size:.3g} {unit}"
