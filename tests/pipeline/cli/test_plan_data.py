"""The command `plan-data`: an answer for people and for programs, and mistakes in a line."""

import json
from pathlib import Path

import pytest

from pipeline.cli.app import main
from tests.pipeline.command import refinery
from tests.trainer.scaling.made_pools import RATES, write_pool_runs


def test_a_table_is_fitted_and_its_law_answers_again(tmp_path: Path) -> None:
    table, law = write_pool_runs(tmp_path / "runs.csv"), tmp_path / "law.json"
    asked = ("--budget", "2M", "--params", "50K", "--available", "8M", "--json")
    fitted = json.loads(refinery("plan-data", "--table", table, "--loss", "books", "--out", law, *asked))
    again = json.loads(refinery("plan-data", "--law", law, *asked))
    assert [row["pool"] for row in fitted["pools"]] == list(RATES)
    assert fitted["best"]["pool"] == again["best"]["pool"] == "strict"
    assert again["law"]["card"] == fitted["law"]["card"] and again["law"]["loss"] == "books"
    assert fitted["law"]["card"]["runs"] == 45
    text = refinery("plan-data", "--law", law, *asked[:-1])
    assert "How strict: strict (keep rate 0.03)" in text and "How often: this budget is 8.33 epochs of it" in text


def test_the_shipped_law_answers_and_says_how_far_the_question_is() -> None:
    text = refinery("plan-data", "--budget", "1T", "--params", "1B")
    assert "no forecast" in text and "taken: as many as the budget" in text


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--budget many --params 1M", "--budget 'many' is no number above 0"),
        ("--budget 1M --params -3", "--params '-3' is no number above 0"),
        ("--budget 1M --params 1M --available 0", "--available '0' is no number above 0"),
        ("--budget 1M --params 1M --table none.csv", "none.csv cannot be read"),
        ("--budget 1M --params 1M --law none.json", "none.json cannot be read"),
        ("--budget 1M --params 1M --table runs.csv --law none.json", "not both"),
        ("--budget 1M --params 1M --table runs.csv --loss book", "did you mean 'books'?"),
        ("--budget 1M --params 1M --loss nothing", "no law of the loss 'nothing'"),
        ("--budget 1M --params 1M --out law.json", "give --table"),
        ("--budget 1M --params 1M --table runs.csv --out .", "name a file"),
        ("--budget 1M --params 1M --table s3://bucket/runs.csv", "s3://bucket/runs.csv"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    words: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pool_runs(tmp_path / "runs.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["plan-data", *words.split()])
    assert left.value.code == 2
    told = capsys.readouterr()
    assert why in told.err and len(told.err.splitlines()) == 1 and not told.out
    assert [path.name for path in tmp_path.iterdir()] == ["runs.csv"]
