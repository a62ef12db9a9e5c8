"""The bag-of-words quality classifier: a logistic regression over the words of a text, every weight beside its word."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filters.bag_of_words import word_counts
from infra.errors import UsageError
from pipeline.models.scorer import Measure, Scorer

FORMAT = "refinery.wording/1"
DIGITS = 4


@dataclass(frozen=True)
class BagOfWords:
    """`words`: word → (inverse document frequency, weight)."""

    intercept: float
    words: dict[str, tuple[float, float]]

    def score(self, text: str) -> float:
        return self.score_counts(word_counts(text))

    def score_counts(self, counts: Mapping[str, int]) -> float:
        """The probability, 0 to 1, that a text with so many of each word is worded like the positives; one without a
        known word is judged by the intercept alone."""
        known = self.words
        squares, products = [], []
        for word, count in counts.items():
            if word in known:
                idf, weight = known[word]
                value = idf if count == 1 else (1.0 + math.log(count)) * idf
                squares.append(value * value)
                products.append(value * weight)
        # fsum rounds once: the order of the words does not matter
        norm = math.sqrt(math.fsum(squares))
        margin = self.intercept + (math.fsum(products) / norm if norm else 0.0)
        return round(1.0 / (1.0 + math.exp(-min(max(margin, -50.0), 50.0))), DIGITS)

    def as_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "intercept": self.intercept, "words": {w: list(v) for w, v in self.words.items()}}


def load_bag_of_words(path: Path) -> BagOfWords:
    """The table in the JSON file at `path`. UsageError when it is none of ours."""
    try:
        found = json.loads(path.read_bytes())
        words = {str(word): (float(idf), float(weight)) for word, (idf, weight) in found["words"].items()}
        if found["format"] != FORMAT:
            raise ValueError(found["format"])
        return BagOfWords(float(found["intercept"]), words)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise UsageError(
            f"{path} is no {FORMAT} model: run `refinery fit bag-of-words` or `refinery fit defaults`"
        ) from None


def _open(path: Path) -> Measure:
    score = load_bag_of_words(path).score_counts
    return lambda document: {"wording": score(document.word_counts)}


SCORER = Scorer(
    "wording",
    {"wording": "probability that a page has the words of good pages, 0 to 1, higher is better"},
    _open,
)
