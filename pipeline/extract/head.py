"""What the head of a page declares, read without a parser: its opt-outs for crawlers, and its language."""

import re
from typing import Final

from pipeline.extract.markup import attributes, scan

# Declarations are searched for in so many characters of a page, and not inside these elements.
HEAD_CHARACTERS: Final = 50_000
_SKIPPED: Final = frozenset({"script", "style", "title", "noscript", "template"})
# A page that does not match this has no language; so has one that writes its declaration in an unusual way.
_HTML_LANGUAGE: Final = re.compile(rb"<html\b[^>]{0,1000}?\slang\s?=", re.IGNORECASE)
_LANGUAGE: Final = re.compile(r"([a-z]{2})(?![a-z\x80-\xff])", re.IGNORECASE)


def meta_robots(html: str) -> frozenset[str]:
    """The words, in lower case, of the meta elements for all robots in the first HEAD_CHARACTERS.

    The name of such an element contains "robots"; elements for the robot of one company are ignored, and so are those
    in comments and after the head.
    """
    head = html[:HEAD_CHARACTERS]
    # in bytes, of which there are no fewer than characters: lower() takes a fraction of the time there
    last = head.encode("utf-8", "replace").lower().rfind(b"robots")
    if last < 0:
        return frozenset()
    found: set[str] = set()
    for tag in scan(head, _SKIPPED):
        if tag.name == "body" or tag.start > last:
            break
        if tag.name == "meta" and head[tag.content - 1] == ">":
            said = attributes(head[tag.start + len(tag.name) + 1 : tag.content])
            if "robots" in said.get("name", "").lower():
                found |= {word for word in re.split(r"[\s,;/]+", said.get("content", "").lower()) if word}
    return frozenset(found)


def declared_language(body: bytes) -> str:
    """The language that the first html element declares ("en" for `lang="en-GB"`), or "".

    Codes of three letters (`und` and `mul` among them) are not read, nor elements in comments and scripts.
    """
    if not _HTML_LANGUAGE.search(body, 0, HEAD_CHARACTERS):
        return ""
    head = body[:HEAD_CHARACTERS].decode("latin-1")
    for tag in scan(head, _SKIPPED):
        if tag.name == "html" and not tag.closing:
            found = _LANGUAGE.match(attributes(head[tag.start + len(tag.name) + 1 : tag.content]).get("lang", ""))
            return found[1].lower() if found else ""
    return ""
