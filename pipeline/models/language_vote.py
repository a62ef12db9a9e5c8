"""Language identification for web pages: by line, by two identifiers, with the share of each language.

A page is looked at in up to `PLACES` places, spread evenly, each a line or some short ones. Prose decides: where a
place is code, a formula or an address (`prose.py`), those after it are tried, and one that is left counts `CODE` as
much; a page of code alone is told by it. Each place is identified by naive Bayes over bytes (`naive_bayes.py`), which
is right on 99.5 % of the sentences that it gives a probability of `SURE`. Where the page's language has less than that,
fastText has a vote on the unsure places: of the logarithms of both probabilities, its own counts with `VOTE`; of a
language that naive Bayes does not know its own alone, where it is as sure. Places without letters, and those that read
like markup or identifiers, have no language; a page that has only such ones has none.

`SURE`, `VOTE` and `FLOOR` were chosen on one half of the sentences of `python -m benchmarks language`, which reports
the other half.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from pipeline.models.capitals import without_capitals
from pipeline.models.fasttext import DIGITS, LABEL, check_fasttext, load_fasttext, one_line
from pipeline.models.language_codes import UNDETERMINED, canonical
from pipeline.models.naive_bayes import Floats, NaiveBayes, load_naive_bayes
from pipeline.models.prose import is_prose

Weights = npt.NDArray[np.float64]

# The parts of the model, a folder.
FASTTEXT, NAIVE_BAYES = "lid.176.ftz", "naive-bayes.npz.xz"

SURE, VOTE, FLOOR = 0.8, 0.25, 0.01
# How many of the first unsure places fastText is asked about, and how many languages it names.
MOST_ASKED, NAMED = 3, 5
PLACES, PLACE_CHARS = 5, 64
# So many pieces of a part of a text are looked at for prose. A place that is none counts a tenth.
TRIES, CODE = 8, 0.1
# Lines of fewer characters are joined with those that follow.
SHORT_LINE = 40
# A character of Chinese or Japanese says as much as so many Latin letters.
IDEOGRAPH, FIRST_IDEOGRAPH = 3, 0x2E80
# Text after so many characters is not looked at.
MAX_CHARS = 100_000
# A page has a language if it makes up so much of the letters that were looked at.
LEAST_SHARE = 0.1
# Lines tell these apart badly: a place in one of them counts for the one that the page as a whole is in.
CLOSE = (
    frozenset(("bs", "hr", "sr")),
    frozenset(("id", "ms")),
    frozenset(("no", "nn", "da")),
    frozenset(("zh", "yue", "wuu", "lzh")),
)


class Spoken(NamedTuple):
    """What an identifier says of a text."""

    language: str
    score: float
    """The probability of the language; in a vote, by the evidence of all places that have one."""

    shares: dict[str, float]
    """The share of the letters in each language, `und` included, largest first; those of places that are no prose count
    `CODE` as much. Empty for one that tells no shares."""


NOTHING = Spoken(UNDETERMINED, 0.0, {})


class LanguageVote:
    def __init__(self, folder: Path) -> None:
        check_vote(folder)
        self._bayes: NaiveBayes = load_naive_bayes(folder / NAIVE_BAYES)
        self._fasttext = load_fasttext(folder / FASTTEXT)
        self._codes = sorted({UNDETERMINED, *map(canonical, self._bayes.labels), *_codes(self._fasttext.labels)})
        self._place = {code: i for i, code in enumerate(self._codes)}
        self._labels = {label: self._place[canonical(label.removeprefix(LABEL))] for label in self._fasttext.labels}
        columns = [self._place[canonical(label)] for label in self._bayes.labels]
        first = {code: column for column, code in reversed([*enumerate(columns)])}
        self._first, self._to = np.array(list(first.values())), np.array(list(first))
        self._again = [(column, code) for column, code in enumerate(columns) if first[code] != column]
        self._foreign = np.isin(np.arange(len(self._codes)), columns, invert=True)
        self._none = self._place[UNDETERMINED]
        self._group_L = np.arange(len(self._codes))
        for group in CLOSE:
            members = sorted(self._place[code] for code in group if code in self._place)
            self._group_L[members] = members[:1] * len(members)

    def __call__(self, text: str) -> Spoken:
        """Cost: about .2 ms, however long the text is."""
        found = list(places(text[:MAX_CHARS]))
        if not found:
            return NOTHING
        weights = letters([place for place, _ in found])
        asked = [place for (place, _), weight in zip(found, weights) if weight]
        if not asked:
            return NOTHING
        weights = (weights * np.array([1.0 if prose else CODE for _, prose in found]))[weights > 0]
        weights /= weights.sum()
        return self._told(self._probabilities(asked, weights), weights)

    def _probabilities(self, asked: Sequence[str], weights_N: Weights) -> Floats:
        """(N, L) of N places, rows sum to 1."""
        bayes_NB = self._bayes.probabilities(asked)
        found_NL = np.zeros((len(asked), len(self._codes)), np.float32)
        found_NL[:, self._to] = bayes_NB[:, self._first]
        for column, code in self._again:  # two labels of one language
            found_NL[:, code] += bayes_NB[:, column]
        if (weights_N @ found_NL).max() >= SURE:
            return found_NL
        unsure = np.flatnonzero(found_NL.max(axis=1) < SURE)[:MOST_ASKED]
        for row in unsure:
            other_L = self._asked(asked[row])
            votes_L = np.log(np.maximum(found_NL[row], FLOOR)) + VOTE * np.log(np.maximum(other_L, FLOOR))
            if self._foreign[other_L.argmax()] and other_L.max() >= SURE:
                votes_L = np.log(np.maximum(other_L, FLOOR * FLOOR))
            powers_L = np.exp(votes_L - votes_L.max())
            found_NL[row] = powers_L / powers_L.sum()
        return found_NL

    def _asked(self, place: str) -> Floats:
        found_L = np.zeros(len(self._codes), np.float32)
        for label, score in zip(*self._fasttext.predict(place, k=NAMED)):
            if score == score:
                found_L[self._labels[label]] += min(float(score), 1.0)
        return found_L

    def _told(self, found_NL: Floats, weights_N: Weights) -> Spoken:
        best_N = found_NL.argmax(axis=1)
        total_L = weights_N @ found_NL
        total_L[self._none] = -1.0
        page = int(total_L.argmax())
        same_L = self._group_L == self._group_L[page]
        best_N[same_L[best_N]] = page
        shares: defaultdict[int, float] = defaultdict(float)
        for best, weight in zip(best_N.tolist(), weights_N.tolist()):
            shares[best] += weight
        by_size = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
        told = {self._codes[best]: round(share, DIGITS) for best, share in by_size}
        if shares[page] < LEAST_SHARE:
            return Spoken(UNDETERMINED, 0.0, told)
        counted_N = weights_N * (best_N != self._none)
        # Evidence adds up as naive Bayes has it within a place: logarithms over the root of their number.
        logs_L = counted_N @ np.log(np.maximum(found_NL, FLOOR * FLOOR)) / counted_N.sum()
        logs_L *= np.sqrt(np.count_nonzero(counted_N))
        powers_L = np.exp(logs_L - logs_L.max())
        score = float(powers_L[same_L].sum() / powers_L.sum())
        return Spoken(self._codes[page], round(score, DIGITS), told)


@cache
def _letter_weights() -> Weights:
    """What each character of the Basic Multilingual Plane counts; the last entry is for all beyond it."""
    letters = np.array([chr(code).isalpha() for code in range(1 << 16)], np.float64)
    letters[FIRST_IDEOGRAPH:] *= IDEOGRAPH
    letters[-1] = 0.0
    return letters


def letters(texts: Sequence[str]) -> Weights:
    """How many letters each has; a character of Chinese or Japanese counts `IDEOGRAPH`. No text is empty."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    starts = np.cumsum([0, *map(len, texts[:-1])])
    return np.asarray(np.add.reduceat(_letter_weights()[np.minimum(codes, (1 << 16) - 1)], starts))


def check_vote(folder: Path) -> None:
    """UsageError unless the folder has both identifiers."""
    for name in (FASTTEXT, NAIVE_BAYES):
        if not (folder / name).is_file():
            raise UsageError(f"{folder} lacks {name}: run `refinery fit defaults --only {folder.name}` again")
    check_fasttext(folder / FASTTEXT)


def vote_languages(folder: Path) -> list[str]:
    """The codes that the model in `folder` may answer."""
    bayes = load_naive_bayes(folder / NAIVE_BAYES)
    return sorted({*map(canonical, bayes.labels), *_codes(check_fasttext(folder / FASTTEXT))} - {UNDETERMINED})


def _codes(labels: Sequence[str]) -> set[str]:
    return {canonical(label.removeprefix(LABEL)) for label in labels}


def places(text: str) -> Iterator[tuple[str, bool]]:
    """What is looked at, and whether it is prose: lines, or of a long text a part of some, each on one line, capitals
    as most text has them."""
    if len(text) <= PLACES * PLACE_CHARS:
        found = ((place, is_prose(place)) for place in _joined(text.split("\n")))
    else:
        step = len(text) // PLACES
        found = (_place(text, start, start + step) for start in range(0, step * PLACES, step))
    for place, prose in found:
        line = one_line(place, PLACES * PLACE_CHARS)
        if line:
            yield unicodedata.normalize("NFC", without_capitals(line)), prose


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """The lines, short ones with those that follow."""
    short = ""
    for line in lines:
        short = f"{short} {line}" if short else line
        if len(short) >= SHORT_LINE:
            yield short
            short = ""
    if short:
        yield short


def _place(text: str, start: int, stop: int) -> tuple[str, bool]:
    """From the first line that begins in the range, else from its first word: a line, or more if it is short. Of up to
    `TRIES` such places the first that is prose; if none is, the first."""
    begin = text.find("\n", start, stop) + 1 if start else 0
    if start and not begin:
        begin = text.find(" ", start, start + PLACE_CHARS) + 1 or start
    first = ""
    for _ in range(TRIES):
        end = text.find("\n", begin + SHORT_LINE, begin + PLACE_CHARS)
        place = text[begin : end if end >= 0 else begin + PLACE_CHARS]
        if is_prose(place):
            return place, True
        first = first or place
        begin = text.find("\n", begin + len(place), stop) + 1 or begin + PLACE_CHARS
        if begin >= stop:
            break
    return first, False
