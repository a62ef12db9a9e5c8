"""Rules: a bound on a signal, as data; and the judge that finds every one that fails.

`threshold = None` switches a rule off; zero is a threshold like any other (datatrove's "falsy means off" silently
disables it). A value that is equal to its threshold passes. A null value never rejects: what was not measured cannot
convict. So a rule on a signal that nothing ever measures would pass everything: `judge` raises where `values` lacks the
signal; who hands in null for what is not measured has to look beforehand that something measures it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal, NamedTuple

Bound = Literal["min", "max"]


@dataclass(frozen=True)
class Rule:
    """`signal` must be at least (`min`) or at most (`max`) `threshold`; `source` says where the number comes from.

    Raises ValueError for an unknown bound or a threshold that is not finite.
    """

    signal: str
    bound: Bound
    threshold: float | None
    source: str = ""

    def __post_init__(self) -> None:
        if self.bound not in ("min", "max"):
            raise ValueError(f"rule on {self.signal!r}: bound must be 'min' or 'max', not {self.bound!r}")
        if self.threshold is not None and not isfinite(self.threshold):
            raise ValueError(f"rule on {self.signal!r}: threshold must be a finite number or None")

    @property
    def name(self) -> str:
        """What the ledger calls it: `min_words`, `max_duplicate_line_fraction`."""
        return f"{self.bound}_{self.signal}"

    def passes(self, value: float | None) -> bool:
        """Whether a value is within the bound; a null value or a rule that is off always is."""
        if value is None or self.threshold is None:
            return True
        return value >= self.threshold if self.bound == "min" else value <= self.threshold


class Failure(NamedTuple):
    """One rule that a document broke, with the number it was broken by."""

    rule: Rule
    value: float
    threshold: float


def judge(values: Mapping[str, float | None], rules: Iterable[Rule]) -> list[Failure]:
    """Every failing rule, in the order of `rules` (not only the first: the ledger must allow other thresholds later).

    Raises ValueError if a rule that is on names a signal that is not in `values`.
    """
    failures = []
    for rule in rules:
        if rule.threshold is None:
            continue
        if rule.signal not in values:
            raise ValueError(f"rule {rule.name!r} needs the signal {rule.signal!r}, which was not measured")
        value = values[rule.signal]
        if value is not None and not rule.passes(value):
            failures.append(Failure(rule, value, rule.threshold))
    return failures
