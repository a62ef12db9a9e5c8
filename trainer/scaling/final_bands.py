"""How wide the 80 % band of a law of final losses is: what its own table shows of predicting larger sizes from smaller.

The law is fitted again to the smaller sizes of the table, for several cuts, and predicts the larger ones. Its errors
there, over its error on what it was fitted on, are taken to grow with a power of how far a run is outside of the fitted
ones, in e-folds of size, tokens, tokens a parameter and the other terms. How fast is the quantile at which 80 % of the
held-out runs are in the band, each size counted alike: a conformal band, by leaving sizes out. Of runs that are further
out than most that could be held out the table says too little: there the band grows as fast as is usual of tables, at
least. The spread of laws that are fitted to resampled runs is the least that a band has (`final_loss.py`).

Errors and bands are parts of the prediction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainer.scaling.curves import Floats
from trainer.scaling.final_runs import SHARE, FinalRuns
from trainer.scaling.schedule_law import LEAST_ERROR

COVERAGE = 0.8
# How an error grows with the distance, and how many times the error inside it has more, an e-fold, where the table has
# held out nothing as far: chosen on the public tables; `benchmarks law_bands` chooses on halves, and judges on others.
_POWER = 0.75
_FAR = 2.0
# The share of the held-out runs that are no further out than a table tells of.
_REACH = 0.5
# Held-out runs that are outside by less than this (e-folds) tell nothing of how errors grow.
_INSIDE = 0.05


class Held(NamedTuple):
    """Runs that a law was fitted on, and others; its errors at each, as parts of the prediction: (runs,)."""

    fitted: FinalRuns
    fitted_errors: Floats
    rest: FinalRuns
    rest_errors: Floats


@dataclass(frozen=True)
class Band:
    """`error`: what 80 % of the runs inside of the fitted ones stay below; `growth`: how many times that an error has
    more, an e-fold outside, up to `reach` e-folds, as far as the table tells; `ranges`: the least and largest logarithm
    of what was fitted."""

    error: float
    growth: float
    reach: float
    ranges: Mapping[str, tuple[float, float]]

    def half(self, runs: FinalRuns) -> Floats:
        """Half of the band at each run."""
        distance = outside(self.ranges, runs)
        near, all_of_it = np.minimum(distance, self.reach) ** _POWER, distance**_POWER
        found: Floats = self.error * (1 + self.growth * near + max(self.growth, _FAR) * (all_of_it - near))
        return found


def band_of(runs: FinalRuns, fitted_errors: Floats, held: Sequence[Held], unknowns: int) -> Band:
    """The band of a law of these runs with so many unknowns, from what was held out of them."""
    found = held_errors(held, unknowns)
    growth, reach = _FAR, 0.0
    if found.distances.size:
        growth = weighted_quantile(found.more / found.distances**_POWER, found.weights, COVERAGE)
        reach = weighted_quantile(found.distances, found.weights, _REACH)
    error = _error(fitted_errors, unknowns)
    if found.inside.size >= runs.losses.size / 2:  # parts of the table were held out: their errors are asked for
        error = max(float(np.quantile(found.inside, COVERAGE)), LEAST_ERROR)
    return Band(error, growth, reach, ranges_of(runs))


class HeldErrors(NamedTuple):
    """Of held-out runs that are outside of the fitted ones: `more`, how many times the error inside their error has
    more, how far outside they are, and their weights, each size counted alike. `inside`: the errors of the others."""

    more: Floats
    distances: Floats
    weights: Floats
    inside: Floats


def held_errors(held: Sequence[Held], unknowns: int) -> HeldErrors:
    parts: list[tuple[Floats, Floats, Floats, Floats]] = []
    for each in held:
        distance = outside(ranges_of(each.fitted), each.rest)
        out = distance > _INSIDE
        own, errors = _error(each.fitted_errors, unknowns), np.abs(each.rest_errors)
        _, place, counts = np.unique(each.rest.parameters[out], return_inverse=True, return_counts=True)
        parts.append((np.maximum(errors[out] / own - 1, 0), distance[out], 1 / counts[place], errors[~out]))
    if not parts:
        return HeldErrors(*[np.empty(0)] * 4)
    return HeldErrors(*(np.concatenate(columns) for columns in zip(*parts)))


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
    """The error that 80 % of runs stay below, for what the fit has taken up of them."""
    runs = fitted_errors.size
    free = max(runs - unknowns, runs / 2)
    return max(float(np.quantile(np.abs(fitted_errors), COVERAGE) * np.sqrt(runs / free)), LEAST_ERROR)


def weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    order = np.argsort(values, kind="stable")
    summed = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(summed, share)), values.size - 1)])
