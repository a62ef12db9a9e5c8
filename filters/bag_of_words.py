"""The words that the bag-of-words models read (quality classifiers, the reference classifier): lower case, digits as 0,
letters and digits only, so that they cannot learn the lines, bullets and punctuation that an extractor leaves.

Chinese has no spaces: of a run of Han characters the words are every character and every two neighbours, traditional
ones as simplified, so that one table reads both. Two characters are most words of Chinese; on judged pages they do as
well as a segmenter's words, and need none.
"""

import re
from collections import Counter
from operator import add
from typing import NamedTuple

from filters.alphanumeric import RUN, alphanumeric_bytes, alphanumeric_runs, may_have_han, others_of
from filters.han_forms import simplified

MAX_TEXT_CHARS = 100_000

_DIGIT = re.compile(r"\d")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")
_HAN_RUN = re.compile(f"({_HAN.pattern})")


def quality_words(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """Returns the words of the first `limit` characters, lower case, digits as 0, separated by single spaces."""
    return " ".join(RUN.findall(_DIGIT.sub("0", text[:limit].lower())))


class WordBytes(NamedTuple):
    """A text's words as UTF-8 for those who count them without making strings, in the order of `word_counts`."""

    spaced: bytes
    """Words with spaces between, in the order of the text."""

    digits_last: bool
    """Whether the words that have a digit come behind all others."""

    han: bytes
    """Runs of Han characters, simplified, a space between two: every character is a word, then every two neighbours."""

    by_run: bool = False
    """Whether the two neighbours of a run come before the characters of the next one."""


def word_counts(text: str) -> Counter[str]:
    """Counts the `quality_words` of `text`."""
    parts = _parted(text)
    counts = Counter(alphanumeric_runs(parts.spaced, zero_digits=True, others=parts.others))
    if not parts.digits_last:
        return counts
    # Only words that are not all letters can contain digits. They come last, in the order in which they are found.
    for word in [word for word in counts if not word.isalpha()]:
        times = counts.pop(word)
        counts[quality_words(word)] += times
    if parts.runs:
        dict.update(counts, _han_counts(parts.runs))  # none of these are there yet
    return counts


def word_bytes(text: str) -> WordBytes | None:
    """What `word_counts` counts; None for a text with numerals that are neither letters nor digits of ASCII."""
    parts = _parted(text)
    if any(char.isalnum() and not char.isalpha() for char in parts.others):
        return None
    spaced = alphanumeric_bytes(parts.spaced, zero_digits=True, others=parts.others)
    return WordBytes(spaced, parts.digits_last, simplified(" ".join(parts.runs)).encode())


class _Parts(NamedTuple):
    """`spaced`: the part of a text that is read, in lower case, with a space for each run of Han characters; `others`:
    its characters that are not ASCII, and perhaps some more; `runs`: those of Han characters."""

    spaced: str
    others: set[str]
    digits_last: bool
    runs: list[str]


def _parted(text: str) -> _Parts:
    text = text[:MAX_TEXT_CHARS]
    if may_have_han(text):
        parts = _HAN_RUN.split(text.lower())
        spaced = " ".join(parts[::2])
        if len(parts) > 1:
            return _Parts(spaced, others_of(spaced), True, parts[1::2])
    others = others_of(text)
    return _Parts(text.lower(), set("".join(others).lower()), any(map(str.isalnum, others)), [])


def _han_counts(runs: list[str]) -> dict[str, int]:
    text = simplified(" ".join(runs))
    counts = Counter(text)
    counts.update(map(add, text, text[1:]))
    return {word: times for word, times in counts.items() if " " not in word}
