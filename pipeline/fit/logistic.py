"""Logistic regression with a Gaussian prior, by Newton's method: small, deterministic, the same on one thread."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS = 50
_TOLERANCE = 1e-9
_LONGEST_STEP = 2.0


def fit_logistic(x: Floats, y: Floats, prior: Floats, width: Floats, balanced: bool = True) -> Floats:
    """The most probable weights (the intercept first) of P(y = 1), around `prior` with standard deviations `width`.

    x: [n, features]; y: 0 or 1. `balanced`: both classes have the same total weight, however many rows they have.
    """
    x = np.column_stack([np.ones(len(x)), x])
    sizes = np.array([max((y == 0).sum(), 1), max((y == 1).sum(), 1)])
    importance = len(y) / (2 * sizes[y.astype(int)]) if balanced else np.ones(len(y))
    weights, precision = prior.astype(np.float64), np.diag(1 / width**2)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (importance * (p - y)) + precision @ (weights - prior)
        curvature = (x * (importance * p * (1 - p))[:, None]).T @ x + precision
        step = np.linalg.solve(curvature, gradient)
        longest = float(np.abs(step).max())
        weights = weights - step * min(1.0, _LONGEST_STEP / max(longest, _TOLERANCE))
        if longest < _TOLERANCE:
            break
    return weights
