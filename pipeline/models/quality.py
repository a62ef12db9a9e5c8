"""Quality classifiers of fastText: ours (`refinery fit quality`) and DCLM's."""

from collections.abc import Callable
from pathlib import Path

from filters.bag_of_words import quality_words
from infra.errors import UsageError
from pipeline.models.fasttext import LABEL, check_fasttext, load_fasttext, one_line, probability
from pipeline.models.scorer import Measure, Scorer

# The label of ours for good texts.
GOOD = "good"
MAX_SCORED_CHARS = 100_000
# Published thresholds of quality models have more digits than ours: DCLM's is 0.018112.
QUALITY_DIGITS = 6


def check_quality(path: Path, label: str | None = None) -> str:
    """The label whose probability is the score (see `load_quality`); UsageError where `path` is no such model."""
    has = set(check_fasttext(path))
    wanted = next((name for name in ((label,) if label else (GOOD, "hq")) if name in has), None)
    if wanted is None:
        raise UsageError(
            f"{path} has the labels {', '.join(sorted(has)[:5])}, not {label or GOOD}:"
            " use a quality model (`refinery fit quality`)"
        )
    return wanted


def load_quality(path: Path, label: str | None = None) -> Callable[[str], float]:
    """text → the probability of `label`, from its first MAX_SCORED_CHARS characters.

    Without `label`: `good` (ours, whose texts are reduced to words first), else `hq` (DCLM's, whose texts only lose
    their line ends). UsageError when the model has no such label.
    """
    wanted = check_quality(path, label)
    model = load_fasttext(path)
    prepare = quality_words if wanted == GOOD else one_line

    def score(text: str) -> float:
        labels, scores = model.predict(prepare(text, MAX_SCORED_CHARS), k=-1)
        found = (value for name, value in zip(labels, scores) if name == LABEL + wanted)
        return probability(next(found, 0.0), QUALITY_DIGITS)

    return score


def _open(path: Path) -> Measure:
    score = load_quality(path)
    return lambda document: {"quality": score(document.plain)}


def _check(path: Path) -> None:
    check_quality(path)


SCORER = Scorer("quality", {"quality": "how good the text is to learn from, 0 to 1, higher is better"}, _open, _check)
