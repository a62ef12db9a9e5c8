"""Hate: how much a text has the words of boards and posts that deride groups of people, by a table of words.

A logistic regression over the words of threads of hateful posts, from several collections, against pages and clean
texts, with every weight beside its word (`benchmarks/hate.py` fits it). Quality alone ranks such threads above most
pages, since they are connected sentences of people who speak. It is calibrated against pages: at .5, one page in 100
has as much, each scored by a table fitted without its collection. Limits: words, not meaning; a quotation counts.
"""

from pathlib import Path

from pipeline.models.bag_of_words import BagOfWords, column_scorer, one_column

FORMAT = "refinery.hate/1"
COLUMN = "hate"
ADVICE = "run `refinery fit defaults`, or `python -m benchmarks hate` for one of your own"


def load_hate(path: Path) -> BagOfWords:
    """The table in the file at `path`. UsageError when it is none of ours."""
    return one_column(path, FORMAT, ADVICE, COLUMN)


SCORER = column_scorer(
    COLUMN,
    "how much a text has the words of hate boards, 0 to 1, lower is better; of .5, one page in 100 has more",
    FORMAT,
    ADVICE,
)
