"""Topic tables: the probability of each subject and axis for a text, each against all others (one-vs-rest).

A page may be of several subjects, or of none, so the probabilities do not sum to 1. A table is for one language, named
in its first line, and says nothing of documents in another. Its words are those of the bag-of-words models and marks of
the text's form (`filters/text_form.py`), in Chinese Han characters and pairs of them alone, so that Latin letters on
the page do not count. Margins are calibrated when the table is fitted (`python -m benchmarks topics`): the numbers in
the file are all there is, but that speakers in turn make a text a dialogue whatever they speak about.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from filters.han_grams import han_gram_bytes, han_gram_counts
from filters.text_form import form_marks, share_in_turns
from infra.errors import UsageError
from mixers.subjects import DOMAIN_OF_SUBJECT, domain_of
from pipeline.document import Document, WordCounts
from pipeline.models.combination import logistic
from pipeline.models.reference import ReferenceClassifier
from pipeline.models.scorer import Measure, Scorer
from pipeline.models.vocabulary import TableWords
from pipeline.models.word_table import read_word_table

FORMAT = "refinery.topics.{}/1"
ADVICE = "run `refinery fit defaults`"
AXES = ("iq", "eq")
PREFIX = "topic_"
COLUMNS = (*AXES, *(f"{PREFIX}{subject}" for subject in DOMAIN_OF_SUBJECT))
# A text of fewer known words is too little to tell.
LEAST_WORDS = 10
# Where so much of a text is said in turns, it is a dialogue, as likely as this (`python -m benchmarks topics`).
MOSTLY_TURNS, OF_TURNS = 0.5, 0.95
DIALOGUE = ("eq", "topic_dialogue")
DIGITS = 4
_HEAD = re.compile(r"refinery\.topics\.([a-z]{2,3})/1\t")
CHINESE = "zh"


def topic_counts(document: Document) -> Mapping[str, int]:
    """The words of a document as its language's table has them, and the marks of its form."""
    return {**_words(document), **_marks(document)}


def _words(document: Document) -> Mapping[str, int]:
    if document.language != CHINESE:
        return document.word_counts
    return WordCounts(document.plain, han_gram_counts, han_gram_bytes)


def _marks(document: Document) -> Mapping[str, int]:
    return {} if document.language == CHINESE else form_marks(document.plain)


def in_turns(text: str) -> bool:
    return share_in_turns(text) >= MOSTLY_TURNS


def load_topics(path: Path) -> Measure:
    """Document → probability of each of COLUMNS; null for a language or a column that the table has not, and for a text
    of fewer than LEAST_WORDS of its words. UsageError for a file that is no such table."""
    language = _language(path)
    table = read_word_table(path, FORMAT.format(language), ADVICE)
    if unknown := sorted(table.intercepts.keys() - set(COLUMNS)):
        raise UsageError(f"{path} tells {unknown[0]}, which is none of {', '.join(COLUMNS)}: {ADVICE}")
    of = ReferenceClassifier(table.intercepts, dict(zip(table.words, zip(table.idf, zip(*table.weights))))).margins()
    words = TableWords(table.words)
    columns = list(table.intercepts)
    nothing: dict[str, float | None] = dict.fromkeys(COLUMNS)

    def measure(document: Document) -> Mapping[str, float | None]:
        if document.language != language:
            return nothing
        counts = _words(document)
        if words.found(counts)[0].size < LEAST_WORDS:
            return nothing
        found = {name: logistic(float(m), DIGITS) for name, m in zip(columns, of(counts, _marks(document)))}
        if in_turns(document.plain):
            found |= {name: max(found[name], OF_TURNS) for name in DIALOGUE if name in found}
        return nothing | found

    return measure


def topic_domain(found: Mapping[str, float | None]) -> str | None:
    """The domain by what `load_topics` measures: null where nothing was told; where axes were, that of the most
    probable subject of the likelier axis, general where neither is likely; else general where no subject is."""
    subjects = {name.removeprefix(PREFIX): value for name, value in found.items() if name.startswith(PREFIX)}
    if all(value is None for value in subjects.values()):
        return None
    axes = {axis: found.get(axis) for axis in AXES}
    return domain_of(subjects, {axis.upper(): value for axis, value in axes.items() if value is not None})


def _language(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.readline(200).decode()
    except (OSError, UnicodeDecodeError):
        head = ""
    found = _HEAD.match(head)
    if found is None:
        raise UsageError(f"{path} is no topic table: {ADVICE}")
    return found[1]


SCORER = Scorer(
    "topics",
    {
        "iq": "probability that the text is of the axis IQ (mathematics, code, science, ...), 0 to 1",
        "eq": "probability that the text is of the axis EQ (literature, dialogue, emotion, ...), 0 to 1",
        **{
            f"{PREFIX}{subject}": f"probability that the text is of the subject {subject}, 0 to 1; several may be high"
            for subject in DOMAIN_OF_SUBJECT
        },
    },
    load_topics,
)
