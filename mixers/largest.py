"""The largest size of a mixture: a linear program in the tokens of its groups, whose sum it makes most.

Every floor, cap and target says that some tokens are at least, or at most, a share of all: of tokens it says that a sum
with weights is not below 0, which no tokens at all satisfy as well. The simplex method solves that exactly
(`simplex.py`): in floating point a group of one token is nothing beside one of 10^9, and what it limits is not found.
The constraints with a price (dual value) are those that limit the size. A share is the decimal number that it is
written as: .1, .2 and .7 are 1.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from infra.errors import UsageError
from mixers.constraints import SLACK, Constraint, Pool, listed, names_of
from mixers.polytope import TOLERANCE, Floats, Infeasible, nearest_point
from mixers.simplex import Optimum, largest_sum

# Of products and sums of floating point numbers, relative.
_ROUNDING = 1e-12


def largest_size(constraints: Sequence[Constraint], pool: Pool) -> tuple[float, tuple[str, ...]]:
    """The largest T that the constraints allow, and the names of those that limit it. UsageError when there is none."""
    if pool.capacity.sum() <= 0:
        raise _none_satisfies([each.name for each in constraints if each.kind == "epochs"])
    epochs = [each for each in constraints if each.kind == "epochs"]
    rows = [each for each in constraints if each.kind not in ("shares", "epochs")]
    found = _most(rows, pool, Fraction(0))
    if not found.total:
        # thirds are no decimal numbers: shares that add up to 1 but for rounding
        found = _most(rows, pool, Fraction(str(TOLERANCE)))
    if not found.total:
        raise _none_satisfies(_contradiction(constraints, pool) or _limits([*epochs, *rows], found))
    return float(found.total) * (1 - SLACK), _limits([*epochs, *rows], found)


def whole_tokens(size: float) -> int:
    """The most whole tokens that a mixture of `size`, as `largest_size` gives it, allows. That is less than the largest
    by a slack, and may be by a rounding: 7 epochs of a tenth of 10 tokens are 7 tokens."""
    return int(size / (1 - SLACK) * (1 + _ROUNDING))


def _most(rows: Sequence[Constraint], pool: Pool, loosened: Fraction) -> Optimum:
    """The largest mixture. `loosened`: by so much of itself each share."""
    kinds: dict[tuple[float, ...], list[int]] = {}
    """The places of groups that the same rows count: they are solved as one, of the tokens of all."""
    for place in range(len(pool.cells)):
        kinds.setdefault(tuple(float(row.coefficients[place]) for row in rows), []).append(place)
    shares = [_decimal(row.constant) for row in rows]
    shares = [share - loosened * abs(share) for share in shares]
    capacity = [Fraction(float(tokens)) for tokens in pool.capacity]
    found = largest_sum(
        [[_decimal(kind[number]) - share for kind in kinds] for number, share in enumerate(shares)],
        [sum((capacity[place] for place in places), Fraction(0)) for places in kinds.values()],
    )
    price = {place: each for places, each in zip(kinds.values(), found.prices_of_most) for place in places}
    return found._replace(prices_of_most=[price[place] for place in range(len(pool.cells))])


def _decimal(value: float) -> Fraction:
    return Fraction(str(float(value)))


def _limits(constraints: Sequence[Constraint], found: Optimum) -> tuple[str, ...]:
    """Of epochs, a constraint a group, and all others."""
    prices = [float(each) for each in (*found.prices_of_most, *found.prices_of_rows)]
    return names_of(constraints, np.array(prices)) if max(prices, default=0.0) > 0 else ()


def _contradiction(constraints: Sequence[Constraint], pool: Pool) -> Sequence[str]:
    """The names of constraints that contradict each other in a mixture so small that only caps of 0 epochs bind."""
    smallest = float(pool.capacity[pool.capacity > 0].min())
    matrix: Floats = np.stack([each.coefficients for each in constraints])
    bounds = np.array([each.bound(smallest) for each in constraints])
    try:
        nearest_point(pool.supply / pool.supply.sum(), matrix, bounds)
    except Infeasible as infeasible:
        return names_of(constraints, infeasible.certificate)
    return ()  # they do by less than its tolerance


def _none_satisfies(names: Sequence[str]) -> UsageError:
    return UsageError(f"no mixture of this pool, of any size, satisfies {listed(names)}; loosen one of these")
