"""The text that a page has only in its data (JSON-LD, or the state of its scripts), not in what it shows.

The body of such a page is filled by a script. A page that shows some text of its own is left alone: what else its data
hold (the rest of an article behind a paywall) its readers do not see. Of JSON-LD the text of an article counts, else
that of questions with answers, posts, recipes, instructions, products, events and jobs, by the names of schema.org
(`data_texts.py`); of a script's state (`application/json`, as `__NEXT_DATA__`) only what is called `articleBody`: other
names in it are the site's own.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from pipeline.extract.data_texts import BODY, article_bodies, data_text
from pipeline.extract.extractors.all_text import AllTextOptions, all_text
from pipeline.extract.markup import attributes, end_tag_of, scan
from pipeline.extract.references import characters
from pipeline.extract.text import Extracted, flowing, page_title, tidy

NAME: Final = "json-ld"
STATE: Final = "json-state"
# A page with so many characters outside links shows text of its own; and so does one that shows a quarter of the text.
MAX_SHOWN: Final = 200
MAX_SHOWN_SHARE: Final = 0.25
_LINKED_DATA: Final = "application/ld+json"
_NAMES: Final = {_LINKED_DATA: NAME, "application/json": STATE}


class DataText(NamedTuple):
    """Tidy lines, "" for none; NAME or STATE; whether the text is of such things as pages list (products, events)."""

    text: str
    name: str
    of_list: bool


class Shown(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def link_characters(self) -> int: ...


def from_data(html: str, shown: Sequence[Shown]) -> Extracted | None:
    """The text in the data of a page of which `shown` are the blocks; None if the page shows text, or has none."""
    characters = sum(len(block.text) - block.link_characters for block in shown)
    if characters >= MAX_SHOWN or ("ld+json" not in html.lower() and BODY not in html):
        return None
    found = told(html)
    linked = sum(block.link_characters for block in shown)
    if not found.text or characters > MAX_SHOWN_SHARE * len(found.text) or (found.of_list and linked > len(found.text)):
        return None
    return Extracted(found.text, page_title(html), by=found.name)


def told(html: str) -> DataText:
    """The text that a page's data hold.

    The longest article counts, of JSON-LD before the state of scripts; without one, the longest other text.
    """
    bodies: dict[str, list[str]] = {NAME: [], STATE: []}
    others = [""]
    for tag in scan(html, frozenset({"template"})):
        if tag.name != "script" or tag.closing:
            continue
        kind = attributes(html[tag.start + len("<script") : tag.content]).get("type", "")
        name = _NAMES.get(kind.partition(";")[0].strip().lower())
        if name is None:
            continue
        content = html[tag.content : max(tag.content, end_tag_of(html, tag))]
        bodies[name] += article_bodies(content)
        if name == NAME:
            others.append("\n".join(map(_lines, data_text(content))))
    body, state = (tidy(_lines(max(bodies[name], key=len, default=""))) for name in (NAME, STATE))
    other = tidy(max(others, key=len))
    return DataText(body or other or state, NAME if body or other or not state else STATE, not body and bool(other))


def _lines(text: str) -> str:
    """The text of a string in the data, which may be markup, and that written as text."""
    if "&lt;" in text:
        text = characters(text)
    lines = all_text(text, "", AllTextOptions(title=False)).text if "<" in text else characters(text)
    return "\n".join(map(flowing, lines.splitlines()))
