"""Candidate pairs of an index: which contents that share a band are compared.

Of a bucket the contents with the smallest keys are its leaders; every other one is compared with each of them. So the
pairs are a function of the contents that there are, whatever the order in which they came, and a bucket of a million
contents costs a million times the leaders, not its square. Keys are hashes, so leaders are drawn at random, as it were,
and a content has others in each of its bands.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dedup.index.keys import WIDTH, Keys
from dedup.tables import Hashes, run_starts

LEADERS = 8

Indices = npt.NDArray[np.intp]
_NONE: Indices = np.empty(0, np.intp)


class BandRows(NamedTuple):
    """Bands of contents, sorted by (hash, key), each pair once."""

    hash: Hashes
    key: Keys


def rows_of(hashes: Hashes, keys: Keys) -> BandRows:
    """The distinct rows, sorted."""
    order = np.lexsort((keys, hashes))
    hashes, keys = hashes[order], keys[order]
    first = run_starts(hashes, keys)
    return BandRows(hashes[first], keys[first])


def pairs_within(rows: BandRows, leaders: int = LEADERS) -> tuple[Keys, Keys]:
    """(member, leader) for each bucket: every member with the leaders before it. Pairs may repeat."""
    starts = run_starts(rows.hash)
    sizes = np.diff(starts, append=rows.hash.size)
    members, heads = [_NONE], [_NONE]
    for rank in range(leaders):
        several = sizes > rank + 1
        begin, count = starts[several] + rank, sizes[several] - rank - 1
        heads.append(np.repeat(begin, count))
        members.append(_stretched(begin + 1, count))
    return rows.key[np.concatenate(members)], rows.key[np.concatenate(heads)]


def pairs_between(rows: BandRows, others: BandRows, leaders: int = LEADERS) -> tuple[Keys, Keys]:
    """(member of `rows`, leader among `others`) for each bucket that both have. Pairs may repeat."""
    starts, other_starts = run_starts(rows.hash), run_starts(others.hash)
    sizes, other_sizes = np.diff(starts, append=rows.hash.size), np.diff(other_starts, append=others.hash.size)
    _, mine, theirs = np.intersect1d(rows.hash[starts], others.hash[other_starts], True, return_indices=True)
    members, heads = [_NONE], [_NONE]
    for rank in range(leaders):
        there = other_sizes[theirs] > rank
        begin, count = starts[mine[there]], sizes[mine[there]]
        members.append(_stretched(begin, count))
        heads.append(np.repeat(other_starts[theirs[there]] + rank, count))
    a, b = rows.key[np.concatenate(members)], others.key[np.concatenate(heads)]
    apart = a != b
    return a[apart], b[apart]


def distinct_pairs(a: Keys, b: Keys) -> tuple[Keys, Keys]:
    """Each pair once, sorted."""
    both = np.concatenate([_bytes(a), _bytes(b)], axis=1)
    order = np.unique(both.reshape(-1).view(f"S{2 * WIDTH}"), return_index=True)[1] if a.size else _NONE
    return a[order], b[order]


def _bytes(keys: Keys) -> npt.NDArray[np.uint8]:
    return np.frombuffer(np.ascontiguousarray(keys).tobytes(), np.uint8).reshape(-1, WIDTH)


def _stretched(begin: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> Indices:
    """begin[i], begin[i] + 1, … (count[i] of them), for each i."""
    ends = np.cumsum(count)
    total = int(ends[-1]) if ends.size else 0
    return np.arange(total) - np.repeat(ends - count, count) + np.repeat(begin, count)
