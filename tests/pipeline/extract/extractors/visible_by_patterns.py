"""The visible text of a page by regular expressions: what the compiled `strip_tags` is compared with."""

import re
from html import escape
from itertools import repeat
from string import ascii_lowercase
from typing import Final

from pipeline.extract.element_ends import WS, comment_end, element_end
from pipeline.extract.markup import BLOCK, SHOWN_RAW, UNSEEN, Tag, raw_text
from pipeline.extract.references import characters
from pipeline.extract.shadow import composed
from pipeline.extract.text import tidy


def _in_any_case(name: str) -> str:
    return "".join(f"[{letter}{letter.upper()}]" for letter in name)


_NAMES: Final = sorted(UNSEEN | SHOWN_RAW)
_INITIALS: Final = {name[0] for name in _NAMES}
_OTHERS: Final = "".join(letter + letter.upper() for letter in ascii_lowercase if letter not in _INITIALS)
# What begins a comment, a declaration, an element that is not shown, or raw text; the last two with their names. Most
# tags are none of these, which is seen by their first letters in half the time of trying all names.
_ODD = re.compile(
    rf"<(?!/[a-zA-Z]|[{_OTHERS}]|[dDsS][iIpPeE]|[pP][ >]|[iI][mMnN])"
    rf"(?:[!?]|/(?!\Z)|({'|'.join(map(_in_any_case, _NAMES))})(?=[{WS}/>]))"
)
_TAG = re.compile(rf"<(/?[a-zA-Z!?][^{WS}/>]*+)[^>]*+>?")
_NOTHING: Final = "<!>"  # a tag without text, so that the text on both sides of a comment cannot form a tag
_LINE: Final = "\0"  # NULs are removed from the page first, so a NUL can stand for a line end
_PARTED: Final = f" {_LINE} "
_WITHOUT_BLANKS: Final = str.strip


# WET keeps the cells of a row on one line; a tag that is not listed does not break a word.
class _Instead(dict[str, str]):
    """What stands for a tag, by its name, in any case; kept for names that pages have again and again."""

    def __missing__(self, name: str) -> str:
        lower = name.lower()
        instead = self[lower] if lower != name and lower in self else ""
        if len(name) <= _SHORT_NAME and len(self) < _MOST_NAMES:
            self[name] = instead
        return instead


_SHORT_NAME, _MOST_NAMES = 12, 2_000
_INSTEAD: Final = _Instead(
    {
        slash + name: instead
        for names, instead in ((BLOCK | {"xmp", "plaintext"}, _LINE), (frozenset({"td", "th"}), " "))
        for name in names
        for slash in ("", "/")
    }
)


def visible_text(html: str) -> str:
    """What `strip_tags` finds of a page."""
    pieces = _TAG.split(_seen(composed(html.replace(_LINE, ""))))
    # text and the name of a tag by turns
    pieces[1::2] = map(_INSTEAD.__getitem__, pieces[1::2])
    # what `one_line` does to each line, for all in one pass
    words = characters("".join(pieces)).replace(_LINE, _PARTED).split()
    return tidy("\n".join(filter(None, map(_WITHOUT_BLANKS, " ".join(words).split(_LINE), repeat(" ")))))


def _seen(html: str) -> str:
    """The page without its comments and the elements that are not shown; raw text that is shown is escaped."""
    kept: list[str] = []
    endless: set[str] = set()
    taken = position = 0  # all before `taken` is dropped or in `kept`
    in_tag = False
    while found := _ODD.search(html, position):
        start, after = found.span()
        in_tag = _in_tag(html, position, start, in_tag)
        if in_tag:  # in the value of an attribute
            position = after
            continue
        name = (found[1] or "").lower()
        kept.append(html[taken:start])
        taken = position = _end(html, name, start, endless) if name else comment_end(html, start)
        if name in SHOWN_RAW and name not in UNSEEN:
            content = html.find(">", after) + 1 or len(html)
            kept.append(f"<{name}>{escape(raw_text(html, Tag(name, False, start, content, position)), quote=False)}")
    kept.append(html[taken:])
    return _NOTHING.join(kept)


def _in_tag(html: str, position: int, start: int, before: bool) -> bool:
    """Whether `start` is inside a tag that no ">" has ended; `before`: whether `position` is."""
    closed = html.rfind(">", position, start)
    opened = html.rfind("<", max(position, closed + 1), start)
    return (before and closed < 0) or (opened >= 0 and html[opened + 1].isalpha())


def _end(html: str, name: str, start: int, endless: set[str]) -> int:
    """Where the element that begins at `start` ends; the end of its tag if it has no end and is no raw text.

    `endless` collects the names of elements that have no end tag in the rest of the page.
    """
    content = html.find(">", start) + 1
    if not content:
        return len(html)
    if name in endless or (name == "svg" and html[content - 2] == "/"):
        return content
    end = element_end(html, name, content)
    if end < 0:
        endless.add(name)
    return end if end >= 0 else content
