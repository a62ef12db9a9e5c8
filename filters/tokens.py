"""Tokens: the words and marks of a text, and their repeated n-grams.

The one definition for all recipes (`View(words=...)` replaces it, for parity with another tokenizer):
- a **word** is a run of letters, digits and combining marks; one of ' ’ · _ . or an invisible joiner between two of
  them belongs to it (don't, snake_case, example.com, 3.14; but not the point in "end.Begin"), and so does one of
  , : / - between two digits (1,000, 10:30, 12/31/2005);
- a Han or Kana character is a word by itself: those scripts have no spaces. In a text that is known to be Chinese a
  segmenter joins them into words afterwards (`filters.segmenter`). Thai, Lao, Khmer and Burmese, which have no spaces
  either, count a run as one word;
- any other visible character is a **mark**; a run of the same one is one mark (..., -----, !!!).
Tokens are words and marks in text order: datatrove's tokenizers count both, DCLM's rules words alone.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from filters.characters import ALNUM, ALONE, DIGIT, GAP, JOINS_DIGITS, JOINS_LETTERS, UPPER, WORD, Codes, Flags, places
from filters.repeats import Hashes, Indices, Mask, Rolling, group, hash_words

_POINT = ord(".")


class Repeats(NamedTuple):
    """The n-grams that occur more than once: the token index at which each begins (ascending), its group's number, and
    the number of copies of each group."""

    positions: Indices
    ids: Indices
    counts: Indices


_NO_REPEATS = Repeats(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


class Tokens:
    """A sequence of k tokens over the characters of one string: spans start[i]:end[i] that do not overlap."""

    def __init__(self, flags: Flags, rolling: Rolling, start: Indices, end: Indices) -> None:
        self._character_flags = flags
        self._rolling = rolling
        self.start = start
        self.end = end

    def __len__(self) -> int:
        return self.start.size

    @cached_property
    def lengths(self) -> Indices:
        """Characters of each token, int64[k]."""
        return self.end - self.start

    @cached_property
    def characters(self) -> int:
        """Characters of all tokens together, without the separators."""
        return int(self.lengths.sum())

    @cached_property
    def offsets(self) -> Indices:
        """Characters before each token, int64[k + 1]: tokens i to j have offsets[j] - offsets[i] characters."""
        offsets = np.zeros(len(self) + 1, np.int64)
        self.lengths.cumsum(out=offsets[1:])
        return offsets

    @cached_property
    def hashes(self) -> Hashes:
        """The hash of each token, uint64[k]."""
        return self._rolling.hashes(self.start, self.end)

    @cached_property
    def flags(self) -> Flags:
        """The flags of each token's characters, or-ed, uint16[k]."""
        if not len(self):
            return np.empty(0, np.uint16)
        bounds = np.empty(2 * len(self), np.int64)
        bounds[0::2], bounds[1::2] = self.start, self.end
        return np.bitwise_or.reduceat(np.append(self._character_flags, np.uint16(0)), bounds)[::2]

    def fraction_all(self, mask: int) -> float | None:
        """Share of the tokens all of whose characters have one of the flags in `mask`; None without tokens."""
        if not len(self):
            return None
        sums = np.zeros(self._character_flags.size + 1, np.int64)
        np.cumsum(self._character_flags & mask != 0, out=sums[1:])
        return int(np.count_nonzero(sums.take(self.end) - sums.take(self.start) == self.lengths)) / len(self)

    @cached_property
    def words(self) -> "Tokens":
        """The tokens that begin with a letter or a digit (the test of DCLM's `ignore_punctuation`)."""
        chosen = places(self._character_flags.take(self.start), ALNUM)
        return Tokens(self._character_flags, self._rolling, self.start[chosen], self.end[chosen])

    def repeats(self, longest: int) -> Iterator[tuple[int, Repeats]]:
        """Yields (n, the n-grams that occur more than once) for n = 2 ... longest.

        An n-gram can only repeat where the (n-1)-gram does, so each n reads few positions of the last; only one n is
        held in memory at a time.
        """
        sequence = Rolling(self.hashes)
        positions = np.arange(len(self))
        for n in range(2, longest + 1):
            if positions.size > 1:
                positions = positions[: positions.searchsorted(len(self) - n, side="right")]
            found = _repeats_among(positions, n, sequence) if positions.size > 1 else _NO_REPEATS
            yield n, found
            positions = found.positions

    def covered_characters(self, n: int, found: Repeats) -> int:
        """Characters of the tokens that a repeated n-gram covers, each counted once."""
        if not found.positions.size:
            return 0
        edges = np.zeros(len(self) + 1, np.int8)  # +1 where an n-gram begins, -1 where one ends; positions differ
        edges[found.positions] += 1
        edges[found.positions + n] -= 1
        return int(self.lengths[edges.cumsum(dtype=np.int64)[:-1] > 0].sum())

    def n_gram_hashes(self, n: int) -> Hashes:
        """The hash of each run of n tokens, uint64[k - n + 1]; equal to `hash_n_gram` of its words."""
        start = np.arange(max(0, len(self) - n + 1))
        return Rolling(self.hashes).hashes(start, start + n)


def hash_n_gram(words: list[str]) -> int:
    """The hash that `Tokens.n_gram_hashes` gives these words."""
    whole = Rolling(hash_words(words)).hashes(np.zeros(1, np.int64), np.full(1, len(words), np.int64))
    return int(whole[0])


def _repeats_among(positions: Indices, n: int, sequence: Rolling) -> Repeats:
    found = group(sequence.hashes(positions, positions + n))
    if found is None:
        return _NO_REPEATS
    again = (found.counts.take(found.ids) > 1).nonzero()[0]
    return Repeats(positions.take(again), found.ids.take(again), found.counts)


def segment(codes: Codes, flags: Flags) -> tuple[Indices, Indices]:
    """The start and end of each token of a text, as defined above: two int64[k]."""
    if codes.size == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    kind = _kinds(codes, flags)
    fresh = np.empty(codes.size, bool)  # a new piece begins: the kind changes, or it is a kind that does not run on
    fresh[0] = True
    np.not_equal(kind[1:], kind[:-1], out=fresh[1:])
    fresh |= kind == ALONE
    fresh[1:] |= (kind[1:] == 0) & (codes[1:] != codes[:-1])
    solid = kind != GAP
    last = np.ones(codes.size, bool)
    last[:-1] = fresh[1:]
    return (fresh & solid).nonzero()[0], (last & solid).nonzero()[0] + 1


def runs(members: Mask) -> tuple[Indices, Indices]:
    """The maximal runs of True: the start and end of each."""
    padded = np.zeros(members.size + 2, bool)
    padded[1:-1] = members
    edges = (padded[1:] != padded[:-1]).nonzero()[0]
    return edges[0::2], edges[1::2]


def _kinds(codes: Codes, flags: Flags) -> Flags:
    kind: Flags = flags & np.uint16(WORD | ALONE | GAP)
    joiners = places(flags, JOINS_LETTERS | JOINS_DIGITS)
    joiners = joiners[(joiners > 0) & (joiners < flags.size - 1)]
    if joiners.size:
        before, after = flags[joiners - 1], flags[joiners + 1]
        both = before & after
        lost_space = (codes[joiners] == _POINT) & (before & UPPER == 0) & (after & UPPER != 0)
        letters = (flags[joiners] & JOINS_LETTERS != 0) & (both & WORD != 0) & ~lost_space
        digits = (flags[joiners] & JOINS_DIGITS != 0) & (both & DIGIT != 0)
        kind[joiners[letters | digits]] = WORD
    return kind
