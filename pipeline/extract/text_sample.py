"""The first text of a page, without its tags, by which its charset and language are told."""

import re
from typing import Final, TypeVar

SAMPLE: Final = 1 << 15  # characters, or bytes
_LONGEST_TAG: Final = 2000
_TAG_OF_BYTES = re.compile(rb"<[^<>]{0,%d}>" % _LONGEST_TAG)
_TAG = re.compile(rf"<[^<>]{{0,{_LONGEST_TAG}}}>")
# Of most pages a third to a half is text: so much of a page is looked at first.
_FIRST: Final = 4 * SAMPLE
AnyText = TypeVar("AnyText", str, bytes)


def text_sample(page: AnyText) -> AnyText:
    """The first SAMPLE characters (of bytes: bytes) of the page with each tag as a blank."""
    if isinstance(page, bytes):
        return _sample(page, _TAG_OF_BYTES, b"<", b" ")
    return _sample(page, _TAG, "<", " ")


def _sample(page: AnyText, tag: re.Pattern[AnyText], less: AnyText, blank: AnyText) -> AnyText:
    size = _FIRST
    while size < len(page):
        # a tag that begins before the end may end behind it
        cut = page.rfind(less, size - _LONGEST_TAG - 2, size)
        found = tag.sub(blank, page[: cut if cut >= 0 else size])
        if len(found) >= SAMPLE:
            return found[:SAMPLE]
        size *= 4
    return tag.sub(blank, page)[:SAMPLE]
