"""Candidate pairs from bands, in linear time: each member of a bucket is paired with the bucket's first document.

All pairs of a bucket of n would be n²/2 edges, too many for a page that was crawled a million times. A star around the
first document, in the order of the dataset, connects the same documents with n - 1 edges, and does not depend on the
order of the input. If the first document shares the bucket by chance, its star misses the pairs among the others; other
bands find them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.tables import DocumentNumbers, join_rows, numbers_of, run_starts, values


@dataclass(frozen=True)
class Candidates:
    """Reducer over BANDS by `key` to candidate pairs: edge rows of JOIN, keyed by the bucket's first document.

    A pair that shares several bands is given once for each. Memory: one batch.
    """

    fingerprint: str = "dedup.candidates.Candidates()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        key: Any = None  # the last bucket, which may continue in the next batch, and its first document
        leader = -1
        for batch in rows:
            if batch.num_rows == 0:
                continue
            keys = values(batch, "key")
            numbers = numbers_of(batch)
            starts = run_starts(keys)
            leaders = numbers[starts]
            if keys[0] == key:
                leaders[0] = leader
            key, leader = keys[-1], int(leaders[-1])
            first = np.repeat(leaders, np.diff(starts, append=keys.size))
            member = first != numbers
            if member.any():
                yield edge_rows(first[member], numbers[member])


def edge_rows(a: DocumentNumbers, b: DocumentNumbers) -> pa.RecordBatch:
    """JOIN rows for the candidate pairs (a[i], b[i])."""
    return join_rows(a, b, pa.nulls(a.size, pa.large_list(pa.uint64())))
