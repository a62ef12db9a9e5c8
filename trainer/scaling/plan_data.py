"""How strict a pool should be for a budget of tokens and a size of model, and how often it may be repeated.

A question is answered for each pool that the law knows, each as large as its keep rate makes it of the text at hand,
and for keep rates between them. Bands are of 80 %, over the draws of the law. Outside of the fitted runs each pool has
an error of its own in each draw, which grows with the root of how far out the question is. The band of a loss is that
of one run, with the error that single runs have; which pool is better is asked of what runs have on average."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.errors import UsageError
from infra.names import listed
from trainer.scaling.curves import Floats
from trainer.scaling.pool_law import FittedPools, PoolLaw, effective_tokens
from trainer.scaling.pool_runs import MOST
from trainer.scaling.tables import UNITS

BAND = (0.1, 0.9)
# Keep rates between the strictest and the loosest fitted one, and budgets, that are compared.
_RATES, _BUDGETS = 41, 121
# Budgets are compared to so many times the larger of the fitted ones and the one that is asked for.
_BEYOND = 32.0
# The map goes less far, and has fewer budgets.
_BEYOND_MAP, _MAP = 4.0, 30
# Outside by this factor, all taken together, a pool's own error is as large as that of a single run. By the runs beyond
# the fit of an earlier map of `benchmarks/budget_map.py`, off by nearly four errors at a factor of 3.2; the bands of
# the map of docs/strictness.md held 11 of 12.
_ONE_ERROR = 1.1
# Further outside, the answer is told to be no forecast.
FAR = 30.0


@dataclass(frozen=True)
class DataQuestion:
    """`budget`: tokens of the training. `available`: unique tokens that the loosest pool (keep rate 1) has, which a
    pool of another rate has its share of; None: as many as the budget."""

    budget: float
    parameters: float
    available: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("budget", self.budget), ("params", self.parameters), ("available", self.available)):
            if value is not None and not 1 <= value <= MOST:
                raise UsageError(f"{name} is {value:g}: give a number from 1 to {MOST:g}")

    @property
    def tokens_at_hand(self) -> float:
        return self.budget if self.available is None else self.available


def plan_data(fitted: FittedPools, asked: DataQuestion) -> dict[str, Any]:
    """The answer as JSON has it: `best`, `strictness`, `repetition`, a row for each of `pools` from the strictest, and
    `extrapolation`."""
    names = list(fitted.rates)
    at_budget = _Losses(fitted, asked, names)
    of_budget, drawn_of_budget = at_budget.of(np.array([asked.budget]))
    middle, drawn = of_budget[:, 0], drawn_of_budget[:, :, 0]
    one_run = at_budget.one_run(drawn_of_budget)[:, :, 0]
    best_of = drawn == drawn.min(axis=1, keepdims=True)
    wins = np.mean(best_of / best_of.sum(axis=1, keepdims=True), axis=0)
    crossings = overtaken(at_budget, budgets(fitted, asked))
    rows = []
    for place, name in enumerate(names):
        unique = asked.tokens_at_hand * fitted.rates[name]
        worth = at_budget.worth(place, asked.budget)
        rows.append(
            {
                "pool": name,
                "keep_rate": fitted.rates[name],
                "unique_tokens": unique,
                "epochs": asked.budget / unique,
                "worth_tokens": worth,
                "loss": float(middle[place]),
                **_ends(one_run[:, place]),
                "best_in": float(wins[place]),
                "overtaken": crossings[place],
            }
        )
    best = min(range(len(names)), key=lambda place: middle[place])
    answer_names = ("pool", "keep_rate", "epochs", "loss")
    distance = outside(fitted, asked, asked.budget / at_budget.unique[best])
    half_lives = np.array([law.shape[2] for law in fitted.draws])
    return {
        "budget": asked.budget,
        "params": asked.parameters,
        "available": asked.tokens_at_hand,
        "available_given": asked.available is not None,
        "best": {**{name: rows[best][name] for name in answer_names}, "agreed": float(wins[best])},
        "strictness": best_rate(fitted, asked),
        "repetition": {"half_life": float(fitted.law.shape[2]), **_ends(half_lives)},
        "pools": rows,
        "map": budget_map(at_budget, asked),
        "extrapolation": distance,
    }


class _Losses:
    """Losses of some pools at any budget, by the law and by its draws."""

    def __init__(self, fitted: FittedPools, asked: DataQuestion, names: Sequence[str]) -> None:
        self.fitted, self.asked, self.names = fitted, asked, names
        self.rates = np.array([fitted.rates[name] for name in names])
        self.unique = asked.tokens_at_hand * self.rates
        own, noise = np.random.default_rng(len(names)).standard_normal((2, len(fitted.draws), len(names)))
        self.own: Floats = own
        self.noise: Floats = noise

    def of(self, tokens: Floats) -> tuple[Floats, Floats]:
        """By the law, (pools, budgets), and by each draw, (draws, pools, budgets)."""
        middle = self._losses(self.fitted.law, tokens)
        further = np.array([[self._further(each, unique) for each in tokens] for unique in self.unique])
        drawn = np.stack([self._losses(law, tokens) for law in self.fitted.draws])
        return middle, drawn * (1 + self.fitted.error * further * self.own[:, :, None])

    def one_run(self, drawn: Floats) -> Floats:
        """What single runs have, where these are their means."""
        return drawn * (1 + self.fitted.error * self.noise[:, :, None])

    def worth(self, place: int, tokens: float) -> float:
        """What a budget of a pool is worth in tokens seen once."""
        one = effective_tokens(np.array([tokens]), self.unique[place : place + 1], float(self.fitted.law.shape[2]))
        return float(one[0])

    def _losses(self, law: PoolLaw, tokens: Floats) -> Floats:
        found = []
        for name, rate, unique in zip(self.names, self.rates, self.unique):
            full = np.ones(tokens.size)
            parameters, rates, own = self.asked.parameters * full, rate * full, law.factor(name) * full
            found.append(law.losses(parameters, tokens, unique * full, rates, own))
        return np.stack(found)

    def _further(self, tokens: float, unique: float) -> float:
        """A pool's own error there, in errors of single runs: 0 within the fitted runs."""
        found = factors_outside(self.fitted, self.asked.parameters, tokens, tokens / unique)
        return float(np.sqrt(sum(np.log(each) for each in found.values()) / np.log(_ONE_ERROR)))


def budgets(fitted: FittedPools, asked: DataQuestion, beyond: float = _BEYOND) -> Floats:
    low, high = fitted.ranges["tokens"]
    ends = min(low, asked.budget) / 2, max(high, asked.budget) * beyond
    found: Floats = np.geomspace(*ends, _BUDGETS)
    return found


def budget_map(losses: _Losses, asked: DataQuestion) -> dict[str, Any]:
    """The loss of each pool, with its band, at budgets from the least to the largest that are of interest."""
    tokens = budgets(losses.fitted, asked, _BEYOND_MAP)[:: _BUDGETS // _MAP]
    middle, drawn = losses.of(tokens)
    low, high = np.quantile(losses.one_run(drawn), BAND, axis=0)
    rows = zip(losses.names, middle, low, high)
    columns = ("loss", "low", "high")
    pools = {name: {key: _rounded(each) for key, each in zip(columns, ends)} for name, *ends in rows}
    return {"budgets": _rounded(tokens), "pools": pools}


def overtaken(losses: _Losses, tokens: Floats) -> list[dict[str, Any] | None]:
    """Of each pool, from where on a looser one is better than it: `by`, `tokens` and `epochs` by the law, with the ends
    of the band over the draws, None for beyond all budgets that were compared; `never`: the share of draws with none.
    None for the loosest."""
    middle, drawn = losses.of(tokens)
    found: list[dict[str, Any] | None] = []
    for place in range(len(losses.names)):
        looser = [other for other in range(len(losses.names)) if losses.rates[other] > losses.rates[place]]
        if not looser:
            found.append(None)
            continue
        at = first_better(middle[place], middle[looser].min(axis=0), tokens)
        ends = [first_better(each[place], each[looser].min(axis=0), tokens) for each in drawn]
        low, high = np.quantile(ends, BAND, method="lower")
        by = None
        if np.isfinite(at):
            there, _ = losses.of(np.array([max(at * 1.01, float(tokens[0]))]))
            by = losses.names[min(looser, key=lambda other: there[other, 0])]
        unique = losses.unique[place]
        numbers = {"tokens": at, "low": float(low), "high": float(high), "epochs": at / unique}
        row: dict[str, Any] = {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}
        found.append({"by": by, **row, "never": float(np.mean(~np.isfinite(ends)))})
    return found


def first_better(strict: Floats, loose: Floats, tokens: Floats) -> float:
    """The budget from which on the looser pool is better, between two budgets by the logarithm: 0 where it always is,
    and infinite where it is not at the largest."""
    gap = strict - loose  # positive: the looser is better
    if gap[-1] <= 0:
        return float("inf")
    below = np.flatnonzero(gap <= 0)
    if not below.size:
        return 0.0
    last = int(below[-1])
    share = -gap[last] / (gap[last + 1] - gap[last])
    return float(np.exp(np.log(tokens[last]) + share * np.log(tokens[last + 1] / tokens[last])))


def best_rate(fitted: FittedPools, asked: DataQuestion) -> dict[str, float]:
    """The keep rate with the lowest loss, between the fitted ones, of pools that are as their keep rate says; its band,
    and `epochs` of it."""
    ends = fitted.ranges["keep_rate"]
    rates = np.geomspace(*ends, _RATES)
    full = np.ones(rates.size)

    def best(law: PoolLaw) -> float:
        unique = asked.tokens_at_hand * rates
        losses = law.losses(asked.parameters * full, asked.budget * full, unique, rates, 0 * full)
        return float(rates[int(np.argmin(losses))])

    middle = best(fitted.law)
    low, high = np.quantile([best(law) for law in fitted.draws], BAND, method="nearest")
    epochs = asked.budget / (asked.tokens_at_hand * middle)
    return {"keep_rate": middle, "low": float(low), "high": float(high), "epochs": epochs}


def factors_outside(fitted: FittedPools, parameters: float, tokens: float, epochs: float) -> dict[str, float]:
    """How many times beyond the fitted runs each of these is; 1 within them. Fewer epochs than fitted are within."""
    found = {}
    for name, value in (("params", parameters), ("tokens", tokens), ("epochs", max(epochs, 1.0))):
        low, high = fitted.ranges[name]
        least = 1.0 if name == "epochs" else low
        found[name] = max(value / max(high, 1.0 if name == "epochs" else high), least / value, 1.0)
    return found


def outside(fitted: FittedPools, asked: DataQuestion, epochs: float) -> dict[str, Any]:
    """`factors`, their product, and a line that says how far the question is from what was fitted."""
    factors = factors_outside(fitted, asked.parameters, asked.budget, epochs)
    product = float(np.prod(list(factors.values())))
    beyond = [_beyond(fitted, name, factor) for name, factor in factors.items() if factor > 1.0005]
    if not beyond:
        told = "within the fitted runs"
    else:
        told = f"outside the fitted runs: {listed(beyond)}"
        if product > FAR:
            told += "; so far out this is no forecast: fit the law to runs of your own nearer to it (--table)"
    return {"factors": factors, "product": product, "within": not beyond, "told": told}


def _beyond(fitted: FittedPools, name: str, factor: float) -> str:
    low, high = fitted.ranges[name]
    times = f"{factor:.2f}" if factor < 10 else f"{factor:,.0f}"
    return f"{name} {times} times beyond {amount(low)} to {amount(high)}"


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]


def _ends(drawn: Floats) -> dict[str, float]:
    low, high = np.quantile(drawn, BAND)
    return {"low": float(low), "high": float(high)}


def told(answer: Mapping[str, Any]) -> list[str]:
    """The answer in lines for people."""
    best, rate, repeats = answer["best"], answer["strictness"], answer["repetition"]
    at_hand = (
        "given" if answer["available_given"] else "taken: as many as the budget; --available says how many you have"
    )
    asked = f"{amount(answer['budget'])} tokens, {amount(answer['params'])} parameters"
    agreed = f"{best['pool']} (keep rate {best['keep_rate']:.3g}), best in {best['agreed']:.0%} of the draws"
    of_rates = f"of keep rates alone {rate['keep_rate']:.3g} ({rate['low']:.3g} to {rate['high']:.3g})"
    half = f"{repeats['half_life']:.3g} repeats ({repeats['low']:.3g} to {repeats['high']:.3g})"
    lines = [
        f"{asked}, {amount(answer['available'])} unique tokens in the loosest pool ({at_hand})",
        f"How strict: {agreed}; {of_rates}",
        f"How often: {_often(answer)}; one more repeat is worth half as much as new text after {half}",
        f"The question is {answer['extrapolation']['told']}",
    ]
    if best["agreed"] < 0.8:
        lines.insert(2, "Undecided: fewer than 80 % of the draws agree on the pool")
    return lines


def amount(value: float) -> str:
    """Three digits and a letter: 2.41M."""
    for unit, size in reversed(UNITS.items()):
        if value >= size:
            return f"{value / size:.4g}{unit}" if value / size >= 1000 else f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _often(answer: Mapping[str, Any]) -> str:
    row = next(each for each in answer["pools"] if each["pool"] == answer["best"]["pool"])
    epochs = f"this budget is {row['epochs']:.3g} epochs of it"
    ends = row["overtaken"]
    if ends is None:
        return f"{epochs}, and there is no looser pool to go to"
    if ends["tokens"] is None:
        return f"{epochs}, and no budget up to the largest compared makes a looser pool better"
    if not ends["tokens"]:
        return f"{epochs}, and at any budget {ends['by']}, which is looser, is better"
    low, high = (
        f"{ends[end] / row['unique_tokens']:.3g}" if ends[end] is not None else "never" for end in ("low", "high")
    )
    return f"{epochs}; repeat it up to {ends['epochs']:.3g} epochs ({low} to {high}), then {ends['by']} is better"
