"""Forecasts of a run, written before the steps that they are of, and scored when these have been run.

`RUN/forecast.jsonl` has these rows, each of which is written after the step `at`, before the next is run:

```
{"at", "step", "loss", "low", "high", "before", "end"}     of the loss at `step`, by the law and all that the run showed
                                                           so far; `before`: of the law alone; `end`: of the last step
{"at", "step", "measured", "error", "error_before", "inside", "departure", "alarm"}     when `step` has been run
{"at", "step", "scored", "mae", "relative", "coverage80", …}                            at the last step
```
A loss is a mean over the last steps, nats a token; bands are of 80 %. The law is what `scaling fit` wrote. If it knows
the run's schedule as one under which curves of several sizes collapse, `end` has what the collapse tells too, and a
loss that departs from the curve is an alarm.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infra.errors import UsageError
from infra.hashing import sha256_file
from infra.storage import write_bytes
from trainer.config import Config
from trainer.formulas import parameters
from trainer.run_files import LOG
from trainer.runs import read_rows
from trainer.scaling.collapse import ALARM, FIRST, POINTS, CollapsedCurve
from trainer.scaling.curves import Curve, Floats, Schedule
from trainer.scaling.files import read_collapses, read_law
from trainer.scaling.schedule_law import noise_of
from trainer.scaling.sizes import SizeLaw
from trainer.schedule import learning_rate_factor

FORECAST = "forecast.jsonl"
OnStep = Callable[[Mapping[str, Any], int], None]  # as `trainer.train` has it
# A loss is the mean over so many steps, or over all between two evaluations if they are fewer.
WINDOW = 50
# Points of the run so far that the law is given, and of the schedule ahead.
_SEEN, _GRID = 400, 2000
_BAND = 1.2816
# Fewer steps after the warm-up say nothing.
_LEAST_SEEN = 16


@dataclass(frozen=True)
class ForecastConfig:
    """`law`: the file that `scaling fit --out` wrote. `every`: steps between evaluations. `size`: parameters as the law
    counts them; by default those that a token uses, without the embedding table."""

    law: Path
    every: int = 200
    size: float | None = None


class ForecastLog:
    """Forecasts and scores of one run: `begin` before the first step, `step` after each."""

    def __init__(self, asked: ForecastConfig, config: Config, vocab_size: int, last_step: int) -> None:
        """UsageError for a file that is no law."""
        if asked.every < 1:
            raise UsageError(f"a forecast every {asked.every} steps: give 1 or more")
        self.law: SizeLaw = read_law(asked.law)
        self.sha256 = sha256_file(asked.law)
        numbers = parameters(config.model, vocab_size, config.top_k.full_k)
        self.size = asked.size or float(numbers.active - numbers.embedding)
        self.every, self.window, self.last = asked.every, min(WINDOW, asked.every), last_step
        steps = np.arange(1, last_step + 1)
        factors = np.array([learning_rate_factor(config.schedule, int(step) - 1) for step in steps])
        self.rates: Floats = config.optimizer.learning_rate * factors
        some = np.unique(np.linspace(0, last_step - 1, min(last_step, _GRID)).round().astype(np.intp))
        self.schedule = Schedule(steps[some].astype(np.float64), self.rates[some])
        self.collapsed = _of_this(read_collapses(asked.law), self.schedule)
        self.losses: list[float] = []
        self.rows: list[dict[str, Any]] = []
        self.path = Path()

    def begin(self, folder: Path, step: int) -> None:
        """Take up the run in `folder` after `step`: what was written after it is written again."""
        self.path = folder / FORECAST
        self.losses = [_loss_of(row) for row in read_rows(folder / LOG) if row["step"] <= step]
        self.rows = [row for row in read_rows(self.path) if row["at"] <= step]
        write_bytes(self.path, b"".join(map(_line, self.rows)))
        if not self.rows:
            about = {"law": self.sha256, "parameters": self.size, "collapse": self.collapsed is not None}
            self._write({"at": step, "step": step, "every": self.every, "window": self.window, **about})
        if self.pending is None:
            self._forecast(step)

    def step(self, row: Mapping[str, Any]) -> None:
        """After each step, with its row of the log."""
        self.losses.append(_loss_of(row))
        step = int(row["step"])
        pending = self.pending
        if pending is None or step < pending["step"]:
            return
        self._score(step, pending)
        if step < self.last:
            self._forecast(step)
        else:
            self._write({"at": step, "step": step, **self.summary()})

    def then(self, on_step: OnStep | None) -> OnStep:
        """This, and after it what else is called after each step."""

        def both(row: Mapping[str, Any], last_step: int) -> None:
            self.step(row)
            if on_step is not None:
                on_step(row, last_step)

        return both

    @property
    def pending(self) -> dict[str, Any] | None:
        """The forecast that is not scored yet."""
        last = self.rows[-1] if self.rows else {}
        return last if "loss" in last else None

    def summary(self) -> dict[str, Any]:
        """How good the forecasts were: of those made one evaluation before, and of those before the run."""
        scores = [row for row in self.rows if "measured" in row]
        errors, before = ([abs(row[name]) for row in scores] for name in ("error", "error_before"))
        measured = [row["measured"] for row in scores]
        return {
            "scored": len(scores),
            "mae": _mean(errors),
            "relative": _mean([error / loss for error, loss in zip(errors, measured)]),
            "mae_before": _mean(before),
            "relative_before": _mean([error / loss for error, loss in zip(before, measured)]),
            "coverage80": _mean([float(row["inside"]) for row in scores]),
            "coverage80_before": _mean([float(row["inside_before"]) for row in scores]),
            "alarms": sum(row.get("alarm", False) for row in scores),
        }

    def _forecast(self, step: int) -> None:
        """Write the forecast of the next evaluation."""
        target = min((step // self.every + 1) * self.every, self.last)
        row = {"at": step, "step": target, **self._band(target, self._seen()), "before": self._band(target, None)}
        self._write({**row, "end": self._end()})

    def _band(self, target: int, seen: Curve | None) -> dict[str, float]:
        """The loss over the window that ends at a step, and the ends of its band."""
        made = self.law.of(self.size, [] if seen is None else [seen]).forecast(self.schedule)
        loss, low = (
            float(np.interp(self._steps_of(target), self.schedule.steps, each).mean())
            for each in (made.losses, made.low)
        )
        half = math.hypot(loss - low, _BAND * self._noise(target))
        return {"loss": _round(loss), "low": _round(loss - half), "high": _round(loss + half)}

    def _end(self) -> dict[str, Any]:
        """Of the last step: by the law, and by the collapse once it tells."""
        found: dict[str, Any] = {"law": self._band(self.last, self._seen())}
        at, losses = self._evaluated() if self.collapsed is not None else (np.empty(0), np.empty(0))
        if self.collapsed is not None and at.size:
            loss, half = self.collapsed.predict(at, losses)
            found["collapse"] = {"loss": _round(loss), "low": _round(loss - half), "high": _round(loss + half)}
        return found

    def _score(self, step: int, pending: Mapping[str, Any]) -> None:
        measured = self._measured(step)
        if not math.isfinite(measured):
            self._write({"at": step, "step": step, "skipped": True})
            return
        before = pending["before"]
        row = {
            "at": step,
            "step": step,
            "measured": _round(measured),
            "error": _round(pending["loss"] - measured),
            "error_before": _round(before["loss"] - measured),
            "inside": pending["low"] <= measured <= pending["high"],
            "inside_before": before["low"] <= measured <= before["high"],
        }
        if self.collapsed is not None:
            at, losses = self._evaluated(measured, step)
            departure = self.collapsed.departure_of(at, losses, self._noise(step)) if at.size else 0.0
            row |= {"departure": round(departure, 2), "alarm": abs(departure) > ALARM}
        self._write(row)

    def _evaluated(self, measured: float | None = None, step: int = 0) -> tuple[Floats, Floats]:
        """Fractions of the run, and losses, of the evaluations so far, and of this one, but for those that are early.
        A mean over a window is put where the collapsed curve has its mean over it."""
        found = [(row["step"], row["measured"]) for row in self.rows if "measured" in row]
        if measured is not None:
            found.append((step, measured))
        assert self.collapsed is not None
        points = []
        for end, loss in found:
            window = self._steps_of(end) / self.last
            curve = np.interp(window, POINTS, self.collapsed.mean)
            if window[0] >= FIRST:
                middle = float(window.mean())
                points.append((middle, loss * float(np.interp(middle, POINTS, self.collapsed.mean) / curve.mean())))
        at, losses = np.array(points, np.float64).reshape(-1, 2).T
        return at, losses

    def _seen(self) -> Curve | None:
        """The run so far, in means over a few steps each; None before it tells anything."""
        begin = int(np.argmax(self.rates >= 0.999 * self.rates.max()))
        losses = np.array(self.losses[begin:])
        if losses.size < _LEAST_SEEN:
            return None
        wide = max(1, losses.size // _SEEN)
        whole = losses.size // wide * wide
        means = losses[:whole].reshape(-1, wide).mean(1)
        steps = begin + 1 + wide * np.arange(means.size) + (wide - 1) / 2
        rates = np.interp(steps, np.arange(1, self.last + 1), self.rates)
        good = np.isfinite(means)
        return Curve(steps[good], rates[good], "seen", means[good]) if good.sum() >= _LEAST_SEEN else None

    def _width(self, step: int) -> int:
        return min(self.window, step)

    def _steps_of(self, step: int) -> Floats:
        """Those of the window that ends at a step."""
        return np.arange(step - self._width(step) + 1.0, step + 1.0)

    def _measured(self, step: int) -> float:
        """The mean over the window that ends at a step; steps without a finite loss are left out."""
        part = np.array(self.losses[-self._width(step) :])
        part = part[np.isfinite(part)]
        return float(part.mean()) if part.size else math.nan

    def _noise(self, step: int) -> float:
        """The standard deviation of a loss that is a mean over the window, around a smooth curve."""
        seen = self._seen()
        each = self.law.laws[-1].noise if seen is None else self._noise_of_a_step()
        return each / math.sqrt(self._width(step))

    def _noise_of_a_step(self) -> float:
        losses = np.array(self.losses[-max(_LEAST_SEEN, 4 * self.window) :])
        steps = np.arange(1.0, losses.size + 1)
        good = np.isfinite(losses)
        return noise_of(Curve(steps[good], np.ones(int(good.sum())), "noise", losses[good]))

    def _write(self, row: Mapping[str, Any]) -> None:
        self.rows.append(dict(row))
        with self.path.open("ab") as file:
            file.write(_line(row))


def _of_this(curves: Mapping[str, CollapsedCurve], schedule: Schedule) -> CollapsedCurve | None:
    return next((curve for _, curve in sorted(curves.items()) if curve.of_schedule(schedule)), None)


def _loss_of(row: Mapping[str, Any]) -> float:
    loss = row.get("loss")
    return math.nan if loss is None else float(loss)


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"


def _round(value: float) -> float:
    return round(value, 6)


def _mean(values: list[float]) -> float | None:
    return _round(sum(values) / len(values)) if values else None
