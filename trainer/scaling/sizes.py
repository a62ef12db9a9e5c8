"""The loss curve of a larger model, at every step and under any schedule, from the curves of small ones.

All sizes share the shape of the schedule law; its three linear coefficients depend on the number of parameters N:

    L0(N) = E + F N^-e        A(N) = A1 N^a        B(N) = B1 N^b

From two sizes a and b are known, and e is not: it has a prior, which a third size, a run of the large model, or its
first steps make sharp. The three coefficients of the large model, and how far its own exponent α is from that of the
small ones, are a Bayesian linear regression: what the small sizes say of them is the prior, and its points seen so far
are the data. So a forecast before the run, one in its middle, and
one of another schedule are the same computation, with bands that shrink as more is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infra.errors import UsageError
from trainer.scaling.curves import Curve, Floats, Schedule, parameters_of
from trainer.scaling.schedule_law import (
    EARLY_FOLDS,
    INDEPENDENT,
    LEAST_ERROR,
    LawShape,
    ScheduleLaw,
    after_warm_up,
    fit_laws,
    folds_of,
)

# e: published laws have .34 (Chinchilla), runs at one learning rate .1 to .4 (misfitting).
EXPONENT, EXPONENT_DEVIATION = 0.25, 0.1
# Where there is one small size: how A and B grow. From two sizes on they are fitted, with this as a prior of so many
# standard deviations, as noisy curves hardly tell B. And how far a growth may be off, for a model e times as large as
# the largest small one.
_GROWTH = {"A": 0.045, "B": 0.17}
_GROWTH_PRIOR = {"A": 0.1, "B": 0.15}
_GROWTH_DEVIATION = {"A": 0.02, "B": 0.06}
# A model's coefficients are the laws' to within this, relative, whatever its size.
_OWN_DEVIATION = 0.01
# A model's own exponent α is that of all sizes to within this, relative.
_OWN_EXPONENT = 0.1
# An asymptote under this share of L0 + A is none that the curves tell.
_SHORT = 0.05
# Errors of a law last for long parts of a run, in logarithms of steps: its independent points in an e-fold.
A_FOLD = 5.0
# How much more than the small sizes in that part. By the bands of runs seen for 200 to 8,000 steps (docs/scaling.md).
EARLY_POWER = 1.5
# Standard deviations of 80 % of a normal distribution on both sides.
_BAND = 1.2816


@dataclass(frozen=True, eq=False)
class Forecast:
    """Predicted losses at the steps of a schedule, and their 80 % band; all of shape (points,), nats a token."""

    losses: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class SizeLaw:
    """Laws of small sizes, `parameters` ascending: (sizes,)."""

    parameters: Floats
    laws: Sequence[ScheduleLaw]

    @property
    def shape(self) -> LawShape:
        return self.laws[0].shape

    @property
    def misfit(self) -> float:
        return max(law.misfit for law in self.laws)

    def outside(self, parameters: float) -> str | None:
        """A line for a size that is larger than the fitted ones, or smaller; None for one between them."""
        low, high = float(self.parameters[0]), float(self.parameters[-1])
        fitted = f"{high:.3g}" if len(self.laws) == 1 else f"{low:.3g} to {high:.3g}"
        if parameters > high:
            return f"{parameters:.3g} parameters are {parameters / high:.3g} times the largest fitted size ({fitted})"
        if parameters < low:
            return f"{parameters:.3g} parameters are {parameters / low:.2g} of the smallest fitted size ({fitted})"
        return None

    def of(self, parameters: float, seen: Sequence[Curve] = ()) -> "ForecastLaw":
        """The law of a model of so many parameters; `seen`: its curves so far, of any schedules."""
        prior = self._prior(parameters)
        # a mean absolute error, as a standard deviation; the misfit on a run that was not fitted is larger
        deviation = max(1.25 * 1.2 * self.misfit, LEAST_ERROR * float(self.laws[-1].linear[:2].sum()))
        late = [*map(after_warm_up, seen)]
        mean, _ = self._posterior(prior, [(curve, deviation, float(INDEPENDENT)) for curve in late])
        # a law explains the beginning of a run least, and what it is off there lasts: the band takes it for less
        doubtful = [(curve, deviation * self._early(curve), A_FOLD * folds_of(curve)) for curve in late]
        _, covariance = self._posterior(prior, doubtful)
        return ForecastLaw(self.shape, mean, covariance, deviation, float(prior[0][1]))

    def _early(self, curve: Curve) -> float:
        """By what factor a run that was seen in part is taken to be off the law, as far as the small sizes are off it
        more in that part than they are as a whole; at least 1."""
        early = max(float(np.interp(folds_of(curve), EARLY_FOLDS, law.early)) for law in self.laws)
        return float(max(1.0, early / max(self.misfit, 1e-9)) ** EARLY_POWER)

    def _posterior(
        self, prior: tuple[Floats, Floats], seen: Sequence[tuple[Curve, float, float]]
    ) -> tuple[Floats, Floats]:
        """Mean and covariance of the coefficients given curves that were seen, how far their points are off the law,
        and as how many independent ones they count."""
        mean, covariance = prior
        precision = np.linalg.inv(covariance)
        right = precision @ mean
        for curve, deviation, points in seen:
            basis = own_basis(self.shape, curve, float(mean[1]))
            weight = min(max(points, 1.0), INDEPENDENT, curve.steps.size) / curve.steps.size / deviation**2
            precision = precision + weight * basis.T @ basis
            right = right + weight * basis.T @ curve.losses
        covariance = np.linalg.inv(precision)
        return covariance @ right, covariance

    def _prior(self, parameters: float) -> tuple[Floats, Floats]:
        """Mean and covariance of (L0, A, B, change of log α) of a model of so many parameters, of what the small sizes
        say."""
        largest = self.laws[-1].linear
        distance = abs(np.log(parameters / self.parameters[-1]))
        mean, deviation = [0.0], [0.0]
        for index, name in ((1, "A"), (2, "B")):
            growth, uncertain = self._growth(index, name)
            mean.append(float(largest[index] * (parameters / self.parameters[-1]) ** growth))
            told = float(self.laws[-1].deviations[index]) / float(largest[index]) if largest[index] else 0.0
            deviation.append(mean[-1] * float(np.linalg.norm([uncertain * distance, told, _OWN_DEVIATION])))
        exponents = np.linspace(0.02, 0.8, 79)
        weights, predicted = self._asymptotes(parameters, exponents)
        mean[0] = float(weights @ predicted)
        spread = float(np.sqrt(weights @ (predicted - mean[0]) ** 2))
        if len(self.laws) == 1:
            spread = 0.15 * float(largest[0]) * distance
        own = float(self._levels()[-1]) if self._short() else mean[0]
        deviation[0] = float(np.hypot(spread, 0.5 * _OWN_DEVIATION * own))
        mean.append(0.0)
        deviation.append(_OWN_EXPONENT)
        return np.array(mean), np.diag(np.maximum(deviation, 1e-6) ** 2)

    def _growth(self, index: int, name: str) -> tuple[float, float]:
        """The exponent with which a coefficient grows, and its standard deviation."""
        values = np.array([law.linear[index] for law in self.laws])
        if len(values) == 1 or np.any(values <= 0):
            return _GROWTH[name], 2 * _GROWTH_DEVIATION[name]
        weights = (values / np.array([max(law.deviations[index], 1e-9) for law in self.laws])) ** 2
        sizes = np.log(self.parameters) - np.average(np.log(self.parameters), weights=weights)
        told, prior = float(weights @ sizes**2), _GROWTH_PRIOR[name] ** -2  # precisions
        slope = (float(weights @ (sizes * np.log(values))) + prior * _GROWTH[name]) / (told + prior)
        return slope, float(np.hypot(_GROWTH_DEVIATION[name] * (2 / len(values)), (told + prior) ** -0.5))

    def _asymptotes(self, parameters: float, exponents: Floats) -> tuple[Floats, Floats]:
        """For each e: its weight, by the prior and how well it fits the sizes that there are; and L0 of the model."""
        known = np.array([law.linear[0] for law in self.laws])
        scale = 0.5 * _OWN_DEVIATION * (self._levels() if self._short() else known)
        weights = np.exp(-(((exponents - EXPONENT) / EXPONENT_DEVIATION) ** 2) / 2)
        if len(known) == 1:
            return weights / weights.sum(), np.full(exponents.size, known[0])
        predicted = np.empty(exponents.size)
        for number, exponent in enumerate(exponents):
            powers = (self.parameters / self.parameters[0]) ** -exponent
            basis = np.stack([np.ones(known.size), powers], 1)
            solution = np.linalg.lstsq(basis, known, rcond=None)[0]
            error = (basis @ solution - known) / scale
            weights[number] *= np.exp(-float(error @ error) / 2)
            predicted[number] = solution @ [1.0, (parameters / self.parameters[0]) ** -exponent]
        weights = np.where((predicted > 0) | self._short(), weights, 0.0)
        if weights.sum() == 0:
            raise UsageError("the small sizes do not get better with size: no larger one can be predicted from them")
        return weights / weights.sum(), np.maximum(predicted, 0.0)

    def _levels(self) -> Floats:
        """L0 + A of each size."""
        return np.array([law.linear[:2].sum() for law in self.laws])

    def _short(self) -> bool:
        """Whether the curves are too short to tell an asymptote: one of them has none."""
        asymptotes = np.array([law.linear[0] for law in self.laws])
        return bool(np.any(asymptotes <= _SHORT * self._levels()))


@dataclass(frozen=True, eq=False)
class ForecastLaw:
    """The law of a model that is forecast: the mean and covariance of (L0, A, B, change of log α), the standard
    deviation, in nats, of what the law does not explain, and A as the small sizes say it (`fall`)."""

    shape: LawShape
    linear: Floats
    covariance: Floats
    deviation: float
    fall: float

    def forecast(self, schedule: Schedule) -> Forecast:
        basis = own_basis(self.shape, schedule, self.fall)
        losses = basis @ self.linear
        variance = np.einsum("ij,jk,ik->i", basis, self.covariance, basis) + self.deviation**2
        half = _BAND * np.sqrt(variance)
        return Forecast(losses, losses - half, losses + half)


def own_basis(shape: LawShape, schedule: Schedule, fall: float) -> Floats:
    """The columns of L0, A, B, and of a small change of log α where A is `fall`: (points, 4)."""
    basis = shape.basis(schedule)
    return np.concatenate([basis, (fall * basis[:, 1] * np.log(basis[:, 1]))[:, None]], 1)


def fit_sizes(curves: Mapping[str, Mapping[str, Curve]]) -> SizeLaw:
    """The law of curves of one or more sizes ({size: {run: curve}})."""
    ordered = sorted(curves, key=parameters_of)
    parameters = np.array([parameters_of(size) for size in ordered])
    if np.any(np.diff(parameters) == 0):
        raise UsageError(f"two of the sizes {', '.join(ordered)} are the same")
    return SizeLaw(parameters, fit_laws([list(curves[size].values()) for size in ordered]))
