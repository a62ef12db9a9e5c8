"""Safety: the probability that a text is not pornography, gore, hate, or advertising for gambling, drugs, scams.

It is computed from the words of the text. One word is no evidence: a novel, a medical text or the news of a crime has a
few such words among thousands. What counts is the number of different words of a category beyond the first, per 1,000
words. A word's strength (0 to 1) falls with its frequency in ordinary texts. The probability that the text is harmless
is a logistic function:

    safety = 1 / (1 + exp(sum over categories of weight * amount - bias))
    amount = log2(1 + max(0, strength found - 1) * 1000 / max(words, MIN_WORDS))

Limits: it matches words, not meaning or tone; a threat in polite words passes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp, log2

import numpy as np

from filters.alphanumeric import RUN as _WORD
from filters.alphanumeric import alphanumeric_runs
from filters.characters import ALNUM, Codes, code_points, flags_of
from filters.nfkc import nfkc
from filters.tokens import runs

# A shorter text counts as this long: three listed words are weak evidence in a comment of ten words.
MIN_WORDS = 300
MAX_CHARS = 100_000
# Chinese words have some 1.6 characters.
HAN_PER_WORD = 1.6
DIGITS = 4

_HAN_RANGES = (("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"))
_HAN = re.compile(f"[{''.join(map('-'.join, _HAN_RANGES))}]+")
_BEYOND_ASCII = 0x80


@dataclass(frozen=True)
class CategoryWords:
    """The words of one category in one language, with their strengths. Spaced languages are matched by whole words
    and phrases, Chinese anywhere."""

    strengths: Mapping[str, float]
    spaced: bool
    # By its first part, each phrase as it stands in a prepared text, and its parts: words, of Chinese characters.
    _by_first: dict[str, list[tuple[str, Sequence[str]]]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for phrase in self.strengths:
            stands, parts = (f" {phrase} ", phrase.split(" ")) if self.spaced else (phrase, phrase)
            self._by_first.setdefault(parts[0], []).append((stands, parts))

    @property
    def parts(self) -> Iterator[str]:
        """Those of all its phrases."""
        return (part for phrases in self._by_first.values() for _, parts in phrases for part in parts)

    def found(self, text: "Prepared") -> list[str]:
        """Returns the distinct words of the category in the text, sorted; one inside another does not count."""
        phrases = (phrase for first in text.parts & self._by_first.keys() for phrase in self._by_first[first])
        found = [
            phrase
            for phrase, parts in phrases
            if text.parts.issuperset(parts) and (len(parts) == 1 or phrase in text.joined)
        ]
        return sorted(each.strip() for each in found if not any(each in other for other in found if other != each))


@dataclass(frozen=True)
class Prepared:
    """A text prepared for matching: one line of lower-case words with a space at either end (Chinese: unchanged), the
    set of its words (Chinese: characters), and the number of its words."""

    joined: str
    parts: frozenset[str]
    words: float


@dataclass(frozen=True)
class Safety:
    """The model: words by language and category, a weight for each category, and the bias."""

    words: Mapping[str, Mapping[str, CategoryWords]]
    weights: Mapping[str, float]
    bias: float

    @cached_property
    def _parts(self) -> dict[str, frozenset[str]]:
        """The parts of all phrases, by language."""
        return {
            language: frozenset(part for words in categories.values() for part in words.parts)
            for language, categories in self.words.items()
        }

    def score(self, text: str, language: str | None) -> float | None:
        """Returns the probability that the text is harmless; None in a language without words. If `language` is None,
        a text of which a third of the letters are Han is Chinese, any other English."""
        found = self.amounts(text, language)
        return None if found is None else probability(self.bias, self.weights, found)

    def amounts(self, text: str, language: str | None) -> dict[str, float] | None:
        """Returns the amount of each category, 0 and up; None in a language without words."""
        language = language or guessed_language(text)
        if language not in self.words:
            return None
        ready = prepare(text, language)
        # few of a text's words are in a phrase: looked up once for all categories
        ready = replace(ready, parts=ready.parts & self._parts[language])
        return {name: amount(words, ready) for name, words in self.words[language].items()}

    def found(self, text: str, language: str | None) -> dict[str, list[str]]:
        """Returns the words of each category found in the text, to show why a score is low."""
        language = language or guessed_language(text)
        ready = prepare(text, language)
        return {name: found for name, words in self.words.get(language, {}).items() if (found := words.found(ready))}


def prepare(text: str, language: str) -> Prepared:
    """Prepares a text for matching."""
    head = nfkc(text[:MAX_CHARS]).lower()
    if is_spaced(language):
        words = alphanumeric_runs(head)
        return Prepared(f" {' '.join(words)} ", frozenset(words), len(words))
    codes = code_points(head)
    return Prepared(head, frozenset(_distinct(codes)), _han_in(codes) / HAN_PER_WORD + _ascii_runs(codes))


def _distinct(codes: Codes) -> str:
    """Every character once."""
    there = np.zeros(int(codes.max(initial=0)) + 1, bool)
    there[codes] = True
    return there.nonzero()[0].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _han_in(codes: Codes) -> int:
    """How many Han characters there are, as `_han` counts them."""
    return sum(int(np.count_nonzero((codes >= ord(low)) & (codes <= ord(high)))) for low, high in _HAN_RANGES)


def _ascii_runs(codes: Codes) -> int:
    """How many runs of letters and digits have no other characters than those of ASCII."""
    start, end = runs(flags_of(codes) & ALNUM != 0)
    foreign = np.zeros(codes.size + 1, np.int64)
    (codes >= _BEYOND_ASCII).cumsum(out=foreign[1:])
    return int(np.count_nonzero(foreign.take(start) == foreign.take(end)))


def amount(words: CategoryWords, text: Prepared) -> float:
    """The amount of one category in the text (see the formula above)."""
    strength = sum(words.strengths[word] for word in words.found(text))
    return log2(1 + max(0.0, strength - 1) * 1000 / max(text.words, MIN_WORDS))


def probability(bias: float, weights: Mapping[str, float], amounts: Mapping[str, float]) -> float:
    """The logistic function of the amounts."""
    total = sum(weights.get(name, 0.0) * value for name, value in sorted(amounts.items())) - bias
    return round(1 / (1 + exp(min(total, 700.0))), DIGITS)


def is_spaced(language: str) -> bool:
    return language != "zh"


def guessed_language(text: str) -> str:
    head = text[:2000]
    letters = sum(each.isalpha() for each in head)
    return "zh" if letters and _han(head) > letters / 3 else "en"


def _han(text: str) -> int:
    """How many Han characters there are."""
    return sum(map(len, _HAN.findall(text)))


def phrase_of(word: str, language: str) -> str:
    """A list entry in the form that is matched; "" for one that is too weak alone (a single character)."""
    plain = nfkc(word).lower()
    if is_spaced(language):
        plain = " ".join(_WORD.findall(plain))
        return plain if len(plain) > 2 else ""
    plain = "".join(plain.split())
    return plain if len(plain) > 1 else ""


def phrases(words: Sequence[str], language: str) -> list[str]:
    return sorted({phrase for word in words if (phrase := phrase_of(word, language))})
