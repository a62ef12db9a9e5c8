"""The bag-of-words quality classifier: a logistic regression over the words of a text, every weight beside its word."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from filters.bag_of_words import word_counts
from pipeline.models.combination import logistic
from pipeline.models.scorer import Measure, Scorer
from pipeline.models.vocabulary import TableWords
from pipeline.models.word_table import WordTable, read_word_table

FORMAT = "refinery.bag_of_words/1"
ADVICE = "run `refinery fit bag-of-words` or `refinery fit defaults`"
# The one column of its table: the weight for a text of the positives.
GOOD = "good"
DIGITS = 4
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BagOfWords:
    """`words`: word → (inverse document frequency, weight)."""

    intercept: float
    words: dict[str, tuple[float, float]]

    def score(self, text: str) -> float:
        return self.score_counts(word_counts(text))

    def score_counts(self, counts: Mapping[str, int]) -> float:
        """The probability, 0 to 1, that a text with so many of each word has the words of the positives; one without
        a known word is judged by the intercept alone."""
        words, idf_W, weight_W = self._arrays
        at, frequencies = words.found(counts)
        if not at.size:
            return logistic(self.intercept, DIGITS)
        values = frequencies * idf_W[at]
        # fsum rounds once: the order of the words does not matter
        norm = math.sqrt(math.fsum((values * values).tolist()))
        margin = self.intercept + math.fsum((values * weight_W[at]).tolist()) / norm
        return logistic(margin, DIGITS)

    @cached_property
    def _arrays(self) -> tuple[TableWords, Floats, Floats]:
        """The words, and by their places the inverse document frequencies and the weights."""
        idf, weights = (np.array([pair[column] for pair in self.words.values()]) for column in (0, 1))
        return TableWords(self.words), idf, weights

    def as_text(self) -> str:
        """The content of its file (`pipeline/models/word_table.py`)."""
        words = sorted(self.words)
        idf, weights = zip(*(self.words[word] for word in words)) if words else ((), ())
        return WordTable({GOOD: self.intercept}, words, idf, [weights]).as_text(FORMAT)


def load_bag_of_words(path: Path) -> BagOfWords:
    """The table in the file at `path`. UsageError when it is none of ours."""
    return one_column(path, FORMAT, ADVICE, GOOD)


def one_column(path: Path, format: str, advice: str, column: str) -> BagOfWords:
    """A table of words with this column alone, of whatever it tells."""
    table = read_word_table(path, format, advice, column)
    return BagOfWords(table.intercepts[column], dict(zip(table.words, zip(table.idf, table.weights[0]))))


def column_scorer(name: str, about: str, format: str, advice: str) -> Scorer:
    """The scorer of a table whose one column is called like the scorer and its signal."""

    def open_table(path: Path) -> Measure:
        score = one_column(path, format, advice, name).score_counts
        return lambda document: {name: score(document.word_counts)}

    return Scorer(name, {name: about}, open_table)


def _open(path: Path) -> Measure:
    score = load_bag_of_words(path).score_counts
    return lambda document: {"bag_of_words": score(document.word_counts)}


SCORER = Scorer(
    "bag_of_words",
    {"bag_of_words": "probability that a page has the words of good pages, 0 to 1, higher is better"},
    _open,
)
