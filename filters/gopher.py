"""Gopher's rules (Rae et al. 2021, arXiv 2112.11446, section A.1.1 and table A1) as datatrove 0.10.1 counts them.

FineWeb and most open sets were filtered with this counting; `dclm` implements the other, which rejects about twice as
many pages at the same thresholds. Details of datatrove's counting that are kept:
- words are tokens with at least one character that is not punctuation; ratios of symbols and of alphabetic words are
  over all tokens, punctuation included;
- # and ellipses are two ratios with one threshold;
- only *extra* copies of a line or paragraph are duplicates, and their characters are over all characters;
- duplicate 5..10-grams are found greedily, left to right, skipping each match; over all characters, spaces included.
  Equal n-grams are equal sequences of tokens (datatrove joins them without a separator: "ab c" = "a bc");
- the top n-gram may occur once, so that a very short text counts as repetitive.
Thresholds of the paper: 50..100,000 words; mean length 3..10; symbols .1; bullets .9; ellipsis lines .3; alphabetic .8;
2 stop words; duplicate lines .3 (characters .2), paragraphs .3 (.2); top 2/3/4-gram .2/.18/.16; duplicate 5..10-gram
.15/.14/.13/.12/.11/.10.
"""

from functools import lru_cache

import numpy as np

from filters.characters import ALPHA, PLAIN, places
from filters.repeats import Hashes, Mask, extra_copies, hash_words
from filters.repetition import duplicate_signals, n_gram_characters, n_gram_signals
from filters.signal import Signal
from filters.tokens import Repeats, Tokens
from filters.view import Spans, View

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_BULLET, _HYPHEN = ord("•"), ord("-")
_ELLIPSIS = ord("…")


def words(view: View) -> float:
    return int(np.count_nonzero(view.tokens.flags & PLAIN))


def mean_word_length(view: View) -> float | None:
    plain = places(view.tokens.flags, PLAIN)
    return float(view.tokens.lengths[plain].mean()) if plain.size else None


def hash_ratio(view: View) -> float | None:
    return view.text.count("#") / len(view.tokens) if len(view.tokens) else None


def ellipsis_ratio(view: View) -> float | None:
    return (view.text.count("...") + view.text.count("…")) / len(view.tokens) if len(view.tokens) else None


def bullet_line_fraction(view: View) -> float | None:
    lines, body = view.once(_line_bodies)
    if not len(lines):
        return None
    first = view.codes.take(body.start[body.end > body.start])
    return int(np.count_nonzero((first == _BULLET) | (first == _HYPHEN))) / len(lines)


def ellipsis_line_fraction(view: View) -> float | None:
    lines, body = view.once(_line_bodies)
    return int(np.count_nonzero(ends_with_ellipsis(view, body))) / len(lines) if len(lines) else None


def alphabetic_word_fraction(view: View) -> float | None:
    return int(np.count_nonzero(view.tokens.flags & ALPHA)) / len(view.tokens) if len(view.tokens) else None


def stop_words(view: View) -> float:
    """The number of distinct stop words (of eight) in the text, in lower case only."""
    present = view.tokens.hashes
    return sum(bool((present == word).any()) for word in stop_hashes())


def duplicate_fraction(view: View, unit: str) -> float:
    """Share of the lines or paragraphs that are extra copies."""
    spans, extra = view.once(_UNITS[unit])
    return int(np.count_nonzero(extra)) / len(spans)


def duplicate_character_fraction(view: View, unit: str) -> float:
    """Characters of the extra copies over all characters."""
    spans, extra = view.once(_UNITS[unit])
    return int(spans.lengths[extra].sum()) / _total(view)


def n_gram_character_fraction(view: View, n: int) -> float:
    """Top (n = 2, 3, 4) or duplicate (n = 5 ... 10) n-gram characters over all characters."""
    return view.once(_n_gram_characters)[n] / _total(view)


def _n_gram_characters(view: View) -> dict[int, int]:
    return n_gram_characters(view.tokens, _top_n_gram_characters, _duplicate_n_gram_characters)


def _top_n_gram_characters(tokens: Tokens, n: int, found: Repeats) -> int:
    """Characters of the most frequent n-gram (the earliest of equals), spaces between its words included, times its
    count."""
    if len(tokens) < n:
        return 0
    position, count = 0, 1
    if found.positions.size:
        count = int(found.counts.max())
        position = int(found.positions[np.argmax(found.counts.take(found.ids) == count)])
    return (int(tokens.offsets[position + n] - tokens.offsets[position]) + n - 1) * count


def _duplicate_n_gram_characters(tokens: Tokens, n: int, found: Repeats) -> int:
    """Characters of the n-grams seen before, scanning left to right and skipping each match."""
    if not found.positions.size:
        return 0
    seen = bytearray(found.counts.size)
    again, free = [], 0
    for position, group in zip(found.positions.tolist(), found.ids.tolist()):
        if position < free:
            continue
        if seen[group]:
            again.append(position)
            free = position + n
        else:
            seen[group] = 1
    start = np.array(again, np.int64)
    return int((tokens.offsets.take(start + n) - tokens.offsets.take(start)).sum())


def ends_with_ellipsis(view: View, body: Spans) -> Mask:
    """Which stripped lines end in … or in three points, bool[lines]."""
    last, points = view.endings(body)
    ellipsis: Mask = points | ((last == _ELLIPSIS) & (body.lengths >= 1))
    return ellipsis


def _total(view: View) -> int:
    return max(1, len(view.text))


def _line_bodies(view: View) -> tuple[Spans, Spans]:
    return view.split_lines, view.strip(view.split_lines)


def _lines(view: View) -> tuple[Spans, Mask]:
    """`re.split("\\n+", text)`: an empty piece where newlines begin or end the text, none between."""
    lines = view.lines
    kept = lines.lengths > 0
    kept[0] = kept[-1] = True
    spans = lines.where(kept)
    return spans, extra_copies(view.hashes(spans))


def _paragraphs(view: View) -> tuple[Spans, Mask]:
    return view.paragraphs, extra_copies(view.hashes(view.paragraphs))


@lru_cache(maxsize=1)
def stop_hashes() -> Hashes:
    return hash_words(list(STOP_WORDS))


_UNITS = {"line": _lines, "paragraph": _paragraphs}
_QUALITY = "Gopher A1, datatrove GopherQualityFilter"
_TABLE = "Gopher table A1, datatrove GopherRepetitionFilter"
SIGNALS = (
    Signal("gopher_words", words, 60, _QUALITY, "tokens that are not mere punctuation; 0 and up"),
    Signal("gopher_mean_word_length", mean_word_length, 10, _QUALITY, "characters per word; 1 and up"),
    Signal("gopher_hash_ratio", hash_ratio, 2, _QUALITY, "# per token, 0 and up; high = tags, code"),
    Signal("gopher_ellipsis_ratio", ellipsis_ratio, 3, _QUALITY, "ellipses per token, 0 and up; high = teasers"),
    Signal("gopher_bullet_line_fraction", bullet_line_fraction, 20, _QUALITY, "lines that begin with • or -, 0..1"),
    Signal("gopher_ellipsis_line_fraction", ellipsis_line_fraction, 10, _QUALITY, "lines that end in ... or …, 0..1"),
    Signal("gopher_alphabetic_word_fraction", alphabetic_word_fraction, 5, _QUALITY, "tokens with a letter, 0..1"),
    Signal("gopher_stop_words", stop_words, 15, _QUALITY, "different ones of the 8 English stop words, 0..8"),
    *duplicate_signals("", duplicate_fraction, duplicate_character_fraction, _TABLE, "seen before"),
    *n_gram_signals(
        (
            "top_{n}_gram_character_fraction",
            "characters in all copies of the most frequent one; 0 and up (overlaps count twice); high = repetitive",
        ),
        ("duplicate_{n}_gram_character_fraction", "characters in n-grams seen before, 0..1; high = repetitive"),
        n_gram_character_fraction,
        _TABLE,
    ),
)
