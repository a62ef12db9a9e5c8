"""Candidate pairs from bands, in linear time: each member of a bucket is paired with one document of the bucket.

All pairs of a bucket of n would be n²/2 edges, too many for a page that was crawled a million times. A star around one
document connects the same documents with n - 1 edges. Its centre is the document with the smallest hash of its content
(of BANDS_BY_CONTENT), which does not depend on the order of the documents, or (of BANDS) the first in the order of the
dataset. If the centre shares the bucket by chance, its star misses the pairs among the others; other bands find them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dedup.tables import DocumentNumbers, Hashes, join_rows, numbers_of, run_starts, values

# A bucket of more rows is cut, and the centre of its first piece is the centre of all.
MOST_HELD = 1 << 18


@dataclass(frozen=True)
class Candidates:
    """Reducer over BANDS by `key` to candidate pairs: edge rows of JOIN, keyed by the bucket's first document.

    A pair that shares several bands is given once for each. Memory: one batch.
    """

    fingerprint: str = "dedup.candidates.Candidates()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        held: pa.Table | None = None  # the last bucket, which may continue in the next batch
        centre: tuple[int, int] | None = None  # key and centre of a bucket whose first piece was too large to hold
        for batch in rows:
            if not batch.num_rows:
                continue
            table = pa.Table.from_batches([batch])
            table = pa.concat_tables([held, table]).combine_chunks() if held is not None else table
            last = int(run_starts(values(table, "key"))[-1])
            if last == 0 and table.num_rows < MOST_HELD:
                held = table
                continue
            whole = table.num_rows if last == 0 else last
            yield from _stars(table.slice(0, whole), centre)
            if last == 0:
                key = int(values(table, "key")[0])
                centre = centre if centre and centre[0] == key else (key, _centre(table))
            held = table.slice(whole)
            held = held if held.num_rows else None
        if held is not None:
            yield from _stars(held, centre)


def _stars(table: pa.Table, centre: tuple[int, int] | None) -> Iterator[pa.RecordBatch]:
    """The edges of these buckets; `centre`: key and centre of the one that went before, which may go on."""
    keys, numbers = values(table, "key"), numbers_of(table)
    starts = run_starts(keys)
    centres = numbers[_by_content(table, keys, numbers)[starts]]
    if centre is not None and keys[0] == centre[0]:
        centres[0] = centre[1]
    first = np.repeat(centres, np.diff(starts, append=keys.size))
    member = first != numbers
    if member.any():
        # an edge goes from the document that comes first in the dataset
        low, high = np.minimum(first[member], numbers[member]), np.maximum(first[member], numbers[member])
        yield edge_rows(low, high)


def _centre(table: pa.Table) -> int:
    keys, numbers = values(table, "key"), numbers_of(table)
    return int(numbers[_by_content(table, keys, numbers)[0]])


def _by_content(table: pa.Table, keys: Hashes, numbers: DocumentNumbers) -> DocumentNumbers:
    """The order of rows within each bucket: by content if the table has it, else by place, as they come."""
    if "content" not in table.schema.names:
        return np.arange(keys.size)
    order: DocumentNumbers = np.lexsort((numbers, values(table, "content"), keys))
    return order


def edge_rows(a: DocumentNumbers, b: DocumentNumbers) -> pa.RecordBatch:
    """JOIN rows for the candidate pairs (a[i], b[i])."""
    return join_rows(a, b, pa.nulls(a.size, pa.large_list(pa.uint64())))
