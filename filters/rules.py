"""Rules: bounds on signals, as data; and `judge`, which finds every rule that fails.

`threshold = None` switches a rule off; zero is a threshold like any other (datatrove treats zero as off). A value equal
to its threshold passes. A null value never rejects, since nothing was measured. A rule on a signal that is never
measured would therefore pass everything: so `judge` raises if `values` lacks the signal, and a caller that passes null
for unmeasured signals must check beforehand that each one is set by some step.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal, NamedTuple

Bound = Literal["min", "max"]


@dataclass(frozen=True)
class Rule:
    """`signal` must be at least (`min`) or at most (`max`) `threshold`; `source` cites where the number comes from.

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
        """The rule's name in the ledger: `min_words`, `max_duplicate_line_fraction`."""
        return f"{self.bound}_{self.signal}"

    def passes(self, value: float | None) -> bool:
        """Whether `value` is within the bound; True for a null value and for a rule that is off."""
        if value is None or self.threshold is None:
            return True
        return value >= self.threshold if self.bound == "min" else value <= self.threshold


class Failure(NamedTuple):
    """One failed rule, with the value and the threshold."""

    rule: Rule
    value: float
    threshold: float


def judge(values: Mapping[str, float | None], rules: Iterable[Rule]) -> list[Failure]:
    """Returns every failed rule, in the order of `rules` (not only the first, so that thresholds can be moved later).

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
