"""The caps on a page: the most bytes, tags, nested elements and attributes that it may have.

They are checked before any parser runs, by linear scans that give the same answer on every machine. Each extractor
says which of them it needs (`pipeline/extract/extractors/extractor.py`).
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pipeline.extract.element_ends import RAW
from pipeline.extract.markup import attributes_of, nest, scan
from pipeline.extract.tag_bounds import TagBounds, end_tags

# A tag is checked for its attributes only if so many of its characters stand together without `<` and `>`.
_LONG: Final = 4096

# Every start tag that may open a level.
_OPENING = re.compile(r"<(?!(?:br|img|input|link|meta|script)[\s/>])[a-zA-Z]")
_LONG_TAG = re.compile(rf"<[a-zA-Z][^<>]{{{_LONG}}}")


@dataclass(frozen=True)
class Caps:
    """The most that a page may have.

    Of 2,600 crawled pages the largest had 3.2 MB, 75,000 `<`, 313 levels (a broken one 1,374) and 31 attributes on one
    tag (a broken one 934). libxml2 reads 2,048 levels.
    """

    bytes: int = 5 << 20
    nodes: int = 250_000
    depth: int = 1_500
    attributes: int = 2_000


class Rejection(NamedTuple):
    """Why a page is rejected, as the ledger states it: `value` is on the wrong side of `threshold`."""

    rule: str
    value: float
    threshold: float


def check_size(utf8: bytes, caps: Caps = Caps()) -> Rejection | None:
    """The first cap on size that the page exceeds, or None: "cap/bytes" (as UTF-8) or "cap/nodes" (every `<`)."""
    if len(utf8) > caps.bytes:
        return Rejection("cap/bytes", len(utf8), caps.bytes)
    nodes = _nodes(utf8)
    return Rejection("cap/nodes", nodes, caps.nodes) if nodes > caps.nodes else None


def _nodes(utf8: bytes) -> int:
    """How often "<" occurs, in a third of the time of `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(utf8, np.uint8) == ord("<")))


def check_caps(html: str, caps: Caps = Caps(), utf8: bytes | None = None) -> Rejection | None:
    """The first cap that the page exceeds, or None. Linear; a few counts suffice for most pages.

    Checks what `check_size` does, then what bounds a parser's tree: "cap/attributes" (of one tag) and "cap/depth" (of
    open elements, estimated from above). `utf8` is the same page in UTF-8, if the caller has it.
    """
    utf8 = html.encode("utf-8", "replace") if utf8 is None else utf8
    if too_large := check_size(utf8, caps):
        return too_large
    nodes = _nodes(utf8)
    long = _has_long_tag(html)
    if nodes <= caps.depth and not long:
        return None
    # no more levels than start tags
    deep = nodes - end_tags(utf8) > caps.depth
    if deep or long:
        bounds = TagBounds(html, utf8)
        deep = deep and bounds.levels(caps.depth) > caps.depth
        long = long and bounds.attributes(_LONG) > caps.attributes
    if not deep and not long:
        return None
    coming = len(_OPENING.findall(html)) if deep else 0
    depth, attributes = _depth_and_attributes(html, caps.depth, coming, long)
    if attributes > caps.attributes:
        return Rejection("cap/attributes", attributes, caps.attributes)
    if depth > caps.depth:
        return Rejection("cap/depth", depth, caps.depth)
    return None


def _has_long_tag(html: str) -> bool:
    """Whether something like a tag goes on for `_LONG` characters without `<` or `>`."""
    opened = -1  # the last `<` so far
    probe = _LONG // 2  # such a stretch covers one of these windows
    for start in range(0, len(html), probe):
        last = html.rfind("<", start, start + probe)
        if last < 0 <= opened and _LONG_TAG.match(html, opened):
            return True
        opened = last if last >= 0 else opened
    return False


def _depth_and_attributes(html: str, most: int, coming: int, long: bool) -> tuple[int, int]:
    """The depth of the open elements, as far as it may exceed `most`, and the most attributes of a `long` tag.

    `coming` is the number of start tags that may open a level.
    """
    depth = attributes = 0
    stack: list[str] = []
    for tag in scan(html, RAW):
        if long and tag.name and tag.content - tag.start > _LONG:
            attributes = max(attributes, attributes_of(html[tag.start : tag.content]))
        if len(stack) + coming > most:
            coming -= nest(stack, tag)
            depth = max(depth, len(stack))
        elif not long:
            break
    return depth, attributes
