"""A page served as XML, as HTML: a parser of XML ends an element at `<script/>`, that of HTML does not.

Elements without content get an end tag, and CDATA sections become text. All else is written alike in both languages.
"""

import re
from typing import Final

from pipeline.extract.element_ends import TAG, VOID

TYPES: Final = frozenset(
    {"application/xhtml+xml", "application/vnd.wap.xhtml+xml", "application/xml", "text/xml"}
)  # fmt: skip
_DATA: Final = "<![CDATA["
_TAG = re.compile(TAG)
# What most pages do not have: an element without content that HTML has no end for, and text that is CDATA.
_SHORT = re.compile(
    rb"<(?!(?:" + "|".join(sorted(VOID)).encode() + rb")[\s/>])[a-zA-Z][^<>]*+(?<=/)>|<!\[CDATA\[", re.IGNORECASE
)
# Their content is no markup to a parser of HTML; its CDATA are comments of the script.
_OPAQUE: Final = frozenset({"script", "style"})


def as_html(body: bytes) -> bytes:
    """The page, if it is in a charset in which tags are ASCII. Linear."""
    if b"\0" in body[:64] or b"\x1b$" in body or not _SHORT.search(body):
        return body
    page = body.decode("latin-1")
    pieces: list[str] = []
    taken = position = 0
    while found := _TAG.search(page, position):
        start, position = found.span()
        name = (found[2] or "").lower()
        if not name:
            if page.startswith(_DATA, start):
                end = page.find("]]>", position)
                if end < 0:
                    break
                pieces += [page[taken:start], _text(page[start + len(_DATA) : end])]
                taken = position = end + 3
            else:
                mark = "-->" if page.startswith("<!--", start) else ">"
                position = page.find(mark, position) + len(mark)
                if position < len(mark):
                    break
        elif found[3] is None:
            break
        elif not found[1] and found[3].endswith("/>"):
            if name not in VOID:
                pieces += [page[taken : position - 2], f"></{found[2]}>"]
                taken = position
        elif not found[1] and name in _OPAQUE:
            position = page.find(f"</{found[2]}", position)
            if position < 0:
                break
    return "".join([*pieces, page[taken:]]).encode("latin-1")


def _text(data: str) -> str:
    return data.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
