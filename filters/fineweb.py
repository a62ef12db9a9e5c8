"""FineWeb's own rules (Penedo et al. 2024, arXiv 2406.17557, section 3.6 and appendix E.4) as datatrove counts them.

Keep if lines ending in punctuation >= .12; characters in duplicated lines <= .01; lines of 30 characters or fewer
<= .67; newlines per word <= .3. Known discrepancy: section 3.6 gives .1 for duplicated lines; appendix E.4 and the code
that made the set use .01, and so do we. Duplicated lines differ from Gopher's: characters are over the text without
newlines, and blank lines are not counted. A line that ends in white space does not end in punctuation.
"""

import numpy as np

from filters.characters import TERMINAL
from filters.repeats import extra_copies
from filters.signal import Signal
from filters.view import Spans, View

SHORT_LINE_CHARACTERS = 30


def punctuated_line_fraction(view: View) -> float:
    """0 for a text without lines, which FineWeb rejects as empty."""
    lines = view.once(_lines)
    return int(np.count_nonzero(view.flags.take(lines.end - 1) & TERMINAL)) / len(lines) if len(lines) else 0.0


def short_line_fraction(view: View) -> float | None:
    lines = view.once(_lines)
    return int(np.count_nonzero(lines.lengths <= SHORT_LINE_CHARACTERS)) / len(lines) if len(lines) else None


def duplicate_line_character_fraction(view: View) -> float | None:
    lines = view.once(_lines)
    if not len(lines):
        return None
    return int(lines.lengths[extra_copies(view.hashes(lines))].sum()) / (len(view.text) - view.text.count("\n"))


def newline_word_ratio(view: View) -> float | None:
    return view.text.count("\n") / len(view.tokens) if len(view.tokens) else None


def _lines(view: View) -> Spans:
    stripped = view.strip(view.lines)
    return view.lines.where(stripped.end > stripped.start)


_SOURCE = "FineWeb 3.6 and E.4, datatrove FineWebQualityFilter"
SIGNALS = (
    Signal("fineweb_punctuated_line_fraction", punctuated_line_fraction, 5, _SOURCE, "lines, 0..1; drop under .12"),
    Signal("fineweb_short_line_fraction", short_line_fraction, 5, _SOURCE, "lines of <= 30, 0..1; drop over .67"),
    Signal(
        "fineweb_duplicate_line_character_fraction",
        duplicate_line_character_fraction,
        20,
        _SOURCE,
        "characters in lines seen before, 0..1; drop over .01",
    ),
    Signal("fineweb_newline_word_ratio", newline_word_ratio, 2, _SOURCE, "newlines per token, 0 and up; drop over .3"),
)
