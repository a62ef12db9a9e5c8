"""The final loss of a model of N parameters on D tokens: L(N, D) = E + A N^-α + B D^-β (Hoffmann et al. 2022).

A table that says more of its runs (sparsity, experts a token, epochs, a mixture) has more terms: `final_terms.py`. E, A
and B are linear given the rest: the rest is searched, these three solved for, none below zero, by a robust loss on the
relative error. How far α and β may go from the published .34 and .28, and which terms the law has, is chosen out of
sample: by the larger sizes of the table, predicted from its smaller ones, or by parts of it where it has few sizes.
Runs that differ in nothing that the law knows (a sweep of learning rates) count once, by the best of them: the law is
of runs that are set up well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from infra.errors import UsageError
from trainer.scaling.curves import Floats
from trainer.scaling.final_bands import COVERAGE, Band, Held, band_of
from trainer.scaling.final_runs import LEAST_RUNS, SHARE, FinalRuns
from trainer.scaling.final_terms import EXPONENTS, POWERS, Layout, basis, groups_of, layout_of
from trainer.scaling.schedule_law import robust_solution

_STARTS = [np.log([alpha, beta]) for alpha in (0.15, 0.3, 0.5) for beta in (0.15, 0.3, 0.5)]
# Strengths of the prior: a factor of e in an exponent costs as much as an error of so many `_ROBUST` at each run.
_STRENGTHS = (0.0, 0.1, 0.3, 1.0)
# The same of an unknown of a term that is one width off.
_TERM_STRENGTH = 0.1
# Relative errors beyond this count linearly.
_ROBUST = 3e-3
# The share of the sizes, from the smallest, that the law is chosen on; and those that bands are measured from.
_CHOICE = 0.6
_CUTS = (0.3, 0.45, 0.6, 0.75, 0.9)
_LEAST_SIZES, _FOLDS = 4, 3
# A term stays unless the law without it predicts as well as this many times its error.
_WORTH = 1.02
_RESAMPLES = 24
# Resampled laws have one form: a band is at least so many times as wide as their spread.
_OF_RESAMPLED = 1.5
# Of a slope, in widths of an unknown's prior.
_STEP = 1e-4


@dataclass(frozen=True, eq=False)
class FinalLaw:
    """`unknowns`: log(α, β), and those of the layout's terms; `linear`: E, A, B, of N in 1e8 and D in 1e9."""

    layout: Layout
    unknowns: Floats
    linear: Floats

    def losses(self, runs: FinalRuns) -> Floats:
        """The predicted loss of each run, nats a token; its own losses are not used."""
        found: Floats = basis(self.layout, self.unknowns, runs) @ self.linear
        return found


@dataclass(frozen=True, eq=False)
class FinalForecast:
    """The law, others fitted to resampled runs, and how wide its band is."""

    law: FinalLaw
    resampled: Sequence[FinalLaw]
    band: Band

    def losses(self, runs: FinalRuns) -> tuple[Floats, Floats, Floats]:
        """(prediction, lower and upper end of its 80 % band) of each run."""
        middle = self.law.losses(runs)
        half = np.maximum(self.band.half(runs), _OF_RESAMPLED * self.spread(runs)) * middle
        return middle, middle - half, middle + half

    def spread(self, runs: FinalRuns) -> Floats:
        """How far 80 % of the resampled laws are from the law, as a part of the prediction: (runs,)."""
        others = np.stack([law.losses(runs) for law in self.resampled])
        found: Floats = np.quantile(np.abs(others / self.law.losses(runs) - 1), COVERAGE, axis=0)
        return found


class Form(NamedTuple):
    """What is chosen for a table: the terms of the law, the power of shares, and the strength of the prior."""

    terms: tuple[str, ...]
    power: float
    strength: float


def fit_final(runs: FinalRuns, seed: int = 0) -> FinalForecast:
    """The law of these runs. UsageError for too few, or if they have one size or as many tokens, and one mixture."""
    return fit_and_hold_out(runs, seed)[0]


def fit_and_hold_out(runs: FinalRuns, seed: int = 0) -> tuple[FinalForecast, list[Held]]:
    """The same, and what was held out for its band."""
    _check(runs)
    form = _chosen(runs)
    law = _fitted(runs, form)
    random = np.random.default_rng(seed)
    drawn = [random.integers(0, runs.losses.size, runs.losses.size) for _ in range(_RESAMPLES)]
    resampled = [_fitted(runs.some(rows), form, law) for rows in drawn]
    held = [
        Held(small, off(part, small), rest, off(part, rest))
        for small, rest in _splits(runs, _CUTS)
        for part in [_fitted(small, form, law)]
    ]
    return FinalForecast(law, resampled, band_of(runs, off(law, runs), held, unknowns_of(law))), held


def unknowns_of(law: FinalLaw) -> int:
    """How many numbers a fit of this law finds."""
    return law.unknowns.size + 3


def errors(law: FinalLaw, runs: FinalRuns) -> Floats:
    """The relative error of the law at each run."""
    return law.losses(runs) / runs.losses - 1


def off(law: FinalLaw, runs: FinalRuns) -> Floats:
    """The same as a part of the prediction, as bands are."""
    return 1 - runs.losses / law.losses(runs)


def _check(runs: FinalRuns) -> None:
    mixed = any(name.startswith(SHARE) and np.ptp(values) > 1e-9 for name, values in runs.terms.items())
    one = np.unique(runs.parameters).size < 2 or np.unique(runs.tokens).size < 2
    if runs.losses.size < LEAST_RUNS or (one and not mixed):
        raise UsageError(f"a law of size and tokens needs {LEAST_RUNS} runs that differ in both")
    unknown = sum(map(len, groups_of(runs)))
    if unknown and runs.losses.size < LEAST_RUNS + unknown:
        raise UsageError(f"a law with {unknown} more columns needs {LEAST_RUNS + unknown} runs: leave some out")


def _splits(runs: FinalRuns, cuts: Sequence[float]) -> Iterator[tuple[FinalRuns, FinalRuns]]:
    """(runs of the smaller sizes, those of the larger ones) for each share of the sizes that can be fitted; without any
    such, in turn all runs but a third of them, and these."""
    sizes, made = np.unique(runs.parameters), False
    for cut in cuts if sizes.size >= _LEAST_SIZES else ():
        small = runs.parameters <= np.quantile(sizes, cut)
        part = runs.some(small)
        if small.all() or part.losses.size < LEAST_RUNS or min(_different(part)) < 2:
            continue
        made = True
        yield part, runs.some(~small)
    if not made and runs.losses.size >= 2 * LEAST_RUNS:
        order: npt.NDArray[np.intp] = np.random.default_rng(0).permutation(runs.losses.size)
        for fold in range(_FOLDS):
            held = np.zeros(runs.losses.size, np.bool_)
            held[order[fold::_FOLDS]] = True
            yield runs.some(~held), runs.some(held)


def _different(runs: FinalRuns) -> tuple[int, int]:
    return np.unique(runs.parameters).size, np.unique(runs.tokens).size


def _chosen(runs: FinalRuns) -> Form:
    """The form that predicts what is held out best. A term that is worth nothing there is left out."""
    groups = groups_of(runs)
    form = Form(tuple(name for group in groups for name in group), POWERS[0], 0.3)
    splits = list(_splits(runs, [_CHOICE]))
    if not splits:
        return form

    def error(asked: Form) -> float:
        return float(np.mean([np.abs(errors(_fitted(a, asked), b)).mean() for a, b in splits]))

    if min(_different(runs)) > 1:
        form = min((form._replace(strength=each) for each in _STRENGTHS), key=error)
    if any(name.startswith(SHARE) for name in form.terms):
        form = min((form._replace(power=each) for each in POWERS), key=error)
    best = error(form) if groups else 0.0
    for group in groups:
        without = form._replace(terms=tuple(name for name in form.terms if name not in group))
        if not _told(runs, without):
            continue
        found = error(without)
        if found <= best * _WORTH:
            form, best = without, min(found, best)
    return form


def _told(runs: FinalRuns, form: Form) -> bool:
    """Whether anything is left that the law depends on."""
    return min(_different(runs)) > 1 or any(name.startswith(SHARE) for name in form.terms)


def _fitted(runs: FinalRuns, form: Form, near: FinalLaw | None = None) -> FinalLaw:
    """The law of this form; `near`: a law where the search begins, whose layout it has."""
    layout = layout_of(runs, form.terms, form.power) if near is None else near.layout
    known = layout.unknowns()
    middle, width, low, high = np.array([each[1:] for each in known]).T
    weight = np.full(len(known), _TERM_STRENGTH) / width
    weight[: len(EXPONENTS)] = form.strength
    weight *= np.sqrt(runs.losses.size)

    def solved(unknowns: Floats) -> tuple[Floats, Floats]:
        return robust_solution(basis(layout, unknowns, runs), runs.losses, _ROBUST)

    def wrong(unknowns: Floats) -> Floats:
        return np.concatenate([solved(unknowns)[1] / _ROBUST, weight * (unknowns - middle)])

    def slopes(unknowns: Floats) -> Floats:
        # absolute steps: of an unknown that is near zero a relative one is nothing
        here = wrong(unknowns)
        return np.stack([(wrong(unknowns + step) - here) / step.sum() for step in np.diag(_STEP * width)], 1)

    if near is None:
        begun = [np.concatenate([start, middle[len(EXPONENTS) :]]) for start in _STARTS]
        begin = min(begun, key=lambda each: float(np.sum(np.sqrt(1 + wrong(each) ** 2) - 1)))
    else:
        begin = near.unknowns
    begin = np.clip(begin, low + 1e-6, high - 1e-6)
    found = least_squares(wrong, begin, slopes, (low, high), loss="soft_l1", max_nfev=40).x
    return FinalLaw(layout, found, solved(found)[0])
