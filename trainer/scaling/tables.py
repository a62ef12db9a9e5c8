"""Cells of tables as people and programs write them: separators, sizes with a letter, and rows that are no use."""

import csv
import gzip
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from infra.errors import UsageError
from infra.names import meant

# Called with a line for people.
Tell = Callable[[str], None]

UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_SEPARATORS = (",", ";", "\t")
_WITH_UNIT = re.compile(r"(.*\d\.?)\s*([KMBT])", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
# Cells that say that there is no number.
_NONE = {"", "-", "na", "n/a", "none", "null", "#n/a"}
# The unit at the end of a column's name, and what a number in it counts; losses are in nats.
_UNIT = re.compile(r"[(\[]([^()\[\]]*)[)\]]\s*$")
_IN_NAMES = {
    **dict.fromkeys(("k", "thousand", "thousands"), 1e3),
    **dict.fromkeys(("m", "million", "millions"), 1e6),
    **dict.fromkeys(("b", "billion", "billions"), 1e9),
    **dict.fromkeys(("t", "trillion", "trillions"), 1e12),
    **{name: math.log(2) for name in ("bit", "bits", "bits a token", "bits/token", "bits per token")},
}
# Units of losses that are no multiple of nats a token, and what to do.
_OTHER_MEASURES = {
    **dict.fromkeys(("ppl", "perplexity"), "the natural logarithm of it"),
    **dict.fromkeys(
        ("bits per byte", "bits/byte", "bpb", "bits per character", "bits/character", "bpc"),
        "which are bits a byte times ln 2 and the bytes of a token",
    ),
}


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """The text of a file; one that ends in `.gz` is decompressed. UsageError where it cannot be read."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig", newline="") as file
        ):
            yield file
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read: {error.reason} at byte {error.start}; save it as UTF-8") from None
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


class TableReader:
    """The rows of a CSV file whose columns are parted by commas, semicolons or tabs: those in its first line. Lines
    before it that are empty, begin with `#`, or name the separator as spreadsheets do (`sep=;`), are no part of it."""

    def __init__(
        self,
        path: Path,
        lines: Iterable[str],
        columns: Sequence[str],
        others: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`columns`: those that there must be. One that is not there by its name may be there in other letters or with
        a unit (`loss (nats)`, `N [M]`), or by one of its `others`; rows have it under the name that was asked for.

        UsageError for a column that is not there, or is there twice."""
        first, self._path = iter(lines), path
        head, self._before = next(first, ""), 1
        while head and (not head.strip() or head.startswith(("#", "sep="))):
            head, self._before = next(first, ""), self._before + 1
        self.separator = max(_SEPARATORS, key=lambda each: (head.count(each), each == ","))
        self.names = [name.strip() for name in next(csv.reader([head], delimiter=self.separator), [])]
        self._factors: dict[str, float] = {}
        for name in columns:
            place = self._place(name, (others or {}).get(name, ()))
            self._factors[name] = self._factor(self.names[place])
            self.names[place] = name
        self._reader = csv.reader(first, delimiter=self.separator)

    def _place(self, name: str, others: Sequence[str]) -> int:
        """Where the column is."""
        # of `RUN - NAME`, as Weights & Biases exports it, the name
        plain = [_plain(each.rpartition(" - ")[2]) for each in self.names]
        exact = [i for i, each in enumerate(self.names) if each == name]
        for found in (exact, *([i for i, each in enumerate(plain) if each == _plain(one)] for one in (name, *others))):
            if len(found) > 1:
                twice = " and ".join(repr(self.names[i]) for i in found[:2])
                raise UsageError(f"{self._path} has two columns {name!r}: {twice}; leave one out")
            if found:
                return found[0]
        raise UsageError(f"{self._path} has no column {name!r}; {meant(name, self.names)}")

    def _factor(self, column: str) -> float:
        """What a number of a column counts, by the unit in its name. UsageError for one that is no multiple of ours."""
        found = _UNIT.search(column)
        unit = found[1].strip().casefold() if found else ""
        if unit in _OTHER_MEASURES:
            raise UsageError(f"{self._path}: {column!r} is in {unit}: give nats a token, {_OTHER_MEASURES[unit]}")
        return _IN_NAMES.get(unit, 1.0)

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """(line number, {column: text}) of each row that is not empty. UsageError for a row with more cells than there
        are columns: one of its numbers is cut in two, or the columns are not those that their names say."""
        for row in self._reader:
            if any(cell.strip() for cell in row):
                line = self._reader.line_num + self._before
                if any(cell.strip() for cell in row[len(self.names) :]):
                    raise UsageError(
                        f"{self._path}, line {line}, has {len(row)} cells for {len(self.names)} columns: write numbers "
                        "without commas, or part columns by semicolons"
                    )
                yield line, dict(zip(self.names, row))

    def number(self, text: str | None, name: str = "") -> float:
        """The number in a cell: `10M` and `10,000,000` are 1e7, and `3,21` is 3.21 where semicolons part columns; a
        number without a unit has that of the column's `name`. NaN for a cell without one. ValueError for what is no
        number."""
        plain = (text or "").strip()
        factor = 1.0 if _WITH_UNIT.fullmatch(plain) else self._factors.get(name, 1.0)
        return number_of(plain, decimal_comma=self.separator == ";") * factor


def number_of(text: str, decimal_comma: bool = False) -> float:
    """As `TableReader.number`."""
    plain = text.strip().replace("\u00a0", "").replace("_", "")
    if plain.casefold() in _NONE:
        return float("nan")
    unit = _WITH_UNIT.fullmatch(plain)
    digits, factor = (unit[1].strip(), UNITS[unit[2].upper()]) if unit else (plain, 1.0)
    if decimal_comma and _DECIMAL_COMMA.fullmatch(digits):
        digits = digits.replace(",", ".")
    elif _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    return float(digits) * factor


def _plain(name: str) -> str:
    """A column's name without its unit, in small letters, words parted by one space."""
    return " ".join(re.split(r"[\s_\-]+", _UNIT.sub("", name).strip().casefold()))


def tell_left_out(tell: Tell | None, path: Path, left_out: int, rows: int, why: str) -> None:
    """Say how many of the rows are left out, if any are."""
    if tell is not None and left_out:
        tell(f"{path}: {left_out:,} of {rows:,} rows are left out: {why}")


def as_number(reader: TableReader, text: str | None, name: str = "") -> float:
    """The number in a cell of the column `name`, or NaN."""
    try:
        return reader.number(text, name)
    except ValueError:
        return float("nan")
