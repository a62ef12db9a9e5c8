"""Texts that a topic table tells well already: learned from beside read ones, so that what it knew stays.

Two kinds. *Clean* ones are in folders of JSON lines, each of one axis: "eq" begins the name of a folder of that axis,
any other is of IQ. The aim is the table's own probability, and of an axis that the table tells rightly, certainty. Of
each file KEPT texts are learned from, and HELD others tell how often the axis is right before and after.

*Rehearsed* ones are rows of `text`, a source a file, as varied as can be had: what neither the read texts nor the clean
ones have is forgotten else (classical verse was, where no other verse was rehearsed). The first KEPT of a file are
learned from. Where its `subjects` are known, their axes are certain, as they are themselves; all else is as the table
tells it.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.near_copies import NearCopies
from benchmarks.rows import MAYBE_SUBJECTS, TEXT, checked_rows
from infra.errors import UsageError
from mixers.domains import AXIS_OF
from mixers.subjects import DOMAIN_OF_SUBJECT
from pipeline.document import Document
from pipeline.models.topics import (
    AXES,
    DIALOGUE,
    DIGITS,
    LEAST_WORDS,
    OF_TURNS,
    PREFIX,
    in_turns,
    topic_counts,
    topic_domain,
)

Floats = NDArray[np.float64]
KEPT, HELD, CHARACTERS = 100, 40, 1500
# What the rehearsed texts weigh among both kinds.
OF_REHEARSED = 0.4


class KnownText(NamedTuple):
    source: str
    axis: str | None
    """That of the folder; null: a rehearsed text."""
    subjects: tuple[str, ...] | None
    """Null: not known."""
    counts: Mapping[str, int]
    in_turns: bool
    learned: bool
    copied: bool
    """Whether it is a near-copy of a read text: what is learned from it tells that text too well, and the reverse."""


def odds(margins: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(margins, -30, 30))))


def told(margins: Floats, turns: Sequence[bool], names: Sequence[str]) -> Floats:
    """Probabilities [texts, columns] as `load_topics` gives them."""
    found, spoken = np.round(odds(margins), DIGITS), np.array(turns, bool)
    for name in DIALOGUE:
        if name in names:
            place = names.index(name)
            found[spoken, place] = np.maximum(found[spoken, place], OF_TURNS)
    return found


def axes_of(margins: Floats, texts: Sequence[KnownText], names: Sequence[str]) -> list[str]:
    rows = told(margins, [text.in_turns for text in texts], names).tolist()
    return [AXIS_OF[str(topic_domain(dict(zip(names, row))))].value for row in rows]


def clean_texts(folders: Sequence[Path], language: str, words: frozenset[str], read: NearCopies) -> Iterator[KnownText]:
    """Those that have enough of a table's `words` to be told. UsageError where a folder has none."""
    for folder in folders:
        files = sorted(folder.glob("*.jsonl*"))
        if not files:
            raise UsageError(f"there are no JSON lines in {folder}: --clean takes folders with files *.jsonl")
        axis = "EQ" if folder.name.startswith("eq") else "IQ"
        for file in files:
            chance = random.Random(file.name)
            texts = [row["text"] for row in checked_rows(file, TEXT)]
            chance.shuffle(texts)
            for number, text in enumerate(texts[: HELD + KEPT]):
                begin = chance.randrange(max(1, len(text) - CHARACTERS + 1))
                row = {"text": text[begin : begin + CHARACTERS]}
                found = _known(row, file, language, axis, number >= HELD, read)
                if len(found.counts.keys() & words) >= LEAST_WORDS:
                    yield found


def rehearsed_texts(
    files: Sequence[Path], language: str, words: frozenset[str], read: NearCopies
) -> Iterator[KnownText]:
    for file in sorted(files):
        for row, _ in zip(checked_rows(file, TEXT, MAYBE_SUBJECTS), range(KEPT)):
            found = _known(row, file, language, None, True, read)
            if len(found.counts.keys() & words) >= LEAST_WORDS:
                yield found


def _known(
    row: Mapping[str, Any], file: Path, language: str, axis: str | None, learned: bool, read: NearCopies
) -> KnownText:
    piece, subjects = Document(row["text"], language=language), row.get("subjects")
    turns = in_turns(piece.plain)
    known = None if subjects is None else tuple(subjects)
    copied = read.has_one_of(row["text"])
    return KnownText(file.name.split(".")[0], axis, known, dict(topic_counts(piece)), turns, learned, copied)


def importance_of(texts: Sequence[KnownText]) -> Floats:
    """Of those that are learned from, 0 of others; a source's count together as the root of their number, and all
    rehearsed ones as OF_REHEARSED of 1."""
    sizes = Counter((text.axis, text.source) for text in texts if text.learned)
    found = np.array([sizes[text.axis, text.source] ** -0.5 if text.learned else 0.0 for text in texts])
    rehearsed = np.array([text.axis is None for text in texts])
    if rehearsed.any():
        found[rehearsed] *= OF_REHEARSED / found[rehearsed].sum()
        found[~rehearsed] *= (1 - OF_REHEARSED) / found[~rehearsed].sum()
    return found


def aims_of(margins: Floats, texts: Sequence[KnownText], names: Sequence[str]) -> Floats:
    """[texts, columns]: what is learned, where the table tells `margins`."""
    aims = odds(margins)
    for aim, text, axis in zip(aims, texts, axes_of(margins, texts, names)):
        if text.subjects is not None:
            axes = {AXIS_OF[DOMAIN_OF_SUBJECT[subject]].value for subject in text.subjects}
            for name in AXES:
                aim[names.index(name)] = float(name.upper() in axes)
            for subject in text.subjects:
                if PREFIX + subject in names:
                    aim[names.index(PREFIX + subject)] = 1.0
        elif text.axis is not None and axis == text.axis:
            other = names.index("iq" if axis == "EQ" else "eq")
            aim[names.index(axis.lower())] = 1.0
            if aim[other] < 0.5:
                aim[other] = 0.0
    return aims
