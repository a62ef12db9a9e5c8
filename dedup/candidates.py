"""Candidate pairs from bands, in linear time: the members of a bucket are compared with its leaders, never all pairs.

All pairs of a bucket of n would be n²/2, too many for a page that was crawled a million times. The best member by rank
(`rank.py`) leads: it is paired with all others. That misses pairs among those that are not similar to it, which share
the bucket by chance, through a chain, or because all have most of a template. So the members that are left when
verified pairs have removed others meet again (`rounds.py`): all pairs of up to 362, else some more leaders. Rank does
not depend on the order of the documents.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

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
# Members that meet again are compared in so many pairs of a bucket (all of 362), or with so many more leaders if that
# is more. Of a bucket of pages of one template, in which few are similar, nearly all pairs are needed.
PAIRS_OF_A_BUCKET, LEADERS = 1 << 17, 8
# Pairs that are written at a time.
_PAIRS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Candidates:
    """Reducer over BANDS by `key` to PAIRS, in the first round: the best of each bucket with all others; and the
    members of buckets of three and more, who may meet again, the best as a pair of itself.

    A pair that shares several bands is given once for each. Memory: the rows of the largest bucket.
    """

    fingerprint: str = "dedup.candidates.Candidates()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            buckets = Buckets.of(table)
            again = np.repeat(buckets.sizes > 2, buckets.sizes)
            paired = np.flatnonzero((buckets.place > 0) | again)
            bucket, rank = (np.where(again, column, 0) for column in (buckets.keys, buckets.rank))
            leading = np.repeat(buckets.numbers[buckets.starts], buckets.sizes)
            for some in pieces(paired):
                yield pair_rows(leading[some], buckets.numbers[some], 1, bucket[some], rank[some])


@dataclass(frozen=True)
class Again:
    """Reducer over BANDS by `key` to PAIRS, in a further round: all pairs of a bucket, up to PAIRS_OF_A_BUCKET; of a
    larger one the pairs of some more leaders, LEADERS at least. Memory: the rows of the largest bucket."""

    number: int
    """Of the round; the first is that of `Candidates`."""

    @property
    def fingerprint(self) -> str:
        return f"dedup.candidates.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            buckets = Buckets.of(table)
            size = buckets.sizes
            leads = np.minimum(size - 1, np.maximum(LEADERS, PAIRS_OF_A_BUCKET // np.maximum(size, 1)))
            first = np.where(leads == size - 1, 0, (self.number - 2) * leads)
            leader = stretched(buckets.starts + first, np.clip(size - 1 - first, 0, leads))
            after = np.repeat(buckets.starts + size, size)[leader] - leader - 1
            ends = np.cumsum(after)
            for begin in range(0, int(ends[-1]) if ends.size else 0, _PAIRS_AT_ONCE):
                pair = np.arange(begin, min(begin + _PAIRS_AT_ONCE, int(ends[-1])))
                of = np.searchsorted(ends, pair, "right")
                member = leader[of] + 1 + pair - (ends[of] - after[of])
                nothing = np.zeros(pair.size, np.uint64)
                numbers = buckets.numbers
                yield pair_rows(numbers[leader[of]], numbers[member], self.number, nothing, nothing)


class Buckets(NamedTuple):
    """Rows of BANDS that are not alone in their bucket, those of a bucket from the best to the worst. Of each row
    `keys`, `numbers`, `rank` and its place in the bucket; of each bucket its first row and its size."""

    keys: Hashes
    numbers: DocumentNumbers
    rank: Hashes
    place: DocumentNumbers
    starts: DocumentNumbers
    sizes: DocumentNumbers

    @classmethod
    def of(cls, table: pa.Table) -> "Buckets":
        """Of rows sorted by key."""
        keys = values(table, "key")
        sizes = np.diff(run_starts(keys), append=keys.size)
        several = np.repeat(sizes > 1, sizes)
        keys, numbers, rank = keys[several], numbers_of(table)[several], values(table, "rank")[several]
        order = np.lexsort((numbers, rank, keys))
        sizes = sizes[sizes > 1]
        starts = np.cumsum(sizes) - sizes
        place = np.arange(keys.size) - np.repeat(starts, sizes)
        return cls(keys[order], numbers[order], rank[order], place, starts, sizes)


def stretched(begin: DocumentNumbers, count: DocumentNumbers) -> DocumentNumbers:
    """begin[i], begin[i] + 1, … (count[i] of them), for each i."""
    ends = np.cumsum(count)
    total = int(ends[-1]) if ends.size else 0
    found: DocumentNumbers = np.arange(total) - np.repeat(ends - count, count) + np.repeat(begin, count)
    return found


def pieces(rows: DocumentNumbers) -> Iterator[DocumentNumbers]:
    """So many rows that a batch of pairs may have, after each other."""
    for begin in range(0, rows.size, _PAIRS_AT_ONCE):
        yield rows[begin : begin + _PAIRS_AT_ONCE]


@dataclass(frozen=True)
class Stars:
    """Reducer over PAIRS of the round `number`, and `met_rows` of earlier ones, by `key` to WANTED: the distinct
    members that a leader meets for the first time, in stars of up to MEMBERS.

    A star has the leader's place once, and that of each member, so the set of a leader is read once a star. The rows
    come in the order of their rounds. Memory: the rows of one leader.
    """

    number: int = 1

    @property
    def fingerprint(self) -> str:
        return f"dedup.candidates.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            leader, member, number = values(table, "key"), numbers_of(table), values(table, "round")
            first = run_starts(leader, member)
            first = first[(number[first] == self.number) & (leader[first] != member[first])]
            if not first.size:
                continue
            leader, member = leader[first], member[first]
            starts = run_starts(leader)
            place = np.arange(leader.size) - np.repeat(starts, np.diff(starts, append=leader.size))
            star = star_keys(leader, place // MEMBERS)
            opens = place % MEMBERS == 0
            yield wanted_rows(
                np.concatenate([star[opens], star]),
                np.concatenate([leader[opens], member]),
                np.concatenate([leader[opens], leader]),
            )


def met_rows(wanted: pa.RecordBatch) -> pa.RecordBatch:
    """The pairs of WANTED as PAIRS of an earlier round."""
    leader, member = values(wanted, "leader"), numbers_of(wanted)
    nothing = np.zeros(leader.size, np.uint64)
    return pair_rows(leader, member, 0, nothing, nothing)


def star_keys(leader: DocumentNumbers, number: DocumentNumbers) -> Hashes:
    """The keys of a leader's stars: hashes, so that the stars of one leader are in several partitions. Two stars may
    have one key; `Verify` keeps them apart by their leaders."""
    value = leader.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + number.astype(np.uint64)
    value = (value ^ value >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    mixed: Hashes = value ^ value >> np.uint64(33)
    return mixed


def pair_rows(
    leader: DocumentNumbers, member: DocumentNumbers, number: int, bucket: Hashes, rank: Hashes
) -> pa.RecordBatch:
    """PAIRS of these documents in a round."""
    rounds = np.full(leader.size, number, np.int8)
    return batch_of(PAIRS, {"key": leader, **places(member), "round": rounds, "bucket": bucket, "rank": rank})


def wanted_rows(star: Hashes, number: DocumentNumbers, leader: DocumentNumbers) -> pa.RecordBatch:
    """WANTED: the document `number` in a star around `leader`, or as the leader itself."""
    return batch_of(WANTED, {"key": star, **places(number), "leader": leader})
