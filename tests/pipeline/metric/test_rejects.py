"""What was rejected, under a scorer: by rule, beside what was kept, and what a readmission would bring."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from infra.errors import UsageError
from pipeline.cli.metric_text import rejects_text
from pipeline.metric.answers import rejects_answer
from pipeline.metric.rejects import evaluate_rejects
from tests.files import write_rows
from tests.pipeline.here import run_here
from tests.pipeline.metric.texts import LettersScorer, prose
from tests.pipeline.recipe_texts import SAME_TEXT, judge, recipe, stage

LONG, SHORT = 40, 25


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, of which one rule rejects the twenty short ones and another the ten without a known letter; and a copy."""
    folder = tmp_path_factory.mktemp("rejects")
    texts = [prose("sea", n, LONG) for n in range(30)] + [prose("sea", 100 + n, SHORT) for n in range(20)]
    noise = ["QXZVJK " * 30 + f"{n}" * 60 for n in range(10)]
    rows = [{"text": text} for text in [*texts, *noise, texts[3]]]
    write_rows(folder / "docs.jsonl", rows)
    size = judge("size", {"signal": "words", "min": SHORT + 1})
    digits = judge("digits", {"signal": "digit_fraction", "max": 0.1})
    steps = stage("filter", "filter", size, digits)
    (folder / "own.toml").write_text(recipe("own", steps, SAME_TEXT))
    run_here(folder / "own.toml", folder / "docs.jsonl", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def answer(run: Path) -> dict[str, Any]:
    return evaluate_rejects(LettersScorer(), run, per_rule=8)


def of_rule(answer: dict[str, Any], rule: str) -> dict[str, Any]:
    (row,) = (row for row in answer["rules"] if row["rule"] == rule)
    return dict(row)


def test_bits_are_the_scorers(answer: dict[str, Any]) -> None:
    """Each of the texts without a known letter has the same bits."""
    row = of_rule(answer, "digits/max_digit_fraction")
    assert row["bits_per_byte"] == row["low"] == row["high"] == pytest.approx(8 - 4 * 30 / 270)
    assert (row["documents"], row["drawn"], row["texts"]) == (10, 8, 8) and row["stage"] == "filter"
    assert answer["kept"]["texts"] == 30 and answer["kept"]["bits_per_byte"] < 7


def test_what_is_like_the_kept_would_be_brought(answer: dict[str, Any]) -> None:
    """The short texts are of the kept ones' kind; the others are above all of these."""
    short, noise = of_rule(answer, "size/min_words"), of_rule(answer, "digits/max_digit_fraction")
    assert short["like_kept"] > 0.3 and noise["above"] == 1.0
    assert short["readmit"]["documents"] == round(20 * short["like_kept"])
    assert noise["readmit"] == {"documents": 0, "tokens": 0}
    for row in (short, noise):
        assert row["below"] + row["like_kept"] + row["above"] == pytest.approx(1.0)
    assert noise["tokens"] == 10 * 270  # a token of this scorer is a byte
    assert answer["rules"][0]["rule"] == "size/min_words"


def test_copies_bring_nothing(answer: dict[str, Any]) -> None:
    row = of_rule(answer, "text/copy_text")
    assert row["copies"] and row["readmit"] is None and row["like_kept"] is not None
    assert answer["rules"][-1] == row


def test_only_the_beginning_is_measured(run: Path) -> None:
    answer = evaluate_rejects(LettersScorer(), run, per_rule=100, document_bytes=100)
    row = of_rule(answer, "digits/max_digit_fraction")
    assert row["bits_per_byte"] == pytest.approx(8 - 4 * 14 / 100) and row["tokens"] == 10 * 270
    assert row["texts"] == row["documents"] == 10


def test_it_is_kept_and_told(run: Path, answer: dict[str, Any], tmp_path: Path) -> None:
    assert rejects_answer(LettersScorer(), run, 8, out=tmp_path / "out") == answer
    assert json.loads((tmp_path / "out" / "rejects.json").read_bytes()) == answer
    told = rejects_text(answer, run)
    assert "copies" in told and f"refinery readmit --ledger {run} --rule size/min_words" in told


def test_texts_that_cannot_be_read_again_are_told(run: Path, tmp_path: Path) -> None:
    """The documents came to the first stage from a file, which has gone since."""
    moved = tmp_path / "moved"
    shutil.copytree(run.parent, moved, symlinks=True)
    (run.parent / "docs.jsonl").rename(tmp_path / "docs.jsonl")
    try:
        answer = evaluate_rejects(LettersScorer(), moved / "out", per_rule=3)
    finally:
        (tmp_path / "docs.jsonl").rename(run.parent / "docs.jsonl")
    row = of_rule(answer, "size/min_words")
    assert row["texts"] == 0 and row["bits_per_byte"] is None and row["readmit"] is None
    assert len(answer["missing"]) == 1 and "docs.jsonl" in answer["missing"][0]
    assert "no text" in rejects_text(answer, run) and "texts are missing: " in rejects_text(answer, run)


def test_mistakes_are_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give at least 1 of both"):
        evaluate_rejects(LettersScorer(), run, per_rule=0)
    with pytest.raises(UsageError, match="is not the folder of a run"):
        evaluate_rejects(LettersScorer(), tmp_path)
    write_rows(tmp_path / "docs.jsonl", [{"text": "short"}])
    write_rows(tmp_path / "two.jsonl", [{"text": prose("sea", 1)}, {"text": prose("sea", 2)}])
    (tmp_path / "own.toml").write_text((run.parent / "own.toml").read_text())
    for name, told in (("docs", "kept no text to compare with"), ("two", "rejected nothing")):
        run_here(tmp_path / "own.toml", tmp_path / f"{name}.jsonl", tmp_path / name)
        with pytest.raises(UsageError, match=told):
            evaluate_rejects(LettersScorer(), tmp_path / name)
