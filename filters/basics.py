"""Plain statistics of a text: sizes, kinds of character, and how varied its words are.

Many are RedPajama-V2's quality signals (its `app/src/core/quality_signals`), counted here on one segmentation instead
of on a normalised copy: words in lower case, punctuation left out.
"""

from functools import partial

import numpy as np

from filters.characters import ALNUM, ALPHA, BROKEN, DIGIT, PUNCTUATION, SPACE, SYMBOL, TERMINAL, UPPER
from filters.repeats import distinct_fraction, entropy, extra_copies
from filters.signal import Signal
from filters.view import View

_FENCE, _COLONS = ord("`"), (ord(":"), ord("："))
_FIRST_WORDS = 1000


def characters(view: View) -> float:
    return len(view.text)


def words(view: View) -> float:
    return len(view.words)


def tokens(view: View) -> float:
    return len(view.tokens)


def lines(view: View) -> float:
    return len(view.filled_lines)


def repeated_line_fraction(view: View) -> float | None:
    """Share of the filled lines that repeat an earlier one, of lines with two letters or more that are not capitals.

    Closing brackets, rules, and the marks around formulas and code are repeated in any text that has them; so are the
    names of a play, in capitals or before a colon.
    """
    filled = view.filled_lines
    if not len(filled):
        return None
    letters = view.counts(ALPHA, filled) - view.counts(UPPER, filled)
    mark = (view.codes.take(filled.start) == _FENCE) | np.isin(view.codes.take(filled.end - 1), _COLONS)
    whole = view.lines.where(view.strip(view.lines).lengths > 0)  # as they stand: lines of code are indented
    return int(np.count_nonzero(extra_copies(view.hashes(whole.where((letters >= 2) & ~mark))))) / len(filled)


def paragraphs(view: View) -> float:
    return len(view.paragraphs) if len(view.pieces) else 0


def sentences(view: View) -> float:
    return len(view.sentences)


def mean_word_length(view: View) -> float | None:
    return float(view.words.lengths.mean()) if len(view.words) else None


def median_word_length(view: View) -> float | None:
    return float(np.median(view.words.lengths)) if len(view.words) else None


def mean_line_length(view: View) -> float | None:
    return float(view.filled_lines.lengths.mean()) if len(view.filled_lines) else None


def longest_line(view: View) -> float:
    return float(view.filled_lines.lengths.max(initial=0))


def mean_sentence_words(view: View) -> float | None:
    return len(view.words) / len(view.sentences) if len(view.sentences) else None


def visible_fraction(view: View, mask: int) -> float | None:
    """Share of the characters that are not white space which have one of the flags in `mask`."""
    visible = view.flags & SPACE == 0
    total = int(np.count_nonzero(visible))
    return int(np.count_nonzero(visible & (view.flags & mask != 0))) / total if total else None


def uppercase_fraction(view: View) -> float | None:
    letters = int(np.count_nonzero(view.flags & ALPHA))
    return min(int(np.count_nonzero(view.flags & UPPER)) / letters, 1.0) if letters else None


def unique_word_fraction(view: View) -> float | None:
    return distinct_fraction(view.lower_words)


def first_unique_word_fraction(view: View) -> float | None:
    """Of the first words alone: in a longer text more of them have been said, however varied it is."""
    return distinct_fraction(view.lower_words[:_FIRST_WORDS])


def unigram_entropy(view: View) -> float | None:
    return entropy(view.lower_words)


def all_caps_word_fraction(view: View) -> float | None:
    return view.words.fraction_all(UPPER)


def no_alphabetic_word_fraction(view: View) -> float | None:
    found = view.words
    return float(np.count_nonzero(found.flags & ALPHA == 0)) / len(found) if len(found) else None


def terminal_line_fraction(view: View) -> float | None:
    found = view.filled_lines
    if not len(found):
        return None
    return float(np.count_nonzero(view.flags.take(found.end - 1) & TERMINAL)) / len(found)


def words_per_line(view: View) -> float | None:
    return len(view.words) / len(view.filled_lines) if len(view.filled_lines) else None


def curly_bracket_fraction(view: View) -> float | None:
    size = len(view.text)
    return (view.text.count("{") + view.text.count("}")) / size if size else None


RPV2 = "RedPajama-V2"
SIGNALS = (
    Signal("characters", characters, 0.1, "", "code points; 0 and up"),
    Signal("words", words, 60, RPV2 + " rps_doc_word_count", "0 and up; Chinese: a segmenter's; Kana: characters"),
    Signal("tokens", tokens, 60, "", "words and marks; 0 and up"),
    Signal("lines", lines, 15, "", "lines that are not blank; 0 and up"),
    Signal(
        "repeated_line_fraction",
        repeated_line_fraction,
        20,
        "",
        "filled lines of two letters and more, 0..1; repetitive",
    ),
    Signal("paragraphs", paragraphs, 15, "", "pieces between two newlines or more; 0 and up"),
    Signal("sentences", sentences, 60, RPV2 + " rps_doc_num_sentences", "sentences; 0 and up"),
    Signal("mean_word_length", mean_word_length, 3, RPV2, "characters per word; 1 and up"),
    Signal("median_word_length", median_word_length, 12, "Dolma's gopher_v1 tagger", "characters; 1 and up"),
    Signal("mean_line_length", mean_line_length, 3, "", "characters per filled line; high = prose, low = lists"),
    Signal("longest_line", longest_line, 3, "", "characters of the longest line; 0 and up"),
    Signal("mean_sentence_words", mean_sentence_words, 1, "", "words per sentence; low = fragments, very high = soup"),
    Signal("words_per_line", words_per_line, 1, "", "words per filled line; low = lists"),
    Signal("alphabetic_fraction", partial(visible_fraction, mask=ALPHA), 15, "", "letters of visible characters, 0..1"),
    Signal("alphanumeric_fraction", partial(visible_fraction, mask=ALNUM), 15, "", "of visible characters, 0..1"),
    Signal("digit_fraction", partial(visible_fraction, mask=DIGIT), 15, "", "digits of visible characters, 0..1"),
    Signal("punctuation_fraction", partial(visible_fraction, mask=PUNCTUATION), 15, "", "of visible characters, 0..1"),
    Signal("symbol_fraction", partial(visible_fraction, mask=SYMBOL), 15, "", "Unicode S of visible characters, 0..1"),
    Signal("broken_character_fraction", partial(visible_fraction, mask=BROKEN), 15, "", "0..1; above 0 = damaged"),
    Signal("uppercase_fraction", uppercase_fraction, 10, RPV2, "capitals of letters, 0..1; high = shouting, headings"),
    Signal("unique_word_fraction", unique_word_fraction, 60, RPV2, "distinct of all words, 0..1; low = repetitive"),
    Signal(
        "first_unique_word_fraction",
        first_unique_word_fraction,
        40,
        "",
        "of the first 1,000 words, 0..1; low = repetitive",
    ),
    Signal("unigram_entropy", unigram_entropy, 70, RPV2, "nats, 0 and up; low = repetitive or short"),
    Signal("all_caps_word_fraction", all_caps_word_fraction, 20, RPV2, "words all in capitals, 0..1"),
    Signal("no_alphabetic_word_fraction", no_alphabetic_word_fraction, 15, RPV2, "words without a letter, 0..1"),
    Signal("terminal_line_fraction", terminal_line_fraction, 5, RPV2, "filled lines that end a sentence, 0..1"),
    Signal("curly_bracket_fraction", curly_bracket_fraction, 2, RPV2, "{ and } of all characters, 0..1; high = code"),
)
