"""Confidence interval of a rate observed in a sample."""

from math import sqrt

# The 97.5th percentile of the normal distribution.
Z = 1.959963984540054
DIGITS = 6


def wilson(hits: float, trials: float) -> list[float]:
    """The 95 % interval of a rate of which `hits` of `trials` (at least one) were observed (E. B. Wilson 1927). Neither
    need be whole: a rate that is known better or worse than from independent trials has its own effective number.

    It assumes independent trials; pages of one host are not independent, so the true interval is wider.
    """
    share, z2 = hits / trials, Z * Z
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z / (1 + z2 / trials) * sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return [round(max(middle - half, 0.0), DIGITS), round(min(middle + half, 1.0), DIGITS)]
