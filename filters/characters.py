"""Character classes: bit flags for every code point, looked up for a whole text at once.

The tables are built per plane of 65,536 code points when a text first needs one (some 20 ms), from Python's own
Unicode data, so that `str.isalpha`, `str.isspace`, `str.splitlines` ... and these flags always agree. Properties that
Python lacks (sentence ends, scripts) come from the `regex` package.
"""

import string
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import regex

Codes = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.uint16]
Entry = TypeVar("Entry", np.uint16, np.uint32)

ALPHA = 1 << 0  # str.isalpha
ALNUM = 1 << 1  # str.isalnum
DIGIT = 1 << 2  # str.isdigit
UPPER = 1 << 3  # str.isupper
SPACE = 1 << 4  # str.isspace
BREAK = 1 << 5  # ends a line for str.splitlines
WORD = 1 << 6  # member of a run that makes a word: letter, digit or combining mark of a script that has spaces
ALONE = 1 << 7  # Han or Kana: each character is a word, because these scripts have no spaces
GAP = 1 << 8  # belongs to no token: white space and invisible format characters
PUNCTUATION = 1 << 9  # Unicode category P
SYMBOL = 1 << 10  # Unicode category S
PLAIN = 1 << 11  # outside datatrove's PUNCTUATION: a token with such a character is a word; see MERE_PUNCTUATION
TERMINAL = 1 << 12  # ends a sentence: Unicode property Sentence_Terminal
JOINS_LETTERS = 1 << 13  # part of a word when between its letters or digits: don't, snake_case, example.com
JOINS_DIGITS = 1 << 14  # part of a number when between digits: 1,000, 12/31/2005, 10:30
BROKEN = 1 << 15  # never in sound text: controls, surrogates, private use, unassigned, U+FFFD

# Punctuation of East Asian, French and German text in CCNet's tables that is not ASCII.
CCNET_PUNCTUATION = "，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►"

# datatrove's PUNCTUATION (utils/text.py): ASCII's, CCNet's, and every control character but tab and newline. A token
# made only of these (sentence ends of any script included) is not one of its "non-symbol words".
MERE_PUNCTUATION = string.punctuation + CCNET_PUNCTUATION
_MERE_CONTROLS = [*range(9), 11, 12, *range(13, 32), *range(127, 160)]

_LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_LETTER_JOINERS = "'_.\u2019\u00b7"
_DIGIT_JOINERS = ",:/-"
_SENTENCE_END = regex.compile(r"\p{Sentence_Terminal}")
_ALONE_RUN = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\u30fc\uff70]+")
_PLANE = 0x10000


def code_points(text: str) -> Codes:
    """The text's code points, uint32[len(text)]; lone surrogates are kept."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def flags_of(codes: Codes) -> Flags:
    """The flags of each code point, uint16[len(codes)]."""
    return _look_up(codes, _plane_flags, np.uint16)


def places(flags: Flags, mask: int) -> npt.NDArray[np.int64]:
    """The ascending indices of the characters that have one of the flags in `mask`, int64[n]."""
    found: npt.NDArray[np.int64] = (flags & mask != 0).nonzero()[0]
    return found


def lowered(codes: Codes) -> Codes:
    """Lower-cases each code point whose lower case is one code point (not İ, for instance), uint32[len(codes)]."""
    return _look_up(codes, _plane_lower, np.uint32)


def lower_same_length(text: str) -> str:
    """`text.lower()` of the same length: a character whose lower case is longer is kept as it is."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(small if len(small := char.lower()) == 1 else char for char in text)


def _look_up(codes: Codes, table: Callable[[int], npt.NDArray[Entry]], dtype: type[Entry]) -> npt.NDArray[Entry]:
    if codes.size == 0:
        return np.empty(0, dtype)
    if int(codes.max()) < _PLANE:
        return table(0).take(codes)
    found = np.empty(codes.size, dtype)
    planes = codes >> 16
    for plane in np.unique(planes).tolist():
        mine = planes == plane
        found[mine] = table(plane).take(codes[mine] & 0xFFFF)
    return found


def _category_flags(category: str) -> int:
    flags = {"P": PUNCTUATION, "S": SYMBOL, "L": WORD, "N": WORD, "M": WORD}.get(category[0], 0)
    if category[0] in "LNMPSC":
        flags |= PLAIN
    if category == "Cf":
        flags = GAP | JOINS_LETTERS
    if category in ("Cc", "Cs", "Co", "Cn"):
        flags |= BROKEN
    return flags


@lru_cache(maxsize=17)
def _plane_flags(plane: int) -> Flags:
    chars = list(map(chr, range(plane * _PLANE, (plane + 1) * _PLANE)))

    def those(test: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
        return np.fromiter(map(test, chars), np.bool_, _PLANE)

    categories = list(map(unicodedata.category, chars))
    of_category = {category: _category_flags(category) for category in set(categories)}
    table = np.fromiter(map(of_category.__getitem__, categories), np.uint16, _PLANE)
    table[those(str.isalnum)] |= ALNUM | WORD
    table[those(str.isalpha)] |= ALPHA
    table[those(str.isdigit)] |= DIGIT
    table[those(str.isupper)] |= UPPER
    table[those(str.isspace)] = SPACE | GAP

    def mark(members: str | list[str], add: int, drop: int = 0) -> None:
        inside = [ord(char) & 0xFFFF for char in members if ord(char) >> 16 == plane]
        table[inside] = (table[inside] | add) & ~np.uint16(drop)

    whole = "".join(chars)
    terminals = _SENTENCE_END.findall(whole)
    for run in _ALONE_RUN.finditer(whole):
        flags = table[run.start() : run.end()]
        flags[flags & ALNUM != 0] ^= ALONE | WORD
    mark(terminals, TERMINAL, PLAIN)
    mark(MERE_PUNCTUATION, 0, PLAIN)
    mark(list(map(chr, _MERE_CONTROLS)), 0, PLAIN)
    mark(_LINE_BREAKS, BREAK)
    mark(_LETTER_JOINERS, JOINS_LETTERS)
    mark(_DIGIT_JOINERS, JOINS_DIGITS)
    mark("\ufffd", BROKEN)
    mark("\t\n\r\x0b\x0c", 0, BROKEN)
    return table


@lru_cache(maxsize=17)
def _plane_lower(plane: int) -> Codes:
    chars = map(chr, range(plane * _PLANE, (plane + 1) * _PLANE))
    return np.array([ord(small) if len(small := char.lower()) == 1 else ord(char) for char in chars], np.uint32)
