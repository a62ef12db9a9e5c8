"""The relation between a distance and the bits per byte of a model: a line by least squares over distributions.

How well it holds is told by what it says of distributions that it was not fitted on: each is left out in turn. The
intervals are of a bootstrap over distributions, which are few; a relation of fewer than `LEAST` is not fitted.

Shapes: C distributions, P predictors, R resamples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from pipeline.metric.intervals import RESAMPLES, interval

LEAST = 5

Floats = npt.NDArray[np.float64]


def relation(y_C: Floats, predictors: Mapping[str, Floats], seed: int = 0) -> dict[str, Any] | None:
    """y = intercept + a coefficient for each predictor. None for fewer than `LEAST` distributions, or predictors that
    have no two values.

    {intercept, coefficients: {name: {value, low, high}}, r2, spearman (of what is said and y), error and
    error_of_mean (root mean square of what is said of the one left out, by the line and by the others' mean), cells}.
    """
    x_CP = np.stack([*predictors.values()], 1)
    if len(y_C) < max(LEAST, x_CP.shape[1] + 3) or (np.ptp(x_CP, axis=0) == 0).any() or np.ptp(y_C) == 0:
        return None
    solved = fit(x_CP, y_C)
    said_C = solved[0] + x_CP @ solved[1:]
    residual = float(((y_C - said_C) ** 2).sum() / ((y_C - y_C.mean()) ** 2).sum())
    drawn_R = _resampled(x_CP, y_C, seed)
    coefficients = {}
    for number, name in enumerate(predictors, 1):
        low, high = interval(drawn_R[:, number])
        coefficients[name] = {"value": float(solved[number]), "low": low, "high": high}
    return {
        "cells": len(y_C),
        "intercept": float(solved[0]),
        "coefficients": coefficients,
        "r2": 1.0 - residual,
        "spearman": spearman(said_C, y_C),
        "error": _rms(left_out(x_CP, y_C)),
        "error_of_mean": _rms(left_out(x_CP[:, :0], y_C)),
    }


def fit(x_CP: Floats, y_C: Floats) -> Floats:
    """Intercept and coefficients, [1 + P]; of several solutions the smallest."""
    design = np.concatenate([np.ones((len(y_C), 1)), x_CP], 1)
    found: Floats = np.linalg.lstsq(design, y_C, rcond=None)[0]
    return found


def left_out(x_CP: Floats, y_C: Floats) -> Floats:
    """Of each distribution, how far what the line of all others says of it is off, [C]."""
    errors = []
    for number in range(len(y_C)):
        others = np.arange(len(y_C)) != number
        solved = fit(x_CP[others], y_C[others])
        errors.append(float(solved[0] + x_CP[number] @ solved[1:] - y_C[number]))
    return np.array(errors)


def _resampled(x_CP: Floats, y_C: Floats, seed: int) -> Floats:
    """Solutions for distributions drawn with repetition, [R, 1 + P]."""
    random = np.random.Generator(np.random.Philox(seed))
    draws = random.integers(0, len(y_C), (RESAMPLES, len(y_C)))
    return np.stack([fit(x_CP[drawn], y_C[drawn]) for drawn in draws])


def spearman(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float | None:
    """The correlation of ranks; None where one of them has no two."""
    ranks = [rankdata(values) - (len(values) + 1) / 2 for values in (first, second)]
    size = float(np.sqrt(np.prod([np.sum(each**2) for each in ranks])))
    return float(ranks[0] @ ranks[1]) / size if size else None


def _rms(errors: Floats) -> float:
    return float(np.sqrt((errors**2).mean()))
