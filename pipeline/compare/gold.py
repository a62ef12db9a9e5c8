"""Recall of gold pages: the share that a recipe keeps of the pages with a long true main text, and of the rest.

A recipe that keeps nothing has the best precision; this table shows what is kept. The user provides the true texts
(`--gold`: JSON lines with `url` or `id`, and `text`) and optionally facts about each page (`--groups`: JSON lines
with `url` or `id`, and fields such as `type` and `lang`). Texts are counted when they are read and not stored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filters.catalog import SIGNALS
from filters.view import View
from infra.errors import UsageError
from infra.hashing import sha256_file
from pipeline.compare.walk import Partition
from pipeline.inputs.json_lines import parse_line
from pipeline.inputs.unpacked import open_lines

# The default number of words of a long text; Chinese characters count as words.
LONG_WORDS = 200
CLASSES = ("long", "short", "no_gold")
BY = ("type", "lang")
LANGUAGE_WORDS = ("lang", "language")
MOST_GROUPS = 60
OTHER = "(other)"
UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class PageValues:
    """Values of a file by page id and by URL; of two lines about one URL the longer text counts."""

    by_id: Mapping[str, Any]
    by_url: Mapping[str, Any]

    def get(self, url: str | None, name: str | None) -> Any | None:
        found = self.by_id.get(name) if name else None
        return self.by_url.get(url) if found is None and url else found


@dataclass(frozen=True)
class Gold:
    """`words`: the number of words of a page's true text; `groups`: its {field: value}, for the fields in `by`."""

    sha256: str
    words: PageValues
    groups: PageValues
    by: tuple[str, ...]
    long_words: int

    def class_of(self, url: str | None, name: str | None) -> str:
        words = self.words.get(url, name)
        return "no_gold" if words is None else "long" if words >= self.long_words else "short"


def read_gold(
    gold: Path | None, groups: Path | None, by: Sequence[str] = (), long_words: int = LONG_WORDS
) -> Gold | None:
    """Reads the two files; None without `gold`. Raises UsageError for an unreadable file, or one without any page."""
    if gold is None:
        if groups is not None or by:
            raise UsageError("--groups and --by split the table of --gold FILE into groups: give --gold too")
        return None
    words = _page_values(gold, _words)
    if not words.by_id and not words.by_url:
        raise UsageError(f"{gold} has no line with a `url` or `id` and a `text`")
    fields = tuple(by or BY) if groups is not None else ()
    known = (
        _page_values(groups, lambda row: {name: _value(name, row.get(name)) for name in fields}) if groups else _NONE
    )
    for name in by:
        if not any(name in row and row[name] != UNKNOWN for row in (*known.by_id.values(), *known.by_url.values())):
            raise UsageError(f"no line of {groups} has a {name!r}: choose another --by, or give --groups")
    return Gold(sha256_file(gold), words, known, fields, long_words)


_NONE = PageValues({}, {})


def _page_values(path: Path, read: Any) -> PageValues:
    by_id: dict[str, Any] = {}
    by_url: dict[str, Any] = {}
    for row in _rows(path):
        value = read(row)
        for names, key in ((by_id, row.get("id")), (by_url, row.get("url"))):
            if value is None or not isinstance(key, str) or not key:
                continue
            both_counted = isinstance(value, int) and key in names
            names[key] = max(names[key], value) if both_counted else names.get(key, value)
    return PageValues(by_id, by_url)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open_lines(str(path)) as file:
            for number, line in enumerate(file, 1):
                row = parse_line(line) if line.strip() else {}
                if not isinstance(row, dict):
                    raise UsageError(f"{path}, line {number}: not a JSON object")
                yield row
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _words(row: Mapping[str, Any]) -> int | None:
    text = row.get("text")
    return int(SIGNALS["words"].measure(View(text)) or 0) if isinstance(text, str) else None


def _value(name: str, value: Any) -> str:
    """A group's name; of a language tag only the language (`de-AT` is `de`)."""
    text = " ".join(str(value).split())[:60] if isinstance(value, str | int | float) else ""
    if name in LANGUAGE_WORDS:
        text = text.replace("_", "-").split("-")[0].lower()
    return text or UNKNOWN


@dataclass
class Cell:
    """The number of pages of one group by class, and for each recipe the number kept."""

    pages: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    kept: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, other: "Cell") -> None:
        for mine, theirs in [(self.pages, other.pages), *((self.kept[name], other.kept[name]) for name in self.kept)]:
            for kind, number in theirs.items():
                mine[kind] += number


class GoldRecall:
    """The table, over all partitions."""

    def __init__(self, gold: Gold, names: Sequence[str]) -> None:
        self.gold = gold
        self.names = list(names)
        self.cells: dict[tuple[str, str], Cell] = {("all", "all"): self._cell()}

    def _cell(self) -> Cell:
        return Cell(kept={name: dict.fromkeys(CLASSES, 0) for name in self.names})

    def add(self, partition: Partition) -> None:
        for key, (url, name) in partition.pages.items():
            kind = self.gold.class_of(url, name)
            groups = self.gold.groups.get(url, name) or {}
            for place in [("all", "all"), *((by, groups.get(by, UNKNOWN)) for by in self.gold.by)]:
                cell = self.cells.setdefault(place, self._cell())
                cell.pages[kind] += 1
                for recipe in self.names:
                    cell.kept[recipe][kind] += key in partition.kept[recipe]

    def as_json(self) -> dict[str, Any]:
        """{"gold": sha256, "long_words": n, "rows": [{"by", "group", "pages": {long, short, no_gold}, "kept":
        {RECIPE: {long, short, no_gold}}}]}: all pages first, then each group, the largest first.

        `long` and `short` pages have a true text of at least, or fewer than, `long_words` words; `no_gold` pages none.
        """
        return {"gold": self.gold.sha256, "long_words": self.gold.long_words, "rows": list(self._rows())}

    def _rows(self) -> Iterator[dict[str, Any]]:
        for by in ("all", *self.gold.by):
            mine = [(group, cell) for (kind, group), cell in self.cells.items() if kind == by]
            mine.sort(key=lambda item: (-sum(item[1].pages.values()), item[0]))
            if len(mine) > MOST_GROUPS:
                rest = self._cell()
                for _, cell in mine[MOST_GROUPS:]:
                    rest.add(cell)
                mine[MOST_GROUPS:] = [(OTHER, rest)]
            for group, cell in mine:
                yield {"by": by, "group": group, "pages": cell.pages, "kept": cell.kept}


def shares(row: Mapping[str, Any], recipe: str) -> tuple[float | None, float | None]:
    """The share that a recipe keeps of the long pages of a row, and of the rest (short, or without a true text)."""
    pages, kept = row["pages"], row["kept"][recipe]
    rest = pages["short"] + pages["no_gold"]
    long = kept["long"] / pages["long"] if pages["long"] else None
    return long, (kept["short"] + kept["no_gold"]) / rest if rest else None
