"""Intervals of bits per byte: documents are drawn again with repetition, as they are a sample of their distribution.

Shapes: N documents, R resamples.
"""

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
LEVEL = 0.95
_AT_ONCE = 2**22  # numbers of draws

Floats = npt.NDArray[np.float64]


def resampled_ratio(amount_N: Floats, size_N: Floats, seed: int = 0) -> Floats:
    """The sum of amounts over the sum of sizes of each resample, [R]; NaN for fewer than two documents."""
    if len(amount_N) < 2:
        return np.full(RESAMPLES, np.nan)
    random, documents = np.random.Generator(np.random.Philox(seed)), len(amount_N)
    found = []
    for first in range(0, RESAMPLES, rows := max(1, _AT_ONCE // documents)):
        drawn = random.integers(0, documents, (min(rows, RESAMPLES - first), documents))
        found.append(amount_N[drawn].sum(1) / size_N[drawn].sum(1))
    return np.concatenate(found)


def interval(values_R: Floats) -> tuple[float, float] | tuple[None, None]:
    """The middle 95 % of the resamples; None where they have no number."""
    if np.isnan(values_R).any():
        return None, None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values_R, [tail, 1 - tail]).tolist()
    return low, high
