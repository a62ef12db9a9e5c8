"""The exact linear program: what it finds satisfies every row, and its prices prove that nothing is larger."""

from fractions import Fraction
from itertools import product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mixers.simplex import Optimum, largest_sum

# Few kinds of weights, so that rows depend on one another and steps have length 0.
WEIGHTS = st.one_of(
    st.sampled_from([Fraction(n, 10) for n in (-10, -5, -3, 0, 5, 7, 10)]),
    st.decimals(-1, 1, places=9).map(Fraction),
)
SIZES = st.one_of(st.integers(0, 3), st.integers(1, 10**12), st.sampled_from([1, 10**9, 10**12])).map(Fraction)


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[list[Fraction]], list[Fraction]]:
    count = draw(st.integers(1, 8))
    rows = draw(st.lists(st.lists(WEIGHTS, min_size=count, max_size=count), max_size=7))
    return rows, draw(st.lists(SIZES, min_size=count, max_size=count))


def check(rows: list[list[Fraction]], most: list[Fraction], found: Optimum) -> None:
    assert all(0 <= amount <= bound for amount, bound in zip(found.amounts, most, strict=True))
    assert all(sum(a * x for a, x in zip(row, found.amounts)) >= 0 for row in rows)
    assert min([*found.prices_of_most, *found.prices_of_rows], default=0) >= 0
    for place, price in enumerate(found.prices_of_most):
        assert price >= 1 + sum(row[place] * y for row, y in zip(rows, found.prices_of_rows, strict=True))
    assert sum(price * bound for price, bound in zip(found.prices_of_most, most)) == found.total


@settings(max_examples=400, deadline=None)
@given(programs())
@example(([], [Fraction(3)]))
@example(([[Fraction(-1)]], [Fraction(0)]))
def test_prices_prove_that_nothing_is_larger(program: tuple[list[list[Fraction]], list[Fraction]]) -> None:
    found = largest_sum(*program)
    check(*program, found)
    assert found == largest_sum(*program)  # of several optima always the same


def test_one_token_beside_many() -> None:
    """Half is of the second: 2 tokens; a billionth is: all of the first."""
    most = [Fraction(10**12), Fraction(1)]
    for share, total in ((Fraction(1, 2), 2), (Fraction(1, 10**9), 10**9), (Fraction(1, 10**13), 10**12 + 1)):
        rows = [[-share, 1 - share]]
        found = largest_sum(rows, most)
        assert found.total == total
        check(rows, most, found)


def test_many_rows_end() -> None:
    """Every row of three weights on four amounts, 81 of them, all of which hold at nothing alone."""
    rows = [[Fraction(value) for value in row] for row in product((-1, 0, 1), repeat=4)]
    found = largest_sum(rows, [Fraction(10**place) for place in (0, 4, 8, 12)])
    assert found.total == 0
    check(rows, [Fraction(10**place) for place in (0, 4, 8, 12)], found)
