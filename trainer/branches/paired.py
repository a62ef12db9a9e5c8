"""Paired comparisons: how much better or worse several methods are than a control, on the same documents.

A method's bits per byte are its bits over the bytes of all documents. The documents are a sample, so an interval is
that of a bootstrap: they are drawn again with repetition, for all methods at once. Easy and hard documents are so for
every method, and cancel in the difference.

Shapes: N documents, M methods, G groups of documents, R resamples.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RESAMPLES = 4000
# More documents than this are resampled as so many equal parts: the interval of a sum of many is the same.
MOST_UNITS = 4096
_AT_ONCE = 2**22  # numbers of draws


class PairedDifferences(NamedTuple):
    """Bits per byte of the methods less those of the control, [M, G] each; NaN for a group without bytes."""

    difference: Floats
    low: Floats
    high: Floats
    """The ends of the interval; NaN for groups of fewer than two documents."""


def paired_differences(
    bits_MN: Floats, control_N: Floats, bytes_N: Floats, groups_GN: Flags, level: float, seed: int = 0
) -> PairedDifferences:
    """`groups_GN`: which documents each group has. `level`: of each interval, 0 to 1."""
    extra_MN = bits_MN - control_N
    methods, groups = len(bits_MN), len(groups_GN)
    # Columns: the difference of each method in each group, then the bytes of each group.
    columns = [extra_MN[:, None, :] * groups_GN[None], np.broadcast_to(bytes_N * groups_GN, (1, *groups_GN.shape))]
    values_NC = np.concatenate(columns).reshape((methods + 1) * groups, -1).T
    units_UC = summed_units(values_NC)
    drawn_RC = _resampled(units_UC, seed)

    def ratios(totals: Floats) -> Floats:
        split = totals.reshape(-1, methods + 1, groups)
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = split[:, :-1] / split[:, -1:]
        return found

    tail = (1 - level) / 2
    several = groups_GN.sum(1) > 1
    low, high = np.full((2, methods, groups), np.nan)
    # A resample may have none of a rare group.
    low[:, several], high[:, several] = np.nanquantile(ratios(drawn_RC)[:, :, several], [tail, 1 - tail], axis=0)
    return PairedDifferences(ratios(values_NC.sum(0))[0], low, high)


def summed_units(values_NC: Floats) -> Floats:
    """The rows, or the sums of every `MOST_UNITS`-th of them."""
    if len(values_NC) <= MOST_UNITS:
        return values_NC
    room = np.zeros((-(-len(values_NC) // MOST_UNITS) * MOST_UNITS, values_NC.shape[1]))
    room[: len(values_NC)] = values_NC
    found: Floats = room.reshape(-1, MOST_UNITS, values_NC.shape[1]).sum(0)
    return found


def _resampled(units_UC: Floats, seed: int) -> Floats:
    """Column sums of resamples of the rows, [R, C]."""
    random, units = np.random.Generator(np.random.Philox(seed)), len(units_UC)
    rows = max(1, _AT_ONCE // units)
    parts = []
    for first in range(0, RESAMPLES, rows):
        draws = min(rows, RESAMPLES - first)
        places = random.integers(0, units, (draws, units)) + units * np.arange(draws)[:, None]
        counts = np.bincount(places.ravel(), minlength=draws * units).reshape(draws, units)
        parts.append(counts.astype(np.float64) @ units_UC)
    return np.concatenate(parts)


def spearman(first: Floats, second: Floats) -> float | None:
    """The correlation of ranks, (methods,) each; ties have their mean rank. None where one of them has no two ranks."""
    ranks = [_ranks(values) - (len(values) - 1) / 2 for values in (first, second)]
    size = float(np.sqrt(np.prod([np.sum(each**2) for each in ranks])))
    return float(ranks[0] @ ranks[1]) / size if size else None


def _ranks(values: Floats) -> Floats:
    """From 0, ascending."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: Floats = (np.cumsum(counts) - (counts + 1) / 2)[inverse]
    return found
