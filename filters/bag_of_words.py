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

from filters.alphanumeric import RUN, alphanumeric_bytes, alphanumeric_runs, others_of
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
    text, others, lower, runs = _parted(text)
    counts = Counter(alphanumeric_runs(text, zero_digits=True, others=lower))
    if not any(map(str.isalnum, others)):
        return counts
    # Only words that are not all letters can contain digits. They come last, in the order in which they are found.
    for word in [word for word in counts if not word.isalpha()]:
        times = counts.pop(word)
        counts[quality_words(word)] += times
    if runs:
        dict.update(counts, _han_counts(runs))  # none of these are there yet
    return counts


def word_bytes(text: str) -> WordBytes | None:
    """What `word_counts` counts; None for a text with numerals that are neither letters nor digits of ASCII."""
    text, others, lower, runs = _parted(text)
    if any(char.isalnum() and not char.isalpha() for char in lower):
        return None
    han = simplified(" ".join(runs)).encode() if runs else b""
    return WordBytes(
        alphanumeric_bytes(text, zero_digits=True, others=lower), digits_last=any(map(str.isalnum, others)), han=han
    )


def _parted(text: str) -> tuple[str, set[str], set[str], list[str]]:
    """The part of a text that is read, in lower case without Han characters; its characters that are not ASCII; those
    of the lower case but Han; the runs of Han characters."""
    text = text[:MAX_TEXT_CHARS]
    others = others_of(text)
    text = text.lower()
    lower = "".join(others).lower()
    if not _HAN.search(lower):
        return text, others, set(lower), []
    parts = _HAN_RUN.split(text)
    return " ".join(parts[::2]), others, set(_HAN.sub("", lower)), parts[1::2]


def _han_counts(runs: list[str]) -> dict[str, int]:
    text = simplified(" ".join(runs))
    counts = Counter(text)
    counts.update(map(add, text, text[1:]))
    return {word: times for word, times in counts.items() if " " not in word}
