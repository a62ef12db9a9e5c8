"""`refinery fit properties`: the words of informative, literary, reasoned … pages, as a table of weights.

Readers give each page a grade from 0 to TOP for each property. A property's table is a logistic regression over words,
weighed as the bag-of-words classifier weighs them, whose target is the grade as a share of TOP (a page with 2 of 3
counts as two thirds of one that has the property and a third of one that has not). Both shares weigh the same in every
class of length, so that no table learns length. All tables share one vocabulary, and cost one look-up of each word.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.bag_of_words import word_counts
from filters.url import host
from infra.errors import UsageError
from infra.storage import write_bytes
from pipeline.fit.bag_of_words import FOLDS, LENGTH_CLASSES, MAX_TEXT_WEIGHT, MIN_TEXTS, fold_of, weighted
from pipeline.fit.texts import auc, json_lines, origin, write_card
from pipeline.models.properties import FORMAT, PROPERTIES
from pipeline.models.word_table import WordTable

MAX_WORDS = 2000
MIN_WORDS = 50
TOP = 3
# From this grade on a page has the property, for what the card reports.
HAS = 2
DIGITS = 2
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Graded:
    """A page that was read: its words, its length in characters, what it must not be parted from, and its grades."""

    counts: Counter[str]
    length: int
    group: str
    grades: tuple[int, ...]


def read_graded(paths: Sequence[Path]) -> list[Graded]:
    """The pages of JSONL files (.gz, .zst too), in the order of their texts: `text`, a grade for each of PROPERTIES,
    and `url` or `source`. UsageError for a grade that is missing or is none."""
    rows = sorted(
        ((row, path) for path in paths for row in json_lines(path)), key=lambda each: str(each[0].get("text"))
    )
    found = []
    for row, path in rows:
        grades = tuple(row.get(name) for name in PROPERTIES)
        if not isinstance(row.get("text"), str) or any(grade not in range(TOP + 1) for grade in grades):
            raise UsageError(
                f"{path}: a page without a text or a grade: give `text`, and 0 to {TOP} for {', '.join(PROPERTIES)}"
            )
        group = host(str(row.get("url") or "")) or str(row.get("source") or path.name)
        found.append(Graded(word_counts(row["text"]), len(row["text"]), group, tuple(map(int, grades))))
    return found


def fit_tables(pages: Sequence[Graded]) -> WordTable:
    """A column of weights for each property. UsageError when there is too little text."""
    from sklearn.linear_model import LogisticRegression

    spread = Counter(word for page in pages for word in page.counts)
    chosen = sorted(sorted(spread, key=lambda word: (-spread[word], word))[:MAX_WORDS])
    chosen = [word for word in chosen if spread[word] >= MIN_TEXTS]
    if len(chosen) < MIN_WORDS:
        raise UsageError(f"there is too little text to fit properties: {len(pages)} pages, {len(chosen)} words")
    idf = {word: round(math.log((1 + len(pages)) / (1 + spread[word])) + 1.0, 3) for word in chosen}
    matrix = weighted([page.counts for page in pages], idf)
    of_class = length_classes(pages)
    intercepts, columns = {}, []
    for number, name in enumerate(PROPERTIES):
        share = np.array([page.grades[number] for page in pages]) / TOP
        if not share.any() or share.min() == 1.0:
            raise UsageError(
                f"every page has the same grade for {name!r}: give pages that have it and pages that have not"
            )
        rows = np.concatenate([np.flatnonzero(share > 0), np.flatnonzero(share < 1)])
        has = np.arange(len(rows)) < np.count_nonzero(share)
        weight = np.where(has, share[rows], 1.0 - share[rows])
        model = LogisticRegression(max_iter=1000, tol=1e-6)
        model.fit(matrix[rows], has, sample_weight=balanced(weight, has, of_class[rows]))
        intercepts[name] = round(float(model.intercept_[0]), 4)
        columns.append([round(float(each), DIGITS) for each in model.coef_[0]])
    return WordTable(intercepts, chosen, list(idf.values()), columns)


def length_classes(pages: Sequence[Graded]) -> npt.NDArray[np.intp]:
    lengths = np.log([max(page.length, 1) for page in pages])
    return np.digitize(lengths, np.quantile(lengths, np.arange(1, LENGTH_CLASSES) / LENGTH_CLASSES))


def balanced(weight: Floats, has: npt.NDArray[np.bool_], of_class: npt.NDArray[np.intp]) -> Floats:
    """The weights, such that in each class the two sides are to each other as they are in all."""
    share = weight[has].sum() / weight.sum()
    scaled = weight.copy()
    for each in range(LENGTH_CLASSES):
        mine = of_class == each
        for side, wanted in ((has, share), (~has, 1.0 - share)):
            total = weight[mine & side].sum()
            if total:
                scaled[mine & side] *= min(wanted * weight[mine].sum() / total, MAX_TEXT_WEIGHT)
    return scaled


def margins(table: WordTable, pages: Sequence[Graded]) -> Floats:
    """float64[pages, properties]"""
    matrix = weighted([page.counts for page in pages], dict(zip(table.words, table.idf)))
    return np.asarray(matrix @ np.array(table.weights).T + np.array(list(table.intercepts.values())))


def held_out_margins(pages: Sequence[Graded]) -> Floats:
    """Every page by tables that have not seen its group."""
    folds = np.array([fold_of(page.group) for page in pages])
    found = np.zeros((len(pages), len(PROPERTIES)))
    for fold in range(FOLDS):
        out = folds == fold
        if out.any():
            table = fit_tables([page for page, mine in zip(pages, out) if not mine])
            found[out] = margins(table, [page for page, mine in zip(pages, out) if mine])
    return found


def matched_auc(values: Floats, has: npt.NDArray[np.bool_], of_class: npt.NDArray[np.intp]) -> float:
    """The AUC of pairs of the same class of length alone."""
    pairs, won = 0.0, 0.0
    for each in range(LENGTH_CLASSES):
        high, low = values[has & (of_class == each)], values[~has & (of_class == each)]
        pairs += high.size * low.size
        won += high.size * low.size * auc(high, low)
    return won / pairs if pairs else 0.5


def fit_properties(judged: Sequence[Path], out: Path) -> dict[str, Any]:
    """Fit on judged pages, write the table and its card, and return the card."""
    pages = read_graded(judged)
    made_from, command = origin("properties", out, judged=judged)
    return properties_from(pages, out, made_from, command)


def properties_from(pages: Sequence[Graded], out: Path, made_from: Any, command: str) -> dict[str, Any]:
    scored, of_class = held_out_margins(pages), length_classes(pages)
    has = np.array([page.grades for page in pages]) >= HAS
    measured: Mapping[str, Mapping[str, Any]] = {
        name: {
            "pages": int(has[:, n].sum()),
            "auc": round(auc(scored[has[:, n], n], scored[~has[:, n], n]), 3),
            "auc_matched_in_length": round(matched_auc(scored[:, n], has[:, n], of_class), 3),
        }
        for n, name in enumerate(PROPERTIES)
    }
    write_bytes(out, fit_tables(pages).as_text(FORMAT).encode())
    return write_card(
        out,
        "properties of a page by its words: probabilities that a reader would find it informative, literary and so on",
        command,
        made_from,
        pages=len(pages),
        held_out={
            "of": measured,
            "how": f"grades of {HAS} and {TOP} against less; every group scored by tables that have not seen it, "
            f"{FOLDS} folds",
        },
    )
