"""What topic tables are fitted on, adapted to and measured by: labelled texts, vectors of words, the tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import DOMAIN, LANGUAGE, SOURCE, SUBJECTS, TEXT, check_language, checked_rows
from benchmarks.topic_measures import Labelled
from infra.errors import UsageError
from pipeline.document import Document
from pipeline.models.topics import ADVICE, AXES, COLUMNS, FORMAT, in_turns, topic_counts
from pipeline.models.word_table import WordTable, read_word_table

Floats = NDArray[np.float64]
# Of a labelled text, beside its language.
FIELDS = (TEXT, SOURCE, SUBJECTS, DOMAIN)


def read_labelled(paths: Sequence[Path], language: str, others: bool) -> list[Labelled]:
    """The texts of this language, with `others` of all. UsageError where there is none of it."""
    rows = [row for path in paths for row in checked_rows(path, LANGUAGE, *FIELDS)]
    check_language(paths, [row["language"] for row in rows], language)
    return [labelled(row) for row in rows if others or row["language"] == language]


def labelled(row: Mapping[str, Any]) -> Labelled:
    return Labelled(
        topic_counts(Document(row["text"], language=row["language"])),
        row["language"], row["source"], None if row["subjects"] is None else tuple(row["subjects"]),
        row.get("domain"), bool(row.get("read")), in_turns(row["text"]),
    )  # fmt: skip


def read_vectors(path: Path) -> dict[str, Floats]:
    """Word → vector. UsageError for a file that has none."""
    try:
        with np.load(path, allow_pickle=False) as parts:
            words, vectors = parts["words"], parts["vectors"].astype(np.float64)
        if words.ndim != 1 or vectors.shape[:1] != words.shape or vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ValueError(vectors.shape)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, BadZipFile):
        raise UsageError(f"{path} has no vectors of words: make it with `python -m benchmarks topic_vectors`") from None
    return dict(zip(words.tolist(), vectors))


def topic_table(path: Path, language: str) -> WordTable:
    """The topic table in the file at `path`. UsageError where it is none of this language."""
    table = read_word_table(path, FORMAT.format(language), ADVICE)
    columns = table.intercepts.keys()
    if unknown := sorted(columns - set(COLUMNS)):
        raise UsageError(f"{path} tells {unknown[0]!r}, which is none of {', '.join(COLUMNS)}: {ADVICE}")
    if not columns > set(AXES):
        raise UsageError(
            f"{path} has the columns {', '.join(columns)}: it needs iq, eq and those of subjects; {ADVICE}"
        )
    return table
