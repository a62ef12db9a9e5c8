"""Verification: the similarity of candidate pairs on their shingle sets.

LSH only retrieves: 27 to 44 % of its candidates were near-duplicates in Marin's review (marin #7591). Pairs come as
stars (`candidates.Stars`): the set of a leader once, then those of up to 64 members. So no set is repeated for every
edge of its document, and a leader with a million members is spread over many partitions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup import set_kernels
from dedup.marks import unmarked_texts
from dedup.shingles import Sets, shingle_sets
from dedup.tables import EDGES, SETS, DocumentNumbers, Hashes, batch_of, numbers_of, stretched, values, whole_keys
from infra.errors import UsageError

# An output batch is closed at this many hashes: 8 MiB.
_MAX_HASHES = 1 << 20

Measure = Literal["jaccard", "containment"]


def jaccard(a: Hashes, b: Hashes) -> float:
    """|a ∩ b| / |a ∪ b| of two arrays of distinct hashes; 0 where both are empty."""
    shared = _shared(a, b)
    union = a.size + b.size - shared
    return shared / union if union else 0.0


def containment(longer: Hashes, shorter: Hashes) -> float:
    """|longer ∩ shorter| / |shorter|: 1 where the longer text has all of the other; 0 where that is empty.

    Of the text that would go, not of the smaller set: a text that repeats itself is the longer one and may have fewer
    shingles than what it would remove.
    """
    return _shared(longer, shorter) / shorter.size if shorter.size else 0.0


def set_rows(documents: pa.RecordBatch, first: int, wanted: pa.RecordBatch, ngram: int) -> Iterator[pa.RecordBatch]:
    """SETS of the documents of a batch (`marks.READ`; the first is number `first`) that are `wanted`: WANTED_BANDS
    sorted by place, a row for each of its rows. A batch has 8 MiB of hashes, or one set."""
    numbers = numbers_of(wanted)
    chosen, which = np.unique(numbers, return_inverse=True)
    sets = shingle_sets(unmarked_texts(documents.take(pa.array(chosen - first))), ngram)
    leads = numbers == values(wanted, "leader")
    place = {name: np.where(leads, -1, values(wanted, name)) for name in ("shard", "row")}
    column = list_column(sets)
    held = np.cumsum(np.diff(sets.ends)[which]) // _MAX_HASHES
    for rows in np.split(np.arange(which.size), np.flatnonzero(held[1:] != held[:-1]) + 1):
        if rows.size:
            columns = {"key": values(wanted, "key")[rows], "leader": values(wanted, "leader")[rows]}
            columns |= {name: column[rows] for name, column in place.items()}
            columns |= {"bands": wanted["bands"].take(pa.array(rows))}
            yield batch_of(SETS, {**columns, "shingles": column.take(pa.array(which[rows]))})


def list_column(sets: Sets) -> pa.Array:
    """Sets as a large_list column."""
    return pa.LargeListArray.from_arrays(pa.array(sets.ends), pa.array(sets.flat, pa.uint64()))


@dataclass(frozen=True)
class Verify:
    """Reducer over SETS by `key` to the EDGES whose similarity reaches the threshold, from leader to member.

    Memory: the stars of one key, or a batch. UsageError for a threshold or measure out of range.
    """

    threshold: float = 0.8
    """Least similarity, above 0 and up to 1."""

    measure: Measure = "jaccard"
    """The similarity to compare with the threshold: "jaccard", or "containment", by which a page that is contained in
    a longer one is a duplicate. EDGES have both."""

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise UsageError(f"Verify: the threshold is {self.threshold}; give a similarity above 0 and up to 1")
        if self.measure not in get_args(Measure):
            raise UsageError(f"Verify: no measure {self.measure!r}; choose one of {', '.join(get_args(Measure))}")

    @property
    def fingerprint(self) -> str:
        return f"dedup.verify.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_stars(rows):
            yield self._edges(table)

    def _edges(self, table: pa.Table) -> pa.RecordBatch:
        key, leader, member = values(table, "key"), values(table, "leader"), numbers_of(table)
        owners = _owners(key, leader, member < 0)
        column = table["shingles"].combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        ends = column.offsets.to_numpy()
        shared = set_kernels.shared_counts(column.values.to_numpy(), ends, owners)
        sizes = np.diff(ends)
        union = sizes[owners] + sizes - shared
        jaccards, containments = shared / np.maximum(union, 1), shared / np.maximum(sizes, 1)
        similarity = {"jaccard": jaccards, "containment": containments}[self.measure]
        kept = (owners >= 0) & (similarity >= self.threshold)
        columns = {"a": leader, "b": member, "jaccard": jaccards, "containment": containments}
        columns["bands"] = shared_bands(table["bands"], owners)
        return batch_of(EDGES, {name: each[kept] for name, each in columns.items()})


def shared_bands(column: pa.ChunkedArray, owners: DocumentNumbers) -> npt.NDArray[np.int16]:
    """How many bands each row has in common with the row of its owner. All rows have the same number of bands."""
    keys = np.frombuffer(b"".join(column.to_pylist()), np.uint64).reshape(owners.size, -1)
    shared: npt.NDArray[np.int16] = (keys == keys[owners]).sum(axis=1).astype(np.int16)
    return shared


def whole_stars(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """As `tables.whole_keys`, from smaller batches: a batch of sets is as large as the sets are."""
    return whole_keys(piece for batch in rows for piece in _pieces(batch))


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    held = batch["shingles"].offsets.to_numpy() // (4 * _MAX_HASHES)
    cuts = [0, *(np.flatnonzero(held[1:-1] != held[:-2]) + 1).tolist(), batch.num_rows]
    for begin, end in pairwise(cuts):
        yield batch.slice(begin, end - begin)


def _owners(key: Hashes, leader: DocumentNumbers, leads: np.ndarray) -> DocumentNumbers:
    """The row of the leader of each member; -1 for leaders."""
    owners = stretched(leads) - 1
    for row in np.flatnonzero(~leads & ((owners < 0) | (leader[owners] != leader))):
        # two stars of one key
        own = np.flatnonzero(leads & (key == key[row]) & (leader == leader[row]))
        assert own.size, f"document {leader[row]} leads and has no shingles"
        owners[row] = own[0]
    return np.where(leads, -1, owners)


def _shared(a: Hashes, b: Hashes) -> int:
    ends = np.array([0, a.size, a.size + b.size])
    return int(set_kernels.shared_counts(np.concatenate([a, b]), ends, np.array([-1, 0]))[1])
