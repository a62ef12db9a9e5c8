"""From bands to candidate pairs, in linear time: each member of a bucket against the bucket's smallest.

All pairs of a bucket of n would be n²/2 edges, and a page that a crawl met a million times would never end. A star
connects the same documents with n - 1 edges, whatever the size of the bucket; the smallest is the first by
(file_path, warc_offset), so the edges do not depend on the order of the input. Where the smallest is in the bucket by
accident, the pairs behind it are lost in this band; the other bands find them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.tables import JOIN, Numbers, batch_of, document_numbers, run_starts, values


@dataclass(frozen=True)
class Candidates:
    """Reducer over BANDS by `key` to the edge rows of JOIN, keyed by the smaller document.

    A pair that shares several bands comes once for each. Memory: one batch.
    """

    @property
    def fingerprint(self) -> str:
        return f"dedup.candidates.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        key: Any = None  # the bucket that may go on in the next batch, and its smallest member
        leader = -1
        for batch in rows:
            if batch.num_rows == 0:
                continue
            keys = values(batch, "key")
            numbers = document_numbers(values(batch, "shard"), values(batch, "row"))
            starts = run_starts(keys)
            leaders = numbers[starts]
            if keys[0] == key:
                leaders[0] = leader
            key, leader = keys[-1], int(leaders[-1])
            first = np.repeat(leaders, np.diff(starts, append=keys.size))
            member = first != numbers
            if member.any():
                yield edge_rows(first[member], numbers[member])


def edge_rows(a: Numbers, b: Numbers) -> pa.RecordBatch:
    """JOIN rows that say (a, b) is a candidate pair."""
    columns = {
        "key": pa.array(a, pa.int64()),
        "file_path": pa.array(np.full(a.size, "", object), pa.string()),
        "warc_offset": pa.array(b, pa.int64()),
        "other": pa.array(b, pa.int64()),
        "shingles": pa.nulls(a.size, pa.large_list(pa.uint64())),
    }
    return batch_of(JOIN, columns)
