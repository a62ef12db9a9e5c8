"""How a budget of documents is shared among groups: in proportion, with floors and caps."""

from collections.abc import Mapping, Sequence

Shares = dict[str, float]


def shared(
    total: float, weights: Mapping[str, float], floors: Mapping[str, float], caps: Mapping[str, float]
) -> Shares:
    """`total` shared in proportion to `weights`, but each group gets at least its floor and at most its cap. A group's
    floor is at most its cap; floors of more than the total are cut in proportion. The sum is `total`, or the sum of
    the caps if that is less."""
    names = sorted(weights)
    low = {name: min(floors.get(name, 0.0), caps[name]) for name in names}
    floor = sum(low.values())
    if floor > total:
        low = {name: value * total / floor for name, value in low.items()}
    total = min(total, sum(caps[name] for name in names))
    # the scale at which the clipped shares sum to the total, by bisection: the sum rises with it
    least, most = 0.0, 1.0
    while sum(_clipped(most, weights, low, caps).values()) < total and most < 2**60:
        most *= 2
    for _ in range(200):
        middle = (least + most) / 2
        if sum(_clipped(middle, weights, low, caps).values()) < total:
            least = middle
        else:
            most = middle
    return _clipped(most, weights, low, caps)


def _clipped(scale: float, weights: Mapping[str, float], low: Mapping[str, float], caps: Mapping[str, float]) -> Shares:
    return {name: min(max(scale * weights[name], low[name]), caps[name]) for name in sorted(weights)}


def whole(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers near the shares, that sum to at most `total`: the largest remainders are rounded up, ties by
    name."""
    made = {name: int(value) for name, value in shares.items()}
    order: Sequence[str] = sorted(shares, key=lambda name: (made[name] - shares[name], name))
    left = min(total, round(sum(shares.values()))) - sum(made.values())
    for name in order[: max(left, 0)]:
        made[name] += shares[name] > made[name]
    return made
