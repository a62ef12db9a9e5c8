"""Documents with equal sets of shingles, found by the hash of the set: one of them stands for all in the bands.

A page that was crawled a million times is then one document for all that follows, and its copies cost a row each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.policy import Policy, preference_order
from dedup.tables import SAME, batch_of, numbers_of, places, run_starts, values, whole_keys


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
