"""The final loss of a model of N parameters on D tokens: L(N, D) = E + A N^-α + B D^-β (Hoffmann et al. 2022).

E, A and B are linear given α and β: those are searched, the others solved for, none below zero, by a robust loss on the
relative error. How far α and β may go from the published .34 and .28 is chosen out of sample: several strengths of that
prior are fitted to the smaller sizes of the table and judged on its larger ones. Runs that differ in nothing that the
law knows (a sweep of learning rates) count once, by the best of them: the law is of runs that are set up well.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from infra.errors import UsageError
from trainer.scaling.curves import Floats
from trainer.scaling.schedule_law import LEAST_ERROR, robust_solution
from trainer.scaling.tables import TableReader, Tell, as_number, tell_left_out

_PUBLISHED = np.log([0.34, 0.28])
_LOW, _HIGH = np.log([0.03, 0.03]), np.log([1.5, 1.5])
_STARTS = [np.log([alpha, beta]) for alpha in (0.15, 0.3, 0.5) for beta in (0.15, 0.3, 0.5)]
# Strengths of the prior: a factor of e in an exponent costs as much as an error of so many `_ROBUST` at each run.
_STRENGTHS = (0.0, 0.1, 0.3, 1.0)
# Relative errors beyond this count linearly.
_ROBUST = 3e-3
# The share of the sizes, from the smallest, that the strength is fitted on when it is chosen.
_CHOICE = 0.6
_RESAMPLES = 24
# N and D are in units of these, so that coefficients are of the size of losses.
_N, _D = 1e8, 1e9
LEAST_RUNS = 6


@dataclass(frozen=True, eq=False)
class FinalRuns:
    """Parameters, tokens and loss (nats a token) of runs: (runs,) each."""

    parameters: Floats
    tokens: Floats
    losses: Floats

    def some(self, chosen: np.ndarray) -> "FinalRuns":
        return FinalRuns(self.parameters[chosen], self.tokens[chosen], self.losses[chosen])


@dataclass(frozen=True, eq=False)
class FinalLaw:
    """`exponents`: log(α, β); `linear`: E, A, B, of N in 1e8 and D in 1e9."""

    exponents: Floats
    linear: Floats

    def losses(self, parameters: Floats, tokens: Floats) -> Floats:
        """The predicted loss of each run, nats a token."""
        found: Floats = _basis(self.exponents, parameters, tokens) @ self.linear
        return found


@dataclass(frozen=True, eq=False)
class FinalForecast:
    """The law, and others fitted to resampled runs.

    `error`: the relative error that 80 % of runs stay below, where the table's larger sizes were predicted from its
    smaller ones, or on the fitted runs if that is more. It is taken to grow with the root of how far a size is from the
    `largest` fitted one; `distance` is how far that prediction went, as a logarithm."""

    law: FinalLaw
    resampled: Sequence[FinalLaw]
    error: float
    largest: float
    distance: float

    def losses(self, parameters: Floats, tokens: Floats) -> tuple[Floats, Floats, Floats]:
        """(prediction, lower and upper end of its 80 % band) of each run."""
        middle = self.law.losses(parameters, tokens)
        others = np.stack([law.losses(parameters, tokens) for law in self.resampled])
        spread = np.quantile(np.abs(others / middle - 1), 0.8, axis=0)
        further = np.log(np.maximum(parameters / self.largest, 1.0)) / self.distance
        half = np.hypot(spread, self.error * np.sqrt(np.maximum(further, 1.0))) * middle
        return middle, middle - half, middle + half


def read_runs(
    path: Path, parameters: str, tokens: str, loss: str, flops: bool = False, tell: Tell | None = None
) -> FinalRuns:
    """The runs of a CSV table with these columns; `flops`: that of tokens has FLOPs, six for a parameter and token.

    Rows where one of the three is empty, no number or not positive are left out, which `tell` is told. UsageError for a
    column that is missing, or too few runs."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = (parameters, tokens, loss)
            reader = TableReader(path, file, names)
            rows = [[as_number(reader, cells.get(name)) for name in names] for _, cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    values = np.array(rows, np.float64).reshape(-1, 3)
    good = (np.isfinite(values) & (values > 0)).all(axis=1)
    why = f"{parameters}, {tokens} or {loss} is no positive number"
    tell_left_out(tell, path, int((~good).sum()), len(values), why)
    values = values[good]
    if len(values) < LEAST_RUNS:
        raise UsageError(f"{path} has {len(values)} runs with {parameters}, {tokens} and {loss}; give {LEAST_RUNS}")
    if flops:
        values[:, 1] /= 6 * values[:, 0]
    return FinalRuns(*values.T)


def best_runs(runs: FinalRuns) -> FinalRuns:
    """Of runs with the same parameters and tokens the one with the lowest loss, ordered by both."""
    order = np.lexsort((runs.losses, runs.tokens, runs.parameters))
    ordered = runs.some(order)
    first = np.ones(order.size, np.bool_)
    first[1:] = (np.diff(ordered.parameters) != 0) | (np.diff(ordered.tokens) != 0)
    return ordered.some(first)


def fit_final(runs: FinalRuns, seed: int = 0) -> FinalForecast:
    """The law of these runs. UsageError if all have the same parameters, or the same tokens."""
    if runs.losses.size < LEAST_RUNS or np.unique(runs.parameters).size < 2 or np.unique(runs.tokens).size < 2:
        raise UsageError(f"a law of size and tokens needs {LEAST_RUNS} runs that differ in both")
    strength, held_out, distance = _chosen_strength(runs)
    law = _fitted(runs, strength, _STARTS)
    random = np.random.default_rng(seed)
    resampled = [
        _fitted(runs.some(random.integers(0, runs.losses.size, runs.losses.size)), strength, [law.exponents])
        for _ in range(_RESAMPLES)
    ]
    largest = float(runs.parameters.max())
    return FinalForecast(law, resampled, max(held_out, _error(law, runs), LEAST_ERROR), largest, distance)


def _error(law: FinalLaw, runs: FinalRuns) -> float:
    """The relative error that 80 % of these runs stay below."""
    return float(np.quantile(np.abs(law.losses(runs.parameters, runs.tokens) / runs.losses - 1), 0.8))


def _chosen_strength(runs: FinalRuns) -> tuple[float, float, float]:
    """The strength of the prior that predicts the larger sizes of the table best from its smaller ones; the error of
    that prediction, 0 for a table that has too few; and the logarithm of how many times larger its largest size was."""
    sizes = np.unique(runs.parameters)
    small = runs.parameters <= np.quantile(sizes, _CHOICE)
    if sizes.size < 4 or small.sum() < LEAST_RUNS or small.all():
        return 0.3, 0.0, 0.5
    rest = runs.some(~small)
    laws = {strength: _fitted(runs.some(small), strength, _STARTS) for strength in _STRENGTHS}

    def error(strength: float) -> float:
        return float(np.mean(np.abs(laws[strength].losses(rest.parameters, rest.tokens) / rest.losses - 1)))

    best = min(_STRENGTHS, key=error)
    distance = max(0.3, float(np.log(sizes[-1] / runs.parameters[small].max())))
    return best, _error(laws[best], rest), distance


def _fitted(runs: FinalRuns, strength: float, starts: Sequence[Floats]) -> FinalLaw:
    def solved(exponents: Floats) -> tuple[Floats, Floats]:
        return robust_solution(_basis(exponents, runs.parameters, runs.tokens), runs.losses, _ROBUST)

    def errors(exponents: Floats) -> Floats:
        prior = strength * np.sqrt(runs.losses.size) * (exponents - _PUBLISHED)
        return np.concatenate([solved(exponents)[1] / _ROBUST, prior])

    start = min(starts, key=lambda each: float(np.sum(np.sqrt(1 + errors(each) ** 2) - 1)))
    found = least_squares(errors, start, loss="soft_l1", bounds=(_LOW, _HIGH), diff_step=1e-4, max_nfev=40).x
    return FinalLaw(found, solved(found)[0])


def _basis(exponents: Floats, parameters: Floats, tokens: Floats) -> Floats:
    alpha, beta = np.exp(exponents)
    return np.stack([np.ones(parameters.size), (parameters / _N) ** -alpha, (tokens / _D) ** -beta], 1)
