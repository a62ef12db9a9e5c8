"""Cells of tables as people and programs write them: separators, sizes with a letter, and rows that are no use."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.errors import UsageError
from infra.names import meant

# Called with a line for people.
Tell = Callable[[str], None]

UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_SEPARATORS = (",", ";", "\t")
_WITH_UNIT = re.compile(r"(.*\d\.?)\s*([KMBT])", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)


class TableReader:
    """The rows of a CSV file whose columns are parted by commas, semicolons or tabs: those in its first line."""

    def __init__(self, path: Path, lines: Iterable[str], columns: Sequence[str]) -> None:
        """UsageError for a column that is not there."""
        first = iter(lines)
        head = next(first, "")
        self.separator = max(_SEPARATORS, key=lambda each: (head.count(each), each == ","))
        names = next(csv.reader([head], delimiter=self.separator), [])
        self.names = [name.strip() for name in names]
        missing = [name for name in columns if name not in self.names]
        if missing:
            raise UsageError(f"{path} has no column {missing[0]!r}; {meant(missing[0], self.names)}")
        self._reader = csv.reader(first, delimiter=self.separator)

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """(line number, {column: text}) of each row that is not empty."""
        for row in self._reader:
            if any(cell.strip() for cell in row):
                yield self._reader.line_num + 1, dict(zip(self.names, row))

    def number(self, text: str | None) -> float:
        """The number in a cell: `10M` and `10,000,000` are 1e7, and `3,21` is 3.21 where semicolons part columns. NaN
        for an empty cell. ValueError for what is no number."""
        return number_of(text or "", decimal_comma=self.separator == ";")


def number_of(text: str, decimal_comma: bool = False) -> float:
    """As `TableReader.number`."""
    plain = text.strip().replace("\u00a0", "").replace("_", "")
    if not plain:
        return float("nan")
    unit = _WITH_UNIT.fullmatch(plain)
    digits, factor = (unit[1].strip(), UNITS[unit[2].upper()]) if unit else (plain, 1.0)
    if decimal_comma and _DECIMAL_COMMA.fullmatch(digits):
        digits = digits.replace(",", ".")
    elif _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    return float(digits) * factor


def tell_left_out(tell: Tell | None, path: Path, left_out: int, rows: int, why: str) -> None:
    """Say how many of the rows are left out, if any are."""
    if tell is not None and left_out:
        tell(f"{path}: {left_out:,} of {rows:,} rows are left out: {why}")


def as_number(reader: Any, text: str | None) -> float:
    """The number in a cell, or NaN."""
    try:
        return float(reader.number(text))
    except ValueError:
        return float("nan")
