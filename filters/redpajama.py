"""RedPajama-V2's quality signals (Weber et al. 2024, arXiv 2411.12372; RedPajama-Data, app/src/core/quality_signals).

Each has RedPajama's own name and number, from its two ways to split a text:
- **normalised**: ASCII punctuation removed, lower case, decomposed (NFD), split on white space;
- **raw**: runs of letters, digits and _ , and runs of other visible characters (NLTK's WordPunctTokenizer).
Where RedPajama has no value, or 0 because there is nothing to count, ours is null; it rounds to 8 places, we do not. A
signal of lines is a list there; here it is one number, the sum or the mean over all lines including blank ones, which
the name says.

`COUNTERPARTS` maps each of RedPajama's names to a signal: here, in another file that gives the same number, or from a
model. Word lists, host categories and importance tables are arguments (`signals(Lists(...))`); without one its signals
are null.
"""

import re
import string
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from filters.characters import DIGIT, SPACE, UPPER, code_points, flags_of
from filters.importance import Importance, raw_words
from filters.repeats import Hashes, Indices, Rolling, character_values, distinct_fraction, entropy, hash_words
from filters.repetition import n_gram_characters, n_gram_signals
from filters.signal import Signal
from filters.tokens import Repeats, Tokens, hash_n_gram, runs
from filters.url import host
from filters.view import Spans, View

SOURCE = "RedPajama-V2 quality_signals/"
IMPORTANCE_TARGETS = ("wikipedia", "books", "openwebtext")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SENTENCE = re.compile(r"\b[^.!?]+[.!?]*")
_ASCII_LETTER = re.compile("[a-zA-Z]")
_BULLETS = tuple(map(ord, "•‣▶◀◦■□▪▫–"))
_TERMINALS = tuple(map(ord, ".!?”"))
_NEWLINE = ord("\n")


@dataclass(frozen=True)
class Lists:
    """Lists that the user provides, all optional. bad_words: language -> entries of one word or several, such as
    LDNOOBW's; ut1: host -> number of its category; importance: a table for each of IMPORTANCE_TARGETS."""

    bad_words: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    ut1: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    importance: Mapping[str, Importance] = field(default_factory=lambda: MappingProxyType({}))


def word_list(lines: Iterable[str]) -> frozenset[str]:
    """Reads entries from the lines of a list file: stripped, without blank ones, otherwise unchanged."""
    return frozenset(entry for line in lines if (entry := line.strip()))


class Normalised(NamedTuple):
    """The normalised text: its string, its words, and the line of each word (int64[words])."""

    text: str
    words: Tokens
    line: Indices

    @property
    def characters(self) -> int:
        """Characters of the words with one space between each two."""
        return self.words.characters + max(0, len(self.words) - 1)


def normalised(view: View) -> Normalised:
    lower = view.text.translate(_WITHOUT_PUNCTUATION).lower()
    text = lower if lower.isascii() else unicodedata.normalize("NFD", lower)
    codes = code_points(text)
    flags = flags_of(codes)
    start, end = runs(flags & SPACE == 0)
    newlines = (codes == _NEWLINE).nonzero()[0]
    return Normalised(text, Tokens(flags, Rolling(character_values(codes)), start, end), newlines.searchsorted(start))


def raw(view: View) -> list[str]:
    return raw_words(view.text)


def raw_lines(view: View) -> Spans:
    """The lines with their newlines; none after the last newline."""
    lines = view.lines
    size = len(view.text)
    spans = Spans(lines.start, np.minimum(lines.end + 1, size))
    return spans.where(spans.end > spans.start)


def word_count(view: View) -> float:
    return len(view.once(normalised).words)


def mean_word_length(view: View) -> float | None:
    words = view.once(normalised).words
    return words.characters / len(words) if len(words) else None


def unique_word_fraction(view: View) -> float | None:
    return distinct_fraction(view.once(normalised).words.hashes)


def unigram_entropy(view: View) -> float | None:
    return entropy(view.once(normalised).words.hashes)


def lorem_ipsum(view: View) -> float | None:
    """Occurrences of "lorem ipsum" per character of the normalised text."""
    found = view.once(normalised)
    if not found.characters:
        return None
    if "lorem" not in found.text:
        return 0.0
    return " ".join(found.text.split()).count("lorem ipsum") / found.characters


def sentences(view: View) -> float:
    return sum(1 for _ in _SENTENCE.finditer(view.text))


def symbol_to_word_ratio(view: View) -> float | None:
    words = len(view.once(raw))
    return sum(map(view.text.count, ("#", "...", "…"))) / words if words else None


def no_alphabetic_word_fraction(view: View) -> float | None:
    words = view.once(raw)
    return 1.0 - sum(1 for word in words if _ASCII_LETTER.search(word)) / len(words) if words else None


def all_caps_word_fraction(view: View) -> float | None:
    words = view.once(raw)
    return sum(map(str.isupper, words)) / len(words) if words else None


def n_gram_character_fraction(view: View, n: int) -> float | None:
    """Top (n = 2, 3, 4) or duplicate (n = 5 ... 10) n-gram characters over those of all words."""
    words = view.once(normalised).words
    return view.once(_n_gram_characters)[n] / words.characters if len(words) else None


def _n_gram_characters(view: View) -> dict[int, int]:
    return n_gram_characters(view.once(normalised).words, _top_characters, Tokens.covered_characters)


def _top_characters(words: Tokens, n: int, found: Repeats) -> int:
    """Characters of all copies of the most frequent n-gram, the first of equals; 0 if none occurs twice."""
    if not found.positions.size:
        return 0
    count = int(found.counts.max())
    position = int(found.positions[np.argmax(found.counts.take(found.ids) == count)])
    return int(words.offsets[position + n] - words.offsets[position]) * count


def javascript_words(view: View) -> float:
    found = view.once(normalised)
    if "javascript" not in found.text:
        return 0.0
    return float(np.count_nonzero(found.words.hashes == hash_words(["javascript"])))


def terminal_line_mean(view: View) -> float | None:
    stripped = view.strip(view.once(raw_lines))
    last = view.codes.take(stripped.end[stripped.end > stripped.start] - 1)
    return _mean(view, int(np.count_nonzero(np.isin(last, _TERMINALS))))


def bullet_line_mean(view: View) -> float | None:
    stripped = view.strip(view.once(raw_lines))
    first = view.codes.take(stripped.start[stripped.end > stripped.start])
    return _mean(view, int(np.count_nonzero(np.isin(first, _BULLETS))))


def words_per_line(view: View) -> float | None:
    return _mean(view, len(view.once(normalised).words))


def uppercase_line_mean(view: View) -> float | None:
    lines = view.once(raw_lines)
    return _mean(view, float((view.counts(UPPER, lines) / lines.lengths).sum()))


def numerical_line_mean(view: View) -> float | None:
    """Numeric characters (fractions, numerals of other scripts too) over those of the line's words and spaces."""
    found = view.once(normalised)
    if not len(found.words):
        return _mean(view, 0.0)
    numeric = _numeric(found)
    size = int(found.line[-1]) + 1
    words = np.bincount(found.line, minlength=size)
    characters = np.bincount(found.line, weights=found.words.lengths, minlength=size) + np.maximum(words - 1, 0)
    counts = np.bincount(found.line, weights=numeric, minlength=size)
    return _mean(view, float((counts / np.maximum(characters, 1)).sum()))


def _numeric(found: Normalised) -> Indices:
    """Numeric characters of each word, int64[words]."""
    codes = code_points(found.text)
    mask = flags_of(codes) & DIGIT != 0
    if not found.text.isascii():
        wide = np.unique(codes[codes > 127])
        mask |= np.isin(codes, [code for code in wide.tolist() if chr(code).isnumeric()])
    sums = np.zeros(codes.size + 1, np.int64)
    mask.cumsum(out=sums[1:])
    return sums.take(found.words.end) - sums.take(found.words.start)


def _mean(view: View, total: float) -> float | None:
    lines = len(view.once(raw_lines))
    return total / lines if lines else None


def bad_words(view: View, lists: Lists) -> float | None:
    """Runs of normalised words that are entries of the language's list; null without a list."""
    entries = lists.bad_words.get(view.language)
    if not entries:
        return None
    words = view.once(normalised).words
    return float(
        sum(int(np.count_nonzero(np.isin(words.n_gram_hashes(n), hashes))) for n, hashes in _by_length(entries).items())
    )


@lru_cache(maxsize=64)
def _by_length(entries: frozenset[str]) -> dict[int, Hashes]:
    lengths: dict[int, list[int]] = defaultdict(list)
    for entry in sorted(entries):
        lengths[entry.count(" ") + 1].append(hash_n_gram(entry.split(" ")))
    return {n: np.array(hashes, np.uint64) for n, hashes in lengths.items()}


def ut1_category(view: View, lists: Lists) -> float | None:
    return lists.ut1.get(host(view.url))


def importance(view: View, lists: Lists, target: str, length_correction: bool) -> float | None:
    table = lists.importance.get(target)
    return table.weight(view.text, length_correction) if table else None


def signals(lists: Lists) -> tuple[Signal, ...]:
    """The signals that need lists, bound to `lists`."""
    return (
        Signal(
            "rps_doc_ldnoobw_words", partial(bad_words, lists=lists), 40, SOURCE + "content.py", "bad words; 0 and up"
        ),
        Signal(
            "rps_doc_ut1_blacklist", partial(ut1_category, lists=lists), 5, SOURCE + "content.py", "the host's category"
        ),
        *(
            Signal(
                f"rps_doc_{target}_importance{suffix}",
                partial(importance, lists=lists, target=target, length_correction=bool(suffix)),
                900,
                SOURCE + "importance_weights.py",
                f"log p(text | {target}) / p(text | pool); high = alike; grows with length",
            )
            for target in IMPORTANCE_TARGETS
            for suffix in ("", "_length_correction")
        ),
    )


_CONTENT, _LANGUAGE, _REPETITIONS, _LINES = (
    SOURCE + name for name in ("content.py", "natural_language.py", "repetitions.py", "lines.py")
)
SIGNALS = (
    Signal("rps_doc_word_count", word_count, 60, _LANGUAGE, "normalised words; 0 and up"),
    Signal("rps_doc_mean_word_length", mean_word_length, 5, _LANGUAGE, "characters per normalised word"),
    Signal("rps_doc_frac_unique_words", unique_word_fraction, 60, _LANGUAGE, "distinct of normalised words, 0..1"),
    Signal("rps_doc_unigram_entropy", unigram_entropy, 70, _LANGUAGE, "nats over normalised words; low = repetitive"),
    Signal("rps_doc_num_sentences", sentences, 40, _LANGUAGE, "stretches between . ! ?; 0 and up"),
    Signal(
        "rps_doc_symbol_to_word_ratio", symbol_to_word_ratio, 80, _LANGUAGE, "# and ellipses per raw word; 0 and up"
    ),
    Signal("rps_doc_frac_no_alph_words", no_alphabetic_word_fraction, 150, _LANGUAGE, "raw words without a-z, 0..1"),
    Signal("rps_doc_frac_all_caps_words", all_caps_word_fraction, 30, _LANGUAGE, "raw words in capitals, 0..1"),
    Signal("rps_doc_lorem_ipsum", lorem_ipsum, 5, _CONTENT, "occurrences per normalised character; 0 and up"),
    *n_gram_signals(
        (
            "rps_doc_frac_chars_top_{n}gram",
            "characters in all copies of the most frequent one; 0 and up; high = repetitive",
        ),
        ("rps_doc_frac_chars_dupe_{n}grams", "characters in repeated n-grams, 0..1; high = repetitive"),
        n_gram_character_fraction,
        _REPETITIONS,
    ),
    Signal("rps_lines_javascript_counts_sum", javascript_words, 3, _LINES, "words `javascript`; 0 and up"),
    Signal(
        "rps_lines_ending_with_terminal_punctution_mark_mean", terminal_line_mean, 15, _LINES, "lines in . ! ? ”, 0..1"
    ),
    Signal("rps_lines_num_words_mean", words_per_line, 5, _LINES, "normalised words per line; low = lists"),
    Signal("rps_lines_uppercase_letter_fraction_mean", uppercase_line_mean, 15, _LINES, "capitals of a line, 0..1"),
    Signal("rps_lines_numerical_chars_fraction_mean", numerical_line_mean, 30, _LINES, "numerals of a line, 0..1"),
    Signal("rps_lines_start_with_bulletpoint_mean", bullet_line_mean, 10, _LINES, "lines with a bullet, 0..1"),
)
# The signals of the label step `redpajama`.
LISTED: dict[str, Signal] = {signal.name: signal for signal in signals(Lists())}

# RedPajama's name -> (our signal, note). Signals that are not in the catalog are set by label steps.
_MODEL = "of a fastText model that the user names; RedPajama's own are not used"
COUNTERPARTS: dict[str, tuple[str, str]] = {
    "ccnet_length": ("characters", "the same number"),
    "ccnet_original_length": ("characters", "measured before deduplication"),
    "ccnet_nlines": ("lines", "the same number: CCNet keeps no blank lines"),
    "ccnet_original_nlines": ("lines", "measured before deduplication"),
    "ccnet_language_score": ("language_score", "label step `language`"),
    "ccnet_perplexity": ("perplexity", "label step `perplexity`"),
    "ccnet_bucket": ("perplexity", "thirds of the pool: a pool step on this signal"),
    "rps_doc_curly_bracket": ("curly_bracket_fraction", "the same number; null for an empty text"),
    "rps_doc_frac_lines_end_with_ellipsis": (
        "gopher_ellipsis_line_fraction",
        "the same number where newlines alone end lines",
    ),
    "rps_doc_stop_word_fraction": ("stop_word_fraction", "our lists, in any case, of words without punctuation"),
    "rps_doc_ml_wikiref_score": ("quality", _MODEL),
    "rps_doc_ml_palm_score": ("quality", _MODEL),
    "rps_doc_ml_wikipedia_score": ("quality", _MODEL),
    "rps_lines_javascript_counts": ("rps_lines_javascript_counts_sum", "summed over lines"),
    **{
        name: (f"{name}_mean", "the mean over lines")
        for name in (
            "rps_lines_ending_with_terminal_punctution_mark",
            "rps_lines_num_words",
            "rps_lines_uppercase_letter_fraction",
            "rps_lines_numerical_chars_fraction",
            "rps_lines_start_with_bulletpoint",
        )
    },
    **{signal.name: (signal.name, "the same number") for signal in SIGNALS if signal.name.startswith("rps_doc_")},
    **{name: (name, "label step `redpajama`") for name in LISTED},
}
