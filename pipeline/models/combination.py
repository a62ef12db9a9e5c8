"""Combinations: a signal of several others, the logistic function of a sum of one curve for each.

The fitted numbers are a file, which a recipe's `combine` step names as its model:

    {"format": "refinery.combination/1", "intercept": -0.4, "terms": [
      {"signal": "words", "at": [62, 356], "add": [-2.7, 0.2], "missing": -0.3}
    ]}
"""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite
from pathlib import Path
from typing import Any

from infra.errors import UsageError

FORMAT = "refinery.combination/1"
# Beyond it the logistic function is 0 or 1 to any number of digits that is kept.
MAX_MARGIN = 50.0
ADVICE = "run `refinery fit combination` or `refinery fit defaults`"


@dataclass(frozen=True)
class Term:
    """What one signal adds: `add[i]` at the value `at[i]`, a straight line between, flat outside.

    A signal that is not measured adds `missing`.
    """

    signal: str
    at: tuple[float, ...]
    add: tuple[float, ...]
    missing: float = 0.0

    def added(self, value: float | None) -> float:
        if value is None:
            return self.missing
        at = bisect_right(self.at, value)
        if at == 0:
            return self.add[0]
        if at == len(self.at):
            return self.add[-1]
        before, after = self.add[at - 1], self.add[at]
        share = (value - self.at[at - 1]) / (self.at[at] - self.at[at - 1])
        # rounding must not carry it past the ends: `largest` is never exceeded
        return min(max(before + share * (after - before), min(before, after)), max(before, after))

    @property
    def largest(self) -> float:
        """The most that it can add, whatever the signal is."""
        return max(*self.add, self.missing)


@dataclass(frozen=True)
class Combination:
    intercept: float
    terms: tuple[Term, ...]

    def as_text(self) -> str:
        """The content of its file: a term a line."""
        terms = [
            {"signal": each.signal, "at": _short(*each.at), "add": _short(*each.add), "missing": each.missing}
            for each in self.terms
        ]
        head = json.dumps({"format": FORMAT, "intercept": self.intercept, "terms": []}).removesuffix("]}")
        return head + "\n  " + ",\n  ".join(map(json.dumps, terms)) + "\n]}\n"


def load_combination(path: Path) -> Combination:
    """The combination in the file at `path`. UsageError when it is none."""
    try:
        found = json.loads(path.read_bytes())
        if found["format"] != FORMAT or not found["terms"] or {*found} != {"format", "intercept", "terms"}:
            raise ValueError("not a combination")
        return Combination(_number(found["intercept"]), tuple(_term(each) for each in found["terms"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise UsageError(f"{path} is no {FORMAT} model: {ADVICE}") from None


def _term(source: Mapping[str, Any]) -> Term:
    signal, at, add = source["signal"], source["at"], source["add"]
    if {*source} != {"signal", "at", "add", "missing"} or not isinstance(signal, str) or not is_curve(at, add):
        raise ValueError(signal)
    return Term(signal, tuple(map(_number, at)), tuple(map(_number, add)), _number(source["missing"]))


def is_curve(at: Sequence[float], add: Sequence[float]) -> bool:
    """Whether the points rise, and each has its number."""
    return len(at) == len(add) > 0 and list(at) == sorted(set(at))


def _short(*values: float) -> list[float]:
    """Whole numbers without a point."""
    return [int(value) if value.is_integer() else value for value in values]


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise ValueError(value)
    return float(value)


def logistic(total: float, digits: int = 6) -> float:
    """1 / (1 + e**-total), to a fixed number of digits: what is left does not depend on a CPU's library."""
    return round(1.0 / (1.0 + exp(-min(max(total, -MAX_MARGIN), MAX_MARGIN))), digits)
