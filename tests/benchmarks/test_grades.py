"""The fit to readers' grades: what words tell beside the signals, sources held out; the files that it writes."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import grades
from filters.bag_of_words import word_counts
from infra.errors import UsageError
from pipeline.models.combination import Combination, Term, load_combination
from pipeline.models.grade import load_grade
from tests.pipeline.datasets import document, make_dataset

PRAISED, PLAIN = "argument essay evidence", [f"w{letter}" for letter in "abcdefghijkl"]
BASE = Combination(0.5, (Term("bag_of_words", (0.0, 1.0), (-2.0, 2.0)),))


def rows() -> list[grades.GradedText]:
    """Twenty sources; a text with a signal of 1 has a grade more, one with the praised words another."""
    found = []
    for source in range(20):
        for number in range(8):
            well, praised = number % 2, number // 2 % 2
            words = " ".join([*PLAIN[number % 3 :: 3], *PLAIN[source % 4 :: 4], *([PRAISED] if praised else [])])
            signals: dict[str, float | None] = dict.fromkeys(grades.SIGNALS["en"], 0.5)
            signals |= {"well_written": 0.3 + 0.4 * well, "bag_of_words": 0.5, "coherent": None if number == 7 else 0.5}
            found.append(grades.GradedText(f"s{source}", 2.0 + well + praised, word_counts(words), signals))
    return found


def test_words_tell_what_the_signals_do_not() -> None:
    texts = rows()
    truth = np.array([row.grade for row in texts])
    signals = grades.of_signals(texts, "en", BASE)
    alone, together = (grades.held_out(texts, signals, words=words) for words in (False, True))
    assert grades.rank_correlation(alone, truth) < 0.8 < 0.9 < grades.rank_correlation(together, truth)
    fitted = grades.fit(texts, signals)
    weights = dict(zip(fitted.idf, fitted.weights, strict=True))
    assert min(weights["essay"], weights["evidence"]) > 3 * max(abs(weights[word]) for word in PLAIN)
    told = grades.told("all", together, truth)
    assert told["best eighth"] == 4.0 and told["good"] == told["very good"] == 1.0


def test_the_table_and_the_combination_give_the_fitted_grade_again(tmp_path: Path) -> None:
    """The two files, as a recipe reads them, and the fit: the same order, and nearly the same logit."""
    texts = rows()
    signals = grades.of_signals(texts, "en", BASE)
    fitted, scale = grades.fit(texts, signals), (-6.0, 2.0)
    made = grades.table_of(fitted)
    (tmp_path / "grade.tsv").write_text(made)
    combination = grades.as_combination(fitted, scale, texts, "en", BASE)
    (tmp_path / "quality.json").write_text(combination.as_text())
    read, words = load_combination(tmp_path / "quality.json"), load_grade(tmp_path / "grade.tsv")
    assert len({term.signal for term in read.terms}) == len(read.terms)
    for row, grade in zip(texts, fitted.grades(texts, signals), strict=True):
        known = {**row.signals, "grade": words.score_counts(row.counts)}
        assert grades.margin(read, known) == pytest.approx(scale[0] + scale[1] * grade, abs=0.1)


@pytest.mark.parametrize(
    ("sources", "given", "message"),
    [
        (20, [[]], "line 1: 'grades' has none"),
        (1, [[2, 4]], "more sources"),
        (20, [[4]], "good ones .* and others"),
        # all texts are alike: of the others the mean is lower where a fold's is higher
        (20, [[2], [4]], "does not tell good texts"),
    ],
)
def test_what_cannot_be_fitted_is_refused(sources: int, given: list[list[int]], message: str, tmp_path: Path) -> None:
    texts = [
        {"id": str(n), "text": "a", "source": f"s{n % sources}", "grades": given[n % len(given)]} for n in range(40)
    ]
    signals = dict.fromkeys(grades.SIGNALS["en"], 0.5)
    measured = [document(n, id=str(n), signals=signals) for n in range(40)]
    make_dataset(tmp_path / "measured", "measure", measured, [], signals=[*signals])
    (tmp_path / "graded.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in texts))
    args = Namespace(
        graded=[tmp_path / "graded.jsonl"], measured=tmp_path / "measured", language="en", base=None, apart=[],
        out=None, combination=None,
    )  # fmt: skip
    with pytest.raises(UsageError, match=message):
        grades.run(args)


def test_of_two_curves_over_one_signal_the_sum_is_written() -> None:
    (one,) = grades.joined([Term("words", (1.0, 3.0), (0.0, 2.0), 0.5), Term("words", (2.0,), (1.0,), 0.25)])
    assert one == Term("words", (1.0, 2.0, 3.0), (1.0, 2.0, 3.0), 0.75)
