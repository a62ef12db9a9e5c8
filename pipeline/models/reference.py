"""The reference classifier: how much a text resembles clean texts of kinds that must be kept, one table for each kind.

The score of a text is that of the kind it resembles most (`refinery fit reference` says what one half means).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.models.combination import MAX_MARGIN, logistic
from pipeline.models.scorer import Measure, Scorer
from pipeline.models.vocabulary import TableWords
from pipeline.models.word_table import WordTable, read_word_table

FORMAT = "refinery.reference/1"
ADVICE = "run `refinery fit reference` or `refinery fit defaults`"
DIGITS = 4
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceClassifier:
    """`kinds`: kind → intercept; `words`: word → (inverse document frequency, a weight for each kind)."""

    kinds: Mapping[str, float]
    words: Mapping[str, tuple[float, tuple[float, ...]]]

    def as_text(self) -> str:
        """The content of its file (`pipeline/models/word_table.py`)."""
        words = sorted(self.words)
        idf = [self.words[word][0] for word in words]
        columns = [[self.words[word][1][column] for word in words] for column in range(len(self.kinds))]
        return WordTable(self.kinds, words, idf, columns).as_text(FORMAT)

    def margins(self) -> Callable[..., Floats]:
        """Counts of words, one mapping or several without a word in common → float64[kinds]: the logarithm of the odds
        that the text is of each kind.

        A text without a known word resembles none.
        """
        words = TableWords(self.words)
        idf_W = np.array([idf for idf, _ in self.words.values()])
        weights_WK = np.array([weights for _, weights in self.words.values()]).reshape(len(self.words), len(self.kinds))
        intercepts_K = np.array(list(self.kinds.values()))
        none_K = np.full(len(self.kinds), -MAX_MARGIN)

        def margins(*counts: Mapping[str, int]) -> Floats:
            at, frequencies = map(np.concatenate, zip(*map(words.found, counts)))
            if not at.size:
                return none_K
            values = frequencies * idf_W[at]
            # summed in one order: a product of matrices depends on the type of CPU
            sums_K = (values[:, None] * weights_WK[at]).sum(axis=0)
            return np.asarray(intercepts_K + sums_K / math.sqrt(math.fsum(values * values)))

        return margins

    def scorer(self) -> Callable[[Mapping[str, int]], float]:
        """Counts of words → 0 to 1: the score of the kind that the text resembles most."""
        margins = self.margins()
        return lambda counts: logistic(float(margins(counts).max()), DIGITS)


def load_reference(path: Path) -> Callable[[Mapping[str, int]], float]:
    """Counts of words → score, by the file at `path`. UsageError when it is none of ours."""
    table = read_word_table(path, FORMAT, ADVICE)
    return ReferenceClassifier(table.intercepts, dict(zip(table.words, zip(table.idf, zip(*table.weights))))).scorer()


def _open(path: Path) -> Measure:
    score = load_reference(path)
    return lambda document: {"reference": score(document.word_counts)}


SCORER = Scorer(
    "reference",
    {
        "reference": "resemblance to clean texts of a kind that must be kept, 0 to 1, higher is better; at 0.5 one "
        "page in 2,000 resembles that kind as much"
    },
    _open,
)
