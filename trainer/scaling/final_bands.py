"""How wide the 80 % band of a law of final losses is: what its own table shows of predicting larger sizes from smaller.

The law is fitted again to the smaller sizes of the table, for several cuts, and predicts the larger ones. Its errors
there, over its error on what it was fitted on, are taken to grow in proportion to how far a run is outside of the
fitted ones, in e-folds of size, tokens, tokens a parameter and the other terms. How fast is the quantile at which 80 %
of the held-out runs are in the band, each size counted alike: a conformal band, by leaving sizes out. Of runs that are
further out than most that could be held out the table says nothing: from there on the band grows as is usual of tables
(`_FAR`). It is never narrower than the spread of laws that are fitted to resampled runs, widened as these share the
form of the law.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainer.scaling.curves import Floats
from trainer.scaling.final_runs import SHARE, FinalRuns
from trainer.scaling.schedule_law import LEAST_ERROR

COVERAGE = 0.8
# How many times the error inside an error further out than the held-out runs has more, an e-fold. Chosen, as that the
# growth is in proportion, on halves of the public tables, and judged on the other halves (`benchmarks law_bands`).
_FAR = 1.5
# The share of the held-out runs that are no further out than a table tells of.
_REACH = 0.5
# Resampled laws have one form: a band is at least so many times as wide as their spread.
_OF_RESAMPLED = 1.5
# Held-out runs that are outside by less than this (e-folds) tell nothing of how errors grow.
_INSIDE = 0.05


class Held(NamedTuple):
    """Runs that a law was fitted on, and others; its relative errors at each: (runs,)."""

    fitted: FinalRuns
    fitted_errors: Floats
    rest: FinalRuns
    rest_errors: Floats


@dataclass(frozen=True)
class Band:
    """`error`: the relative error that 80 % of the runs inside of the fitted ones stay below; `growth`: how many times
    that an error has more, an e-fold outside, up to `reach` e-folds, as far as the table tells; `ranges`: the least and
    largest logarithm of what was fitted."""

    error: float
    growth: float
    reach: float
    ranges: Mapping[str, tuple[float, float]]

    def half(self, runs: FinalRuns, spread: Floats) -> Floats:
        """Half of the band at each run, relative; `spread`: of resampled laws, relative, 80 % of them."""
        distance = outside(self.ranges, runs)
        near = np.minimum(distance, self.reach)
        wide = self.error * (1 + self.growth * near + _FAR * (distance - near))
        found: Floats = np.maximum(wide, _OF_RESAMPLED * spread)
        return found


def band_of(runs: FinalRuns, fitted_errors: Floats, held: Sequence[Held], unknowns: int) -> Band:
    """The band of a law of these runs with so many unknowns, from what was held out of them."""
    grown, distances, weights, inside = [], [], [], []
    for each in held:
        distance = outside(ranges_of(each.fitted), each.rest)
        out = distance > _INSIDE
        inside.append(np.abs(each.rest_errors[~out]))
        own = _error(each.fitted_errors, unknowns)
        grown.append(np.maximum(np.abs(each.rest_errors[out]) / own - 1, 0) / distance[out])
        distances.append(distance[out])
        _, place, counts = np.unique(each.rest.parameters[out], return_inverse=True, return_counts=True)
        weights.append(1 / counts[place])
    growth, reach = _FAR, 0.0
    if sum(map(len, grown)):
        weight = np.concatenate(weights)
        growth = _quantile(np.concatenate(grown), weight, COVERAGE)
        reach = _quantile(np.concatenate(distances), weight, _REACH)
    error = _error(fitted_errors, unknowns)
    near = np.concatenate(inside) if inside else np.empty(0)
    if near.size >= runs.losses.size / 2:  # parts of the table were held out: their errors are what is asked for
        error = max(float(np.quantile(near, COVERAGE)), LEAST_ERROR)
    return Band(error, growth, reach, ranges_of(runs))


def outside(ranges: Mapping[str, tuple[float, float]], runs: FinalRuns) -> Floats:
    """How many e-folds each run is outside of the ranges: the root of the sum of squares over coordinates."""
    total = np.zeros(runs.losses.size)
    for name, values in _coordinates(runs).items():
        if name in ranges:
            low, high = ranges[name]
            total += np.maximum(np.maximum(low - values, values - high), 0.0) ** 2
    found: Floats = np.sqrt(total)
    return found


def ranges_of(runs: FinalRuns) -> dict[str, tuple[float, float]]:
    return {name: (float(values.min()), float(values.max())) for name, values in _coordinates(runs).items()}


def _coordinates(runs: FinalRuns) -> dict[str, Floats]:
    size, tokens = np.log(runs.parameters), np.log(runs.tokens)
    terms = {name: np.log(values) for name, values in runs.terms.items() if not name.startswith(SHARE)}
    return {"parameters": size, "tokens": tokens, "tokens a parameter": tokens - size} | terms


def _error(fitted_errors: Floats, unknowns: int) -> float:
    """The relative error that 80 % of runs stay below, for what the fit has taken up of them."""
    runs = fitted_errors.size
    free = max(runs - unknowns, runs / 2)
    return max(float(np.quantile(np.abs(fitted_errors), COVERAGE) * np.sqrt(runs / free)), LEAST_ERROR)


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    order = np.argsort(values, kind="stable")
    summed = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(summed, share)), values.size - 1)])
