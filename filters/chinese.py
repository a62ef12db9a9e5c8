"""Signals of Chinese text, which has no spaces and for which other rules' thresholds do not hold.

Its words come from a segmenter (`filters.segmenter`), so the signals of words and n-grams work as for other languages;
here are signals without a counterpart there. They count characters, and are null when there is no Han character.
"""

from functools import cache

import numpy as np

from filters.characters import ALONE, ALPHA, Codes, code_points, places
from filters.han_forms import of_one_form
from filters.scripts import shares
from filters.signal import Signal
from filters.view import View

# Function characters: together a tenth or more of running prose, few in lists, menus, names and keywords.
FUNCTION_CHARACTERS = "的了是在和不有我这他也就与对为以"
# Ends of a line of prose: a sentence end, or the quotation mark or bracket after one.
TERMINALS = "。！？…；：”」』）!?"
_FULL_WIDTH_MARKS = "，。、；：？！"
_HALF_WIDTH_MARKS = ",.;:?!"


def function_character_fraction(view: View) -> float | None:
    return _of_han(view, FUNCTION_CHARACTERS)


def full_width_mark_ratio(view: View) -> float | None:
    """Full-width marks per Han character: prose has one in 7 to 15; keyword soup and word lists have almost none."""
    return _of_han(view, _FULL_WIDTH_MARKS)


def mark_ratio(view: View) -> float | None:
    """The same with half-width marks that follow a Han character, as some write who write on programming."""
    han = _han(view)
    if not han:
        return None
    half_width = np.isin(view.codes[1:], code_points(_HALF_WIDTH_MARKS)) & (view.flags[:-1] & ALONE != 0)
    return (sum(map(view.text.count, _FULL_WIDTH_MARKS)) + int(np.count_nonzero(half_width))) / han


def terminal_line_fraction(view: View) -> float | None:
    lines = view.filled_lines
    if not _han(view) or not len(lines):
        return None
    ends = np.isin(view.codes.take(lines.end - 1), [ord(mark) for mark in TERMINALS])
    return int(np.count_nonzero(ends)) / len(lines)


def characters_per_line(view: View) -> float | None:
    return float(view.filled_lines.lengths.mean()) if _han(view) and len(view.filled_lines) else None


def distinct_character_fraction(view: View) -> float | None:
    """Share of distinct ones among the first 1,000 Han characters (bounded, so that length does not matter); low =
    repetitive."""
    if not _han(view):
        return None
    first = view.codes.take(places(view.flags, ALONE)[:1000])
    return np.unique(first).size / first.size


def traditional_fraction(view: View) -> float | None:
    """Share of traditional characters among those that only one of the two forms has: near 0 or near 1 in nearly every
    text. None without such a character."""
    if not _han(view):
        return None
    traditional, simplified = (int(np.count_nonzero(np.isin(view.codes, form))) for form in _forms())
    return traditional / (traditional + simplified) if traditional + simplified else None


@cache
def _forms() -> tuple[Codes, Codes]:
    traditional, simplified = of_one_form()
    return code_points(traditional), code_points(simplified)


def _of_han(view: View, members: str) -> float | None:
    han = _han(view)
    return sum(map(view.text.count, members)) / han if han else None


def _han(view: View) -> int:
    """The number of Han characters; 0 if Kana is more than a twentieth of the letters, which means Japanese."""
    found = view.once(shares)
    if not found or found["kana"] > 0.05:
        return 0
    return round(found["han"] * int(np.count_nonzero(view.flags & ALPHA)))


_OURS = "ours; measured on Chinese articles and verse"
SIGNALS = (
    Signal("chinese_function_character_fraction", function_character_fraction, 30, _OURS, "of Han, 0..1; low = list"),
    Signal("chinese_full_width_mark_ratio", full_width_mark_ratio, 20, _OURS, "per Han character; low = list or soup"),
    Signal("chinese_mark_ratio", mark_ratio, 40, _OURS, "per Han character, half-width marks too; low = list or soup"),
    Signal("chinese_terminal_line_fraction", terminal_line_fraction, 15, _OURS, "filled lines, 0..1; low = list, menu"),
    Signal(
        "chinese_characters_per_line", characters_per_line, 5, _OURS, "characters per filled line; low = list, menu"
    ),
    Signal("chinese_distinct_character_fraction", distinct_character_fraction, 20, _OURS, "0..1; low = repetitive"),
    Signal(
        "chinese_traditional_fraction",
        traditional_fraction,
        60,
        "OpenCC's table of characters",
        "of the characters of one form alone, 0..1; 1 = traditional",
    ),
)
