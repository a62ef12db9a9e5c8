"""What a piece of a page's JSON-LD tells as text, by the types and properties of schema.org."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from pipeline.extract.references import characters

BODY: Final = "articleBody"
# Strings of one node come in this order; a node of one of these types is a text of its own.
_NAMED: Final = ("name", "description")
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "Product": _NAMED,
    "ProductGroup": _NAMED,
    "Event": _NAMED,
    "Course": _NAMED,
    "Book": _NAMED,
    "Dataset": _NAMED,
    "JobPosting": ("title", "name", "description", "responsibilities", "qualifications", "skills"),
    "Recipe": (*_NAMED, "recipeIngredient", "ingredients", "recipeInstructions"),
    "HowTo": (*_NAMED, "step"),
    "Question": ("name", "text", "acceptedAnswer", "suggestedAnswer"),
    "DiscussionForumPosting": ("headline", "name", "text", "comment"),
    "SocialMediaPosting": ("headline", "name", "text", "comment"),
}
_JSON: Final = json.JSONDecoder(strict=False)
_BEGIN: Final = re.compile(r"[{\[](?!CDATA\[)(?<!CDATA\[)")
# What nodes within such a node give: answers, comments, steps and sections of instructions.
_PARTS: Final = ("name", "text", "itemListElement", "comment", "step")


def article_bodies(content: str) -> list[str]:
    """All that a piece of JSON calls `articleBody`; none in what is no JSON."""
    if BODY not in content:
        return []
    return [body for node in _nodes(content) if isinstance(body := node.get(BODY), str)]


def data_text(content: str) -> list[str]:
    """The strings that make the text of a piece of JSON-LD, in order; those of the kind of thing that has the most."""
    texts: dict[str, list[str]] = {}
    inside: set[int] = set()
    for node in _nodes(content):
        kind = next(filter(None, map(_known, _listed(node.get("@type")))), None)
        if kind is None or id(node) in inside:
            continue
        for name in _FIELDS[kind]:
            texts.setdefault(kind, []).extend(_strings(node.get(name), inside.add))
    found = max(texts.values(), key=lambda strings: sum(map(len, strings)), default=[])
    # a question's name is often its text, too
    return [text for number, text in enumerate(found) if not number or text != found[number - 1]]


def _known(kind: Any) -> str | None:
    """The name of a type of _FIELDS, however it is written: `schema:Recipe`, `https://schema.org/Recipe`."""
    name = kind.replace(":", "/").rpartition("/")[2] if isinstance(kind, str) else ""
    return name if name in _FIELDS else None


def _strings(value: Any, seen: Callable[[int], None]) -> Iterator[str]:
    """The strings of a property's value: it may be text, a node, or a list of both. `seen` gets the nodes in it."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if each.strip():
                yield each
        elif isinstance(each, list):
            waiting += reversed(each)
        elif isinstance(each, dict):
            seen(id(each))
            name, text = each.get("name"), each.get("text")
            parts = _PARTS[1:] if isinstance(name, str) and isinstance(text, str) and text.startswith(name) else _PARTS
            waiting += [each[part] for part in reversed(parts) if part in each]


def _nodes(content: str) -> Iterator[dict[str, Any]]:
    """The objects of a piece of JSON, each before those within it, in order."""
    if '"' not in content:
        content = characters(content)  # written as text
    begin = _BEGIN.search(content)  # behind `//<![CDATA[`, perhaps
    try:
        waiting: list[Any] = [_JSON.raw_decode(content, begin.start())[0]] if begin else []
    except (ValueError, RecursionError):
        return
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting += reversed(each.values())
        elif isinstance(each, list):
            waiting += reversed(each)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
