"""Grade: what the words of a page add to the other signals of quality, by grades that readers gave.

A ridge regression of grades from 1 to 5 on those signals and on the words of the pages together (`benchmarks/grades.py`
fits it): the words' part is this table, every weight beside its word, the rest is the combination of quality, which
has this signal for a term. The classifiers before it tell good pages from others; this one was fitted on pages of which
most are good, and tells the better ones. Limits: words, not meaning; a page's subject counts where readers liked it.
"""

from pathlib import Path

from pipeline.models.bag_of_words import BagOfWords, column_scorer, one_column

FORMAT = "refinery.grade/1"
COLUMN = "grade"
ADVICE = "run `refinery fit defaults`, or `python -m benchmarks grades` for one of your own"
# Of a margin, in units of logit, to a grade.
PER_GRADE = 4.0


def load_grade(path: Path) -> BagOfWords:
    """The table in the file at `path`. UsageError when it is none of ours."""
    return one_column(path, FORMAT, ADVICE, COLUMN)


SCORER = column_scorer(
    COLUMN,
    "what a page's words add to the grade of readers, 0 to 1, .5 adds nothing, .73 a quarter of a grade",
    FORMAT,
    ADVICE,
)
