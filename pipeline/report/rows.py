"""Reads rows of ledgers and datasets for a report: the first of each, and single ones by number.

Everything is bounded: values of the first rows of each ledger and dataset, and only a few whole rows. A row is
identified by its number in its dataset; the partitions of a ledger are those of the dataset that the stage read.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset, ShardReader
from infra.dataset.schema import signal_names
from infra.errors import UsageError
from infra.storage import readable
from pipeline.compare.walk import KEY, Key, key_of
from pipeline.report.values import Floats, number

MAX_ROWS = 100_000
MAX_THRESHOLDS = 5
MAX_SAMPLES = 5
# The one signal that is a column of its own.
LANGUAGE_SCORE = "language_score"


@dataclass
class RuleSample:
    """The first ledger rows of one rule. `gaps`: the distance of the value of each of `rows` from its threshold;
    `unvalued`: the first rows without a value and a threshold."""

    values: "array[float]" = field(default_factory=lambda: array("d"))
    thresholds: set[float] = field(default_factory=set)
    gaps: "array[float]" = field(default_factory=lambda: array("d"))
    rows: "array[int]" = field(default_factory=lambda: array("q"))
    unvalued: list[int] = field(default_factory=list)

    def nearest(self, most: int) -> list[int]:
        """The row numbers of the values nearest to their thresholds, the nearest first."""
        return [self.rows[index] for index in np.argsort(self.gaps, kind="stable")[:most]]

    def farthest(self, most: int, but: int) -> list[int]:
        """The row numbers of the values farthest from their thresholds, the farthest first, without the `but`
        nearest."""
        order = np.argsort(self.gaps, kind="stable")[but:]
        return [self.rows[index] for index in order[::-1][:most]]


def read_ledger(dataset: Dataset) -> dict[str, RuleSample]:
    """The first rows of a ledger by "step/rule", in the order in which the rules first appear."""
    samples: dict[str, RuleSample] = {}
    columns = ["step", "rule", "value", "threshold"]
    row = -1
    for batch in _batches(dataset.ledger_parts(), columns):
        for step, rule, value, threshold in zip(*(batch[name].to_pylist() for name in columns), strict=True):
            row += 1
            sample = samples.setdefault(f"{step}/{rule}", RuleSample())
            if number(value) is not None:
                sample.values.append(value)
            if number(threshold) is not None and len(sample.thresholds) < MAX_THRESHOLDS:
                sample.thresholds.add(threshold)
            if number(value) is not None and number(threshold) is not None:
                sample.gaps.append(abs(value - threshold))
                sample.rows.append(row)
            elif len(sample.unvalued) < MAX_SAMPLES:
                sample.unvalued.append(row)
    return samples


def kept_signals(dataset: Dataset, wanted: Iterable[str]) -> dict[str, Floats]:
    """Values of these signals in the first rows of a dataset of documents, for those that it has; NaN for null."""
    if dataset.kind is not Kind.DOCUMENTS or not dataset.manifest.shards:
        return {}
    paths = {name: f"signals.{name}" for name in signal_names(dataset.schema)} | {LANGUAGE_SCORE: LANGUAGE_SCORE}
    names = sorted({*wanted} & {*paths})
    found: dict[str, list[Floats]] = {name: [] for name in names}
    for batch in _batches(dataset.parts(), [paths[name] for name in names]) if names else ():
        for name in names:
            column = batch[name] if name == LANGUAGE_SCORE else pc.struct_field(batch["signals"], name)
            values = pc.fill_null(column.cast(pa.float64()), float("nan"))
            found[name].append(values.to_numpy(zero_copy_only=False))
    return {name: np.concatenate(parts) for name, parts in found.items() if parts}


def first_values(dataset: Dataset, column: str, most: int) -> Iterator[Any]:
    """The values of a column in the first rows of a dataset."""
    for batch in _batches(dataset.parts(), [column], most):
        yield from batch[column].to_pylist()


def rows_at(parts: Sequence[ShardReader], numbers: Iterable[int], columns: list[str]) -> dict[int, dict[str, Any]]:
    """The rows of these numbers (from 0, over all partitions). Only the row groups that contain them are read."""
    starts = [0, *accumulate(part.rows for part in parts)]
    wanted: dict[int, list[int]] = {}
    for row in sorted(set(numbers)):
        wanted.setdefault(bisect_right(starts, row) - 1, []).append(row)
    found: dict[int, dict[str, Any]] = {}
    for index, rows in wanted.items():
        inside = _rows_of_part(parts[index], [row - starts[index] for row in rows], columns)
        found |= dict(zip(rows, inside, strict=True))
    return found


def _rows_of_part(part: ShardReader, rows: Sequence[int], columns: list[str]) -> Iterator[dict[str, Any]]:
    """Yields the rows with these ascending numbers."""
    try:
        with pq.ParquetFile(readable(part.file)) as file:
            groups = range(file.num_row_groups)
            starts = [0, *accumulate(file.metadata.row_group(index).num_rows for index in groups)]
            for index in groups:
                inside = [row - starts[index] for row in rows if starts[index] <= row < starts[index + 1]]
                if inside:
                    yield from file.read_row_group(index, columns=columns).take(inside).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{part.file} cannot be read: {str(error).splitlines()[0]}") from None


def rows_by_key(part: ShardReader, keys: set[Key], columns: list[str]) -> dict[Key, dict[str, Any]]:
    """The rows of one partition whose (file_path, warc_offset, member_record) is among `keys`."""
    if not keys or not part.rows:
        return {}
    offsets = pa.array(sorted({key[1] for key in keys}), pa.int64())
    numbers: list[int] = []
    start = 0
    for batch in part.batches(["warc_offset"]):
        hits = pc.indices_nonzero(pc.is_in(batch["warc_offset"], value_set=offsets))
        numbers += [start + hit for hit in hits.to_pylist()]
        start += batch.num_rows
    rows = _rows_of_part(part, numbers, [*KEY, *columns])
    return {key: row for row in rows if (key := key_of(row)) in keys}


def part_of(parts: Sequence[ShardReader], row: int) -> int:
    """The index of the partition that contains the row of this number."""
    return bisect_right([0, *accumulate(part.rows for part in parts)], row) - 1


def nearest_within(values: npt.NDArray[np.float64], bound: str, threshold: float, most: int) -> list[int]:
    """The indices of the `values` that pass the bound and are nearest to it, the nearest first; NaN does not pass."""
    gaps = values - threshold if bound == "min" else threshold - values
    inside = np.flatnonzero(gaps >= 0)
    return [int(index) for index in inside[np.argsort(gaps[inside], kind="stable")[:most]]]


def _batches(parts: Sequence[Any], columns: list[str], most: int = MAX_ROWS) -> Iterator[pa.RecordBatch]:
    """Batches of these columns up to `most` rows in all, in order."""
    left = most
    for part in parts:
        if part.rows:
            for batch in part.batches(columns):
                yield batch.slice(0, left)
                left -= batch.num_rows
                if left <= 0:
                    return
