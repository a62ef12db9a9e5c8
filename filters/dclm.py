"""Gopher's rules as DCLM counts them (baselines/mappers/filters/content_filters.py): same thresholds, stricter filter.

With identical thresholds and words, this counting rejects about twice as many pages for repetition as `gopher`'s:
- **every** copy of a line or paragraph is a duplicate, the first too; characters are over those of filled lines;
- duplicate 5..10-grams are all positions that a repeated n-gram covers; n-grams are of words without punctuation, and
  their characters are over the characters of words;
- the top n-gram must occur twice, and of equally frequent ones the longest counts;
- quality rules split on white space, and a "word" of the length rule must begin with a letter or digit; # and ellipses
  are summed; bullets are ● • * -; stop words are *occurrences* in any case; a text of one line or paragraph is never
  repetitive.
DCLM splits the words of n-grams with uniseg (Unicode's word boundaries); here they are this project's tokens.
"""

import numpy as np

from filters.characters import ALNUM, ALPHA, lowered
from filters.gopher import ends_with_ellipsis, stop_hashes
from filters.repeats import Mask, Rolling, all_copies, character_values
from filters.repetition import duplicate_signals, n_gram_characters, n_gram_signals
from filters.signal import Signal
from filters.tokens import Repeats, Tokens
from filters.view import Spans, View

_BULLETS = tuple(map(ord, "●•*-"))
_SYMBOLS = ("#", "...", ". . .", "…")


def words(view: View) -> float:
    """Pieces between white space that begin with a letter or digit (DCLM's split_words, ignore_punctuation)."""
    return int(np.count_nonzero(view.flags.take(view.pieces.start) & ALNUM))


def mean_word_length(view: View) -> float | None:
    return float(view.pieces.lengths.mean()) if len(view.pieces) else None


def symbol_ratio(view: View) -> float | None:
    return sum(map(view.text.count, _SYMBOLS)) / len(view.pieces) if len(view.pieces) else None


def bullet_line_fraction(view: View) -> float | None:
    lines = view.filled_lines
    if not len(lines):
        return None
    return int(np.count_nonzero(np.isin(view.codes.take(lines.start), _BULLETS))) / len(lines)


def ellipsis_line_fraction(view: View) -> float | None:
    lines = view.filled_lines
    if not len(lines):
        return None
    spaced = sum(
        view.text[end - 5 : end] == ". . ." for end in lines.end[view.codes.take(lines.end - 1) == ord(".")].tolist()
    )
    return (int(np.count_nonzero(ends_with_ellipsis(view, lines))) + spaced) / len(lines)


def alphabetic_word_fraction(view: View) -> float | None:
    pieces = view.pieces
    return int(np.count_nonzero(view.counts(ALPHA, pieces))) / len(pieces) if len(pieces) else None


def stop_words(view: View) -> float:
    """Occurrences of the eight stop words, in any case, where white space is on both sides."""
    pieces = view.pieces
    short = pieces.where(pieces.lengths <= 4)  # the longest of the eight
    hashes = Rolling(character_values(lowered(view.codes))).hashes(short.start, short.end)
    return int(np.count_nonzero(np.isin(hashes, stop_hashes())))


def duplicate_fraction(view: View, unit: str) -> float:
    """Share of the non-blank lines or paragraphs that occur more than once."""
    spans, copies = view.once(_UNITS[unit])
    return int(np.count_nonzero(copies)) / max(1, len(spans))


def duplicate_character_fraction(view: View, unit: str) -> float:
    """Share of the characters of non-blank lines or paragraphs that are in ones that occur more than once."""
    spans, copies = view.once(_UNITS[unit])
    return int(spans.lengths[copies].sum()) / max(1, int(spans.lengths.sum()))


def n_gram_character_fraction(view: View, n: int) -> float:
    """Top (n = 2, 3, 4) or duplicate (n = 5 ... 10) n-gram characters over the characters of all words."""
    return view.once(_n_gram_characters)[n] / max(1, view.words.characters)


def _n_gram_characters(view: View) -> dict[int, int]:
    return n_gram_characters(view.words, _top_n_gram_characters, Tokens.covered_characters)


def _top_n_gram_characters(words: Tokens, n: int, found: Repeats) -> int:
    """Characters of the longest of the most frequent n-grams, times its count."""
    if not found.positions.size:
        return 0
    count = int(found.counts.max())
    top = found.positions[found.counts.take(found.ids) == count]
    return int((words.offsets[top + n] - words.offsets[top]).max()) * count


def _lines(view: View) -> tuple[Spans, Mask]:
    return view.filled_lines, all_copies(view.hashes(view.filled_lines))


def _paragraphs(view: View) -> tuple[Spans, Mask]:
    stripped = view.strip(view.paragraphs)
    spans = stripped.where(stripped.end > stripped.start)
    return spans, all_copies(view.hashes(spans))


_UNITS = {"line": _lines, "paragraph": _paragraphs}
_QUALITY = "Gopher A1, DCLM content_filters.py"
_TABLE = "Gopher table A1, DCLM repetition_filter"
SIGNALS = (
    Signal("dclm_words", words, 10, _QUALITY, "words between spaces that begin with a letter or digit; 0 and up"),
    Signal("dclm_mean_word_length", mean_word_length, 15, _QUALITY, "characters between white space; 1 and up"),
    Signal("dclm_symbol_ratio", symbol_ratio, 15, _QUALITY, "# and ellipses per word between spaces; 0 and up"),
    Signal("dclm_bullet_line_fraction", bullet_line_fraction, 10, _QUALITY, "lines that begin with ● • * -, 0..1"),
    Signal("dclm_ellipsis_line_fraction", ellipsis_line_fraction, 15, _QUALITY, "filled lines ending in ..., 0..1"),
    Signal("dclm_alphabetic_word_fraction", alphabetic_word_fraction, 25, _QUALITY, "words with a letter, 0..1"),
    Signal("dclm_stop_words", stop_words, 40, _QUALITY, "occurrences of the 8 English stop words; 0 and up"),
    *duplicate_signals("dclm_", duplicate_fraction, duplicate_character_fraction, _TABLE, "that occur twice or more"),
    *n_gram_signals(
        (
            "dclm_top_{n}_gram_character_fraction",
            "characters in all copies of the most frequent one; 0 and up; high = repetitive",
        ),
        ("dclm_duplicate_{n}_gram_character_fraction", "characters in repeated n-grams, 0..1; high = repetitive"),
        n_gram_character_fraction,
        _TABLE,
    ),
)
