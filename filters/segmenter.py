"""Chinese word segmentation by jieba's dictionary and hidden Markov model (rjieba, in Rust).

Chinese has no spaces, and other rules' thresholds (words a document, characters a word, n-grams) are in words;
datatrove and FineWeb2 count jieba's too. Only boundaries between Han characters come from the segmenter: all else is
split as in any language (`filters.tokens`). The dictionary is loaded when the words of a Chinese text are first needed
(0.1 s, 33 MB).
"""

import re

import numpy as np

from filters.characters import ALONE, Flags
from filters.repeats import Indices, Mask

_SURROGATES = re.compile("[\ud800-\udfff]")


def merge_han(text: str, flags: Flags, start: Indices, end: Indices) -> tuple[Indices, Indices]:
    """Joins the tokens start[i]:end[i] of `text`, in which each Han character stands alone, into words."""
    alone = flags & ALONE != 0
    inner = np.zeros(start.size, bool)  # the token continues the one before it
    after_han = (start > 0) & alone.take(start) & alone.take(start - 1, mode="clip")
    if not after_han.any():
        return start, end
    inner[after_han] = ~_boundaries(text).take(start[after_han])
    return start[~inner], end[np.append(~inner[1:], True)]


def _boundaries(text: str) -> Mask:
    """Whether a word begins at each character, bool[characters + 1]."""
    import rjieba

    lengths = [*map(len, rjieba.cut(_SURROGATES.sub("\ufffd", text)))]
    begins = np.zeros(len(text) + 1, bool)
    begins[np.cumsum(lengths)] = True
    return begins
