"""The loss of N parameters on D tokens of a pool that keeps a share κ of the text and has U unique tokens:

    L = E + A N^-α + B κ^b (D'/D0)^(-β κ^c)          D' = U + U τ (1 - exp(-R / τ)),  R = max(D / U - 1, 0)

The form is that of data-constrained scaling (Muennighoff et al. 2023, arXiv 2305.16264, section 3): a repeated token is
worth less with each repeat, and after h = τ ln 2 repeats the next one is worth half of a new token. How strict a pool
is is new here: a looser pool has another loss at equal tokens (b) and another exponent (c), so that it may overtake a
stricter one without any repeat (as arXiv 2605.19407 reports). κ counts from the geometric mean of the pools; N from N0
and D from D0, the geometric means of the runs. A pool may also be better or worse than its keep rate says: a factor of
its own in B, held near 1.

E, A and B are solved for, none below zero; the others searched, under priors that published laws give (α, β, h) or that
say nothing happens (b, c, factors). Draws of the law, for bands, are fits to losses with the errors of whole trainings
turned over at random and to priors moved at random: where the runs say little, the priors' width is in the bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from infra.errors import UsageError
from trainer.scaling.curves import Floats
from trainer.scaling.pool_runs import PoolRuns
from trainer.scaling.schedule_law import LEAST_ERROR, robust_solution

NAMES = ("alpha", "beta", "half_life", "loss_trend", "exponent_trend")
# Of log α, log β, log h, b and c: where published laws are (Hoffmann et al. 2022; Muennighoff et al. 2023: τ = 15.4),
# and a standard deviation that lets runs far smaller than theirs have others.
PRIOR = np.array([np.log(0.34), np.log(0.28), np.log(15.4 * np.log(2)), 0.0, 0.0])
PRIOR_WIDTH = np.array([0.5, 0.5, 1.0, 0.5, 0.2])
# Of the logarithm of a pool's own factor in B.
FACTOR_WIDTH = 0.1
_LOW = np.array([np.log(0.03), np.log(0.03), np.log(0.05), -3.0, -1.5])
_HIGH = np.array([np.log(1.5), np.log(1.5), np.log(1e4), 3.0, 1.5])
_FIRST_ERROR = 0.01
DRAWS = 120
# A law that is off by more on the runs that it was fitted to says nothing.
MOST_ERROR = 0.25


@dataclass(frozen=True, eq=False)
class PoolLaw:
    """`shape`: α, β, h, b and c as `NAMES` has them; `linear`: E, A and B; `factors`: log of each known pool's own.
    `units`: N0, D0, and the log of the keep rate that κ counts from."""

    shape: Floats
    linear: Floats
    factors: Mapping[str, float]
    units: tuple[float, float, float]

    def losses(self, parameters: Floats, tokens: Floats, unique: Floats, keep_rates: Floats, factors: Floats) -> Floats:
        """The loss of each run; `factors`: logarithms, 0 for a pool that is as its keep rate says."""
        found: Floats = self._basis(parameters, tokens, unique, keep_rates, factors) @ self.linear
        return found

    def factor(self, pool: str | None) -> float:
        return self.factors.get(pool, 0.0) if pool is not None else 0.0

    def _basis(self, parameters: Floats, tokens: Floats, unique: Floats, keep_rates: Floats, factors: Floats) -> Floats:
        return basis(
            self.shape, self.units, parameters, effective_tokens(tokens, unique, self.shape[2]), keep_rates, factors
        )


@dataclass(frozen=True, eq=False)
class FittedPools:
    """The law, and draws of it. `error`: the standard deviation of a run's relative error. `ranges`: the least and the
    largest of what was fitted: params, tokens, epochs, keep_rate. `rates`: the keep rate of each pool."""

    law: PoolLaw
    draws: Sequence[PoolLaw]
    error: float
    ranges: Mapping[str, tuple[float, float]]
    rates: Mapping[str, float]


def effective_tokens(tokens: Floats, unique: Floats, half_life: float) -> Floats:
    """What `tokens` seen of `unique` ones are worth, in tokens seen once."""
    scale = half_life / np.log(2)
    repeats = np.maximum(tokens / unique - 1, 0.0)
    worth: Floats = np.minimum(tokens, unique) + unique * scale * -np.expm1(-repeats / scale)
    return worth


def basis(
    shape: Floats, units: tuple[float, float, float], parameters: Floats, worth: Floats, rates: Floats, factors: Floats
) -> Floats:
    """What E, A and B are multiplied by, shape (runs, 3)."""
    alpha, beta, _, trend, exponent_trend = shape
    looseness = np.log(rates) - units[2]
    of_tokens = np.exp(trend * looseness + factors) * (worth / units[1]) ** (-beta * np.exp(exponent_trend * looseness))
    return np.stack([np.ones(len(parameters)), (parameters / units[0]) ** -alpha, of_tokens], 1)


def fit_pools(runs: PoolRuns, draws: int = DRAWS, seed: int = 0) -> FittedPools:
    """The law of these runs. UsageError where all runs have the same tokens or size, or follow no such law."""
    if np.unique(runs.tokens).size < 2:
        raise UsageError("all runs have seen equally many tokens: the law needs runs of several lengths")
    if np.unique(runs.parameters).size < 2:
        raise UsageError("all runs are of one size: the law needs runs of two sizes or more")
    pools = tuple(runs.rates())
    middle = float(np.mean(np.log(list(runs.rates().values()))))
    units = (float(np.exp(np.log(runs.parameters).mean())), float(np.exp(np.log(runs.tokens).mean())), middle)
    prior = np.concatenate([PRIOR, np.zeros(len(pools))])
    start, error = prior, _FIRST_ERROR
    for _ in range(3):  # the error is that of the fit, which depends on it
        law = _fitted(runs, pools, units, runs.losses, error, prior, start)
        start, relative = _unknowns(law, pools), _relative(law, runs)
        free = max(runs.losses.size - prior.size, runs.losses.size / 2)
        error = max(float(np.sqrt(np.sum(relative**2) / free)), LEAST_ERROR)
    if not error <= MOST_ERROR:
        raise UsageError(f"the losses follow no law of this form: it is off by {error:.0%} on them")
    random = np.random.default_rng(seed)
    drawn = [_drawn(runs, law, relative, error, prior, random) for _ in range(draws)]
    ranges = {
        "params": _range(runs.parameters),
        "tokens": _range(runs.tokens),
        "epochs": _range(runs.epochs),
        "keep_rate": _range(runs.keep_rates),
    }
    return FittedPools(law, drawn, error, ranges, runs.rates())


def _drawn(
    runs: PoolRuns, law: PoolLaw, relative: Floats, error: float, prior: Floats, random: np.random.Generator
) -> PoolLaw:
    """A fit to losses in which errors (`relative`) have other signs, a whole training at once, under a moved prior."""
    pools = tuple(law.factors)
    widths = np.concatenate([PRIOR_WIDTH, np.full(len(pools), FACTOR_WIDTH)])
    larger = error / max(float(np.sqrt(np.mean(relative**2))), 1e-12)  # for what the fit has taken up of them
    signs = random.choice([-1.0, 1.0], int(runs.groups.max()) + 1)[runs.groups]
    losses = runs.losses * (1 + relative) * (1 + larger * relative * signs)
    moved = prior + widths * random.standard_normal(prior.size)
    return _fitted(runs, pools, law.units, losses, error, moved, _unknowns(law, pools))


def _fitted(
    runs: PoolRuns,
    pools: Sequence[str],
    units: tuple[float, float, float],
    losses: Floats,
    error: float,
    prior: Floats,
    start: Floats,
) -> PoolLaw:
    """The most likely law of these losses under a prior, searched from `start`; both as `_unknowns` has them."""
    place = np.array([pools.index(pool) for pool in runs.pools])
    widths = np.concatenate([PRIOR_WIDTH, np.full(len(pools), FACTOR_WIDTH)])
    low = np.concatenate([_LOW, np.full(len(pools), -2.0)])
    high = np.concatenate([_HIGH, np.full(len(pools), 2.0)])

    def solved(unknowns: Floats) -> tuple[Floats, Floats]:
        shape, factors = _shape(unknowns), unknowns[5:]
        worth = effective_tokens(runs.tokens, runs.unique, shape[2])
        made = basis(shape, units, runs.parameters, worth, runs.keep_rates, factors[place])
        return robust_solution(made, losses, 2 * error)

    def errors(unknowns: Floats) -> Floats:
        return np.concatenate([solved(unknowns)[1] / error, (unknowns - prior) / widths])

    inside = np.clip(start, low + 1e-6, high - 1e-6)
    found = least_squares(
        errors, inside, bounds=(low, high), loss="soft_l1", f_scale=2.0, diff_step=1e-4, max_nfev=40
    ).x
    return PoolLaw(_shape(found), solved(found)[0], dict(zip(pools, found[5:].tolist())), units)


def _shape(unknowns: Floats) -> Floats:
    return np.concatenate([np.exp(unknowns[:3]), unknowns[3:5]])


def _unknowns(law: PoolLaw, pools: Sequence[str]) -> Floats:
    return np.concatenate([np.log(law.shape[:3]), law.shape[3:], [law.factors[pool] for pool in pools]])


def _relative(law: PoolLaw, runs: PoolRuns) -> Floats:
    """The relative error of the law at each run."""
    factors = np.array([law.factors[pool] for pool in runs.pools])
    return law.losses(runs.parameters, runs.tokens, runs.unique, runs.keep_rates, factors) / runs.losses - 1


def _range(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())
