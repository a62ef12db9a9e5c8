"""What the head of a page declares, read without a parser: its opt-outs for crawlers, and its language."""

import re
from typing import Final

from pipeline.extract.language_claims import claimed_language
from pipeline.extract.markup import attributes, scan
from pipeline.extract.robots import directives, is_addressed

# Declarations are searched for in so many characters of a page, and not inside these elements.
HEAD_CHARACTERS: Final = 50_000
_SKIPPED: Final = frozenset({"script", "style", "title", "noscript", "template"})
_ROBOTS: Final = (b"robots", b"ccbot")
# A page that does not match this has no language; so has one that writes its declaration in an unusual way.
_HTML_LANGUAGE: Final = re.compile(rb"<html\b[^>]{0,1000}?\s(?:xml:)?lang\s?=", re.IGNORECASE)


def meta_robots(html: str) -> frozenset[str]:
    """The directives, in lower case, of the meta elements for all robots in the first HEAD_CHARACTERS.

    Such an element is named "robots", among other names or alone, or stands for the header X-Robots-Tag; elements for
    the robot of another company are ignored, and so are those in comments and after the head.
    """
    head = html[:HEAD_CHARACTERS]
    # in bytes, of which there are no fewer than characters: lower() takes a fraction of the time there
    lower = head.encode("utf-8", "replace").lower()
    # `in` takes a tenth of the time of rfind()
    last = max((lower.rfind(robot) for robot in _ROBOTS if robot in lower), default=-1)
    if last < 0:
        return frozenset()
    contents: list[str] = []
    for tag in scan(head, _SKIPPED):
        if tag.name == "body" or tag.start > last:
            break
        if tag.name == "meta" and head[tag.content - 1] == ">":
            said = attributes(head[tag.start + len(tag.name) + 1 : tag.content])
            header = said.get("http-equiv", "").strip().lower() == "x-robots-tag"
            if header or is_addressed(said.get("name", "")):
                contents.append(said.get("content", ""))
    return directives(contents)


def declared_language(body: bytes) -> str:
    """The language that the first html element declares ("en" for `lang="en-GB"`, `eng` or `gb`; see
    `language_claims.py`), or "". `xml:lang`, as XHTML has it, counts where `lang` names none. Elements in comments and
    scripts are not read."""
    if not _HTML_LANGUAGE.search(body, 0, HEAD_CHARACTERS):
        return ""
    head = body[:HEAD_CHARACTERS].decode("latin-1")
    for tag in scan(head, _SKIPPED):
        if tag.name == "html" and not tag.closing:
            said = attributes(head[tag.start + len(tag.name) + 1 : tag.content])
            claims = (said.get(name, "").encode("latin-1", "replace") for name in ("lang", "xml:lang"))
            return next(filter(None, (claimed_language(claim.decode("utf-8", "replace")) for claim in claims)), "")
    return ""
