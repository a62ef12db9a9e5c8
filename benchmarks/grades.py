"""Fits quality to the grades that readers gave: a table of words (`pipeline/models/grade.py`), and the combination.

    refinery measure --recipe yi --input graded.jsonl.gz --out measured
    python -m benchmarks grades --graded graded.jsonl.gz --measured measured --language en \\
        [--base quality-before-en.json] [--out grade-en.tsv --combination quality-en.json]

`--graded` has rows of `id`, `text`, `source` (a host, a repository: never on both sides) and `grades` (1 to 5, one of
each reader). A ridge regression of the mean grade, on the words of a page (as the bag-of-words classifier weighs them)
and, less held at zero, on the signals below: so the words tell what those do not. With `--base` the margin of that
combination is one of them. Each text is predicted by a fit that has not seen its source (8 folds): the rank
correlation of grades with the base, with the signals alone and with all; the mean grade, and the shares of good (3 and
more) and very good ones (3.75), of the best eighth and of the next. A logistic regression of "good" on those
predictions gives the combination its scale, so that quality is a probability. `--apart`: graded texts of another
collection, which the fit of all the others is asked about.
"""

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import check_measured, measured_rows
from benchmarks.rows import GRADES, ID, SOURCE, TEXT, check_folders, checked_rows
from benchmarks.shared import add
from filters.bag_of_words import word_counts
from infra.errors import UsageError
from infra.storage import write_bytes
from pipeline.fit.bag_of_words import fold_of, weighted
from pipeline.models.combination import Combination, Term, load_combination
from pipeline.models.grade import COLUMN, FORMAT, PER_GRADE
from pipeline.models.word_table import WordTable
from pipeline.text_table import table

Floats = NDArray[np.float64]
GOOD, VERY_GOOD = 3.0, 3.75
FIELDS = (ID, TEXT, SOURCE, GRADES)
FOLDS, PART = 8, 8  # the best eighth
WORDS, LEAST_TEXTS, DIGITS = 8000, 4, 4
# How strongly weights are held at zero; a signal, in standard deviations, so many times less than a word.
STRENGTH, OF_SIGNALS = 1.0, 0.3


def logits(values: Floats) -> Floats:
    kept = np.clip(values, 0.01, 0.99)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def straight(values: Floats) -> Floats:
    return values


# What quality is made of beside words: signals, and the scale on which each counts.
SIGNALS: dict[str, dict[str, Callable[[Floats], Floats]]] = {
    "en": {
        "first_unique_word_fraction": straight,
        "duplicate_5_gram_character_fraction": np.sqrt,
        "coherent": logits,
        "well_written": logits,
        "fineweb_short_line_fraction": straight,
    },
    "zh": {
        "well_written": logits,
        "coherent": logits,
        "chinese_terminal_line_fraction": straight,
        "reference": logits,
    },
}


class GradedText(NamedTuple):
    source: str
    grade: float
    counts: Mapping[str, int]
    signals: Mapping[str, float | None]


class GradeFit(NamedTuple):
    """The prediction: `intercept`, plus each signal on its scale times its weight, plus the words' part, which is
    `of_words` for no word, so that its mean is 0."""

    intercept: float
    of_signals: Floats
    idf: dict[str, float]
    weights: Floats
    of_words: float

    def grades(self, rows: Sequence[GradedText], signals: Floats) -> Floats:
        words = np.asarray(weighted([row.counts for row in rows], self.idf) @ self.weights) + self.of_words
        return np.asarray(self.intercept + signals @ self.of_signals + words)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--graded", nargs="+", type=Path, required=True, help="JSON lines: id, text, source, grades")
    parser.add_argument("--measured", type=Path, required=True, help="the signals of these texts, by their ids")
    parser.add_argument("--language", choices=sorted(SIGNALS), required=True)
    parser.add_argument("--base", type=Path, help="a combination whose margin is one of the signals")
    parser.add_argument("--apart", nargs="+", type=Path, default=[], help="more such texts, told and not fitted on")
    add(parser, "--out", help="write the table of words, fitted on all")
    parser.add_argument("--combination", type=Path, help="write the combination, fitted on all")


def read(paths: Sequence[Path], signals: Path, language: str, base: Combination | None) -> list[GradedText]:
    """The graded texts by id, with their signals: those of the language, each measured of some text, and the base's."""
    names = SIGNALS[language]
    of_base = [term.signal for term in (base.terms if base else ())]
    known = {row["id"]: row for row in measured_rows(signals, ["id"], [*names, *of_base])}
    rows = sorted((row for path in paths for row in checked_rows(path, *FIELDS)), key=lambda row: str(row["id"]))
    if missing := [row["id"] for row in rows if row["id"] not in known]:
        raise UsageError(f"{signals} has no signals of {missing[0]!r}: measure the graded texts")
    check_measured(f"texts of {', '.join(map(str, paths))} in {signals}", [known[row["id"]] for row in rows], names)
    return [
        GradedText(row["source"], float(np.mean(row["grades"])), word_counts(row["text"]), known[row["id"]]["signals"])
        for row in rows
    ]


def of_signals(rows: Sequence[GradedText], language: str, base: Combination | None) -> Floats:
    """float64[rows, signals]: each on its scale, the base's margin last. One that was not measured has the median."""
    columns = []
    for name, scale in SIGNALS[language].items():
        column = np.array([np.nan if (value := row.signals.get(name)) is None else value for row in rows])
        columns.append(scale(np.where(np.isnan(column), np.nanmedian(column), column)))
    if base is not None:
        columns.append(np.array([margin(base, row.signals) for row in rows]))
    return np.stack(columns, axis=1)


def margin(combination: Combination, signals: Mapping[str, float | None]) -> float:
    return combination.intercept + sum(term.added(signals.get(term.signal)) for term in combination.terms)


def fit(rows: Sequence[GradedText], signals: Floats, words: bool = True) -> GradeFit:
    """The ridge regression, by its dual: rows are fewer than words."""
    spread = Counter(word for row in rows for word in row.counts)
    chosen = sorted(spread, key=lambda word: (-spread[word], word))[:WORDS] if words else []
    idf = {
        word: round(math.log((1 + len(rows)) / (1 + spread[word])) + 1, DIGITS)
        for word in sorted(chosen)
        if spread[word] >= LEAST_TEXTS
    }
    of_words = weighted([row.counts for row in rows], idf).toarray()
    mean, deviation = signals.mean(axis=0), np.maximum(signals.std(axis=0), 1e-9)
    every = np.hstack([of_words, OF_SIGNALS * (signals - mean) / deviation])
    center, grades = every.mean(axis=0), np.array([row.grade for row in rows])
    moved = every - center
    dual = np.linalg.solve(moved @ moved.T + STRENGTH * np.eye(len(rows)), grades - grades.mean())
    found = moved.T @ dual
    weights, own = found[: len(idf)], OF_SIGNALS * found[len(idf) :] / deviation
    return GradeFit(float(grades.mean() - own @ mean), own, idf, weights, -float(weights @ center[: len(idf)]))


def held_out(rows: Sequence[GradedText], signals: Floats, words: bool = True) -> Floats:
    """The grade of each text by a fit that has not seen its source."""
    folds, found = np.array([fold_of(row.source) for row in rows]), np.zeros(len(rows))
    for fold in range(FOLDS):
        apart = np.flatnonzero(folds == fold)
        if len(apart):
            rest = np.flatnonzero(folds != fold)
            fitted = fit([rows[i] for i in rest], signals[rest], words)
            found[apart] = fitted.grades([rows[i] for i in apart], signals[apart])
    return found


def told(name: str, scores: Floats, grades: Floats) -> dict[str, Any]:
    """How well an order by `scores` is one by grades."""
    order = np.argsort(-scores, kind="stable")
    size = max(1, len(order) // PART)
    best, following = grades[order[:size]], grades[order[size : 2 * size]]
    return {
        "by": name,
        "rank correlation": round(rank_correlation(scores, grades), 3),
        "best eighth": round(float(best.mean()), 2),
        "good": round(float((best >= GOOD).mean()), 2),
        "very good": round(float((best >= VERY_GOOD).mean()), 2),
        "next eighth": round(float(following.mean()), 2),
    }


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's."""
    ranks = [
        np.searchsorted(np.sort(each), each) + np.searchsorted(np.sort(each), each, "right") for each in (one, other)
    ]
    return float(np.corrcoef(*ranks)[0, 1])


def scale_of(predicted: Floats, grades: Floats) -> tuple[float, float]:
    """(intercept, slope) of the logit that a text is good, by its predicted grade."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6, max_iter=1000).fit(predicted[:, None], grades >= GOOD)
    return float(model.intercept_[0]), float(model.coef_[0, 0])


def table_of(fitted: GradeFit) -> str:
    """The words' part, as the file of the scorer."""
    weights = [round(PER_GRADE * float(each), DIGITS) for each in fitted.weights]
    intercept = round(PER_GRADE * fitted.of_words, DIGITS)
    return WordTable({COLUMN: intercept}, [*fitted.idf], [*fitted.idf.values()], [weights]).as_text(FORMAT)


def as_combination(
    fitted: GradeFit, scale: tuple[float, float], rows: Sequence[GradedText], language: str, base: Combination | None
) -> Combination:
    """Curves over signals: of each the points between which its scale is nearly straight."""
    intercept, slope = scale
    terms = []
    constant = intercept + slope * fitted.intercept
    shares = np.linspace(0, 1, 9)
    for (name, of), weight in zip(SIGNALS[language].items(), fitted.of_signals, strict=False):
        values = np.array([value for row in rows if (value := row.signals.get(name)) is not None])
        at = sorted({round(float(each), 4) for each in np.quantile(values, shares)})
        added = slope * weight * of(np.array(at))
        missing = float(np.median(added))
        terms.append(Term(name, tuple(at), tuple(round(float(each), 3) for each in added), round(missing, 3)))
    at = (0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99)
    added = slope / PER_GRADE * logits(np.array(at))
    terms.append(Term(COLUMN, at, tuple(round(float(each), 3) for each in added), 0.0))
    if base is not None:
        factor = slope * float(fitted.of_signals[-1])
        constant += factor * base.intercept
        terms += [
            replace(each, add=tuple(factor * a for a in each.add), missing=factor * each.missing) for each in base.terms
        ]
    return Combination(round(constant, 3), tuple(joined(terms)))


def joined(terms: Sequence[Term]) -> Iterator[Term]:
    """One term for each signal: where there are two, the curve that is their sum."""
    for name in dict.fromkeys(term.signal for term in terms):
        mine = [term for term in terms if term.signal == name]
        at = tuple(sorted({point for term in mine for point in term.at}))
        added = tuple(round(sum(term.added(point) for term in mine), 3) for point in at)
        yield Term(name, at, added, round(sum(term.missing for term in mine), 3))


def run(args: argparse.Namespace) -> dict[str, Any]:
    check_folders(args.out, args.combination)
    base = load_combination(args.base) if args.base else None
    rows = read(args.graded, args.measured, args.language, base)
    apart = read(args.apart, args.measured, args.language, base) if args.apart else []
    if len(apart) == 1:
        raise UsageError("one text apart has no order: give more --apart")
    grades = np.array([row.grade for row in rows])
    if len({fold_of(row.source) for row in rows}) < 2 or not 0 < (grades >= GOOD).sum() < len(rows):
        raise UsageError("texts of more sources are needed, good ones (3 and more) and others")
    signals = of_signals(rows, args.language, base)
    predicted = held_out(rows, signals)
    found: dict[str, Any] = {
        "texts": len(rows),
        "sources": len({row.source for row in rows}),
        "good": round(float((grades >= GOOD).mean()), 3),
        "orders": [told("base", signals[:, -1], grades)] if base else [],
    }
    found["orders"] += [
        told("signals, sources held out", held_out(rows, signals, words=False), grades),
        told("signals and words, sources held out", predicted, grades),
    ]
    fitted, scale = fit(rows, signals), scale_of(predicted, grades)
    if scale[1] <= 0:
        raise UsageError("what is fitted does not tell good texts of unseen sources: give texts of more sources")
    if apart:
        others, true = of_signals(apart, args.language, base), np.array([row.grade for row in apart])
        found["orders"] += [told("base, texts apart", others[:, -1], true)] if base else []
        found["orders"].append(told("signals and words, texts apart", fitted.grades(apart, others), true))
    found["scale"] = scale
    if args.out:
        write_bytes(args.out, table_of(fitted).encode())
    if args.combination:
        text = as_combination(fitted, scale, rows, args.language, base).as_text()
        write_bytes(args.combination, text.encode())
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['texts']:,} texts of {found['sources']:,} sources, {found['good']:.0%} of them good"
    columns = list(found["orders"][0])
    yield table([{name: str(row[name]) for name in columns} for row in found["orders"]], columns)
    yield f"logit of good = {found['scale'][0]:.3f} + {found['scale'][1]:.3f} * grade"
