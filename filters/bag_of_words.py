"""The words that tables of words (`bag_of_words`, `reference`) and classifiers of quality see: lower case, digits as 0,
nothing but letters and digits. What an extractor leaves of lines, bullets and punctuation cannot be learned from them.
"""

import re
from collections import Counter

MAX_TEXT_CHARS = 100_000

_WORD = re.compile(r"[^\W_]+")
_DIGIT = re.compile(r"\d")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
# Byte → itself in lower case, 0 for a digit, a space for what parts words.
_ASCII_WORDS = bytes(
    ord("0" if chr(byte).isdigit() else chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else 32
    for byte in range(256)
)


def quality_words(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """The words of the first `limit` characters, lower case, digits as 0, one space between."""
    return " ".join(_WORD.findall(_DIGIT.sub("0", text[:limit].lower())))


def word_counts(text: str) -> Counter[str]:
    """How often each of the `quality_words` of `text` comes.

    ASCII texts, and those whose other characters are marks that part words, are cut as bytes, at a third of the time.
    """
    text = text[:MAX_TEXT_CHARS]
    if not text.isascii():
        others = set(_NOT_ASCII.findall(text))
        if not any(map(_WORD.match, others)):
            for mark in sorted(others):
                text = text.replace(mark, " ")
    if text.isascii():
        return Counter(text.encode().translate(_ASCII_WORDS).decode().split())
    counts = Counter(_WORD.findall(text.lower()))
    # digits are looked for only in words that are not all letters
    for word in [word for word in counts if not word.isalpha()]:
        times = counts.pop(word)
        counts[quality_words(word)] += times
    return counts
