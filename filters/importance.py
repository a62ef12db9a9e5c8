"""Importance weights: how much likelier a text is under one collection than under another (DSIR: Xie et al. 2023, arXiv
2302.03169, as RedPajama-V2 measures it).

Words and pairs of words are counted in hashed buckets; the weight is the logarithm of p(text | target) / p(text |
source) under two bag-of-words models, so it grows with the text's length. With the length correction the Poisson
probabilities of the length under both are included. RedPajama hashes with Python's own `hash`, which differs from
process to process; here a bucket is CRC-32 of the words in UTF-8, so that a table can be stored.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from math import exp, fsum, lgamma, log
from zlib import crc32

import numpy as np
import numpy.typing as npt

BUCKETS = 10_000
_RAW_WORD = re.compile(r"\w+|[^\w\s]+")
_FLOOR = 1e-8  # added to every probability before its logarithm


@dataclass(frozen=True)
class Importance:
    """A table: the log ratio of target to source for each bucket (float64[buckets]), and the mean characters of a text
    of each."""

    log_ratio: npt.NDArray[np.float64]
    target_length: float
    source_length: float

    @classmethod
    def fit(cls, target: Iterable[str], source: Iterable[str], buckets: int = BUCKETS) -> "Importance":
        """Fits the table from target texts and texts of the pool. Raises ValueError if either has no words."""
        target_shares, target_length = _count(target, buckets)
        source_shares, source_length = _count(source, buckets)
        ratio = np.log(target_shares + _FLOOR) - np.log(source_shares + _FLOOR)
        return cls(ratio, target_length, source_length)

    def weight(self, text: str, length_correction: bool = False) -> float | None:
        """Returns the log ratio, rounded to 8 places; None for an empty text."""
        if not text:
            return None
        found = np.fromiter(features(text, self.log_ratio.size), np.int64)
        total = fsum(self.log_ratio[found].tolist())  # exact: the same in any order and on any machine
        if length_correction:
            total += log(_poisson(len(text), self.target_length) + _FLOOR)
            total -= log(_poisson(len(text), self.source_length) + _FLOOR)
        return round(total, 8)


def raw_words(text: str) -> list[str]:
    """Returns runs of letters, digits and _ , and runs of other visible characters (NLTK's WordPunctTokenizer)."""
    return _RAW_WORD.findall(text)


def features(text: str, buckets: int) -> Iterator[int]:
    """Yields the bucket of each word and of each pair of neighbouring words."""
    words = raw_words(text)
    for feature in chain(words, map(" ".join, pairwise(words))):
        yield crc32(feature.encode("utf-8", "surrogatepass")) % buckets


def _count(texts: Iterable[str], buckets: int) -> tuple[npt.NDArray[np.float64], float]:
    counts = np.zeros(buckets, np.int64)
    characters = documents = 0
    for text in texts:
        counts += np.bincount(np.fromiter(features(text, buckets), np.int64), minlength=buckets)
        characters, documents = characters + len(text), documents + 1
    if not counts.any():
        raise ValueError("importance: there are no words to count in the target or source texts")
    return counts / counts.sum(), characters / documents


def _poisson(count: int, mean: float) -> float:
    return exp(count * log(mean) - mean - lgamma(count + 1))
