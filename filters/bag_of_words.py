"""The words that the bag-of-words models read (quality classifiers, the reference classifier): lower case, digits as 0,
letters and digits only, so that they cannot learn the lines, bullets and punctuation that an extractor leaves.

Chinese has no spaces: of a run of Han characters the words are every character and every two neighbours, traditional
ones as simplified, so that one table reads both. Two characters are most words of Chinese; on judged pages they do as
well as a segmenter's words, and need none.
"""

import re
from collections import Counter
from operator import add

from filters.han_forms import simplified

MAX_TEXT_CHARS = 100_000

_WORD = re.compile(r"[^\W_]+")
_DIGIT = re.compile(r"\d")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")
# Byte → its lower-case form, 0 for a digit, a space for every separator.
_ASCII_WORDS = bytes(
    ord("0" if chr(byte).isdigit() else chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else 32
    for byte in range(256)
)


def quality_words(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """Returns the words of the first `limit` characters, lower case, digits as 0, separated by single spaces."""
    return " ".join(_WORD.findall(_DIGIT.sub("0", text[:limit].lower())))


def word_counts(text: str) -> Counter[str]:
    """Counts the `quality_words` of `text`.

    ASCII texts, and texts whose other characters are all separators, are split as bytes, which takes a third of the
    time.
    """
    text = text[:MAX_TEXT_CHARS]
    if not text.isascii():
        others = set(_NOT_ASCII.findall(text))
        if not any(map(_WORD.match, others)):
            for mark in sorted(others):
                text = text.replace(mark, " ")
    if text.isascii():
        return Counter(text.encode().translate(_ASCII_WORDS).decode().split())
    text = text.lower()
    runs = _HAN.findall(text)
    counts = Counter(_WORD.findall(_HAN.sub(" ", text) if runs else text))
    # Only words that are not all letters can contain digits.
    for word in [word for word in counts if not word.isalpha()]:
        times = counts.pop(word)
        counts[quality_words(word)] += times
    if runs:
        counts.update(_han_counts(runs))
    return counts


def _han_counts(runs: list[str]) -> Counter[str]:
    text = simplified(" ".join(runs))
    counts = Counter(text)
    counts.update(map(add, text, text[1:]))
    for word in [word for word in counts if " " in word]:
        del counts[word]
    return counts
