"""What a publisher asks of crawlers: the directives of an X-Robots-Tag header and of a robots meta element.

One grammar for both (Google, "Robots meta tag, data-nosnippet, and X-Robots-Tag specifications"): directives between
commas, some with a value; the name of a crawler and a colon before those that are addressed to it alone. A directive
counts if it is addressed to all crawlers, or to the one whose archives these are, Common Crawl's; `none` means
`noindex` and `nofollow`.
"""

import re
from collections.abc import Iterable
from typing import Final

# Whom a directive that counts is addressed to; in meta elements also by name.
ADDRESSED: Final = frozenset({"*", "robots", "ccbot"})
# Directives, which some pages give a value behind a colon; other names before a colon are those of crawlers.
_DIRECTIVES: Final = frozenset(
    """
    unavailable_after max-snippet max-image-preview max-video-preview indexifembedded all none index noindex follow
    nofollow archive noarchive cache nocache snippet nosnippet imageindex noimageindex translate notranslate odp noodp
    ydir noydir noai noimageai nositelinkssearchbox data-nosnippet noml notrain
    """.split()  # noqa: SIM905 (a list of words is easier to read as words)
)
_IMPLIED: Final = {"none": ("noindex", "nofollow")}
_TOKEN: Final = re.compile(r"([^\s,;:]++)(\s*+:)?+")
_NAME: Final = re.compile(r"[a-z*][\w*./ -]*", re.ASCII)


def directives(values: Iterable[str]) -> frozenset[str]:
    """The directives, in lower case, of these values that are addressed to all crawlers. Each value is a header's, or
    the content of an element: a crawler's name in one holds to its end, or to the next name."""
    found: set[str] = set()
    for value in values:
        counts = True
        for token, colon in _TOKEN.findall(value.lower()):
            if colon and token not in _DIRECTIVES and _NAME.fullmatch(token):
                counts = token.partition("/")[0] in ADDRESSED
            elif counts:
                found.update((token, *_IMPLIED.get(token, ())))
    return frozenset(found)


def is_addressed(name: str) -> bool:
    """Whether a meta element of this name is for all crawlers: one of the names in it is."""
    return any(each.partition("/")[0] in ADDRESSED for each in re.split(r"[\s,;]+", name.lower()))
