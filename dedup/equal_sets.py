"""Documents with equal sets of shingles, found by the hash of the set: one of them stands for all in the bands.

A page that was crawled a million times is then one document for all that follows, and its copies cost a row each. If
another document removes the one that stands for a set, it removes the copies as well, with the same similarity.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.policy import Policy, preference_order
from dedup.tables import (
    COPIES,
    EDGES,
    SAME,
    DocumentNumbers,
    batch_of,
    numbers_of,
    places,
    run_starts,
    values,
    whole_keys,
)


@dataclass(frozen=True)
class EqualSets:
    """Reducer over the columns of `signed_schema`, but for the bands, by `key` to SAME: the document of each set that
    the policy prefers, with each of the others. Memory: the rows of the largest set."""

    policy: Policy = "content"

    @property
    def fingerprint(self) -> str:
        return f"dedup.equal_sets.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            sizes = np.diff(run_starts(values(table, "key")), append=table.num_rows)
            table = table.filter(pa.array(np.repeat(sizes > 1, sizes)))
            if not table.num_rows:
                continue
            by_set = [("key", "ascending"), ("check", "ascending")]
            table = table.take(pc.sort_indices(table, sort_keys=by_set + preference_order(self.policy)))
            starts = run_starts(values(table, "key"), values(table, "check"))
            numbers = numbers_of(table)
            best = np.repeat(numbers[starts], np.diff(starts, append=numbers.size))
            other = np.ones(numbers.size, np.bool_)
            other[starts] = False
            if other.any():
                yield batch_of(SAME, {"key": best[other], **places(numbers[other])})


@dataclass(frozen=True)
class CopyEdges:
    """Reducer over COPIES by `key` to EDGES: for each edge to a document that stands for a set, one to each copy of it.

    Memory: the rows of one document.
    """

    fingerprint: str = "dedup.equal_sets.CopyEdges()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_keys(rows):
            starts = run_starts(values(table, "key"))
            sizes = np.diff(starts, append=table.num_rows)
            edge = values(table, "row") < 0
            edges_of_key = np.add.reduceat(edge.astype(np.int64), starts)
            # the edges of a key come before its copies
            first, count = np.repeat(starts, sizes), np.repeat(edges_of_key, sizes)
            numbers = numbers_of(table)
            better, *measured = (values(table, name) for name in ("better", "jaccard", "containment", "bands"))
            for place in range(int(edges_of_key.max())):
                copies = np.flatnonzero(~edge & (count > place))
                if copies.size:
                    by = first[copies] + place
                    jaccard, containment, bands = (each[by] for each in measured)
                    columns = {"a": better[by], "b": numbers[copies], "jaccard": jaccard, "containment": containment}
                    yield batch_of(EDGES, {**columns, "bands": bands})


def copy_rows(same: pa.RecordBatch) -> pa.RecordBatch:
    """COPIES of SAME."""
    nothing = np.zeros(same.num_rows)
    columns = {name: same[name] for name in SAME.names}
    columns |= {"better": np.full(same.num_rows, -1), "jaccard": nothing, "containment": nothing}
    return batch_of(COPIES, {**columns, "bands": np.zeros(same.num_rows, np.int16)})


def better_rows(edges: pa.RecordBatch) -> pa.RecordBatch:
    """COPIES of EDGES."""
    there: DocumentNumbers = np.full(edges.num_rows, -1)
    measured = {name: edges[name] for name in ("jaccard", "containment", "bands")}
    return batch_of(COPIES, {"key": edges["b"], **places(there), "better": edges["a"], **measured})
