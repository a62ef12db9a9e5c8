"""Collapse: runs of several sizes under one relative schedule have one curve, once each is divided by its final loss.

After "Scaling with Collapse" (arXiv 2509.25087): with the same tokens a parameter, the same schedule in fractions of a
run, and an optimizer whose memory is the same fraction, curves of different sizes fall onto each other. So a curve of
small runs tells the final loss of a large one from its first part, and a run that leaves the curve is ill.

Shapes: P points of a fraction of a run, from `FIRST` to 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from infra.errors import UsageError
from trainer.scaling.curves import Curve, Floats, Schedule

# Losses before this fraction of a run are the warm-up's, and the start's.
FIRST = 0.05
POINTS = np.linspace(FIRST, 1.0, 96)
# The final loss is the mean over this fraction at the end, and any loss the mean over as much around it.
_SMOOTH = 0.02
# Schedules are the same if their rates, as fractions of the peak, are as near as this at every point.
_SAME_RATES = 0.02
# No two curves fall nearer onto each other than this, relative.
_LEAST_DEVIATION = 1e-3
_OF_ONE_RUN = 0.01
# Of a normal distribution, 80 % on both sides.
_BAND = 1.2816
# An alarm is a departure of so many deviations.
ALARM = 4.0


@dataclass(frozen=True, eq=False)
class CollapsedCurve:
    """What runs of several sizes have in common. All arrays are (P,)."""

    rates: Floats
    """The learning rate as a fraction of its peak."""

    mean: Floats
    """The loss over the final loss."""

    deviation: Floats
    """Of a run from the others, relative: of its final loss as predicted from the part up to the point; larger of few
    runs, so that 1.28 of it are 80 %."""

    departure: Floats
    """Of a run's curve from that of the others once its level is known, relative."""

    def of_schedule(self, schedule: Schedule) -> bool:
        """Whether a schedule is this one, in fractions of the run."""
        return bool(np.all(np.abs(_rates(schedule) - self.rates) < _SAME_RATES))

    def predict(self, at: Floats, losses: Floats) -> tuple[float, float]:
        """The final loss of a run, and half of its 80 % band, from its losses so far; `at`: the fraction of the run
        that each is of, ascending.

        UsageError for a run that has not come to `FIRST`."""
        levels = self.levels(at, losses)
        if not levels.size:
            raise UsageError(f"a run tells its end from {FIRST:.0%} of its steps on: it has {at.max(initial=0):.1%}")
        return float(levels[-1]), _BAND * float(levels[-1] * np.interp(at[-1], POINTS, self.deviation))

    def levels(self, at: Floats, losses: Floats) -> Floats:
        """The final loss as the losses up to each point after `FIRST` tell it: those of the second half of the part, as
        what is left of a difference in the curves is slow."""
        return running_levels(at[at >= FIRST], (losses / np.interp(at, POINTS, self.mean))[at >= FIRST])

    def departure_of(self, at: Floats, losses: Floats, noise: float) -> float:
        """How far the last of the losses is from this curve, at the level that those before it tell, in standard
        deviations; 0 where there are none before. `noise`: the standard deviation of a loss, nats."""
        levels = self.levels(at[:-1], losses[:-1])
        if not levels.size:
            return 0.0
        expected = float(levels[-1] * np.interp(at[-1], POINTS, self.mean))
        deviation = np.hypot(expected * np.interp(at[-1], POINTS, self.departure), noise)
        return float((losses[-1] - expected) / deviation)

    def as_json(self) -> dict[str, list[float]]:
        return {name: getattr(self, name).tolist() for name in ("rates", "mean", "deviation", "departure")}

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> "CollapsedCurve":
        """ValueError or KeyError for what `as_json` did not give."""
        columns = [np.array(body[name], np.float64) for name in ("rates", "mean", "deviation", "departure")]
        if any(each.shape != POINTS.shape or not np.isfinite(each).all() for each in columns):
            raise ValueError("a collapsed curve has other points")
        return CollapsedCurve(*columns)


def collapse(curves: Sequence[Curve]) -> CollapsedCurve:
    """The curve that runs of several sizes fall onto. One run alone is its own curve, with a deviation that is taken to
    be `_OF_ONE_RUN`. UsageError for runs whose schedules differ."""
    rates = np.array([_rates(curve) for curve in curves])
    if not same_schedule(curves):
        raise UsageError("curves collapse under one schedule, in fractions of a run: these have several")
    normal = np.array([_normalised(curve) for curve in curves])
    mean = normal.mean(0)
    if len(curves) == 1:
        alone = np.full(POINTS.size, _OF_ONE_RUN)
        return CollapsedCurve(rates[0], mean, alone, alone)
    # Each run against the mean of the others: what a new run will do.
    others = (normal.sum(0) - normal) / (len(curves) - 1)
    ratio = normal / others
    levels = np.array([running_levels(POINTS, row) for row in ratio])
    before = np.concatenate([levels[:, :1], levels[:, :-1]], 1)
    # Few runs tell a deviation badly: Student's distribution has the wider band.
    few = float(stdtrit(len(curves) - 1, 0.9)) / _BAND
    deviation = few * np.maximum(_spread(levels - 1), _LEAST_DEVIATION)
    return CollapsedCurve(rates[0], mean, deviation, np.maximum(_spread(ratio / before - 1), _LEAST_DEVIATION))


def collapses(curves: Mapping[str, Mapping[str, Curve]]) -> dict[str, CollapsedCurve]:
    """The collapsed curve of each run that several of the sizes have ({size: {run: curve}}) under one schedule, from
    its warm-up on."""
    found = {}
    for name in sorted({run for runs in curves.values() for run in runs}):
        mine = [runs[name] for runs in curves.values() if name in runs]
        if len(mine) > 1 and all(map(is_whole, mine)) and same_schedule(mine):
            found[name] = collapse(mine)
    return found


def is_whole(curve: Curve) -> bool:
    """Whether a curve begins before the first point."""
    return bool(curve.steps[0] <= FIRST * curve.steps[-1])


def same_schedule(schedules: Sequence[Schedule]) -> bool:
    """Whether all are one schedule, in fractions of a run."""
    rates = np.array([_rates(each) for each in schedules])
    return bool(np.all(np.abs(rates - rates[0]) < _SAME_RATES))


def final_loss(curve: Curve) -> float:
    """The mean over the end of a run."""
    return float(curve.losses[curve.steps > (1 - _SMOOTH) * curve.steps[-1]].mean())


def running_levels(at: Floats, ratios: Floats) -> Floats:
    """For each point the mean of the ratios from half its fraction of the run to it."""
    sums = np.concatenate([[0.0], np.cumsum(ratios)])
    first = np.searchsorted(at, at / 2)
    ends = np.arange(1, at.size + 1)
    found: Floats = (sums[ends] - sums[first]) / (ends - first)
    return found


def _spread(errors: Floats) -> Floats:
    """The root mean square over runs, half of it over all points: few runs say little of one."""
    squares = (errors**2).mean(0)
    found: Floats = np.sqrt(0.5 * squares + 0.5 * squares.mean())
    return found


def _normalised(curve: Curve) -> Floats:
    at = curve.steps / curve.steps[-1]
    sums = np.concatenate([[0.0], np.cumsum(curve.losses)])
    low, high = np.searchsorted(at, POINTS - _SMOOTH), np.searchsorted(at, POINTS + _SMOOTH, side="right")
    filled = high > low
    means = (sums[high] - sums[low])[filled] / (high - low)[filled]
    found: Floats = np.interp(POINTS, POINTS[filled], means) / final_loss(curve)
    return found


def _rates(schedule: Schedule) -> Floats:
    """As fractions of the peak, at the points."""
    found: Floats = np.interp(POINTS, schedule.steps / schedule.steps[-1], schedule.rates / schedule.rates.max())
    return found
