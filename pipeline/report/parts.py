"""The parts of a report: sections of charts, tables and samples, as plain text; and the formatting of numbers.

Nothing here is HTML: the template escapes every string, and `report/charts.py` those inside its drawings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_CELL = 240


@dataclass(frozen=True)
class Table:
    """Cells as text. Columns from `numeric` on are aligned right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: int = 1


@dataclass(frozen=True)
class Figure:
    """A chart with its numbers as a table; or a table alone, folded if it is long. `place`: the heading of the group it
    belongs to. `more`: a title and the text that is folded under it."""

    heading: str
    table: Table
    svg: str = ""
    note: str = ""
    place: str = ""
    folded: bool = False
    more: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class PageExcerpt:
    """A page: its URL, facts about it, and an excerpt of its text."""

    url: str
    facts: str
    text: str = ""


@dataclass(frozen=True)
class Samples:
    """Pages under one heading. `to_read`: each is folded under its address."""

    heading: str
    items: tuple[PageExcerpt, ...]
    to_read: bool = False


@dataclass(frozen=True)
class Section:
    key: str
    title: str
    about: str
    figures: tuple[Figure, ...] = ()
    samples: tuple[Samples, ...] = ()
    lines: tuple[str, ...] = ()


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def spell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def cut(text: str, most: int = MAX_CELL) -> str:
    """At most the first `most` characters, with an ellipsis if there are more."""
    return text if len(text) <= most else text[:most] + "…"


def clipped(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(cut(cell) for cell in row) for row in rows)


def settings(body: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Nested settings as `k.train = 4`."""
    for name, value in sorted(body.items()):
        if isinstance(value, Mapping):
            yield from settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} = {value}"
