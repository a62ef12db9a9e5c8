"""The words that the bag-of-words models read (quality classifiers, the reference classifier): lower case, digits as 0,
letters and digits only, so that they cannot learn the lines, bullets and punctuation that an extractor leaves.

Chinese has no spaces: of a run of Han characters the words are every character and every two neighbours, traditional
ones as simplified, so that one table reads both. Two characters are most words of Chinese; on judged pages they do as
well as a segmenter's words, and need none.
"""

import re
from collections import Counter
from operator import add

from filters.alphanumeric import RUN, alphanumeric_runs, others_of
from filters.han_forms import simplified

MAX_TEXT_CHARS = 100_000

_DIGIT = re.compile(r"\d")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")


def quality_words(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """Returns the words of the first `limit` characters, lower case, digits as 0, separated by single spaces."""
    return " ".join(RUN.findall(_DIGIT.sub("0", text[:limit].lower())))


def word_counts(text: str) -> Counter[str]:
    """Counts the `quality_words` of `text`."""
    text = text[:MAX_TEXT_CHARS]
    others = others_of(text)
    text = text.lower()
    lower = set("".join(others).lower())
    runs = _HAN.findall(text) if any(map(_HAN.match, lower)) else []
    if runs:
        text, lower = _HAN.sub(" ", text), {char for char in lower if not _HAN.match(char)}
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


def _han_counts(runs: list[str]) -> dict[str, int]:
    text = simplified(" ".join(runs))
    counts = Counter(text)
    counts.update(map(add, text, text[1:]))
    return {word: times for word, times in counts.items() if " " not in word}
