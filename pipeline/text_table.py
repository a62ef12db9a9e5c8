"""Text for the terminal: rows as an aligned table no wider than it, and values as words."""

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

# Where there is neither, a program reads the lines: none is folded.
WIDTH = 10_000
GAP = "  "
# The narrowest that a column of words is made.
NARROW = 12
LONG_WORD = 30


def terminal_width() -> int:
    """COLUMNS, else the width of the terminal, else `WIDTH`."""
    return max(20, shutil.get_terminal_size((WIDTH, 24)).columns)


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str], width: int | None = None) -> str:
    """Rows as aligned text: numbers right, words left. The widest columns of words are folded where the table would be
    wider than `width`, the terminal's unless given."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    numeric = [all(isinstance(row.get(column), int | float | None) for row in rows) for column in columns]
    natural = [max(len(column), *(len(line[i]) for line in cells), 0) for i, column in enumerate(columns)]
    least = [max(len(column), NARROW, longest_word(line[i] for line in cells)) for i, column in enumerate(columns)]
    widths = _narrowed(natural, numeric, least, terminal_width() if width is None else width)
    lines = []
    for line in ([*columns], *cells):
        folded = [_wrap(value, wide) if len(value) > wide else [value] for value, wide in zip(line, widths)]
        for parts in zip_longest(*folded, fillvalue=""):
            placed = (
                part.rjust(wide) if number else part.ljust(wide) for part, wide, number in zip(parts, widths, numeric)
            )
            lines.append(GAP.join(placed).rstrip())
    return "\n".join(lines)


def longest_word(cells: Iterable[str]) -> int:
    """Of those that are no longer than a column of words may well be; longer ones are broken."""
    return max((len(word) for cell in cells for word in cell.split() if len(word) <= LONG_WORD), default=0)


def _narrowed(natural: Sequence[int], numeric: Sequence[bool], least: Sequence[int], width: int) -> list[int]:
    """The widths of columns, those of words made narrower, the widest first, until all fit into `width`."""
    widths = list(natural)
    while sum(widths) + len(GAP) * (len(widths) - 1) > width:
        wide = [i for i, number in enumerate(numeric) if not number and widths[i] > least[i]]
        if not wide:
            break
        widths[max(wide, key=lambda i: widths[i])] -= 1
    return widths


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def told(value: Any) -> str:
    """A value for people, inside a line: `a 1, b 2` of a mapping, `1 2 3` of a list."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {bracketed(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return " ".join(bracketed(inner) for inner in value)
    return "none" if value is None else _cell(value)


def bracketed(value: Any) -> str:
    return f"({told(value)})" if isinstance(value, dict | list | tuple) else told(value)
