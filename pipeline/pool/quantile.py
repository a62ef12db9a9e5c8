"""Exact quantiles of a signal over a pool of any size, by group: thresholds for a wanted share kept.

The bits of a double, put in the order of its value, are a number of 64 bits; the value at a rank is found 16 bits at a
time. Each level counts the documents by their next 16 bits (only those with the bits found so far), the counts are
added up in a reduction, and the search descends into the bin that contains the wanted rank. Counts add in any order, so
the result does not depend on workers, engines or the order of inputs; it needs at most four passes over a table of
group and value (two or three in practice) and 65,536 counters a group. The rank error is zero: only ties keep more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from infra.dataset.reader import Dataset, ShardReader, Source
from infra.engines.task import Output
from infra.errors import UsageError
from infra.hashing import sha256_json
from pipeline.job.tables import Tables
from pipeline.pool.values import columns_for, signal_values, value_source

Side = Literal["low", "high"]
By = Literal["language", "all"]
Bits = npt.NDArray[np.uint64]

LEVEL_BITS = 16
LEVELS = 64 // LEVEL_BITS
SIGN = np.uint64(1 << 63)
# The most counter rows that one process reads: those of a few hundred languages, 40 bytes each.
MAX_COUNTERS = 2**24
# Documents without a language, and the group of `by = "all"`.
UNKNOWN, ALL = "und", "all"
# The bin of documents whose signal is not measured.
UNMEASURED = -1

VALUES = pa.schema([("group", pa.string()), ("value", pa.float64())])
COUNTS = pa.schema(
    [
        ("key", pa.uint64()),
        ("group", pa.string()),
        ("bin", pa.int32()),
        ("docs", pa.int64()),
        # the least and the greatest value in the bin, as ordered bits: equal if it contains one value only
        ("low", pa.uint64()),
        ("high", pa.uint64()),
    ]
)


def ordered_bits(values: npt.NDArray[np.float64]) -> Bits:
    """Unsigned numbers in the order of the (finite) values."""
    bits = np.ascontiguousarray(values).view(np.uint64)
    return np.where(bits & SIGN, ~bits, bits | SIGN)


def value_of_bits(bits: int) -> float:
    """The inverse of `ordered_bits`: the double of one number."""
    back = bits ^ (1 << 63) if bits >> 63 else bits ^ (2**64 - 1)
    return float(np.array([back], np.uint64).view(np.float64)[0])


@dataclass(frozen=True)
class ValuesTask:
    """Group and value of every document, row by row. `fresh`: see `value_source`."""

    signal: str
    by: By
    fresh: bool = True
    schema: pa.Schema = VALUES

    @property
    def fingerprint(self) -> str:
        return sha256_json(["values", self.signal, self.by, self.fresh])

    def __call__(self, part: Any) -> Iterator[Output]:
        known = value_source(part, self.signal, self.fresh)
        for batch in part.batches(columns_for([known])):
            values = signal_values(batch, self.signal, known)
            if self.by == "all":
                groups = pa.array([ALL] * batch.num_rows, pa.string())
            else:
                groups = pc.fill_null(batch["language"], UNKNOWN)
            yield Output(pa.RecordBatch.from_arrays([groups, pa.array(values, from_pandas=True)], schema=VALUES))


@dataclass(frozen=True)
class CountTask:
    """Counts the documents of one shard by group and by the `level`-th 16 bits of their value.

    `under`: the bits found so far of each group still searched; at level 0 all groups are.
    """

    level: int
    under: tuple[tuple[str, int], ...] = ()
    schema: pa.Schema = COUNTS

    @property
    def fingerprint(self) -> str:
        return sha256_json(["counts", self.level, self.under])

    def __call__(self, part: ShardReader) -> Iterator[Output]:
        table = part.table()
        groups = table["group"].combine_chunks().dictionary_encode()
        names = groups.dictionary.to_pylist()
        indices = groups.indices.to_numpy(zero_copy_only=False)
        values = table["value"].to_numpy()
        under = dict(self.under)
        for index in sorted(range(len(names)), key=lambda i: names[i]):
            if self.level and names[index] not in under:
                continue
            mine = values[indices == index]
            measured = np.sort(ordered_bits(mine[~np.isnan(mine)]))
            if self.level:
                measured = measured[measured >> self._shift(self.level - 1) == under[names[index]]]
            rows = self._bins(names[index], measured)
            if not self.level and mine.size > measured.size:
                rows.append(count_row(names[index], UNMEASURED, mine.size - measured.size, 0, 0))
            if rows:
                yield Output(pa.RecordBatch.from_pylist(rows, COUNTS))

    @staticmethod
    def _shift(level: int) -> np.uint64:
        return np.uint64(64 - LEVEL_BITS * (level + 1))

    def _bins(self, group: str, ordered: Bits) -> list[dict[str, Any]]:
        bins = (ordered >> self._shift(self.level)) & np.uint64(2**LEVEL_BITS - 1)
        found, starts, counts = np.unique(bins, return_index=True, return_counts=True)
        ends = starts + counts - 1
        columns = (found.tolist(), counts.tolist(), ordered[starts].tolist(), ordered[ends].tolist())
        return [count_row(group, *row) for row in zip(*columns, strict=True)]


def count_row(group: str, number: int, docs: int, low: int, high: int) -> dict[str, Any]:
    key = xxhash.xxh3_64_intdigest(f"{number}:{group}".encode("utf-8", "replace"))
    return {"key": key, "group": group, "bin": number, "docs": docs, "low": low, "high": high}


@dataclass(frozen=True)
class AddCounts:
    """One row for each group and bin of a partition."""

    schema: pa.Schema = COUNTS
    fingerprint: str = "pool:add-counts"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        del partition
        table = pa.Table.from_batches([batch.select(COUNTS.names) for batch in rows], COUNTS)
        added = table.group_by(["key", "group", "bin"], use_threads=False).aggregate(
            [("docs", "sum"), ("low", "min"), ("high", "max")]
        )
        added = added.rename_columns(COUNTS.names).sort_by([("key", "ascending"), ("group", "ascending")])
        for batch in added.cast(COUNTS).to_batches():
            yield Output(batch)


@dataclass(frozen=True)
class GroupThreshold:
    """A group's threshold; None if the group has too few measured documents.

    `docs`: documents with a value; `unmeasured`: without; `kept`: those of `docs` on the kept side of the threshold or
    equal to it.
    """

    group: str
    docs: int
    unmeasured: int
    threshold: float | None
    kept: int


@dataclass(frozen=True)
class Search:
    """The state of a group's search: the bits found, the rank (from 1) among the values with those bits, and the number
    of documents below them."""

    docs: int
    unmeasured: int
    rank: int
    bits: int = 0
    below: int = 0
    inside: int = 0
    done: bool = False


def wanted_rank(docs: int, keep: float, side: Side) -> int:
    """The rank, from 1, of the last value kept: `keep` of the documents, rounded up, from that side."""
    count = max(ceil(Fraction(repr(keep)) * docs), 1)
    return count if side == "low" else docs - count + 1


def find_quantiles(
    tables: Tables, values: Dataset, keep: float, side: Side, min_count: int
) -> tuple[GroupThreshold, ...]:
    """The threshold of every group, by name: the value at the wanted rank (numpy's `inverted_cdf` for side low).

    All values equal to the threshold are kept.
    """
    searches: dict[str, Search] = {}
    few: list[GroupThreshold] = []
    for level in range(LEVELS):
        under = tuple(sorted((group, search.bits) for group, search in searches.items() if not search.done))
        if level and not under:
            break
        for group, bins in counted(tables, values, level, under):
            if level == 0:
                docs, unmeasured = bins.measured(), bins.unmeasured()
                if docs < max(min_count, 1):
                    few.append(GroupThreshold(group, docs, unmeasured, None, docs))
                    continue
                searches[group] = Search(docs, unmeasured, wanted_rank(docs, keep, side))
            searches[group] = descend(searches[group], bins)
    found = [_found(group, search, side) for group, search in searches.items()]
    return tuple(sorted([*few, *found], key=lambda each: each.group))


def _found(group: str, search: Search, side: Side) -> GroupThreshold:
    kept = search.below + search.inside if side == "low" else search.docs - search.below
    return GroupThreshold(group, search.docs, search.unmeasured, value_of_bits(search.bits), kept)


@dataclass(frozen=True)
class Bins:
    """One group's counters at one level, in ascending order of bin."""

    numbers: npt.NDArray[np.int32]
    docs: npt.NDArray[np.int64]
    low: Bits
    high: Bits

    def measured(self) -> int:
        return int(self.docs[self.numbers != UNMEASURED].sum())

    def unmeasured(self) -> int:
        return int(self.docs[self.numbers == UNMEASURED].sum())


def descend(search: Search, bins: Bins) -> Search:
    """Descends one level, into the bin that contains the rank; done if the bin has a single value."""
    counts = np.where(bins.numbers == UNMEASURED, 0, bins.docs)
    ends = np.cumsum(counts)
    at = int(np.searchsorted(ends, search.rank))
    before = int(ends[at] - counts[at])
    done = bool(bins.low[at] == bins.high[at])
    bits = int(bins.low[at]) if done else search.bits << LEVEL_BITS | int(bins.numbers[at])
    return replace(
        search, rank=search.rank - before, below=search.below + before, bits=bits, inside=int(counts[at]), done=done
    )


def counted(
    tables: Tables, values: Dataset, level: int, under: tuple[tuple[str, int], ...]
) -> Iterator[tuple[str, Bins]]:
    """Yields every group's counters over the whole pool, by name."""
    counts = tables.map(f"counts-{level}", CountTask(level, under), values)
    added = tables.reduce(f"added-{level}", [counts], "key", AddCounts())
    if added.manifest.counts["out"] > MAX_COUNTERS:
        raise UsageError(f"{tables.stage}: the pool has too many languages for thresholds of their own: use by all")
    table = added.to_arrow(["group", "bin", "docs", "low", "high"]).sort_by(
        [("group", "ascending"), ("bin", "ascending")]
    )
    runs = pc.run_end_encode(table["group"].combine_chunks())
    columns = [table[name].to_numpy() for name in ("bin", "docs", "low", "high")]
    start = 0
    for group, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield group, Bins(*(column[start:end] for column in columns))
        start = end


def values_table(tables: Tables, source: Source, signal: str, by: By, fresh: bool = True) -> Dataset:
    """The narrow table that the passes read, partitioned and ordered like the documents."""
    return tables.map("values", ValuesTask(signal, by, fresh), source)
