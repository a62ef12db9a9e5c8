"""Safety: is a text pornography, gore, hate, or advertising for gambling, drugs, scams? By the words that it uses.

One word condemns nothing: a novel, a medical text or the news of a crime has a few such words among thousands. What
counts is how many different ones of a category there are beyond the first, per 1,000 words. A word's strength (0 to 1)
falls with how often ordinary texts use it. The probability that the text is harmless is a logistic function:

    safety = 1 / (1 + exp(sum over categories of weight * amount - bias))
    amount = log2(1 + max(0, strength found - 1) * 1000 / max(words, MIN_WORDS))

It reads words, not meaning: it knows neither tone nor truth, and a threat in polite words passes.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log2

# A shorter text counts as this long: three words of a list say little in a comment of ten.
MIN_WORDS = 300
MAX_CHARS = 100_000
# Chinese words have some 1.6 characters.
HAN_PER_WORD = 1.6
DIGITS = 4

_WORD = re.compile(r"[^\W_]+")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")


@dataclass(frozen=True)
class CategoryWords:
    """The words of one category in one language, with their strengths. Spaced languages are matched by whole words
    and phrases, Chinese anywhere."""

    strengths: Mapping[str, float]
    spaced: bool
    _by_first: dict[str, list[str]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for phrase in self.strengths:
            self._by_first.setdefault(phrase.split(" ")[0] if self.spaced else phrase[0], []).append(phrase)

    def found(self, text: "Prepared") -> list[str]:
        """The different words of the category that the text has, sorted; one inside another does not count."""
        phrases = (phrase for first in text.firsts & self._by_first.keys() for phrase in self._by_first[first])
        if self.spaced:
            found = [f" {phrase} " for phrase in phrases if f" {phrase} " in text.joined]
        else:
            found = [phrase for phrase in phrases if text.firsts.issuperset(phrase) and phrase in text.joined]
        return sorted(each.strip() for each in found if not any(each in other for other in found if other != each))


@dataclass(frozen=True)
class Prepared:
    """A text as one line of lower-case words with a space at either end (Chinese: as it is), the set of its words
    (Chinese: characters), and how many words it has."""

    joined: str
    firsts: frozenset[str]
    words: float


@dataclass(frozen=True)
class Safety:
    """The model: words by language and category, a weight for each category, and the bias."""

    words: Mapping[str, Mapping[str, CategoryWords]]
    weights: Mapping[str, float]
    bias: float

    def score(self, text: str, language: str | None) -> float | None:
        """The probability that the text is harmless; None in a language without words. Without a `language`, Chinese
        if a third of the letters are Han, else English."""
        found = self.amounts(text, language)
        return None if found is None else probability(self.bias, self.weights, found)

    def amounts(self, text: str, language: str | None) -> dict[str, float] | None:
        """How much of each category the text has, 0 and more; None in a language without words."""
        language = language or guessed_language(text)
        if language not in self.words:
            return None
        ready = prepare(text, language)
        return {name: amount(words, ready) for name, words in self.words[language].items()}

    def found(self, text: str, language: str | None) -> dict[str, list[str]]:
        """The words of each category that are in the text, for a person to see why."""
        language = language or guessed_language(text)
        ready = prepare(text, language)
        return {name: found for name, words in self.words.get(language, {}).items() if (found := words.found(ready))}


def prepare(text: str, language: str) -> Prepared:
    """The text, ready to be searched."""
    head = text[:MAX_CHARS]
    if not head.isascii():
        head = unicodedata.normalize("NFKC", head)
    head = head.lower()
    words = _WORD.findall(head)
    if is_spaced(language):
        return Prepared(f" {' '.join(words)} ", frozenset(words), len(words))
    han = len(_HAN.findall(head))
    return Prepared(head, frozenset(head), han / HAN_PER_WORD + sum(word.isascii() for word in words))


def amount(words: CategoryWords, text: Prepared) -> float:
    """How much of a category the text has."""
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
    return "zh" if letters and len(_HAN.findall(head)) > letters / 3 else "en"


def phrase_of(word: str, language: str) -> str:
    """A word of a list as it is matched; "" for one that says nothing by itself (a single character)."""
    plain = unicodedata.normalize("NFKC", word).lower()
    if is_spaced(language):
        plain = " ".join(_WORD.findall(plain))
        return plain if len(plain) > 2 else ""
    plain = "".join(plain.split())
    return plain if len(plain) > 1 else ""


def phrases(words: Sequence[str], language: str) -> list[str]:
    return sorted({phrase for word in words if (phrase := phrase_of(word, language))})
