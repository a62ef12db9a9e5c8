"""Coherence: whether the sentences of a text belong together, and in this order.

Neighbouring sentences share more words and subjects than distant ones, and first mentions differ from later ones: "a
dog" before "the dog", "Ada Lovelace" before "Lovelace" or "she", 1815 before 1852 (Halliday & Hasan 1976; Hearst 1997;
Barzilay & Lapata 2008). PAIRS are measured for every ordered pair of sentences; two learned linear functions of them
score how likely the second is to follow the first (`order`) and whether both are from one text (`kin`). FEATURES
summarise both over the text and describe the form of its sentences; the score is a logistic function of them. In
Chinese the words are single characters.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.alphanumeric import alphanumeric_runs

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MAX_CHARS = 30_000
MAX_SENTENCES = 60
# With fewer sentences, order cannot be measured.
MIN_SENTENCES = 5
MAX_SENTENCE_CHARS = 1_000
# A line of at least this many characters without a final mark is taken to be wrapped, not ended.
WRAPPED = 50

PAIRS = (
    "similar",  # cosine of the sentences' mean word vectors
    "overlap",  # cosine of their idf vectors over content words
    "the_given",  # the second has "the" (this, that) before a word of the first
    "a_given",  # the second has "a" before a word of the first
    "a_then_the",
    "the_then_a",
    "start_given",  # the second begins with a word of the first
    "end_start",  # the first ends with a word with which the second begins
    "full_then_short",  # a full name, then its last word alone
    "short_then_full",
    "year_rises",
    "year_falls",
    "same_tense",
    "length",  # difference of the lengths: - |log ratio|
    "pronoun_bound",  # the second begins with he, she, they; the first has a name or begins so too
    "pronoun_loose",  # the second begins so, and the first has no name
    "openers",  # learned: how likely the class of the second's first word is to follow that of the first's
    "both_quote",
    "both_number",
    "question",  # the first is a question
)
FEATURES = (
    "order",  # mean log odds of neighbours over those of sentences NEAR them, in standard deviations of the latter
    "order_z",  # the same, in standard deviations of a shuffled text's mean
    "forward",  # the same of neighbours in this direction over the reverse, in standard deviations of a mean
    "kin",  # mean of `kin` over sentences NEAR each other
    "kin_neighbours",  # the same over neighbours
    "weakest_joint",  # lowest mean `kin` of three sentences before a place and three after it
    "outliers",  # mean `kin` of the fifth of the sentences least similar to the two before and the two after
    "no_common_word",  # share of neighbours without a content word in common
    "dependent_start",  # 1 if the first sentence begins like one that refers to an earlier one
    "complete",  # share of sentences with a final mark
    "fragments",  # share of sentences of fewer than four words
    "length",  # mean log words of a sentence, to correct for it: longer sentences share more words with any other
)
# Neighbours are compared with sentences at most this far apart, since a long text may change its subject.
NEAR = 8

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
# These begin with a set of characters: a search skips to one in half the time of trying the expression everywhere.
_END = re.compile(r"""[.!?…。！？\n](?:(?<=[.!?…])["'”’)\]]*(?=\s)|(?<=[。！？…])[”’」』）]*|(?<=\n))""")
_WORD = re.compile(f"[{_HAN}]|[^\\W_{_HAN}]+")
_TERMINAL = re.compile(r"""[.!?:;…。！？：；]["'”’)\]」』）]*$""")
_YEAR = re.compile(r"[12](?<!\w.)(?:(?<=1)[0-9]{3}|(?<=2)0[0-9]{2})\b")
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"[A-Z](?<!\w.)[a-z]+(?: [A-Z][a-z]+){0,3}\b")
_DEPENDENT = frozenset((
    "he", "she", "it", "they", "this", "that", "these", "those", "such", "however", "therefore", "thus", "hence",
    "moreover", "furthermore", "also", "then", "but", "and", "or", "so", "his", "her", "their", "its", "another",
    "both", "later", "afterwards", "meanwhile", "nevertheless", "instead", "finally",
))  # fmt: skip
_PERSONAL = ("he", "she", "they", "his", "her", "their", "him", "them")
_DEFINITE, _INDEFINITE = ("the", "this", "that", "these", "those"), ("a", "an")
_PAST, _PRESENT = ("was", "were", "had", "did"), ("is", "are", "has", "does", "have", "do")
_QUOTE = re.compile('["“”「」『』]')
# The words that stand for a measurement, in this order.
MARKED = (*_DEFINITE, *_INDEFINITE, *_PAST, *_PRESENT, *_PERSONAL)
_OF_DEFINITE, _OF_INDEFINITE, _OF_PAST, _OF_PRESENT, _OF_PERSONAL = (
    slice(MARKED.index(words[0]), MARKED.index(words[-1]) + 1)
    for words in (_DEFINITE, _INDEFINITE, _PAST, _PRESENT, _PERSONAL)
)


@dataclass(frozen=True)
class Language:
    """The data of a language: words with unit vectors float32[words, dimensions] and idf float32[words]; the classes of
    sentence openers, and the log ratio of one class following another to the same in a shuffled text."""

    index: Mapping[str, int]
    vectors: Floats
    idf: Floats
    common_below: float
    openers: Mapping[str, int]
    follows: Floats

    @cached_property
    def weighted(self) -> Floats:
        """The vectors times their idf."""
        return self.vectors * self.idf[:, None]

    @cached_property
    def is_content(self) -> Flags:
        """Of each word, whether it says what a text is about."""
        return np.asarray(self.idf > self.common_below)

    @cached_property
    def codes(self) -> Mapping[str, int]:
        """`index`, and behind it those of MARKED that it has not."""
        missing = [word for word in MARKED if word not in self.index]
        return {**self.index, **{word: len(self.vectors) + place for place, word in enumerate(missing)}}

    @cached_property
    def marked(self) -> Indices:
        """The place in MARKED of each word by its code, -1: in none; the last is for a word without a code, -1."""
        places = np.full(len(self.vectors) + len(MARKED) + 1, -1)
        places[[self.codes[word] for word in MARKED]] = np.arange(len(MARKED))
        return places


@dataclass(frozen=True)
class CoherenceWeights:
    """The weights of PAIRS for `order` (float64[PAIRS]), of PAIRS and the products of the vectors' dimensions for `kin`
    (float64[PAIRS + dimensions]), and of FEATURES (float64[FEATURES]) with the intercept."""

    order: Doubles
    kin: Doubles
    features: Doubles
    intercept: float


def sentences_of(text: str, most: int | None = MAX_SENTENCES) -> list[str]:
    """Returns the first `most` (None: all) sentences or lines of the first MAX_CHARS characters of a text. A line end
    before a lower-case letter does not end a sentence."""
    limit = len(text) if most is None else MAX_CHARS
    head = text[:limit].replace("\r", "")
    found, start = [], 0
    for match in _END.finditer(head):
        if match.group() == "\n" and _continues(head, start, match.end()):
            continue
        if piece := head[start : match.end()].strip():
            found.append(piece[:MAX_SENTENCE_CHARS])
            if len(found) == most:
                return found
        start = match.end()
    if len(text) <= limit and (piece := head[start:].strip()):
        found.append(piece[:MAX_SENTENCE_CHARS])
    return found


def _continues(text: str, start: int, end: int) -> bool:
    """Whether the sentence that began at `start` continues after the line end before `end`."""
    following = text[end : end + 1]
    return following.islower() or (following.isalpha() and end - start > WRAPPED and not text[end - 2].isspace())


def words_of(sentence: str) -> list[str]:
    return alphanumeric_runs(sentence.lower()) if sentence.isascii() else _WORD.findall(sentence.lower())


class Measured:
    """The sentences of a text that have words, and the measurements of their pairs.

    pairs: float32[PAIRS + dimensions, n, n], of (first sentence, second sentence); the products of the mean vectors'
    dimensions are not computed for each pair: `units` float32[n, dimensions] holds the vectors instead.
    """

    def __init__(self, sentences: Sequence[str], language: Language) -> None:
        both = [(sentence, words) for sentence in sentences if (words := words_of(sentence))]
        self.sentences = [sentence for sentence, _ in both]
        self.words = [words for _, words in both]
        self.language = language
        self.n = len(both)
        if self.n:
            self._measure()

    def _measure(self) -> None:
        self._look_up()
        self.units = self._units()
        has, the, a, start, end = self._marks()
        common = has @ has.T
        self.common = common
        weight = np.sqrt(np.maximum(np.diagonal(common), 1e-6))
        self.pairs = np.empty((len(PAIRS), self.n, self.n), np.float32)
        measured = chain(
            [self.units @ self.units.T, common / np.outer(weight, weight)],
            (
                np.minimum(x @ y.T, 6.0) / 6
                for x, y in ((has, the), (has, a), (a, the), (the, a), (has, start), (end, start))
            ),
            self._names(),
            self._years(),
            self._flags(),
        )
        for place, values in enumerate(measured):
            self.pairs[place] = values

    def _look_up(self) -> None:
        """Each word's code, its sentence and its place there, int64[words]; MARKED in sentences, bool[n, MARKED]."""
        lengths = np.array([*map(len, self.words)])
        codes = map(self.language.codes.get, chain.from_iterable(self.words), repeat(-1))
        self.codes = np.fromiter(codes, np.int64, int(lengths.sum()))
        self.sentence = np.arange(self.n).repeat(lengths)
        self.firsts = lengths.cumsum() - lengths
        self.place = np.arange(self.codes.size) - self.firsts.repeat(lengths)
        self.lengths = lengths
        self.marked = self.language.marked.take(self.codes, mode="wrap")
        self.mentions = np.zeros((self.n, len(MARKED) + 1), bool)
        self.mentions[self.sentence, self.marked] = True

    def _units(self) -> Floats:
        """The unit vector of each sentence: the mean of its words' vectors by idf; 0 without known words."""
        weighted = self.language.weighted
        known = (self.codes >= 0) & (self.codes < len(weighted))
        ends = np.bincount(self.sentence[known], minlength=self.n).cumsum()
        sums = np.zeros((int(ends[-1]) + 1, weighted.shape[1]), np.float32)
        weighted.take(self.codes[known], axis=0).cumsum(axis=0, out=sums[1:])
        means = np.diff(sums[[0, *ends]], axis=0)
        units: Floats = means / np.maximum(np.sqrt((means * means).sum(axis=1, keepdims=True)), 1e-6)
        return units

    def _marks(self) -> list[Floats]:
        """float32[n, content words] each, the idf where the word is, else 0: anywhere in the sentence; after "the";
        after "a"; among its first five words; in its second half."""
        column = np.full(len(self.language.marked), -1)
        known = np.zeros(len(self.language.marked), bool)
        known[self.codes] = True
        numbers = (known[: len(self.language.idf)] & self.language.is_content).nonzero()[0]
        column[numbers] = np.arange(numbers.size)
        columns = column.take(self.codes, mode="wrap")
        content = (columns >= 0).nonzero()[0]
        values = np.sqrt(self.language.idf[numbers]).take(columns[content])
        at = self.sentence[content] * numbers.size + columns[content]
        place = self.place[content]
        before = np.where(place > 0, self.marked[content - 1], -1)
        chosen = (
            slice(None),
            _within(before, _OF_DEFINITE),
            _within(before, _OF_INDEFINITE),
            place < 5,
            place >= self.lengths[self.sentence[content]] // 2,
        )
        marks = [np.zeros((self.n, numbers.size), np.float32) for _ in chosen]
        for mark, which in zip(marks, chosen, strict=True):
            mark.reshape(-1)[at[which]] = values[which]
        return marks

    def _names(self) -> list[Floats]:
        """full_then_short, short_then_full."""
        matches = [[*_NAME.finditer(sentence)] for sentence in self.sentences]
        found = [
            {name.rpartition(" ")[::2] for name in self._names_in(sentence, [match[0] for match in each])}
            if each
            else ()
            for sentence, each in zip(self.sentences, matches)
        ]
        lasts = sorted({last for names in found for first, last in names if first})
        place = {last: number for number, last in enumerate(lasts)}
        full, short = np.zeros((self.n, len(lasts)), np.float32), np.zeros((self.n, len(lasts)), np.float32)
        for row, names in enumerate(found):
            for first, last in names:
                if last in place:
                    (full if first else short)[row, place[last]] = 1
        # one that begins behind the first character: not a single word at the beginning, which may be any
        named = np.array([len(each) > 1 or any(match.start() or " " in match[0] for match in each) for each in matches])
        self.has_person = named | self.mentions[:, _OF_PERSONAL].any(axis=1)
        forward = np.minimum(full @ short.T, 1)
        return [forward, forward.T]

    def _names_in(self, sentence: str, names: list[str]) -> list[str]:
        """The names in a sentence; a common word capitalised at its beginning is not part of one."""
        if names and sentence.startswith(names[0]):
            first, _, rest = names[0].partition(" ")
            number = self.language.index.get(first.lower())
            if number is not None and self.language.idf[number] <= self.language.common_below:
                return [rest, *names[1:]] if rest else names[1:]
        return names

    def _years(self) -> list[Floats]:
        """year_rises, year_falls."""
        years = np.array([int(match.group()) if (match := _YEAR.search(s)) else 0 for s in self.sentences])
        known = np.outer(years > 0, years > 0)
        return [
            (known & (years[:, None] < years)).astype(np.float32),
            (known & (years[:, None] > years)).astype(np.float32),
        ]

    def _flags(self) -> list[Floats]:
        """same_tense, length, pronoun_bound, pronoun_loose, openers, both_quote, both_number, question."""
        past, present = (self.mentions[:, which].sum(axis=1) for which in (_OF_PAST, _OF_PRESENT))
        tense = np.sign(past - present)
        lengths = np.log(self.lengths)
        personal = _within(self.marked[self.firsts], _OF_PERSONAL)
        person = self.has_person
        classes = np.array([opener(each, self.language) for each in self.words])
        quote = np.array([bool(_QUOTE.search(sentence)) for sentence in self.sentences])
        number = np.array([bool(_DIGIT.search(sentence)) for sentence in self.sentences])
        questions = np.array([sentence[-1] in "?？" for sentence in self.sentences], np.float32)
        return [
            np.outer(tense, tense).astype(np.float32),
            -np.abs(lengths[:, None] - lengths).astype(np.float32),
            np.outer(person, personal).astype(np.float32),
            np.outer(~person, personal).astype(np.float32),
            self.language.follows[classes[:, None], classes],
            np.outer(quote, quote).astype(np.float32),
            np.outer(number, number).astype(np.float32),
            questions[:, None],
        ]

    def weighed(self, weights: Doubles) -> Floats:
        """float32[n, n]: the weighted sum of PAIRS and, if `weights` has them, of the products of dimensions."""
        own, products = weights[: len(PAIRS)].astype(np.float32), weights[len(PAIRS) :].astype(np.float32)
        total: Floats = np.tensordot(own, self.pairs, 1)
        if products.size:
            total += (self.units * products) @ self.units.T
        return total

    def rows(self, first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Floats:
        """The features of some pairs, float32[pairs, PAIRS + dimensions], for the fit of the weights."""
        return np.hstack([self.pairs[:, first, second].T, self.units[first] * self.units[second]])


def opener(words: Sequence[str], language: Language) -> int:
    """The class of a sentence by its first word: one each for the commonest words, one for numbers, one for the
    rest."""
    first = words[0]
    return language.openers.get(first, 1 if first.isdigit() else 0)


def _within(marked: Indices, those: slice) -> Flags:
    """Whether places in MARKED, or -1, are among those."""
    return np.asarray((marked >= those.start) & (marked < those.stop))


def features(text: Measured, weights: CoherenceWeights) -> Doubles | None:
    """FEATURES of a text, float64[len(FEATURES)]; None for fewer than MIN_SENTENCES sentences."""
    if text.n < MIN_SENTENCES:
        return None
    found = [*_of_order(text.weighed(weights.order)), *_of_kin(text.weighed(weights.kin)), *_of_shape(text)]
    return np.array(found, np.float64)


def score(sentences: Sequence[str], language: Language, weights: CoherenceWeights) -> float | None:
    """The probability that the sentences are a whole text in order; None for fewer than MIN_SENTENCES."""
    found = features(Measured(sentences, language), weights)
    if found is None:
        return None
    total = float(found @ weights.features) + weights.intercept
    return float(1 / (1 + np.exp(-min(max(total, -50.0), 50.0))))


def _of_order(order: Floats) -> list[float]:
    n = len(order)
    near = [np.diagonal(order, lag) for lag in (*range(-NEAR, 0), *range(2, NEAR + 1)) if abs(lag) < n]
    others = np.concatenate(near)
    mean, deviation = float(others.mean()), max(float(others.std()), 0.05)
    after, before = np.diagonal(order, 1), np.diagonal(order, -1)
    gain = (float(after.mean()) - mean) / deviation
    difference = after - before
    return [gain, gain * (n - 1) ** 0.5, float(difference.mean()) / max(float(difference.std()), 0.1) * (n - 1) ** 0.5]


def _of_kin(kin: Floats) -> list[float]:
    """kin, kin_neighbours, weakest_joint, outliers."""
    n = len(kin)
    kin = (kin + kin.T) / np.float32(2)
    lags = [np.diagonal(kin, lag) for lag in range(1, min(n, NEAR + 1))]
    near = float(np.concatenate(lags).mean())
    sums = np.zeros((n + 1, n + 1))
    sums[1:, 1:] = kin.cumsum(axis=0).cumsum(axis=1)
    cut = np.arange(1, n)
    low, high = np.maximum(cut - 3, 0), np.minimum(cut + 3, n)
    joints = (sums[cut, high] - sums[low, high] - sums[cut, cut] + sums[low, cut]) / ((cut - low) * (high - cut))
    beside = np.zeros(n)
    for lag, values in zip((1, 2), lags):
        beside[lag:] += values
        beside[:-lag] += values
    beside = np.sort(beside / np.array([2, 3, *[4] * (n - 4), 3, 2]))
    outliers = float(beside[: max(n // 5, 1)].mean())
    return [near, float(lags[0].mean()), float(joints[1:-1].min()), outliers]


def _of_shape(text: Measured) -> list[float]:
    """no_common_word, dependent_start, complete, fragments, length."""
    lengths = np.array([len(each) for each in text.words])
    return [
        float((np.diagonal(text.common, 1) == 0).mean()),
        float(text.words[0][0] in _DEPENDENT),
        float(np.mean([bool(_TERMINAL.search(sentence)) for sentence in text.sentences])),
        float((lengths < 4).mean()),
        float(np.log(lengths).mean()),
    ]
