"""Whether a text is a near-copy of one of others, by the shingles that deduplication has (`dedup/shingles.py`).

Two texts are near-copies where the smaller set of shingles has SHARED of its own in the other: so a passage that a page
quotes, and a piece that was cut from a page, are near-copies of the page, whatever their lengths are. Sets are compared
in full, not by a signature: there are thousands of texts, not millions.
"""

from collections.abc import Sequence

import numpy as np

from dedup.shingles import shingles

SHARED = 0.5


class NearCopies:
    """Of these texts. Memory: 16 bytes for each of their shingles."""

    def __init__(self, texts: Sequence[str]) -> None:
        sets = [shingles(text) for text in texts]
        self._sizes = np.array([each.size for each in sets], np.int64)
        flat = np.concatenate([*sets, np.empty(0, np.uint64)])
        order = np.argsort(flat, kind="stable")
        self._shingles = flat[order]
        self._owners = np.repeat(np.arange(len(sets)), self._sizes)[order]

    def has_one_of(self, text: str) -> bool:
        """Whether one of the texts is a near-copy of this; never of one without letters and digits."""
        own = shingles(text)
        begin = np.searchsorted(self._shingles, own, "left")
        count = np.searchsorted(self._shingles, own, "right") - begin
        places = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(count.sum())
        shared = np.bincount(self._owners[places], minlength=self._sizes.size)
        return bool((shared >= SHARED * np.minimum(self._sizes, own.size))[shared > 0].any())
