"""The reference classifier: how much a text resembles clean texts of kinds that must be kept, one table for each kind.

The score of a text is that of the kind it resembles most (`refinery fit reference` says what one half means).
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.errors import UsageError
from pipeline.models.scorer import Measure, Scorer

FORMAT = "refinery.likeness/1"
MAX_MARGIN = 50.0
LARGEST = 1e6  # of any number in a table
DIGITS = 4
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceClassifier:
    """`kinds`: kind → intercept; `words`: word → (inverse document frequency, a weight for each kind)."""

    kinds: Mapping[str, float]
    words: Mapping[str, tuple[float, tuple[float, ...]]]

    def as_json(self) -> dict[str, Any]:
        words = {word: [idf, *weights] for word, (idf, weights) in self.words.items()}
        return {"format": FORMAT, "kinds": dict(self.kinds), "words": words}

    def margins(self) -> Callable[[Mapping[str, int]], Floats]:
        """Counts of words → float64[kinds]: the logarithm of the odds that the text is of each kind.

        A text without a known word is like nothing.
        """
        place = {word: index for index, word in enumerate(self.words)}
        idf_W = np.array([idf for idf, _ in self.words.values()])
        weights_WK = np.array([weights for _, weights in self.words.values()]).reshape(len(place), len(self.kinds))
        intercepts_K = np.array(list(self.kinds.values()))
        none_K = np.full(len(self.kinds), -MAX_MARGIN)

        def margins(counts: Mapping[str, int]) -> Floats:
            known = [word for word in counts if word in place]
            if not known:
                return none_K
            at = np.array([place[word] for word in known])
            values = np.array([1.0 + math.log(counts[word]) for word in known]) * idf_W[at]
            # summed in one order: a product of matrices depends on the type of CPU
            sums_K = (values[:, None] * weights_WK[at]).sum(axis=0)
            return np.asarray(intercepts_K + sums_K / math.sqrt(math.fsum(values * values)))

        return margins

    def scorer(self) -> Callable[[Mapping[str, int]], float]:
        """Counts of words → 0 to 1: the likeness to the kind that the text is most like."""
        margins = self.margins()
        return lambda counts: probability(float(margins(counts).max()))


def probability(margin: float) -> float:
    return round(1.0 / (1.0 + math.exp(-min(max(margin, -MAX_MARGIN), MAX_MARGIN))), DIGITS)


def load_reference(path: Path) -> Callable[[Mapping[str, int]], float]:
    """Counts of words → likeness, by the JSON file at `path`. UsageError when it is none of ours."""
    try:
        found = json.loads(path.read_bytes())
        kinds = {str(kind): float(value) for kind, value in found["kinds"].items()}
        words = {str(word): (float(idf), tuple(map(float, each))) for word, (idf, *each) in found["words"].items()}
        numbers = [*kinds.values(), *(number for idf, each in words.values() for number in (idf, *each))]
        if found["format"] != FORMAT or not kinds or any(len(each) != len(kinds) for _, each in words.values()):
            raise ValueError(found["format"])
        if any(not abs(number) < LARGEST for number in numbers) or any(idf <= 0 for idf, _ in words.values()):
            raise ValueError("no number")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise UsageError(
            f"{path} is no {FORMAT} model: run `refinery fit reference` or `refinery fit defaults`"
        ) from None
    return ReferenceClassifier(kinds, words).scorer()


def _open(path: Path) -> Measure:
    score = load_reference(path)
    return lambda document: {"likeness": score(document.word_counts)}


SCORER = Scorer(
    "likeness",
    {
        "likeness": "resemblance to clean texts of a kind that must be kept, 0 to 1, higher is better; at 0.5 one page "
        "in 2,000 resembles that kind as much"
    },
    _open,
)
