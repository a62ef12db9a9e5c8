"""Upper bounds of the depth of a page and of the attributes of its tags, computed over arrays of all the places where
a tag may begin, without following the tags one by one.

Pages with many tags are seldom deep, and pages with a long tag seldom have one of many attributes. Where a bound is
enough, it is several times cheaper than following each tag (`pipeline/extract/markup.py`).

A *plain* tag has a short name of letters and digits and ends at the first ">" after its "<", since no quoted value that
holds a ">" begins in it, and no "<" comes before. For the depth, what is certainly closed is removed: an element
whose plain start and end tags are neighbours, again and again from the inside out. What is left is counted.
Where such a start tag is markup at all, what follows is text up to the next "<", so a row of plain tags is read as it
stands: the element opens no more levels than its tags are nested, and leaves none open that was not open before. Where
its start tag is no markup (in a comment, a script, a value), what is left of it only closes elements. What may change
how the page is read (comments, scripts, tags that are not plain) is not removed, and nothing is paired across it.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.element_ends import RAW, VOID, tag_end
from pipeline.extract.markup import attributes_of

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]
Keys = NDArray[np.uint64]

# Names of more bytes are not paired.
_NAME_BYTES: Final = 8
# The innermost elements are removed so many times at most; ordinary pages need some twenty.
_MOST_PASSES: Final = 64
# Tags that are not plain are read one by one, unless they are more than this, or are longer than so many pages.
_MOST_DOUBTFUL: Final = 1_000
_MOST_READ: Final = 4
_STAYS, _STARTS, _ENDS = 0, 1, 2
_LESS, _MORE, _SLASH, _EQUALS, _QUOTE, _APOSTROPHE = b"<>/=\"'"


def _table(*members: int) -> Mask:
    table = np.zeros(256, bool)
    table[list(members)] = True
    return table


_LETTER: Final = _table(*b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *b"abcdefghijklmnopqrstuvwxyz")
_IN_NAME: Final = _LETTER | _table(*b"0123456789")
_AFTER_NAME: Final = _table(*b" \t\n\r\f/>")
_NO_NAME_END: Final = _table(*range(0x21), *b"/=\"'")
# What may stand before an apostrophe that begins a value: "=", or white space of any kind.
_BEFORE_VALUE: Final = _table(_EQUALS, *range(0x21), *range(0x80, 0x100))
_LOWER: Final = np.where(_LETTER, np.arange(256) | 0x20, np.arange(256)).astype(np.uint8)


def _keys(names: frozenset[str]) -> Keys:
    short = sorted(name.encode() for name in names if len(name) <= _NAME_BYTES)
    return np.frombuffer(b"".join(name.ljust(_NAME_BYTES, b"\0") for name in short), np.uint64)


_VOID_KEYS: Final = _keys(VOID)
_EMPTY_KEYS: Final = _keys(VOID | RAW)  # they open no level


def end_tags(utf8: bytes) -> int:
    """How often "</" occurs in a page."""
    page = np.frombuffer(utf8, np.uint8)
    return int(np.count_nonzero((page[:-1] == _LESS) & (page[1:] == _SLASH)))


class TagBounds:
    """Bounds for one page, given as text and as UTF-8. All are computed in linear time."""

    def __init__(self, html: str, utf8: bytes) -> None:
        self._html = html
        self._utf8 = utf8
        page = np.frombuffer(utf8 + bytes(_NAME_BYTES + 2), np.uint8)
        self._start, self._end, unquoted = _starts(page)
        self._closing = page[self._start + 1] == _SLASH
        name_at = self._start + 1 + self._closing
        first = page[name_at]
        self._named = _LETTER[first]
        # what may be a comment: "</" before anything but a name, too
        self._declares = (
            np.where(self._closing, first != _MORE, (first == ord("!")) | (first == ord("?"))) & ~self._named
        )
        self._key = _names(page, name_at)
        # a name may hold what would begin a value elsewhere
        self._plain = unquoted & (self._key != 0)

    def levels(self, enough: int) -> int:
        """An upper bound of the depth of the open elements; not lowered any further once it is at most `enough`."""
        kind, key = self._pairable()
        levels = int(np.count_nonzero(kind == _STARTS))
        for taken in range(1, _MOST_PASSES + 1):
            if levels <= enough:
                break
            inner = ((kind[:-1] == _STARTS) & (kind[1:] == _ENDS) & (key[:-1] == key[1:])).nonzero()[0]
            if not inner.size:
                break
            rest = np.ones(kind.size, bool)
            rest[inner] = rest[inner + 1] = False
            kind, key = kind[rest], key[rest]
            levels = int(np.count_nonzero(kind == _STARTS)) + taken
        return levels

    def attributes(self, longer: int) -> int:
        """An upper bound of the attributes of any tag of more than `longer` characters."""
        doubtful = self._named & (~self._plain | (self._end - self._start >= longer))
        places = self._start[doubtful].tolist()
        if len(places) > _MOST_DOUBTFUL:
            return len(self._html)
        most = read = at = before = 0
        for place in places:
            at += len(self._utf8[before:place].decode("utf-8", "replace"))
            before = place
            end = tag_end(self._html, at)
            read += end - at
            if read > _MOST_READ * len(self._html):
                return len(self._html)
            if end - at > longer:
                most = max(most, attributes_of(self._html[at:end]))
        return most

    def _pairable(self) -> tuple[Bytes, Keys]:
        """All that may be a tag, in order: what it does, and the name by which it is paired (0: with nothing).

        Text and plain tags of elements without content are left out.
        """
        kind = np.where(self._closing, np.uint8(_ENDS), np.uint8(_STARTS))
        kind[~self._named | np.isin(self._key, _EMPTY_KEYS) | self._closing & ~self._plain] = _STAYS
        key = np.where(self._plain, self._key, np.uint64(0))
        kept = (self._named | self._declares) & ~np.isin(key, _VOID_KEYS)
        return kind[kept], key[kept]


def _starts(page: Bytes) -> tuple[Places, Places, Mask]:
    """Where each "<" is, where the next "<" or ">" is, and whether a tag there would surely end at that, but for
    quotation marks in its name."""
    at = ((page == _LESS) | (page == _MORE) | (page == _QUOTE) | (page == _APOSTROPHE)).nonzero()[0]
    what, before = page[at], page[at - 1]
    angles = ((what == _LESS) | (what == _MORE)).nonzero()[0]
    less = (what[angles] == _LESS).nonzero()[0]
    low, high = angles[less], np.append(angles, at.size)[less + 1]
    quotes = what == _QUOTE
    number = _sums(quotes)
    # Of a tag's quotation marks the first, third ... must begin a value: they follow "=" after a name. The others must
    # not, lest the value is one without quotation marks that holds one.
    odd = number[:-1] & 1 == 1
    opens = (before == _EQUALS) & ~_NO_NAME_END[page[at - 2]]
    of_odd = _sums(quotes & np.where(odd, ~opens, _BEFORE_VALUE[before]))
    of_even = _sums(quotes & np.where(odd, _BEFORE_VALUE[before], ~opens))
    first = number[low]
    strays = np.where(first & 1 == 1, of_odd[high] - of_odd[low], of_even[high] - of_even[low])
    values = _sums((what == _APOSTROPHE) & _BEFORE_VALUE[before])
    end = np.append(at, page.size)[high]
    ended = page[np.minimum(end, page.size - 1)] == _MORE
    plain: Mask = ended & ((number[high] - first) & 1 == 0) & (strays == 0) & (values[high] == values[low])
    return at[low], end, plain


def _sums(mask: Mask) -> NDArray[np.int32]:
    """How many before each place, and at the end."""
    sums = np.zeros(mask.size + 1, np.int32)
    mask.cumsum(out=sums[1:])
    return sums


def _names(page: Bytes, at: Places) -> Keys:
    """The name that begins at each place, in lower case; 0 where it is too long or of other letters."""
    words: Any = np.ndarray(page.size - _NAME_BYTES + 1, "<u8", page, strides=(1,))
    letters = words[at].view(np.uint8).reshape(-1, _NAME_BYTES)
    outside = ~_IN_NAME[letters]
    length = np.where(outside.any(axis=1), outside.argmax(axis=1), _NAME_BYTES)
    names = np.where(np.arange(_NAME_BYTES) < length[:, None], _LOWER[letters], np.uint8(0))
    return np.where(_AFTER_NAME[page[at + length]], names.view(np.uint64).reshape(-1), np.uint64(0))
