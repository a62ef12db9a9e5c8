"""Contamination: overlap of a text with benchmarks, as runs of 13 equal words (GPT-3, appendix C; Dolma; OLMo).

A word is a run of letters and digits in lower case (NFKC first); a Han character or kana is a word by itself, so that
13 of them are some 7 Chinese words. A sorted table maps the 64-bit hash of each run to the items of the benchmarks that
contain it. Items too short for a run of 13 are stored as one run of their whole text, 8 to 12 words long.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint32]

RUN = 13
SHORTEST_WHOLE = 8
# Runs that are lists of numbers or refrains are left out: a run needs this many distinct words and words of letters.
MIN_DISTINCT = 6
MIN_LETTERED = 5

_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_WIDE}]|[^\\W_{_WIDE}]+")
_BASE = 0x9E3779B97F4A7C15  # odd, so that no position of a run is lost modulo 2**64


class Hits(NamedTuple):
    """A result: the share of the text's words inside matching runs (0 to 1), the number of distinct runs, and the items
    that contain them, those with most runs first."""

    share: float
    runs: int
    items: tuple[str, ...]


def words_of(text: str) -> list[str]:
    """Returns the words of a text, the units of runs."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _WORD.findall(text.lower())


def run_hashes(words: Sequence[str], lengths: Sequence[int]) -> dict[int, Hashes]:
    """Returns the hashes of the runs of each length, uint64[max(0, len(words) - length + 1)], in text order.

    The last four bits of a hash are its length, which is below 16.
    """
    known = {word: xxhash.xxh3_64_intdigest(word.encode("utf-8", "surrogatepass")) for word in set(words)}
    values = np.fromiter(map(known.__getitem__, words), np.uint64, len(words))
    total = np.zeros(len(words), np.uint64)
    found = {}
    for length in range(1, min(max(lengths, default=0), len(words)) + 1):
        total = total[: len(words) - length + 1] * np.uint64(_BASE) + values[length - 1 :]
        if length in lengths:
            # The last word has hardly been mixed yet: spread it over all bits.
            mixed = (total ^ (total >> np.uint64(32))) * np.uint64(_BASE)
            found[length] = (mixed & ~np.uint64(15)) | np.uint64(length)
    return {length: found.get(length, np.empty(0, np.uint64)) for length in lengths}


def runs_of_item(fields: Iterable[str]) -> Hashes:
    """Returns the runs that represent one benchmark item, as sorted hashes, from its fields (question, passage,
    answer).

    Each field is cut by itself: every informative run of RUN words; if all fields are shorter than that, each whole
    field of at least SHORTEST_WHOLE words.
    """
    texts = [words_of(field) for field in fields]
    long = [words for words in texts if len(words) >= RUN]
    if long:
        parts = [run_hashes(words, (RUN,))[RUN][_informative(words, RUN)] for words in long]
    else:
        whole = [words for words in texts if len(words) >= SHORTEST_WHOLE]
        parts = [run_hashes(words, (len(words),))[len(words)][_informative(words, len(words))] for words in whole]
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.uint64)


def _informative(words: Sequence[str], length: int) -> npt.NDArray[np.bool_]:
    """Which runs are neither lists of numbers nor refrains, bool[runs]."""
    lettered = np.cumsum([0, *(word.isalpha() for word in words)])
    starts = range(len(words) - length + 1)
    distinct = np.array([len(set(words[at : at + length])) for at in starts])
    informative: npt.NDArray[np.bool_] = (distinct >= MIN_DISTINCT) & (
        lettered[length:] - lettered[:-length] >= MIN_LETTERED
    )
    return informative


class Runs:
    """The table: `hashes` sorted and unique; run r is in items `items[starts[r]:starts[r + 1]]` of `names`; `lengths`
    are the run lengths that occur."""

    def __init__(
        self, hashes: Hashes, starts: Numbers, items: Numbers, names: Sequence[str], lengths: tuple[int, ...]
    ) -> None:
        self.hashes, self.starts, self.items = hashes, starts, items
        self.names, self.lengths = names, lengths
        # Nearly every run of a text is in no benchmark; one bit looked up rules most of them out.
        self._first_bits = {length: _first_bits(hashes[hashes & np.uint64(15) == length]) for length in lengths}

    def find(self, text: str) -> Hits:
        """Finds the overlap of `text` with the items."""
        words = words_of(text)
        covered = np.zeros(len(words), bool)
        found = []
        for length, places, runs in self._hits(words):
            found.append(runs)
            for start in places:
                covered[start : start + length] = True
        distinct = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
        if not distinct.size:
            return Hits(0.0, 0, ())
        return Hits(round(float(covered.mean()), 6), distinct.size, self._items(distinct))

    def hashes_in(self, text: str) -> Hashes:
        """Returns the runs of the table that are in `text`, as sorted hashes."""
        found = [self.hashes[runs] for _, _, runs in self._hits(words_of(text))]
        return np.unique(np.concatenate([*found, np.empty(0, np.uint64)]))

    def _hits(self, words: Sequence[str]) -> Iterator[tuple[int, Indices, Indices]]:
        """Yields for each length: the positions in `words` at which runs of the table begin, and their indices."""
        for length, hashes in run_hashes(words, self.lengths).items():
            seen = self._first_bits[length]
            places = seen[hashes >> np.uint64(65 - seen.size.bit_length())].nonzero()[0]
            runs = self.hashes.searchsorted(hashes[places])
            runs[runs == self.hashes.size] = 0
            hit = self.hashes[runs] == hashes[places]
            yield length, places[hit], runs[hit]

    def _items(self, runs: Indices) -> tuple[str, ...]:
        counts = Counter(int(item) for run in runs for item in self.items[self.starts[run] : self.starts[run + 1]])
        order = sorted(counts, key=lambda item: (-counts[item], item))
        return tuple(self.names[item] for item in order)


def _first_bits(hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Which prefixes of 8 to 26 bits the hashes have, bool[2**bits]; about eight times as many bits as hashes."""
    bits = min(max((8 * hashes.size).bit_length(), 8), 26)
    seen = np.zeros(1 << bits, bool)
    seen[hashes >> np.uint64(64 - bits)] = True
    return seen


def table(items: Sequence[Hashes], names: Sequence[str]) -> Runs:
    """Builds the table from the runs of each item."""
    numbers = np.repeat(np.arange(len(items), dtype=np.uint32), [runs.size for runs in items])
    every = np.concatenate([*items, np.empty(0, np.uint64)])
    order = np.lexsort((numbers, every))
    hashes, firsts = np.unique(every[order], return_index=True)
    starts = np.append(firsts, every.size).astype(np.uint32)
    lengths = tuple(int(length) for length in np.unique(hashes & np.uint64(15)))
    return Runs(hashes, starts, numbers[order], tuple(names), lengths)
