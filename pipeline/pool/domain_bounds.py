"""The bounds of one axis of a language: its domains compete for the documents, each with a floor.

The documents of an axis go to the highest ranks, whatever their domain is. A domain that would be left with a smaller
part of its documents than the floor, a part of what the axis keeps of all its documents, gets its own best ones up to
the floor; the others compete for the rest. Without it the domain that most pages have takes nearly all: a score is a
little higher for news and science than for talk, fiction and the arts, and near the bound its order says little.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.pool.quotas import whole
from pipeline.pool.score_cells import SCORE_BINS, Cells, joined, ranks

# No group is kept to more than this share: a bound that passes nearly all of a group says nothing of quality.
MOST_OF_GROUP = 0.5


def by_axis(cells: Mapping[str, Cells]) -> dict[str, dict[str, Cells]]:
    """The groups, whose names end in a domain, by what is before it; "" where nothing is."""
    found: dict[str, dict[str, Cells]] = {}
    for name, each in cells.items():
        found.setdefault(name.rpartition("/")[0], {})[name] = each
    return found


def axis_sizes(cells: Mapping[str, Cells]) -> dict[str, int]:
    """The documents of each axis, by the same names."""
    return {name: sum(each.all_docs for each in domains.values()) for name, domains in by_axis(cells).items()}


def best(cells: Cells, price: float, free: int, docs: int) -> tuple[float, int]:
    """The least rank at which at most so many documents pass, and their tokens. Where no cell fits, a rank
    above all: a group without a bound would get that of another."""
    rank = ranks(cells.scores, cells.lengths, price, free)
    order = np.argsort(-rank, kind="stable")
    ordered, counts, tokens = rank[order], np.cumsum(cells.docs[order]), np.cumsum(cells.tokens[order])
    last = np.append(ordered[1:] != ordered[:-1], True)  # where a rank ends: equal ones are kept or rejected together
    fits = np.flatnonzero(last & (counts <= docs))
    if not len(fits):
        return float(ordered[0]) + 1 / SCORE_BINS, 0
    return float(ordered[fits[-1]]), int(tokens[fits[-1]])


def best_of_domains(
    domains: Mapping[str, Cells], price: float, free: int, docs: int, floor: float
) -> dict[str, tuple[float, int]]:
    """The least rank of each domain of an axis, and the tokens that pass; at most `docs` documents do. `floor`: 0 to 1,
    the least that the part of a domain's documents that is kept is, as a part of the axis's."""
    if len(domains) == 1:
        return {name: best(each, price, free, docs) for name, each in domains.items()}
    size = sum(each.all_docs for each in domains.values())
    share = min(floor * docs / size, MOST_OF_GROUP)
    least = whole({name: share * each.all_docs for name, each in domains.items()}, docs)
    found: dict[str, tuple[float, int]] = {}
    left = dict(domains)
    while left:
        bound, _ = best(joined(left.values()), price, free, docs - sum(least[name] for name in found))
        passed = {name: _passed(each, price, free, bound) for name, each in left.items()}
        short = [name for name, (count, _) in passed.items() if count < least[name]]
        if not short:
            return found | {name: (bound, tokens) for name, (_, tokens) in passed.items()}
        for name in short:
            found[name] = best(left.pop(name), price, free, least[name])
    return found


def _passed(cells: Cells, price: float, free: int, bound: float) -> tuple[int, int]:
    """Documents and tokens with this rank or a higher one."""
    over = ranks(cells.scores, cells.lengths, price, free) >= bound
    return int(cells.docs[over].sum()), int(cells.tokens[over].sum())
