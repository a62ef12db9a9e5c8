"""The largest size of a mixture: a linear program in the shares of its groups and z = 1 / T, which it makes least.

A group of C tokens with repeats allows the share C z. HiGHS (Huangfu and Hall 2018) solves it by the simplex method,
which is deterministic; the rows with a price (dual value) are those that limit the size.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog

from infra.errors import UsageError
from mixers.constraints import SLACK, Constraint, Pool, listed, names_of
from mixers.polytope import Floats, Infeasible, nearest_point

# Shares larger than this many mixtures bind nothing; they would only spoil the scale of the numbers.
_MOST = 1e4


def largest_size(constraints: Sequence[Constraint], pool: Pool) -> tuple[float, tuple[str, ...]]:
    """The largest T that the constraints allow, and the names of those that limit it. UsageError when there is none."""
    total = float(pool.capacity.sum())
    if total <= 0:
        raise _none_satisfies([each.name for each in constraints if each.kind == "epochs"])
    unit, prices = total, np.zeros(0)
    rows = [each for each in constraints if each.kind != "shares"]
    # In units of the size found before, so that the numbers of groups that matter are near 1.
    for _ in range(2):
        each_unit = np.array([row.per_token for row in rows]) / unit
        matrix = np.hstack([-np.stack([row.coefficients for row in rows]), np.maximum(each_unit, -_MOST)[:, None]])
        found = linprog(
            np.append(np.zeros(len(pool.cells)), 1.0), A_ub=matrix, b_ub=[-row.constant for row in rows],
            A_eq=np.append(np.ones(len(pool.cells)), 0.0)[None, :], b_eq=[1.0], bounds=(0, None), method="highs-ds",
        )  # fmt: skip
        if found.status != 0:
            raise _none_satisfies(_contradiction(constraints, pool))
        prices = -found.ineqlin.marginals
        unit /= max(float(found.x[-1]), 1.0 / _MOST)
    limits = names_of(rows, prices) if prices.max(initial=0.0) > 0 else ()
    return unit * (1 - SLACK), limits


def _contradiction(constraints: Sequence[Constraint], pool: Pool) -> Sequence[str]:
    """The names of constraints that contradict each other in a mixture so small that only caps of 0 epochs bind."""
    smallest = float(pool.capacity[pool.capacity > 0].min())
    matrix: Floats = np.stack([each.coefficients for each in constraints])
    bounds = np.array([each.bound(smallest) for each in constraints])
    try:
        nearest_point(pool.supply / pool.supply.sum(), matrix, bounds)
    except Infeasible as infeasible:
        return names_of(constraints, infeasible.certificate)
    raise AssertionError("a mixture satisfies the constraints, and the linear program found none")


def _none_satisfies(names: Sequence[str]) -> UsageError:
    return UsageError(f"no mixture of this pool, of any size, satisfies {listed(names)}; loosen one of these")
