"""The largest sum of amounts that have upper bounds and keep to proportions: a linear program, solved exactly.

Maximises the sum of x subject to 0 <= x <= most and rows @ x >= 0. The simplex method for bounded variables (Dantzig
1963) begins at x = 0, which satisfies every row. Numbers are Python's integers over one denominator, as in Edmonds'
variant of Gauss's elimination: a pivot multiplies, subtracts and divides without a remainder, so there is no tolerance,
and amounts of 1 and of 10^12 stand beside each other. The largest gain enters; after a step of length 0 the first one
does, until there is a longer step (Bland 1977), so that it cannot cycle.

Shapes: N amounts, M rows.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# Of Python's integers.
Whole = npt.NDArray[Any]


class Optimum(NamedTuple):
    """`prices_of_most` and `prices_of_rows` are dual values, all at least 0: by how much the sum would rise with the
    bound of an amount, and with how far a row may be below 0. The sum is `prices_of_most` @ most, which proves it."""

    amounts: list[Fraction]
    prices_of_most: list[Fraction]
    prices_of_rows: list[Fraction]

    @property
    def total(self) -> Fraction:
        return sum(self.amounts, Fraction(0))


def largest_sum(rows_MN: Sequence[Sequence[Fraction]], most_N: Sequence[Fraction]) -> Optimum:
    """The optimum; `most` are at least 0. Of several it is always the same."""
    used = [place for place, bound in enumerate(most_N) if bound > 0]
    scales = [lcm(*(value.denominator for value in row)) for row in rows_MN]
    unit = lcm(*(bound.denominator for bound in most_N))
    tableau = _Tableau(
        [[int(row[place] * scale) for place in used] for row, scale in zip(rows_MN, scales, strict=True)],
        [int(most_N[place] * unit) for place in used],
    )
    tableau.solve()
    prices = [scale * price for scale, price in zip(scales, tableau.prices_of_slacks())]
    amounts = [Fraction(0)] * len(most_N)
    for place, value in zip(used, tableau.amounts()):
        amounts[place] = value / unit
    gains = [1 + sum((row[n] * y for row, y in zip(rows_MN, prices)), Fraction(0)) for n in range(len(most_N))]
    return Optimum(amounts, [max(gain, Fraction(0)) for gain in gains], prices)


class _Tableau:
    """Basic variables (at first the slack of each row) in terms of the others (at first the amounts), each of which is
    at 0 or at its bound: basic[i] = sum of table[i, j] * other[j] / denominator. The last row is the sum of amounts.
    Variables are numbered, amounts first."""

    def __init__(self, rows: Sequence[Sequence[int]], bounds: Sequence[int]) -> None:
        self.count = len(bounds)
        self.table: Whole = np.empty((len(rows) + 1, self.count), dtype=object)
        for place, row in enumerate([*rows, [1] * self.count]):
            self.table[place] = row
        self.denominator = 1
        self.basic = [self.count + place for place in range(len(rows))]
        self.others = list(range(self.count))
        self.bounds = dict(enumerate(bounds))
        """Of variables that have one."""
        self.full: set[int] = set()
        """Variables that are not basic, at their bound."""

    def solve(self) -> None:
        first = False
        while (entering := self._entering(first)) is not None:
            first = not self._step(entering)

    def _entering(self, first: bool) -> int | None:
        """The place of a variable whose change raises the sum: of the largest gain, or the first by number."""
        gains = [-gain if name in self.full else gain for name, gain in zip(self.others, self.table[-1].tolist())]
        useful = [place for place, gain in enumerate(gains) if gain > 0]
        if not useful:
            return None
        return min(useful, key=lambda place: (0 if first else -gains[place], self.others[place]))

    def _step(self, place: int) -> bool:
        """Changes a variable until it or a basic one is at an end; whether that is any change at all."""
        name = self.others[place]
        sign = -1 if name in self.full else 1
        best, leaving, fills = None, -1, False
        if name in self.bounds:
            best = Fraction(self.bounds[name])
        for row, (each, rate) in enumerate(zip(self.basic, (sign * self.table[:-1, place]).tolist())):
            if rate == 0 or (rate > 0 and each not in self.bounds):
                continue
            value = self._values[row]
            room = self.bounds[each] * self.denominator - value if rate > 0 else value
            length = Fraction(room, abs(rate))
            if best is None or length < best or (length == best and leaving >= 0 and each < self.basic[leaving]):
                best, leaving, fills = length, row, rate > 0
        assert best is not None, "all amounts have bounds"
        if leaving < 0:
            self.full ^= {name}
        else:
            self._pivot(leaving, place, fills)
        self.__dict__.pop("_values", None)
        return best > 0

    def _pivot(self, row: int, place: int, fills: bool) -> None:
        """Exchanges a basic variable, which ends at its bound (`fills`) or at 0, for another."""
        entering, out = self.others[place], self.basic[row]
        self.full.discard(entering)
        if fills:
            self.full.add(out)
        pivot, own, column = self.table[row, place], self.table[row].copy(), self.table[:, place].copy()
        self.table = (self.table * pivot - np.outer(column, own)) // self.denominator
        self.table[row], self.table[:, place] = -own, column
        self.table[row, place] = self.denominator
        self.denominator = pivot
        if pivot < 0:
            self.table, self.denominator = -self.table, -pivot
        self.others[place], self.basic[row] = out, entering

    @cached_property
    def _values(self) -> list[int]:
        """Of the basic variables and of the sum, times the denominator."""
        held = np.array([self.bounds[name] if name in self.full else 0 for name in self.others], dtype=object)
        return [int(value) for value in self.table @ held] if self.count else [0] * len(self.table)

    def amounts(self) -> list[Fraction]:
        found = dict.fromkeys(range(self.count), Fraction(0))
        found |= {name: Fraction(self.bounds[name]) for name in self.full}
        found |= {name: Fraction(v, self.denominator) for name, v in zip(self.basic, self._values)}
        return [found[name] for name in range(self.count)]

    def prices_of_slacks(self) -> list[Fraction]:
        """What a row of integers costs: of those whose slack is basic, nothing."""
        gains = dict(zip(self.others, self.table[-1].tolist()))
        names = range(self.count, self.count + len(self.basic))
        return [Fraction(-gains.get(name, 0), self.denominator) for name in names]
