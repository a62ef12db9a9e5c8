"""The bounds of one axis of a language: its domains compete for the documents, each with a floor.

The documents of an axis go to the highest ranks, whatever their domain is. A domain that would be left with a smaller
part of its documents than the floor, a part of what the axis keeps of all its documents, gets its own best ones up to
the floor; the others compete for the rest. Without it the domain that most pages have takes nearly all: a score is a
little higher for news and science than for talk, fiction and the arts, and near the bound its order says little.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipeline.pool.quotas import whole
from pipeline.pool.score_cells import SCORE_BINS, Cells, joined, ranks

# No group is kept to more than this share: a bound that passes nearly all of a group says nothing of quality.
MOST_OF_GROUP = 0.5


class GroupBound(NamedTuple):
    """The least rank of a group, and what passes: tokens, and documents that are good by their score, in millionths."""

    rank: float
    tokens: int
    good: int


def by_axis(cells: Mapping[str, Cells]) -> dict[str, dict[str, Cells]]:
    """The groups, whose names end in a domain, by what is before it; "" where nothing is."""
    found: dict[str, dict[str, Cells]] = {}
    for name, each in cells.items():
        found.setdefault(name.rpartition("/")[0], {})[name] = each
    return found


def axis_sizes(cells: Mapping[str, Cells]) -> dict[str, int]:
    """The documents of each axis, by the same names."""
    return {name: sum(each.all_docs for each in domains.values()) for name, domains in by_axis(cells).items()}


def best(cells: Cells, price: float, free: int, docs: int) -> GroupBound:
    """The least rank at which at most so many documents pass. Where no cell fits, a rank above all: a group without a
    bound would get that of another."""
    rank = ranks(cells.scores, cells.lengths, price, free)
    order = np.argsort(-rank, kind="stable")
    ordered, counts = rank[order], np.cumsum(cells.docs[order])
    last = np.append(ordered[1:] != ordered[:-1], True)  # where a rank ends: equal ones are kept or rejected together
    fits = np.flatnonzero(last & (counts <= docs))
    if not len(fits):
        return GroupBound(float(ordered[0]) + 1 / SCORE_BINS, 0, 0)
    kept = order[: fits[-1] + 1]
    return GroupBound(float(ordered[fits[-1]]), int(cells.tokens[kept].sum()), int(cells.good[kept].sum()))


def best_of_domains(
    domains: Mapping[str, Cells], price: float, free: int, docs: int, floor: float
) -> dict[str, GroupBound]:
    """The bound of each domain of an axis, at which at most `docs` documents pass together. `floor`: 0 to 1, the least
    that the part of a domain's documents that is kept is, as a part of the axis's."""
    if len(domains) == 1:
        return {name: best(each, price, free, docs) for name, each in domains.items()}
    size = sum(each.all_docs for each in domains.values())
    share = min(floor * docs / size, MOST_OF_GROUP)
    least = whole({name: share * each.all_docs for name, each in domains.items()}, docs)
    found: dict[str, GroupBound] = {}
    left = dict(domains)
    while left:
        bound = best(joined(left.values()), price, free, docs - sum(least[name] for name in found)).rank
        passed = {name: ranks(each.scores, each.lengths, price, free) >= bound for name, each in left.items()}
        short = [name for name, over in passed.items() if left[name].docs[over].sum() < least[name]]
        if not short:
            return found | {
                name: GroupBound(bound, int(left[name].tokens[over].sum()), int(left[name].good[over].sum()))
                for name, over in passed.items()
            }
        for name in short:
            found[name] = best(left.pop(name), price, free, least[name])
    return found
