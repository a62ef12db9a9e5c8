"""The command `plan-data`: an answer for people and for programs, and mistakes in a line."""

import json
from pathlib import Path

import pytest

from pipeline.cli.app import main
from tests.pipeline.command import refinery
from tests.trainer.scaling.made_pools import RATES, write_pool_runs
from trainer.scaling.pool_files import shipped_law


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
        ("--budget 1M --params 1M --table runs.csv --out runs.csv", "is the table itself"),
        ("--budget many --params 1M --table runs.csv --out law.json", "--budget 'many' is no number above 0"),
        ("--budget 1e-9 --params 1M", "budget is 1e-09: give a number from 1 to 1e+18"),
        ("--budget 1M --params 1e300", "params is 1e+300: give a number from 1 to 1e+18"),
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


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("units", [1e400, 1, 1], "units, ranges and error must be numbers"),
        ("error", -1, "the error above 0"),
        ("error", 10**400, "is no law"),
        ("ranges", {each: [0, 0] for each in ("params", "tokens", "epochs", "keep_rate")}, "ranges must be above 0"),
    ],
)
def test_a_damaged_law_is_refused(name: str, value: object, why: str, tmp_path: Path) -> None:
    law = json.loads(shipped_law().read_text())
    law["laws"][law["card"]["loss"]][name] = value
    (tmp_path / "law.json").write_text(json.dumps(law))
    asked = ("--budget", "2M", "--params", "50K", "--json")
    assert why in refinery("plan-data", "--law", tmp_path / "law.json", *asked, code=2)
    (tmp_path / "law.json").write_text("[" * 100_000)
    assert "is no law" in refinery("plan-data", "--law", tmp_path / "law.json", *asked, code=2)


def test_tables_that_tell_nothing_are_refused(tmp_path: Path) -> None:
    """Runs of one size, losses that follow no law; numbers that no run has are left out."""
    asked = ("--budget", "2M", "--params", "50K")
    head, *rows = write_pool_runs(tmp_path / "runs.csv").read_text().splitlines()
    names = head.split(",")
    cells = [dict(zip(names, row.split(","), strict=True)) for row in rows]

    def refused(changed: list[dict[str, object]], code: int = 2) -> str:
        lines = [json.dumps({name: row[name] for name in names}) for row in changed]
        (tmp_path / "changed.jsonl").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
        return refinery("plan-data", "--table", tmp_path / "changed.jsonl", *asked, code=code)

    one = [{**row, "params": 40_000} for row in cells]
    assert "all runs are of one size" in refused(one)
    losses = [name for name in names if name.startswith("loss")]
    wild = [{**row, **dict.fromkeys(losses, 0.01 if place % 2 else 90.0)} for place, row in enumerate(cells)]
    assert "follow no law of this form" in refused(wild)
    huge = [{**row, "tokens": 10**400} if place == 3 else row for place, row in enumerate(cells)]
    assert "fitted on 44 runs" in refused(huge, 0)
