"""C4's rules (Raffel et al. 2020, JMLR 21-140, section 2.2) in the order of datatrove's C4QualityFilter.

Line by line: a word over 1,000 characters; Wikipedia's citation marks cut out; no terminal punctuation (or an ellipsis,
which is none); under 3 words; "lorem ipsum" (the page goes); "javascript"; "{" (the page goes); phrases of cookie and
privacy policies.
A page that keeps fewer than 5 sentences goes. The order matters: a curly bracket in a line without terminal
punctuation, or beside "javascript", does no harm to the page.

FineWeb leaves the terminal punctuation rule out (it removes 30 % of tokens): signals named `c4_any_ending_...`.
Not here: the list of bad words, which is data of the user's.
"""

import re
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.edits import Edit
from filters.repeats import Indices, Mask
from filters.signal import Signal
from filters.view import Spans, View

MAX_WORD_CHARACTERS = 1000
MIN_LINE_WORDS = 3
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_ENDINGS = np.isin(np.arange(128), [ord(char) for char in ".?!\"'"])  # by code point; the last stands for all above

KEPT, LONG_WORD, NO_TERMINAL, FEW_WORDS, LOREM_IPSUM, JAVASCRIPT, CURLY_BRACKET, POLICY = range(8)


class Lines(NamedTuple):
    """The stripped lines of `text.splitlines()`; what each would be kept or cut for (KEPT ... POLICY, int8[lines]);
    and the text of those lines that citation marks were cut from."""

    spans: Spans
    verdicts: npt.NDArray[np.int8]
    cited: dict[int, str]


def judge_lines(view: View, terminal: bool) -> Lines:
    """Judges every line; `terminal` says whether a line must end in one of . ? ! " ' and not in an ellipsis."""
    spans = view.strip(view.split_lines)
    cited = _without_citations(view, spans)
    pieces = view.pieces
    first = pieces.start.searchsorted(spans.start)
    words = pieces.start.searchsorted(spans.end) - first
    long_words = np.concatenate(([0], np.cumsum(pieces.lengths > MAX_WORD_CHARACTERS)))
    verdicts = np.zeros(len(spans), np.int8)

    def convict(verdict: int, lines: Indices) -> None:
        verdicts[lines[verdicts[lines] == KEPT]] = verdict

    convict(LONG_WORD, (long_words[first + words] > long_words[first]).nonzero()[0])
    if terminal:
        convict(NO_TERMINAL, (~_ends_well(view, spans, cited)).nonzero()[0])
    convict(FEW_WORDS, (words < MIN_LINE_WORDS).nonzero()[0])
    convict(LOREM_IPSUM, view.containing("lorem ipsum", spans))
    convict(JAVASCRIPT, view.containing("javascript", spans))
    convict(CURLY_BRACKET, view.containing("{", spans))
    for phrase in POLICY_PHRASES:
        convict(POLICY, view.containing(phrase, spans))
    return Lines(spans, verdicts, cited)


def count_lines(view: View, verdict: int, terminal: bool) -> float:
    """Lines with one verdict; blank lines are under 3 words long and so FEW_WORDS or NO_TERMINAL."""
    return int(np.count_nonzero(_judged(view, terminal).verdicts == verdict))


def sentences(view: View, terminal: bool) -> float:
    """Sentences in the lines that are kept."""
    lines = _judged(view, terminal)
    kept = lines.spans.where(lines.verdicts == KEPT)
    starts = view.sentences.start
    return int((starts.searchsorted(kept.end) - starts.searchsorted(kept.start)).sum())


def keep_lines(text: str, terminal: bool) -> tuple[str, int]:
    """The lines that are kept, stripped and without citation marks; counts the filled lines that are not.

    One pass, as published. Lines that condemn their page (lorem ipsum, curly brackets) go too.
    """
    view = View(text)
    lines = judge_lines(view, terminal)
    start, end = lines.spans.start, lines.spans.end
    kept = (lines.verdicts == KEPT).nonzero()[0].tolist()
    after = "\n".join(lines.cited.get(index, text[start[index] : end[index]]) for index in kept).strip()
    return after, int(np.count_nonzero(lines.spans.lengths)) - len(kept)


def _with_terminal(view: View) -> Lines:
    return judge_lines(view, True)


def _any_ending(view: View) -> Lines:
    return judge_lines(view, False)


def _judged(view: View, terminal: bool) -> Lines:
    return view.once(_with_terminal if terminal else _any_ending)


def _without_citations(view: View, spans: Spans) -> dict[int, str]:
    if "[" not in view.text:
        return {}
    found = np.array([match.start() for match in _CITATION.finditer(view.text)], np.int64)
    lines = np.unique(spans.start.searchsorted(found, side="right") - 1).tolist()
    return {index: _CITATION.sub("", view.text[spans.start[index] : spans.end[index]]) for index in lines}


def _ends_well(view: View, spans: Spans, cited: dict[int, str]) -> Mask:
    padded = np.concatenate((np.zeros(3, np.uint32), view.codes))  # padded[i + 3] is character i
    one, two, three = (padded.take(spans.end + 3 - back) for back in (1, 2, 3))
    points = (one == ord(".")) & (two == ord(".")) & (three == ord(".")) & (spans.lengths >= 3)
    well: Mask = _ENDINGS.take(one, mode="clip") & (spans.lengths > 0) & ~points
    for index, line in cited.items():
        well[index] = line.endswith((".", "?", "!", '"', "'")) and not line.endswith("...")
    return well


_SOURCE = "C4 section 2.2, datatrove C4QualityFilter"
_VARIANTS = (("c4", True), ("c4_any_ending", False))
_COUNTS = (
    ("kept_lines", KEPT, "lines that stay; 0 and up"),
    ("long_word_lines", LONG_WORD, "lines with a word over 1,000 characters; 0 and up"),
    ("no_terminal_lines", NO_TERMINAL, "lines that do not end in punctuation, blank ones too; 0 and up"),
    ("few_word_lines", FEW_WORDS, "lines of under 3 words; 0 and up"),
    ("lorem_ipsum_lines", LOREM_IPSUM, "lines with lorem ipsum that get so far; drop the page over 0"),
    ("javascript_lines", JAVASCRIPT, "lines with javascript; 0 and up"),
    ("curly_bracket_lines", CURLY_BRACKET, "lines with { that get so far; drop the page over 0"),
    ("policy_lines", POLICY, "lines about cookies and privacy; 0 and up"),
)
SIGNALS = (
    *(
        Signal(f"{prefix}_{name}", partial(count_lines, verdict=verdict, terminal=terminal), 60, _SOURCE, doc)
        for prefix, terminal in _VARIANTS
        for name, verdict, doc in _COUNTS
        if terminal or verdict != NO_TERMINAL
    ),
    *(
        Signal(f"{prefix}_sentences", partial(sentences, terminal=terminal), 80, _SOURCE, "in kept lines; drop under 5")
        for prefix, terminal in _VARIANTS
    ),
)
EDITS: tuple[tuple[str, Edit], ...] = (
    ("c4_lines", partial(keep_lines, terminal=True)),
    ("c4_any_ending_lines", partial(keep_lines, terminal=False)),
)
