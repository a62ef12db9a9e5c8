"""The loss at every step under any learning-rate schedule:

    L(t) = L0 + A S_p(t)^-α - B Σ_k (x_{k-1}^q - x_k^q) (1 - exp(-C x_k^-γ (S_1(t) - S_1(k)))),  q = .85

x is the learning rate as a fraction of its peak η, and S_p(t) = η Σ x^p over the steps to t, with half of the peak for
the warm-up. The second term is progress, the third what each decrease of the rate k gains: it comes gradually, as the
weights settle to the smaller noise. After the Multi-Power Law (arXiv 2503.12811), with three changes: a smaller rate
makes more progress a unit than a larger one (p below 1), the gain of a decrease ends (an exponential) where the
published law lets it grow as a power, and a decrease of a small rate gains more than one of a large rate (q below 1),
without which the end of a cosine is told too high and its middle too low; beyond what was fitted all extrapolate
better (docs/scaling.md).

L0, A and B are linear given the rest: α, C, γ and p are searched, the others solved for (variable projection), by a
robust loss. Priors keep C, γ and p where curves do not tell them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, nnls

from trainer.scaling.curves import Curve, Floats, Schedule

# Of the logarithms of (α, C, γ, p): the middle and the inverse width of the priors (none on α), and bounds. C is for
# rates as they are: 1 / (C η) steps is the time in which the gain of a decrease comes.
_MIDDLE = np.log([0.48, 40.0, 0.4, 0.5])
_WEIGHT = np.array([0.0, 0.7, 0.5, 0.4])
_LOW, _HIGH = np.log([0.1, 0.05, 0.01, 0.2]), np.log([2.0, 500.0, 2.0, 1.5])
_STARTS = [np.log([0.45, c, gamma, 0.6]) for c in (3.0, 15.0) for gamma in (0.2, 0.6)]
# q, which few schedules tell: free, it is .82 of the 25M models of docs/scaling.md and .88 of the 100M.
_FALL = 0.85
# Relative errors beyond this count linearly, not squared; noisier curves have a larger one.
_ROBUST = 1e-3
# Errors of a law last for long parts of a run: a run is as many independent points.
INDEPENDENT = 12
# No forecast is nearer than this, relative: a law that fits exactly has seen too little.
LEAST_ERROR = 5e-4
# One run tells little of others: half of their band is so many times its misfit.
_OF_ONE_RUN = 12.0
# E-folds of steps from the end of the warm-up on.
EARLY_FOLDS = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
# Points of a curve that are compared in a fit.
_FITTED = 200
# A step of the rate by more than this part of it is taken as a jump at the step of the later rate.
_JUMP = 0.2


@dataclass(frozen=True, eq=False)
class LawShape:
    """What curves of all sizes have in common: log(α, C, γ, p), and η, the peak rate that rates are fractions of."""

    exponents: Floats
    peak: float

    def basis(self, schedule: Schedule, rows: npt.NDArray[np.intp] | None = None) -> Floats:
        """The columns of L0, A and B at the steps of a schedule: (points, 3), or of some of its `rows`."""
        alpha, c, gamma, power = np.exp(self.exponents)
        x = schedule.rates / self.peak
        chosen = np.arange(x.size) if rows is None else rows
        total = self._summed(schedule.steps, x, 1.0)
        change = -np.diff(x**_FALL)
        places = np.flatnonzero((np.abs(np.diff(x)) > 1e-9) & (schedule.steps[1:] > _warm_until(schedule)))
        after = np.maximum(x[places + 1], 1e-4)
        jumped = _jumps(x)[places]
        at = np.where(jumped, total[places + 1], (total[places] + total[places + 1]) / 2)
        since = np.maximum(total[chosen, None] - at, 0.0)
        gains = -np.expm1(-c * after**-gamma * since) @ change[places]
        progress = self._summed(schedule.steps, x, power)[chosen]
        return np.stack([np.ones(chosen.size), progress**-alpha, -gains], 1)

    def _summed(self, steps: Floats, x: Floats, power: float) -> Floats:
        """S_p at each step. Before the first logged step the rate is taken to have risen to its value there."""
        height = np.power(x, power)
        between = np.where(_jumps(x), height[:-1], (height[1:] + height[:-1]) / 2)
        first = max(steps[0], 1.0) * max(height[0], height[1]) / 2
        made: Floats = self.peak * (first + np.concatenate([[0.0], np.cumsum(np.diff(steps) * between)]))
        return made


@dataclass(frozen=True, eq=False)
class ScheduleLaw:
    """The law of one model size. `linear`: L0, A, B; `deviations`: their standard deviations, by how well the curves
    tell them; `misfit`: the mean absolute error on what it was fitted on, nats; `noise`: the standard deviation of the
    loss around a smooth curve; `early`: the misfit within the first EARLY_FOLDS of what it was fitted on."""

    shape: LawShape
    linear: Floats
    deviations: Floats
    misfit: float
    noise: float
    early: tuple[float, ...] = (0.0,) * len(EARLY_FOLDS)

    def losses(self, schedule: Schedule) -> Floats:
        """The predicted loss at each step of a schedule: (points,), nats a token."""
        found: Floats = self.shape.basis(schedule) @ self.linear
        return found


def fit_laws(sizes: Sequence[Sequence[Curve]]) -> list[ScheduleLaw]:
    """The laws of several sizes that share their shape: one for each list of curves."""
    peak = max(float(curve.rates.max()) for curves in sizes for curve in curves)
    fitted = [[after_warm_up(curve) for curve in curves] for curves in sizes]
    rows = [[_thinned(curve.steps.size) for curve in curves] for curves in fitted]
    noise = [float(np.median([noise_of(curve) for curve in curves])) for curves in fitted]
    losses = [
        np.concatenate([curve.losses[some] for curve, some in zip(curves, chosen)])
        for curves, chosen in zip(fitted, rows)
    ]
    scales = [max(_ROBUST, each / float(np.mean(loss))) for each, loss in zip(noise, losses)]
    points = sum(map(len, losses))

    def solved(exponents: Floats) -> list[tuple[Floats, Floats]]:
        shape = LawShape(exponents, peak)
        bases = [
            np.concatenate([shape.basis(curve, some) for curve, some in zip(curves, chosen)])
            for curves, chosen in zip(fitted, rows)
        ]
        return [robust_solution(*each) for each in zip(bases, losses, scales)]

    def errors(exponents: Floats) -> Floats:
        relative = [error / scale for (_, error), scale in zip(solved(exponents), scales)]
        return np.concatenate([*relative, np.sqrt(points) * (exponents - _MIDDLE) * _WEIGHT])

    start = min(_STARTS, key=lambda each: float(np.sum(np.sqrt(1 + errors(each) ** 2) - 1)))
    found = least_squares(errors, start, loss="soft_l1", bounds=(_LOW, _HIGH), diff_step=1e-4, max_nfev=40).x
    shape = LawShape(found, peak)
    misfits = [float(np.mean(np.abs(error * loss))) for (_, error), loss in zip(solved(found), losses)]
    return [
        ScheduleLaw(
            shape, linear, _deviations(shape, curves, misfit, each), misfit, each, _early(shape, linear, curves)
        )
        for (linear, _), curves, misfit, each in zip(solved(found), fitted, misfits, noise)
    ]


def _early(shape: LawShape, linear: Floats, curves: Sequence[Curve]) -> tuple[float, ...]:
    """The mean absolute error within so many first e-folds of each curve, the mean over curves, nats."""
    errors = [np.abs(shape.basis(curve) @ linear - curve.losses) for curve in curves]
    folds = [np.log(np.maximum(curve.steps, 1.0) / max(float(curve.steps[0]), 1.0)) for curve in curves]
    return tuple(
        float(np.mean([error[fold <= until].mean() for error, fold in zip(errors, folds)])) for until in EARLY_FOLDS
    )


def folds_of(curve: Curve) -> float:
    """E-folds of steps that a curve has."""
    return float(np.log(curve.steps[-1] / max(float(curve.steps[0]), 1.0)))


def _deviations(shape: LawShape, curves: Sequence[Curve], misfit: float, noise: float) -> Floats:
    """The standard deviations of L0, A and B of these curves, nats. Noise is of each point alone; errors of the law
    last for long parts of a curve."""
    of_law = max((1.25 * misfit) ** 2 - noise**2, 0.0)  # a mean absolute error, as a standard deviation
    precision = np.zeros((3, 3))
    for curve in curves:
        basis, points = shape.basis(curve), curve.steps.size
        variance = of_law * points / min(INDEPENDENT, points) + noise**2 + LEAST_ERROR**2
        precision += basis.T @ basis / variance
    found: Floats = np.sqrt(np.diag(np.linalg.pinv(precision)))
    return found


def held_out_error(curves: Sequence[Curve]) -> float:
    """Half of the 80 % band of a run that the law of these has not seen, nats: what 80 % of a run's points stay within
    when it is left out, the mean over these runs. Of one run: its own misfit, many times over."""
    if len(curves) < 2:
        return _OF_ONE_RUN * fit_laws([curves])[0].misfit
    found = []
    for left_out in curves:
        law = fit_laws([[curve for curve in curves if curve is not left_out]])[0]
        late = after_warm_up(left_out)
        found.append(float(np.quantile(np.abs(law.losses(late) - late.losses), 0.8)))
    return float(np.mean(found))


def robust_solution(basis: Floats, losses: Floats, scale: float) -> tuple[Floats, Floats]:
    """(coefficients, none below 0; relative error of each point) of a linear law, by reweighted least squares: errors
    beyond `scale` count linearly."""
    weights = 1 / losses
    for _ in range(3):
        linear = nnls(basis * weights[:, None], losses * weights)[0]
        error = (basis @ linear - losses) / losses
        weights = 1 / losses / (1 + (error / scale) ** 2) ** 0.25
    return linear, error


def after_warm_up(curve: Curve) -> Curve:
    """The curve from where its warm-up has ended: the law is of what follows."""
    late = curve.steps >= _warm_until(curve)
    if late.sum() < 2:
        return curve
    first = int(np.flatnonzero(late)[0])
    return Curve(curve.steps[first:], curve.rates[first:], curve.name, curve.losses[first:])


def noise_of(curve: Curve) -> float:
    """The standard deviation of the loss around a line through its neighbours, nats."""
    second = curve.losses[2:] - 2 * curve.losses[1:-1] + curve.losses[:-2]
    return float(np.median(np.abs(second)) * 1.4826 / np.sqrt(6)) if second.size else 0.0


def _warm_until(schedule: Schedule) -> float:
    """The step where the rate has risen to its highest value for the first time."""
    highest = schedule.rates.max()
    return float(schedule.steps[int(np.argmax(schedule.rates >= 0.999 * highest))])


def _jumps(x: Floats) -> npt.NDArray[np.bool_]:
    jumped: npt.NDArray[np.bool_] = np.abs(np.diff(x)) > _JUMP * np.maximum(x[1:], x[:-1])
    return jumped


def _thinned(points: int) -> npt.NDArray[np.intp]:
    """Rows of so many, evenly: all of few."""
    return np.unique(np.linspace(0, points - 1, min(points, _FITTED)).round().astype(np.intp))
