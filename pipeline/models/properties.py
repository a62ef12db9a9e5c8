"""Properties of a text, each a share of the highest grade: logistic regressions over its words, in one table."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.models.combination import logistic
from pipeline.models.reference import DIGITS, ReferenceClassifier
from pipeline.models.scorer import Measure, Scorer
from pipeline.models.word_table import read_word_table

FORMAT = "refinery.properties/1"
ADVICE = "run `refinery fit properties` or `refinery fit defaults`"
# What a reader judged from 0 (not at all) to 3 (fully), by the rubric of docs/quality.md; the columns of the table.
PROPERTIES = ("informative", "educational", "well_written", "coherent", "conversational", "literary", "reasoned")


def load_properties(path: Path) -> Callable[[Mapping[str, int]], dict[str, float]]:
    """Counts of words → the score of each property, by the file at `path`. UsageError when it is none of ours."""
    table = read_word_table(path, FORMAT, ADVICE, *PROPERTIES)
    margins = ReferenceClassifier(
        table.intercepts, dict(zip(table.words, zip(table.idf, zip(*table.weights))))
    ).margins()
    return lambda counts: {
        name: logistic(float(margin), DIGITS) for name, margin in zip(PROPERTIES, margins(counts), strict=True)
    }


def _open(path: Path) -> Measure:
    scores = load_properties(path)
    return lambda document: scores(document.word_counts)


_SAYS = {
    "informative": "facts that a reader can use",
    "educational": "explanations that teach",
    "well_written": "sentences of a careful writer",
    "coherent": "one text from beginning to end",
    "conversational": "people speaking to each other or to the reader",
    "literary": "a story, or language for its own sake",
    "reasoned": "arguments, weighed and followed through",
}
SCORER = Scorer("properties", {name: f"{_SAYS[name]}: grade by its words, 0 to 1" for name in PROPERTIES}, _open)
