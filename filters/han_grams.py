"""Han characters and pairs of them, traditional ones as simplified: what the topic table of Chinese reads, without
what is Latin on the page."""

import re
from collections import Counter
from operator import add

from filters.bag_of_words import MAX_TEXT_CHARS, WordBytes
from filters.han_forms import simplified

_RUN = re.compile(r"[\u3400-\u9fff]+")


def han_gram_counts(text: str) -> Counter[str]:
    """Counts the Han characters of the first 100,000 characters, and the pairs of neighbours."""
    grams: list[str] = []
    for run in _RUN.findall(simplified(text[:MAX_TEXT_CHARS])):
        grams += run
        grams += map(add, run, run[1:])
    return Counter(grams)


def han_gram_bytes(text: str) -> WordBytes:
    """What `han_gram_counts` counts."""
    return WordBytes(b"", False, simplified(" ".join(_RUN.findall(text[:MAX_TEXT_CHARS]))).encode(), by_run=True)
