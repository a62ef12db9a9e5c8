"""`strip_tags`: all visible text in one pass over the bytes of a page. The cheapest extractor, meant for prefilters.

The text is that of `all_text` without its title, in less time, with one difference: a ">" in a quoted value ends its
tag here, so the rest of the value is kept as text, and a comment that begins there counts as a comment. It builds no
tree, does not recurse and reads nothing twice: a tag, comment or script without an end reaches to the end of the page.
It takes no more memory than a few copies of the page, so the caps on size suffice.
"""

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Final

import numpy as np

from pipeline.extract.element_ends import NOT_PLAIN, element_end
from pipeline.extract.extractors.extractor import Extractor
from pipeline.extract.line_kernels import collapsed
from pipeline.extract.markup import BLOCK, SHOWN_RAW, UNSEEN, Tag, raw_text
from pipeline.extract.references import characters
from pipeline.extract.shadow import composed
from pipeline.extract.text import Extracted, page_title, tidy
from pipeline.extract.visible_kernels import (
    AT_ELEMENT,
    BREAKS_LINE,
    BREAKS_WORD,
    DONE,
    ELEMENT,
    IN_NO_SVG,
    IS_RAW,
    LINE,
    LINK,
    LINK_END,
    LINK_START,
    LONGEST_NAME,
    NAME_BITS,
    NO_LETTERS,
    PLACES_BITS,
    SCRIPT,
    SHOWN,
    SVG,
    TEMPLATE,
    Bytes,
    Flags,
    Words,
    place_of,
    visible,
)

# Elements that end by rules of their own, each with its number; those whose text is shown have one together.
_NUMBERS: Final = {"script": SCRIPT, "svg": SVG, "template": TEMPLATE, **dict.fromkeys(SHOWN_RAW - UNSEEN, SHOWN)}
_NUMBERED: Final = {**_NUMBERS, **{name: SHOWN + i for i, name in enumerate(sorted(UNSEEN - _NUMBERS.keys()), 1)}}
_PLACES: Final = 1 << PLACES_BITS
_NO_LETTERS: Final = np.zeros(0, np.bool_)
# UTF-8 with surrogates: what may be in a text that does not come from `decode`.
_CODEC: Final = ("utf-8", "surrogatepass")


# Blanks apart. Of menus, and of lists of titles, a line has hardly a byte outside its links. A Han character has three
# bytes, so that a line of verse has more than these in both languages. Of the labels around a text, fewer than three
# such lines follow one another (`IN_SUCCESSION`), and they are no sentences.
MIN_UNLINKED: Final = 16
MIN_ALONE: Final = 160

# What a page writes as the ends of a link are none: another control character, which is left out of the text as well.
_CONTROL: Final = 3
_NO_LINK: Final = {LINK_START: _CONTROL, LINK_END: _CONTROL}
_LINK_REFERENCE: Final = re.compile(rb"&#(?:0*+[12](?![0-9])|[xX]0*+[12](?![0-9a-fA-F]));?+")


@dataclass(frozen=True)
class StripTagsOptions:
    unlinked: bool = False
    """Without the lines that have fewer than 16 bytes (blanks apart) outside links, menus and lists of titles, and
    without those with fewer than 160 that are not among three of 16 and more in succession: labels, notices."""


def strip_tags(html: str, url: str, options: StripTagsOptions) -> Extracted:  # noqa: ARG001
    """All visible text, a line for each block. Uses no parser; linear in the length of the page."""
    return _of_utf8(html, html.encode(*_CODEC), options)


def _of_utf8(html: str, utf8: bytes, options: StripTagsOptions) -> Extracted:
    return Extracted(_visible_text(html, utf8, MIN_UNLINKED if options.unlinked else 0), page_title(html))


def _visible_text(html: str, utf8: bytes, least: int) -> str:
    """The visible text, a line for each block, white space collapsed and character references resolved; tidy. `least`:
    how many bytes outside links a line has that is kept."""
    if least and (b"\1" in utf8 or b"\2" in utf8):
        html = html.translate(_NO_LINK)
        utf8 = html.encode(*_CODEC)
    if b"\0" in utf8 or b"shadowroot" in utf8:  # found in bytes in a third of the time
        html = composed(html.replace("\0", ""))
        utf8 = html.encode(*_CODEC)
    raw = _without_markup(html, utf8, links=least > 0)
    if b"&" in raw:
        if least:
            raw = _LINK_REFERENCE.sub(bytes([_CONTROL]), raw)
        raw = characters(raw.decode(*_CODEC)).encode(*_CODEC)
    room = np.empty(len(raw), np.uint8)
    size, unusual = collapsed(np.frombuffer(raw, np.uint8), room, least, MIN_ALONE)
    text = room[:size].tobytes().decode(*_CODEC)
    return tidy(text) if unusual else text


def _without_markup(html: str, utf8: bytes, links: bool) -> bytes:
    """The text between tags in UTF-8, with LINE for those that end a line, and with the ends of `links`; references in
    it as they stand."""
    page, room = np.frombuffer(utf8, np.uint8), np.empty(len(utf8), np.uint8)
    names, meanings = _names(links)
    endless: Flags = np.zeros(256 // ELEMENT, np.bool_)
    ends = _Ends(html, utf8)
    pieces: list[bytes] = []
    letters, position = _NO_LETTERS, 0
    while True:
        why, count, start, content, number = visible(page, position, room, names, meanings, endless, letters)
        if why == NO_LETTERS:
            letters = _letters()
            continue
        pieces.append(room[:count].tobytes())
        if why == DONE:
            return b"".join(pieces)
        assert why == AT_ELEMENT
        position, shown = ends.of(start, content, number)
        pieces.append(shown)


class _Ends:
    """Where elements of a page end that `visible` asks about, from the first to the last."""

    def __init__(self, html: str, utf8: bytes) -> None:
        self._html = html
        self._utf8 = utf8
        self._byte = self._character = 0  # the same place
        self._endless: set[str] = set()

    def of(self, start: int, content: int, number: int) -> tuple[int, bytes]:
        """The byte at which the element ends that begins at a byte, and what it shows. `number`: its name's."""
        begin = self._character_at(start)
        after = self._character_at(content)
        html = self._html
        name = next(name for name, each in _NUMBERED.items() if each == number and _is_at(html, begin, name))
        end = after if name in self._endless else element_end(html, name, after)
        if end < 0:
            self._endless.add(name)
            end = after
        shown = b""
        if number == SHOWN:
            text = escape(raw_text(html, Tag(name, False, begin, after, end)).translate(_NO_LINK), quote=False)
            shown = bytes([LINE]) + text.encode(*_CODEC)
        self._byte += len(html[after:end].encode(*_CODEC))
        self._character = end
        return self._byte, shown

    def _character_at(self, byte: int) -> int:
        self._character += len(self._utf8[self._byte : byte].decode(*_CODEC))
        self._byte = byte
        return self._character


def _is_at(html: str, start: int, name: str) -> bool:
    return html[start + 1 : start + 1 + len(name)].lower() == name


@cache
def _names(links: bool) -> tuple[Words, Bytes]:
    """What tags say by their names, as `visible` looks it up."""
    said: dict[str, int] = {name: number * ELEMENT for name, number in _NUMBERED.items()}
    for flag, names in (
        (BREAKS_LINE, BLOCK | SHOWN_RAW - UNSEEN),
        # WET keeps the cells of a row on one line; a tag that is not listed does not break a word
        (BREAKS_WORD, {"td", "th"}),
        (IN_NO_SVG, NOT_PLAIN["svg"]),
        (IS_RAW, NOT_PLAIN["template"]),
    ):
        for name in names:
            said[name] = said.get(name, 0) | flag
    if links:
        said["a"] = LINK
    words, meanings = np.zeros(_PLACES, np.uint64), np.zeros(_PLACES, np.uint8)
    for name, flags in said.items():
        if len(name) <= LONGEST_NAME:
            word = _word(name)
            with np.errstate(over="ignore"):  # meant
                place = place_of(word)
            while words[place]:
                place = (place + 1) % _PLACES
            words[place], meanings[place] = word, flags
    return words, meanings


def _word(name: str) -> np.uint64:
    word = 0
    for letter in name:
        word = word << NAME_BITS | (ord(letter) - ord("0") + 27 if letter.isdigit() else ord(letter) - ord("a") + 1)
    return np.uint64(word)


@cache
def _letters() -> Flags:
    """Which characters are letters; few pages need it, and it takes a tenth of a second to make."""
    return np.array([chr(code).isalpha() for code in range(0x110000)], np.bool_)


EXTRACTOR = Extractor("strip_tags", strip_tags, StripTagsOptions, sandboxed=False, caps="size", of_utf8=_of_utf8)
