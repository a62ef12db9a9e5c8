"""Grades of quality: how many epochs the best documents of a group get, and the ones after them.

A recipe gives grades by bounds on quality, or by shares of the tokens of each group, best first. For shares, tokens are
counted by bin of quality (floats of 12 significant bits), whose sums over shards are the pool's; the bounds of a group
then lie between bins.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from infra.errors import UsageError
from infra.names import meant

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Cell = tuple[str, str, str]
"""Source, language, domain."""

UNGRADED = -1
_DROPPED_BITS = 12
QUALITIES = pa.schema(
    [
        ("source", pa.string()),
        ("language", pa.string()),
        ("domain", pa.string()),
        ("bin", pa.int64()),
        ("tokens", pa.int64()),
        ("graded", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Grade:
    """A grade of quality and the most epochs of its documents. One of `best` and `min` is given."""

    epochs: float
    best: float | None = None
    """The share of a group's tokens, best first, that this grade and those before it have."""

    min: float | None = None
    """The least quality of this grade."""

    def as_params(self) -> dict[str, float]:
        return {name: value for name, value in asdict(self).items() if value is not None}


def grades_from(value: Any, where: str) -> tuple[Grade, ...]:
    """Reads a recipe's list of tables. UsageError names what is wrong."""
    keys = [item.name for item in fields(Grade)]
    if not isinstance(value, list | tuple) or not all(isinstance(row, Mapping) for row in value):
        raise UsageError(f"{where} is {value!r}; give a list of tables, as [{{ best = 0.1, epochs = 4 }}]")
    for row in value:
        if unknown := sorted(set(row) - set(keys)):
            raise UsageError(f"{where} has no key {unknown[0]!r}; {meant(unknown[0], keys)}")
        if "epochs" not in row:
            raise UsageError(f"{where}: {dict(row)!r} has no epochs")
    return tuple(Grade(**row) for row in value)


def check_grades(grades: Sequence[Grade]) -> None:
    """UsageError for a number out of range, for kinds that are mixed, and for grades that are out of order."""
    kinds = {"best" if grade.best is not None else "min" for grade in grades}
    for grade in grades:
        if not _is_number(grade.epochs) or not 0 <= grade.epochs <= 1000:
            raise UsageError(f"draw.grades: the epochs {grade.epochs!r} are not a number from 0 to 1000")
        if (grade.best is None) == (grade.min is None) or len(kinds) > 1:
            raise UsageError("draw.grades: give each grade one of best and min, and all the same one")
        if grade.best is not None and not (_is_number(grade.best) and 0 < grade.best <= 1):
            raise UsageError(f"draw.grades: best is {grade.best!r}; give a share of the tokens, above 0 and up to 1")
        if grade.min is not None and not _is_number(grade.min):
            raise UsageError(f"draw.grades: min is {grade.min!r}; give a number")
    bounds = [grade.best if grade.best is not None else -(grade.min or 0.0) for grade in grades]
    if any(one >= other for one, other in pairwise(bounds)):
        raise UsageError("draw.grades: name the best grade first: best rises, min falls, from each to the next")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def quality_bins(qualities: Floats) -> Ints:
    """The number of each quality's bin, ascending with it. Shape (documents,)."""
    bits = (qualities.astype(np.float32) + np.float32(0)).view(np.int32).astype(np.int64)  # + 0: no negative zero
    return np.where(bits >= 0, bits, -(bits & 0x7FFFFFFF) - 1) >> _DROPPED_BITS


def lower_edge(bin_number: int) -> float:
    """The least quality of a bin."""
    ordered = bin_number << _DROPPED_BITS
    bits = ordered if ordered >= 0 else (-ordered - 1) | 0x80000000
    return float(np.array([bits], dtype=np.uint32).view(np.float32)[0])


def count_qualities(cells: pa.Table, tokens: Ints, qualities: Floats) -> pa.RecordBatch:
    """Tokens of some documents by bin of quality, as rows of `QUALITIES`; those without a quality (NaN) are in a bin of
    their own. `cells`: the columns source, language and domain."""
    known = ~np.isnan(qualities)
    bins = np.where(known, quality_bins(np.where(known, qualities, 0.0)), np.iinfo(np.int64).min)
    columns = [*(cells[name].combine_chunks() for name in ("source", "language", "domain")), pa.array(bins),
               pa.array(tokens), pa.array(known.astype(np.int64))]  # fmt: skip
    return _summed(pa.table(columns, schema=QUALITIES))


def _summed(table: pa.Table) -> pa.RecordBatch:
    keys = ["source", "language", "domain", "bin"]
    summed = table.group_by(keys, use_threads=False).aggregate([("tokens", "sum"), ("graded", "sum")])
    summed = summed.rename_columns([*keys, "tokens", "graded"]).cast(QUALITIES)
    batches = summed.sort_by([(key, "ascending") for key in keys]).combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], QUALITIES)


@dataclass(frozen=True)
class Grading:
    """The least quality of each grade, by group; the grade after the last has what is below it. Sources that are not
    in `bounds` have no grades."""

    bounds: Mapping[Cell, tuple[float, ...]]
    epochs: tuple[float, ...] = ()

    def of(self, cells: Sequence[Cell], cell_of: Ints, qualities: Floats) -> Ints:
        """The grade of each document, from 0, the best; `UNGRADED` for sources without one. A document without a
        quality (NaN) has the last grade. `cell_of`: each document's place in `cells`. Shape (documents,)."""
        grades = np.full(len(qualities), UNGRADED, dtype=np.int64)
        rounded = qualities.astype(np.float32)
        for place in np.unique(cell_of).tolist() if self.bounds else ():
            bounds = self.bounds.get(cells[place])
            if bounds is None:
                continue
            mine = np.flatnonzero(cell_of == place)
            below = np.array(bounds, dtype=np.float32)[None, :] > rounded[mine, None]
            found = np.where(np.isnan(rounded[mine]), len(bounds) - 1, below.sum(axis=1))
            grades[mine] = found
        return grades

    def cap(self, grade: int, cap: float) -> float:
        """The most epochs of a grade in a group whose documents have at most `cap`."""
        return cap if grade == UNGRADED else min(cap, self.epochs[grade]) if grade < len(self.epochs) else 0.0

    def least(self, cell: Cell, grade: int) -> float | None:
        """The least quality of a grade; None for ungraded documents and for what is below the last grade."""
        bounds = self.bounds.get(cell, ())
        return bounds[grade] if 0 <= grade < len(bounds) and math.isfinite(bounds[grade]) else None


def find_grading(grades: Sequence[Grade], counts: Iterable[pa.RecordBatch]) -> Grading:
    """The bounds of the grades in a pool. `counts`: of its shards, by `count_qualities`, in any order."""
    if not grades:
        return Grading({})
    rows = pa.Table.from_batches([_summed(pa.Table.from_batches(list(counts), QUALITIES))], QUALITIES).to_pylist()
    graded = {row["source"] for row in rows if row["graded"]}
    by_cell: dict[Cell, list[dict[str, Any]]] = {}
    for row in rows:
        if row["source"] in graded:
            by_cell.setdefault((row["source"], row["language"], row["domain"]), []).append(row)
    bounds = {cell: tuple(_bound(grade, mine) for grade in grades) for cell, mine in by_cell.items()}
    return Grading(bounds, tuple(grade.epochs for grade in grades))


def _bound(grade: Grade, rows: Sequence[Mapping[str, Any]]) -> float:
    """The least quality of a grade in a group, whose bins ascend in `rows`."""
    if grade.min is not None:
        return float(grade.min)
    assert grade.best is not None
    known = [row for row in reversed(rows) if row["graded"]]
    if grade.best >= 1 or not known:
        return -math.inf
    wanted, before = grade.best * sum(row["tokens"] for row in known), 0
    for row in known:
        # the bin goes to the side that more of it belongs to
        if before + row["tokens"] / 2 > wanted:
            return _above(row["bin"])
        before += row["tokens"]
    return -math.inf


def _above(bin_number: int) -> float:
    return lower_edge(bin_number + 1)
