"""The text of an article that a page has only in its data for search engines (JSON-LD), not in what it shows.

The body of such a page is filled by a script. A page that shows some text of its own is left alone: what else its data
hold (the rest of an article behind a paywall) its readers do not see.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol

from pipeline.extract.extractors.all_text import AllTextOptions, all_text
from pipeline.extract.markup import attributes, end_tag_of, scan
from pipeline.extract.references import characters
from pipeline.extract.text import Extracted, flowing, page_title, tidy

NAME: Final = "json-ld"
# A page with so many characters outside links shows text of its own; and so does one that shows a quarter of the text.
MAX_SHOWN: Final = 200
MAX_SHOWN_SHARE: Final = 0.25
_KEY: Final = "articleBody"


class Shown(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def link_characters(self) -> int: ...


def from_data(html: str, shown: Sequence[Shown]) -> Extracted | None:
    """The article in the data of a page of which `shown` are the blocks; None if the page shows text, or has none."""
    if _KEY not in html:
        return None
    characters = sum(len(block.text) - block.link_characters for block in shown)
    if characters >= MAX_SHOWN:
        return None
    text = article_body(html)
    if not text or characters > MAX_SHOWN_SHARE * len(text):
        return None
    return Extracted(text, page_title(html), by=NAME)


def article_body(html: str) -> str:
    """The longest `articleBody` in the page's JSON-LD, as tidy lines; "" if there is none."""
    found = ""
    for tag in scan(html, frozenset({"template"})):
        if tag.name != "script" or tag.closing:
            continue
        kind = attributes(html[tag.start + len("<script") : tag.content]).get("type", "")
        if kind.partition(";")[0].strip().lower() == "application/ld+json":
            content = html[tag.content : max(tag.content, end_tag_of(html, tag))]
            found = max(found, *_bodies(content), key=len)
    if "&lt;" in found:  # markup written as text
        found = characters(found)
    lines = all_text(found, "", AllTextOptions(title=False)).text if "<" in found else characters(found)
    return tidy("\n".join(map(flowing, lines.splitlines())))


def _bodies(content: str) -> list[str]:
    """All that a piece of JSON calls `articleBody`; none in what is no JSON."""
    if _KEY not in content:
        return [""]
    try:
        waiting: list[Any] = [json.loads(content.strip().removesuffix(";"), strict=False)]
    except (ValueError, RecursionError):
        return [""]
    found = [""]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            body = each.get(_KEY)
            found += [body] if isinstance(body, str) else []
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return found
