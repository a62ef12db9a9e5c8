"""C4's rules (Raffel et al. 2020, JMLR 21-140, section 2.2), applied line by line, in three published variants.

In this order: drop a line with a word over 1,000 characters; cut Wikipedia's citation marks; drop lines without
terminal punctuation (an ellipsis does not count) or with too few words; reject the page for "lorem ipsum"; drop lines
with "javascript"; reject the page for "{"; drop lines with phrases of cookie and privacy policies. Finally reject a
page with too few sentences left. The order matters: a curly bracket in a line that was dropped earlier does not reject
the page.

Known discrepancy: the program that made C4 (tensorflow_datasets/text/c4_utils.py) requires 5 words a line and 3
sentences; datatrove's C4QualityFilter swaps the numbers, 3 words and 5 sentences, and accepts an apostrophe as an end
of line. FineWeb is datatrove's variant without the rule on terminal punctuation, which removes 30 % of tokens. So there
are three groups of signals: `c4_tfds_...`, `c4_...` (datatrove's) and `c4_any_ending_...` (FineWeb's); the recipe
sets the minimum number of sentences. Not included: the list of bad words, which the user provides.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.edits import Edit
from filters.repeats import Indices, Mask
from filters.signal import Signal
from filters.view import Spans, View

MAX_WORD_CHARACTERS = 1000
POLICY_PHRASES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")

KEPT, LONG_WORD, NO_TERMINAL, FEW_WORDS, LOREM_IPSUM, JAVASCRIPT, CURLY_BRACKET, POLICY = range(8)
# The verdicts on lines that contain a phrase, in their order.
PHRASES = {LOREM_IPSUM: ("lorem ipsum",), JAVASCRIPT: ("javascript",), CURLY_BRACKET: ("{",), POLICY: POLICY_PHRASES}


class Counting(NamedTuple):
    """One variant. `endings`: characters that may end a kept line ("": any may); `cited_words`: whether citation marks
    that stand alone count as words."""

    prefix: str
    endings: str
    min_words: int
    cited_words: bool


TFDS = Counting("c4_tfds", '.?!"', 5, cited_words=False)
DATATROVE = Counting("c4", ".?!\"'", 3, cited_words=True)
ANY_ENDING = Counting("c4_any_ending", "", 3, cited_words=True)


class Lines(NamedTuple):
    """The stripped lines of `text.splitlines()`; the verdict of each (KEPT ... POLICY, int8[lines]); and, by line
    number, the text of the lines from which citation marks were cut."""

    spans: Spans
    verdicts: npt.NDArray[np.int8]
    cited: dict[int, str]


def judge_lines(view: View, counting: Counting) -> Lines:
    """Finds the verdict of every line."""
    spans = view.strip(view.split_lines)
    cited = _without_citations(view, spans)
    pieces = view.pieces
    first = pieces.start.searchsorted(spans.start)
    words = pieces.start.searchsorted(spans.end) - first
    long_words = np.concatenate(([0], np.cumsum(pieces.lengths > MAX_WORD_CHARACTERS)))
    with_long_word = long_words[first + words] > long_words[first]
    if not counting.cited_words:
        for index, line in cited.items():
            words[index] = len(line.split())
    verdicts = np.zeros(len(spans), np.int8)

    def set_verdict(verdict: int, lines: Indices) -> None:
        verdicts[lines[verdicts[lines] == KEPT]] = verdict

    set_verdict(LONG_WORD, with_long_word.nonzero()[0])
    if counting.endings:
        set_verdict(NO_TERMINAL, (~_has_ending(view, spans, cited, counting.endings)).nonzero()[0])
    set_verdict(FEW_WORDS, (words < counting.min_words).nonzero()[0])
    for verdict, phrases in PHRASES.items():
        for phrase in phrases:
            set_verdict(verdict, view.containing(phrase, spans))
    return Lines(spans, verdicts, cited)


def count_lines(view: View, verdict: int, counting: Counting) -> float:
    """Lines with one verdict; blank lines count as FEW_WORDS or NO_TERMINAL."""
    if verdict in PHRASES and not any(phrase in view.lower for phrase in PHRASES[verdict]):
        return 0  # as of most texts, whose lines need not be judged then
    return int(np.count_nonzero(view.once(_JUDGED[counting]).verdicts == verdict))


def sentences(view: View, counting: Counting) -> float:
    """Sentences in the kept lines."""
    lines = view.once(_JUDGED[counting])
    kept = lines.spans.where(lines.verdicts == KEPT)
    starts = view.sentences.start
    return int((starts.searchsorted(kept.end) - starts.searchsorted(kept.start)).sum())


def keep_lines(text: str, counting: Counting) -> tuple[str, int]:
    """Returns the kept lines, stripped and without citation marks, and the number of filled lines removed.

    One pass, as published. Lines that reject their page (lorem ipsum, curly brackets) are removed too.
    """
    view = View(text)
    lines = judge_lines(view, counting)
    start, end = lines.spans.start, lines.spans.end
    kept = (lines.verdicts == KEPT).nonzero()[0].tolist()
    after = "\n".join(lines.cited.get(index, text[start[index] : end[index]]) for index in kept).strip()
    return after, int(np.count_nonzero(lines.spans.lengths)) - len(kept)


def _without_citations(view: View, spans: Spans) -> dict[int, str]:
    if "[" not in view.text:
        return {}
    found = np.array([match.start() for match in _CITATION.finditer(view.text)], np.int64)
    lines = np.unique(spans.start.searchsorted(found, side="right") - 1).tolist()
    return {index: _CITATION.sub("", view.text[spans.start[index] : spans.end[index]]) for index in lines}


def _has_ending(view: View, spans: Spans, cited: dict[int, str], endings: str) -> Mask:
    last, points = view.endings(spans)
    well: Mask = np.isin(last, [ord(char) for char in endings]) & (spans.lengths > 0) & ~points
    for index, line in cited.items():
        well[index] = line.endswith(tuple(endings)) and not line.endswith("...")
    return well


_COUNTINGS = (TFDS, DATATROVE, ANY_ENDING)
_JUDGED: dict[Counting, Callable[[View], Lines]] = {each: partial(judge_lines, counting=each) for each in _COUNTINGS}
_SOURCES = {
    TFDS: "C4 section 2.2, tensorflow_datasets c4_utils.py",
    DATATROVE: "datatrove C4QualityFilter",
    ANY_ENDING: "FineWeb section 3.5, datatrove C4QualityFilter",
}
_COUNTS = (
    ("kept_lines", KEPT, "lines kept; 0 and up"),
    ("long_word_lines", LONG_WORD, "lines with a word over 1,000 characters; 0 and up"),
    ("no_terminal_lines", NO_TERMINAL, "lines that do not end in punctuation, blank ones too; 0 and up"),
    ("few_word_lines", FEW_WORDS, "lines of too few words; 0 and up"),
    ("lorem_ipsum_lines", LOREM_IPSUM, "lines with lorem ipsum that no earlier rule removed; drop the page over 0"),
    ("javascript_lines", JAVASCRIPT, "lines with javascript; 0 and up"),
    ("curly_bracket_lines", CURLY_BRACKET, "lines with { that no earlier rule removed; drop the page over 0"),
    ("policy_lines", POLICY, "lines about cookies and privacy; 0 and up"),
)
SIGNALS = (
    *(
        Signal(f"{each.prefix}_{name}", partial(count_lines, verdict=verdict, counting=each), 60, _SOURCES[each], doc)
        for each in _COUNTINGS
        for name, verdict, doc in _COUNTS
        if each.endings or verdict != NO_TERMINAL
    ),
    *(
        Signal(f"{each.prefix}_sentences", partial(sentences, counting=each), 80, _SOURCES[each], "in kept lines")
        for each in _COUNTINGS
    ),
)
EDITS: tuple[tuple[str, Edit], ...] = tuple(
    (f"{each.prefix}_lines", partial(keep_lines, counting=each)) for each in _COUNTINGS
)
