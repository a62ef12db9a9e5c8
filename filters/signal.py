"""A signal: one number measured on one text.

Measuring and deciding are separate (see `rules`), so that a threshold can be moved later without measuring again.
A signal is total: for any text it returns a finite number, or None for "not measured" (nothing to measure, such as
the mean word length of a text without words, or a language without a list).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from filters.view import View


@dataclass(frozen=True)
class Signal:
    """A named pure function of a View.

    name: the column's name (`signals.NAME`) and what rules refer to.
    measure: View -> finite float, or None for "not measured".
    cost: rough microseconds on a page of 1,000 words, without what other signals of its group have already computed.
    source: the paper, section, table or program that the number comes from.
    doc: one line: what is counted, its unit and range, and what high and low mean.
    """

    name: str
    measure: Callable[[View], float | None]
    cost: float
    source: str
    doc: str


def measure(view: View, signals: Iterable[Signal]) -> dict[str, float | None]:
    """Measures `signals` on one view, the cheapest first; returns the values in the order of `signals`."""
    requested = list(signals)
    found: dict[str, float | None] = {}
    for signal in sorted(requested, key=lambda each: (each.cost, each.name)):
        value = signal.measure(view)
        assert value is None or math.isfinite(value), f"{signal.name} is not finite: {value}"
        found[signal.name] = None if value is None else float(value)
    return {signal.name: found[signal.name] for signal in requested}
