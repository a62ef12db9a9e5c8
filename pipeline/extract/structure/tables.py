"""Tables: which hold data and which lay out the page, and data as pipe tables of Markdown."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

# Tables of more columns are taken for layout, and are not tracked beyond.
MAX_COLUMNS: Final = 64
MAX_SPAN: Final = 1_000
# Characters of the mean and of the longest cell of a table without header cells.
_MEAN_CELL: Final = 120
_LONGEST_CELL: Final = 600
_LONGEST_WITH_HEADER: Final = 2_500
_SPAN = re.compile(r"""\b(col|row)span\s*=\s*["']?\s*(\d{1,6})""", re.IGNORECASE)
_LAYOUT = re.compile(
    r"""\brole\s*=\s*["']?(?:presentation|none)|\bltx_(?:equation|eqn)"""
    r"""|\bclass\s*=\s*["']?[^"'>]{0,200}\b(?:layout|calendar|navbox|metadata|plainlinks|mbox)\b""",
    re.IGNORECASE,
)
_DATA = re.compile(
    r"""\b(?:wikitable|sortable|data-?table|table-(?:bordered|striped)|dataframe|tablepress|docutils|infobox|summary=)""",
    re.I,
)


@dataclass(eq=False, slots=True)
class HtmlTable:
    """A `table` element, as far as it is read. Rows and columns count from 0; `nested`: it holds other tables."""

    attributes: str
    row: int = -1
    column: int = 0
    headers: int = 0
    nested: int = 0
    captioned: bool = False
    wide: bool = False
    code: bool = False
    down: dict[int, int] = field(default_factory=dict)
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    broken: int = 0  # cells of many blocks, headings, listings
    _is_data: bool | None = None

    def start_row(self) -> None:
        """A `tr` begins: cells that reach down from the rows above take their columns."""
        self.row += 1
        self.column = 0
        if self.down:
            self.down = {column: rows - 1 for column, rows in self.down.items() if rows > 1}

    def start_cell(self, attributes: str, header: bool) -> tuple[int, int]:
        """A cell begins; returns its row and column."""
        if self.row < 0:
            self.row = 0
        self.headers += header
        while self.column in self.down:
            self.column += 1
        column = self.column
        spans = (
            {kind.lower(): int(number) for kind, number in _SPAN.findall(attributes[:1000])}
            if "span" in attributes.lower()
            else {}
        )
        self.column += max(1, min(spans.get("col", 1), MAX_SPAN))
        if self.column > MAX_COLUMNS:
            self.wide = True
            self.column = min(self.column, MAX_COLUMNS)
        rows = min(spans.get("row", 1), MAX_SPAN)
        if rows > 1:
            self.down |= dict.fromkeys(range(column, self.column), rows)
        return self.row, column

    @property
    def is_data(self) -> bool:
        """Whether it is a table to a reader: two rows and two columns at least, of short cells. Asked once the whole
        page has been read."""
        if self._is_data is None:
            self._is_data = self._judged()
        return self._is_data

    def _judged(self) -> bool:
        if self.code or self.wide or self.nested or _LAYOUT.search(self.attributes[:1000]) or not self.sizes:
            return False
        rows: dict[int, int] = {}
        for row, _ in self.sizes:
            rows[row] = rows.get(row, 0) + 1
        columns = len({column for _, column in self.sizes})
        several = sum(count > 1 for count in rows.values())
        if len(rows) < 2 or columns < 2 or several < 2:
            return False
        longest = max(self.sizes.values())
        if self.headers or self.captioned or _DATA.search(self.attributes[:1000]):
            return longest <= _LONGEST_WITH_HEADER and self.broken <= 0.3 * len(self.sizes)
        mean = sum(self.sizes.values()) / len(self.sizes)
        return (
            several >= 0.6 * len(rows)
            and mean <= _MEAN_CELL
            and longest <= _LONGEST_CELL
            and self.broken <= 0.1 * len(self.sizes)
        )


def pipe_table(cells: Iterable[tuple[int, int, str]]) -> str:
    """A pipe table of cells (row, column, text on one line); rows and columns without text are left out. The first row
    is the header, as Markdown has none without."""
    grid: dict[int, dict[int, str]] = {}
    for row, column, text in cells:
        if text:
            line = grid.setdefault(row, {})
            line[column] = f"{line[column]} {text}" if column in line else text
    columns = sorted({column for line in grid.values() for column in line})
    rows = [_row([grid[row].get(column, "") for column in columns]) for row in sorted(grid)]
    return "\n".join([*rows[:1], "|" + "---|" * len(columns), *rows[1:]]) if rows else ""


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
