"""Candidate pairs of an index: which contents that share a band are compared.

Of a bucket the contents with the smallest keys are its leaders; every other one is compared with each of them. So the
pairs are a function of the contents that there are, whatever the order in which they came, and a bucket of a million
contents costs a million times the leaders, not its square. Keys are hashes, so leaders are drawn at random, as it were,
and a content has others in each of its bands.

That misses pairs of a crowded bucket whose contents are mostly not similar to its leaders, as pages of one template
are. So those of crowded buckets that are left after the first comparison meet again, by more leaders: as many as make
PAIRS_OF_A_BUCKET, which is all pairs of up to 362.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dedup.candidates import stretched
from dedup.index.keys import WIDTH, Keys
from dedup.tables import Hashes, run_starts

LEADERS = 8
# Pairs that are made at a time.
_PAIRS_AT_ONCE = 1 << 20

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


def pairs_within(rows: BandRows, leaders: int = LEADERS, least: int = 0) -> tuple[Keys, Keys]:
    """(member, leader) for each bucket: every member with the leaders before it; with more leaders where that makes
    fewer pairs than `least`. Pairs may repeat."""
    starts, sizes = _buckets(rows)
    leads = np.minimum(sizes - 1, np.maximum(leaders, least // sizes))
    heads = stretched(starts, leads)
    count = np.repeat(starts + sizes, leads) - heads - 1
    return rows.key[stretched(heads + 1, count)], rows.key[np.repeat(heads, count)]


def pairs_between(rows: BandRows, others: BandRows, leaders: int = LEADERS, least: int = 0) -> tuple[Keys, Keys]:
    """(member of `rows`, leader among `others`) for each bucket that both have; `least` as in `pairs_within`. Pairs may
    repeat."""
    starts, sizes = _buckets(rows)
    other_starts, other_sizes = _buckets(others)
    _, mine, theirs = np.intersect1d(rows.hash[starts], others.hash[other_starts], True, return_indices=True)
    leads = np.minimum(other_sizes[theirs], np.maximum(leaders, least // sizes[mine]))
    heads = stretched(other_starts[theirs], leads)
    count = np.repeat(sizes[mine], leads)
    a = rows.key[stretched(np.repeat(starts[mine], leads), count)]
    b = others.key[np.repeat(heads, count)]
    apart = a != b
    return a[apart], b[apart]


def crowded(rows: BandRows, others: BandRows, leaders: int = LEADERS) -> BandRows:
    """The rows of buckets in which not all pairs, among themselves or with the others, are made by so many leaders."""
    starts, sizes = _buckets(rows)
    other_starts, other_sizes = _buckets(others)
    _, mine, theirs = np.intersect1d(rows.hash[starts], others.hash[other_starts], True, return_indices=True)
    chosen = sizes > leaders + 1
    chosen[mine] |= other_sizes[theirs] > leaders
    some = np.repeat(chosen, sizes)
    return BandRows(rows.hash[some], rows.key[some])


def pieces(rows: BandRows, least: int, alone: bool = False) -> Iterator[BandRows]:
    """The rows in pieces of whole buckets, each of which makes so many pairs as may be in memory at a time. `alone`:
    among themselves, so that a bucket makes no more than all of its pairs."""
    starts, sizes = _buckets(rows)
    made = np.maximum(least, LEADERS * sizes)
    made = np.cumsum(np.minimum(made, sizes * (sizes - 1) // 2) if alone else made) // _PAIRS_AT_ONCE
    cuts = [*starts[run_starts(made)].tolist(), rows.hash.size] if starts.size else []
    for begin, end in pairwise(cuts):
        yield BandRows(rows.hash[begin:end], rows.key[begin:end])


def _buckets(rows: BandRows) -> tuple[Indices, Indices]:
    """The first row and the size of each bucket."""
    starts = run_starts(rows.hash)
    return starts, np.diff(starts, append=rows.hash.size)


def distinct_pairs(a: Keys, b: Keys) -> tuple[Keys, Keys]:
    """Each pair once, sorted."""
    both = np.concatenate([_bytes(a), _bytes(b)], axis=1)
    order = np.unique(both.reshape(-1).view(f"S{2 * WIDTH}"), return_index=True)[1] if a.size else _NONE
    return a[order], b[order]


def _bytes(keys: Keys) -> npt.NDArray[np.uint8]:
    return np.frombuffer(np.ascontiguousarray(keys).tobytes(), np.uint8).reshape(-1, WIDTH)
