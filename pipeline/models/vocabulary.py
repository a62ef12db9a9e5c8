"""One dictionary for the words of all tables: those of a document are looked up once, however many tables read them.

A table of some thousand words does not stay in a CPU's caches from one document to the next, so that each of its
lookups is of memory. Here every word that a table has gets a number when the table is loaded. The words of a document
become numbers once, and a table takes its own from them by an array. Those of a text are looked up and counted as bytes
(`word_kernels.py`); those of a mapping, as it has them.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import islice, repeat
from threading import Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dedup.kernels import Bytes, Offsets
from filters.bag_of_words import WordBytes
from pipeline.document import WordCounts
from pipeline.models.word_kernels import Slots, count_words, enter
from pipeline.models.word_table import term_frequencies

Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_NUMBERS: dict[str, int] = {}
_ADDING = Lock()


class TableWords:
    """The words of a table, whose places are in the order given; none is there twice."""

    def __init__(self, words: Collection[str]) -> None:
        with _ADDING:
            numbers = [_NUMBERS.setdefault(word, len(_NUMBERS)) for word in words]
            # the last is for the words of tables that come later
            self._place_of = np.full(len(_NUMBERS) + 1, -1)
        self._place_of[numbers] = np.arange(len(numbers))

    def found(self, counts: Mapping[str, int]) -> tuple[Places, Floats]:
        """The places of the words that are counted, in the order of `counts`, and the `term_frequencies` of these."""
        numbers, frequencies = _of_document(counts) if isinstance(counts, WordCounts) else _numbered(counts)
        places = self._place_of.take(numbers, mode="clip")
        known = (places >= 0).nonzero()[0]
        return places.take(known), frequencies.take(known)


def _of_document(counts: WordCounts) -> tuple[Places, Floats]:
    """`_numbered`, once as long as no table brings other words."""
    if counts.looked_up is None or counts.looked_up[0] != len(_NUMBERS):
        words = counts.as_bytes()
        counts.looked_up = (len(_NUMBERS), _numbered(counts) if words is None else _counted(words))
    found: tuple[Places, Floats] = counts.looked_up[1]
    return found


class _Known(NamedTuple):
    """The words of all tables for `word_kernels.py`, and room to count them, all zero between two texts."""

    slots: Slots
    blob: Bytes
    bounds: Offsets
    times_W: Places


def _counted(words: WordBytes) -> tuple[Places, Floats]:
    """The numbers of the words that have one, and the frequency of each."""
    spaced, han = np.frombuffer(words.spaced, np.uint8), np.frombuffer(words.han, np.uint8)
    numbers, times = count_words(spaced, words.digits_last, han, words.by_run, *_known(len(_NUMBERS)))
    return numbers, term_frequencies(times)


@lru_cache(maxsize=1)
def _known(size: int) -> _Known:
    """Of the first words, so many."""
    with _ADDING:
        words = [word.encode("utf-8", "surrogatepass") for word in islice(_NUMBERS, size)]
    bounds = np.zeros(size + 1, np.int64)
    np.cumsum([*map(len, words)], out=bounds[1:])
    blob = np.frombuffer(b"".join(words), np.uint8)
    slots = np.zeros(1 << (2 * size).bit_length(), np.uint64)
    enter(blob, bounds, slots)
    return _Known(slots, blob, bounds, np.zeros(size, np.int64))


def _numbered(counts: Mapping[str, int]) -> tuple[Places, Floats]:
    """The numbers of the words that have one, and the frequency of each."""
    numbers = np.fromiter(map(_NUMBERS.get, counts, repeat(-1)), np.int64, len(counts))
    known = (numbers >= 0).nonzero()[0]
    times = np.fromiter(counts.values(), np.int64, len(counts)).take(known)
    return numbers.take(known), term_frequencies(times)
