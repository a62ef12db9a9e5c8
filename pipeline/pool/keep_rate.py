"""Keep the best of a pool: so many documents and tokens as are a given share of what a baseline recipe keeps of it.

What the baseline keeps is estimated on the audit sample (`pipeline/job/baseline.py`). The budgets are `aim_docs` and
`aim_tokens` times the estimates, and no more than `at_most` times the lower ends of their intervals.

1. The documents are shared among groups (language, and IQ, EQ or general by the domain label) in proportion to the
   pool, with floors: so each group is cut by its own scores. The domains of an axis compete for its documents, but
   none loses more than a floor allows: where it would, its bound is lower (`domain_bounds.py`).
2. Within a group the documents with the highest rank are kept: the score, a probability, less `price` for each
   `free_tokens` by which a document is longer than that, the budget of tokens over that of documents. To rank by the
   score alone would fill the tokens with a few long documents. With a price for tokens what is kept has nearly the most
   good documents that both budgets allow, as the score tells it (the Lagrangian of a knapsack). Shorter ones gain
   nothing, or stubs would win. The price is that of a grid at which most good ones are kept within the budgets; the
   grid ends where short documents of middling chances would take the place of long good ones: then fewer are kept.

Documents under `least_score` count nowhere: of a group of junk not even the best are kept.

Both are found from counters of cells (`score_cells.py`), which are the same on every engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.hashing import sha256_json
from infra.ledger import Reject
from pipeline.job.baseline import Baseline
from pipeline.pool.apply import Verdict
from pipeline.pool.domain_bounds import MOST_OF_GROUP, GroupBound, axis_sizes, best_of_domains, by_axis
from pipeline.pool.quotas import shared, whole
from pipeline.pool.score_cells import (
    DOMAIN,
    LANGUAGE,
    UNKNOWN,
    Cells,
    Ints,
    chances,
    joined,
    least_bin,
    least_value,
    ranks,
)

# What each `free_tokens` beyond the first may cost, in probability.
MOST_PRICE = 0.15
PRICES = tuple(number / 400 for number in range(round(MOST_PRICE * 400) + 1))
# When even the largest price keeps too many tokens, the budget of documents shrinks in such steps.
SHRINK = 0.95


@dataclass(frozen=True)
class KeepBudget:
    docs: int
    tokens: int

    @property
    def free_tokens(self) -> int:
        """Where no document is longer, both budgets hold."""
        return self.tokens // max(self.docs, 1)


@dataclass(frozen=True)
class Bounds:
    """`price`, the tokens up to which length costs nothing, and the least rank by group; a group that is not named has
    the highest one of its axis, else of its language, else of all. `least_score`: what no document may be under."""

    price: float
    free_tokens: int
    groups: Mapping[str, float]
    least_score: float = 0.0

    @property
    def costs(self) -> tuple[float, int]:
        return self.price, self.free_tokens

    def of(self, group: str) -> float | None:
        if group in self.groups or not self.groups:
            return self.groups.get(group)
        parts = group.split("/")
        for depth in range(len(parts) - 1, 0, -1):
            if near := [rank for name, rank in self.groups.items() if name.split("/")[:depth] == parts[:depth]]:
                return max(near)
        return max(self.groups.values())

    def passed(self, group: str, scores: Ints, lengths: Ints) -> npt.NDArray[np.bool_]:
        """Whether documents with these bins of score and length pass."""
        bound = self.of(group)
        ranked = ranks(scores, lengths, *self.costs) >= (np.inf if bound is None else bound)
        return np.asarray(ranked & (scores >= least_bin(self.least_score)))

    def kept(self, cells: Mapping[str, Cells]) -> dict[str, tuple[int, int]]:
        """Documents and tokens that pass, by group."""
        found = {}
        for name, each in cells.items():
            passed = self.passed(name, each.scores, each.lengths)
            found[name] = int(each.docs[passed].sum()), int(each.tokens[passed].sum())
        return found

    def as_json(self) -> dict[str, Any]:
        return {"price": self.price, "free_tokens": self.free_tokens, "groups": dict(self.groups)}


def budget_of(baseline: Baseline, aim_docs: float, aim_tokens: float, at_most: float) -> KeepBudget:
    """The most documents and tokens to keep."""
    docs = min(aim_docs * baseline.docs, at_most * (baseline.docs_interval[0] or 0.0))
    tokens = min(aim_tokens * baseline.tokens, at_most * (baseline.tokens_interval[0] or 0.0))
    return KeepBudget(int(docs), int(tokens))


@dataclass(frozen=True)
class Floors:
    """What each group keeps at least. `language`: of a language's share of the extracted pages, the least that its
    share of what is kept is. `axis`: the least share of a language's documents that is of an axis. `domain`: the least
    that the part of a domain's documents that is kept is, as a part of its axis's."""

    language: float = 1.0
    axis: float = 0.15
    domain: float = 0.7


def quotas(
    docs: int,
    cells: Mapping[str, Cells],
    by: tuple[str, ...],
    floors: Floors,
    spoken: Mapping[str, float],
    whole_sizes: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """The documents that each group may keep. `spoken`: the extracted pages of each language; `whole_sizes`: the
    documents of each group where its cells are some of them alone."""
    sizes = {name: float(each.all_docs) for name, each in cells.items()}
    caps = {name: min((whole_sizes or sizes)[name] * MOST_OF_GROUP, size) for name, size in sizes.items()}
    if LANGUAGE not in by:
        return whole(shared(docs, sizes, dict.fromkeys(sizes, floors.axis * docs), caps), docs)
    members: dict[str, list[str]] = {}
    for name in sizes:
        members.setdefault(name.split("/")[0], []).append(name)
    pages = sum(spoken.values())
    least = {name: floors.language * docs * spoken.get(name, 0.0) / pages if pages else 0.0 for name in members}
    of_languages = shared(
        docs,
        {name: sum(sizes[each] for each in mine) for name, mine in members.items()},
        least,
        {name: sum(caps[each] for each in mine) for name, mine in members.items()},
    )
    parts: dict[str, float] = {}
    for language, mine in members.items():
        total = of_languages[language]
        floor = dict.fromkeys(mine, floors.axis * total)
        parts |= shared(total, {name: sizes[name] for name in mine}, floor, {name: caps[name] for name in mine})
    return whole(parts, docs)


def find_bounds(
    budget: KeepBudget,
    cells: Mapping[str, Cells],
    by: tuple[str, ...],
    floors: Floors,
    spoken: Mapping[str, float],
    least_score: float = 0.0,
) -> Bounds:
    """The bounds that keep the most good documents, by their scores, within both budgets."""
    docs, none = budget.docs, Bounds(0.0, budget.free_tokens, {}, least_score)
    over = {name: each.of_score(least_score) for name, each in cells.items()}
    sizes = axis_sizes(cells) if DOMAIN in by else {name: each.all_docs for name, each in cells.items()}
    cells = {name: each for name, each in over.items() if each.all_docs}
    members = by_axis(cells) if DOMAIN in by else {name: {name: each} for name, each in cells.items()}
    axes = {name: joined(each.values()) for name, each in members.items()}
    while docs > 0:
        parts = quotas(docs, axes, by, floors, spoken, sizes)
        most, chosen = -1, none
        for price in PRICES:
            found: dict[str, GroupBound] = {}
            for name, domains in members.items():
                found |= best_of_domains(domains, price, budget.free_tokens, parts[name], floors.domain)
            good = sum(each.good for each in found.values())
            if good > most and sum(each.tokens for each in found.values()) <= budget.tokens:
                groups = {name: each.rank for name, each in sorted(found.items())}
                most, chosen = good, replace(none, price=price, groups=groups)
        if most >= 0:
            return chosen
        docs = int(docs * SHRINK)
    return none


@dataclass(frozen=True)
class KeepRateJudge:
    """Passes documents whose rank is the bound of their group or above it. The rejection names the score that a
    document of its length would have needed."""

    step: str
    signal: str
    bounds: Bounds

    @property
    def fingerprint(self) -> str:
        return sha256_json(["keep-rate", self.step, self.signal, self.bounds.as_json(), self.bounds.least_score])

    @property
    def names(self) -> tuple[str, ...]:
        """Empty for the language score, which has a column of its own."""
        return () if self.signal == "language_score" else (self.signal,)

    def __call__(self, known: dict[str, Any]) -> Verdict:
        signals = dict.fromkeys(self.names, known["value"])
        group, length = known["group"] or UNKNOWN, known["length"]
        if self.bounds.passed(group, np.array([known["score"]]), np.array([length]))[0]:
            return Verdict(signals, None)
        bound = self.bounds.of(group)
        floor = float(chances(np.array(least_bin(self.bounds.least_score))))
        least = None if bound is None else max(least_value(bound, length, *self.bounds.costs), floor)
        return Verdict(signals, Reject(self.step, f"min_{self.signal}", known["value"], least))
