"""Candidate pairs from bands, in linear time: the members of a bucket are compared with its leaders, never all pairs.

All pairs of a bucket of n would be n²/2, too many for a page that was crawled a million times. The best member by rank
(`rank.py`) leads: it is paired with all others. That misses pairs among those that are not similar to it, which share
the bucket by chance, or through a chain. So the members that are left when verified pairs have removed others meet
again, with the next best as leaders (`rounds.py`). Rank does not depend on the order of the documents.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dedup.tables import (
    PAIRS,
    WANTED,
    DocumentNumbers,
    Hashes,
    batch_of,
    numbers_of,
    places,
    run_starts,
    values,
    whole_keys,
)

# Members of a star. A partition holds the sets of some stars: of pages of 2,000 words, 1 MB each.
MEMBERS = 64
# Pairs that are written at a time.
_PAIRS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Candidates:
    """Reducer over BANDS by `key` to PAIRS: of each bucket the best `leaders` members, each with all that are worse.

    A pair that shares several bands is given once for each. Memory: the rows of the largest bucket.
    """

    leaders: int = 1

    @property
    def fingerprint(self) -> str:
        return f"dedup.candidates.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            yield from self._pairs(table)

    def _pairs(self, table: pa.Table) -> Iterator[pa.RecordBatch]:
        keys = values(table, "key")
        starts = run_starts(keys)
        sizes = np.diff(starts, append=keys.size)
        several = np.repeat(sizes > 1, sizes)
        keys, numbers, rank = keys[several], numbers_of(table)[several], values(table, "rank")[several]
        order = np.lexsort((numbers, rank, keys))
        keys, numbers, rank = keys[order], numbers[order], rank[order]
        sizes = sizes[sizes > 1]
        starts = np.cumsum(sizes) - sizes
        place = np.arange(keys.size) - np.repeat(starts, sizes)
        for leader in range(self.leaders):
            leading = numbers[np.repeat(starts + np.minimum(leader, sizes - 1), sizes)]
            others = np.flatnonzero((place > leader) & (numbers != leading))
            # with two or more that have not led, who may be similar to each other
            goes_on = np.repeat((sizes >= self.leaders + 2) & (leader == self.leaders - 1), sizes)
            for some in np.split(others, range(_PAIRS_AT_ONCE, others.size, _PAIRS_AT_ONCE)):
                if some.size:
                    bucket, worse = (np.where(goes_on[some], column[some], 0) for column in (keys, rank))
                    yield pair_rows(leading[some], numbers[some], bucket, worse)


@dataclass(frozen=True)
class Stars:
    """Reducer over PAIRS by `key` to WANTED: the distinct members of each leader, in stars of up to MEMBERS.

    A star has the leader's place once, and that of each member, so the set of a leader is read once a star.
    """

    fingerprint: str = "dedup.candidates.Stars()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            leader, member = values(table, "key"), numbers_of(table)
            fresh = run_starts(leader, member)
            leader, member = leader[fresh], member[fresh]
            starts = run_starts(leader)
            place = np.arange(leader.size) - np.repeat(starts, np.diff(starts, append=leader.size))
            star = star_keys(leader, place // MEMBERS)
            first = place % MEMBERS == 0
            yield wanted_rows(
                np.concatenate([star[first], star]),
                np.concatenate([leader[first], member]),
                np.concatenate([leader[first], leader]),
            )


def star_keys(leader: DocumentNumbers, number: DocumentNumbers) -> Hashes:
    """The keys of a leader's stars: hashes, so that the stars of one leader are in several partitions. Two stars may
    have one key; `Verify` keeps them apart by their leaders."""
    value = leader.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + number.astype(np.uint64)
    value = (value ^ value >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    mixed: Hashes = value ^ value >> np.uint64(33)
    return mixed


def pair_rows(leader: DocumentNumbers, member: DocumentNumbers, bucket: Hashes, rank: Hashes) -> pa.RecordBatch:
    """PAIRS of these documents."""
    return batch_of(PAIRS, {"key": leader, **places(member), "bucket": bucket, "rank": rank})


def wanted_rows(star: Hashes, number: DocumentNumbers, leader: DocumentNumbers) -> pa.RecordBatch:
    """WANTED: the document `number` in a star around `leader`, or as the leader itself."""
    return batch_of(WANTED, {"key": star, **places(number), "leader": leader})
