"""RefinedWeb's line-wise corrections (Penedo et al. 2023, arXiv 2306.01116, appendix G.2), and signals of their effect.

The paper drops a line that is mainly in capitals, only digits, a counter ("3 likes") or one word, and edits short lines
(at most 10 words): "sign-in" at the beginning, "Read more..." at the end, "items in cart" anywhere. A document that
loses more than 5 % of its words is rejected: `removed_word_fraction`. The order, and the constants that the paper does
not give, are DCLM's (baselines_configs/refinedweb.yaml): capitals over .5 of a line's characters; words between white
space, of which those that begin with a letter or digit count for the 5 %.
One difference: DCLM's pattern for "Read more..." accepts any three characters as the points; here they are points or …
"""

import re
from typing import NamedTuple

import numpy as np

from filters.characters import ALNUM, DIGIT, UPPER
from filters.edits import Edit
from filters.repeats import Indices, Mask
from filters.signal import Signal
from filters.view import View

MAX_UPPERCASE = 0.5
SHORT_LINE_WORDS = 10

_COUNTED = (
    "likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes", "downvotes", "downloads",
    "views", "followers",
)  # fmt: skip
_COUNTER = re.compile(rf"\W*\d[\d.,]*[kmb]?\s+(?:{'|'.join(_COUNTED)})\W*", re.IGNORECASE)
_PHRASES = ("sign-in", "read more", "items in cart")
_SIGN_IN = re.compile(r"^sign-in\s?", re.IGNORECASE)
_READ_MORE = re.compile(r"\s?read more(?:\.\.\.|…)$", re.IGNORECASE)
_CART = re.compile(r"\s?items in cart", re.IGNORECASE)


class Corrections(NamedTuple):
    """The changed lines of a view, by line number: those dropped, and the new text of those edited."""

    dropped: list[int]
    edited: dict[int, str]


def corrections(view: View) -> Corrections:
    """Finds the lines to drop and to edit; empty lines are kept."""
    lines = view.lines
    lengths = lines.lengths
    pieces = view.pieces.start
    words = pieces.searchsorted(lines.end) - pieces.searchsorted(lines.start)
    drop = (
        (view.counts(UPPER, lines) > MAX_UPPERCASE * lengths) | (view.counts(DIGIT, lines) == lengths) | (words < 2)
    ) & (lengths > 0)
    drop[_counters(view, drop)] = True
    edited: dict[int, str] = {}
    for index in _with_phrases(view, words, drop):
        line = view.text[lines.start[index] : lines.end[index]]
        shorter = _SIGN_IN.sub("", _READ_MORE.sub("", _CART.sub("", line)))
        if not shorter.strip():
            drop[index] = True
        elif shorter != line:
            edited[index] = shorter
    return Corrections(drop.nonzero()[0].tolist(), edited)


def correct_lines(text: str) -> tuple[str, int]:
    """Drops and edits lines and strips the text; counts the lines dropped and edited.

    One pass, as published: a second may cut more (a line that an edit left with one word).
    """
    found = corrections(View(text))
    if not found.dropped and not found.edited:
        return text, 0
    dropped = set(found.dropped)
    kept = [found.edited.get(at, line) for at, line in enumerate(text.split("\n")) if at not in dropped]
    return "\n".join(kept).strip(), len(dropped) + len(found.edited)


def removed_word_fraction(view: View) -> float | None:
    """Share of the words that `correct_lines` removes, in lines dropped and edited; None without words."""
    start, alphanumeric = view.pieces.start, view.flags.take(view.pieces.start) & ALNUM != 0
    total = int(np.count_nonzero(alphanumeric))
    if not total:
        return None
    found = view.once(corrections)
    before = np.concatenate(([0], np.cumsum(alphanumeric)))
    lines = view.lines

    def words_of(index: Indices | int) -> Indices:
        first, last = start.searchsorted(lines.start[index]), start.searchsorted(lines.end[index])
        return before[last] - before[first]

    removed = int(words_of(np.array(found.dropped, np.int64)).sum())
    for index, line in found.edited.items():
        removed += int(words_of(index)) - sum(piece[0].isalnum() for piece in line.split())
    return max(0, removed) / total


def dropped_line_fraction(view: View) -> float | None:
    """Share of the non-empty lines that are dropped."""
    lines = int(np.count_nonzero(view.lines.lengths))
    return len(view.once(corrections).dropped) / lines if lines else None


def _counters(view: View, dropped: Mask) -> list[int]:
    candidates = {int(i) for word in _COUNTED for i in view.containing(word, view.lines) if not dropped[i]}
    lines = view.lines
    return [i for i in sorted(candidates) if _COUNTER.fullmatch(view.text, int(lines.start[i]), int(lines.end[i]))]


def _with_phrases(view: View, words: Indices, dropped: Mask) -> list[int]:
    found = {int(index) for phrase in _PHRASES for index in view.containing(phrase, view.lines)}
    return [index for index in sorted(found) if words[index] <= SHORT_LINE_WORDS and not dropped[index]]


_SOURCE = "RefinedWeb appendix G.2"
SIGNALS = (
    Signal("removed_word_fraction", removed_word_fraction, 90, _SOURCE, "words in removed lines, 0..1; drop over .05"),
    Signal("dropped_line_fraction", dropped_line_fraction, 60, _SOURCE, "lines removed, 0..1"),
)
EDITS: tuple[tuple[str, Edit], ...] = (("refinedweb_lines", correct_lines),)
