"""Further rounds among the members of a bucket that verified edges have left: who of them meets again.

Members that an edge removes need no further comparison; those that are left may be similar to each other all the same.
An edge removes a document here if its better end has no edge to a better one itself. That is less than the decision
removes in the end, and it takes two reductions in place of one decision. What an edge of this round brings back by
removing its better end meets again in the next: each round begins with all members.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dedup.tables import (
    BANDS,
    CROWD,
    LINKS,
    DocumentNumbers,
    batch_of,
    numbers_of,
    places,
    run_starts,
    values,
    whole_keys,
)


def crowd_rows(pairs: pa.RecordBatch) -> pa.RecordBatch | None:
    """CROWD: the members of PAIRS that may meet again; None where there is none."""
    some = pairs.filter(pa.array(values(pairs, "bucket") != 0))
    if not some.num_rows:
        return None
    columns = {name: some[name] for name in CROWD.names}
    return batch_of(CROWD, {**columns, "key": numbers_of(some)})


def link_rows(edges: pa.RecordBatch) -> pa.RecordBatch:
    """LINKS of EDGES, two for each."""
    better, worse = values(edges, "a"), values(edges, "b")
    key = np.concatenate([better, worse])
    return batch_of(LINKS, {"key": key, **places(np.concatenate([worse, np.full(worse.size, -1)]))})


@dataclass(frozen=True)
class RemovedMembers:
    """Reducer over LINKS by `key` to the rows of CROWD for documents that are removed. Memory: the edges of one
    document."""

    fingerprint: str = "dedup.rounds.RemovedMembers()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            other = numbers_of(table)
            removes = ~_first_of_key(other < 0, values(table, "key"))
            if removes.any():
                yield _removed(other[removes])


@dataclass(frozen=True)
class Left:
    """Reducer over CROWD by `key` to BANDS, whose keys are the buckets: the members that are not removed. Memory: the
    rows of one document."""

    fingerprint: str = "dedup.rounds.Left()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            left = ~_first_of_key(values(table, "row") < 0, values(table, "key"))
            if left.any():
                made = {name: values(table, name)[left] for name in ("shard", "row", "rank")}
                yield batch_of(BANDS, {"key": values(table, "bucket")[left], **made})


def _first_of_key(given: np.ndarray, keys: DocumentNumbers) -> np.ndarray:
    """For each row whether the first row of its key is `given`."""
    starts = run_starts(keys)
    first: np.ndarray = np.repeat(given[starts], np.diff(starts, append=keys.size))
    return first


def _removed(numbers: DocumentNumbers) -> pa.RecordBatch:
    nothing = np.zeros(numbers.size, np.uint64)
    there = places(np.full(numbers.size, -1))
    return batch_of(CROWD, {"key": numbers, **there, "bucket": nothing, "rank": nothing})
