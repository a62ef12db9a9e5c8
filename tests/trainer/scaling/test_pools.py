"""The law of strictness and repetition finds what made the runs, and answers what a budget asks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from tests.trainer.scaling.made_pools import LAW, RATES, SHAPE, SIZES, UNITS, WHOLE, made_runs, write_pool_runs
from trainer.scaling.plan_data import DataQuestion, amount, first_better, plan_data
from trainer.scaling.pool_answer import DataPlanner
from trainer.scaling.pool_files import as_json, card_of, read_pool_law, shipped_law
from trainer.scaling.pool_law import FittedPools, PoolLaw, effective_tokens, fit_pools
from trainer.scaling.pool_runs import pool_runs, read_pool_runs

BUDGETS = np.geomspace(1e5, 1e9, 400)


@pytest.fixture(scope="module")
def fitted() -> FittedPools:
    return fit_pools(made_runs(), draws=40)


def true_losses(pool: str, parameters: float, tokens: Any, available: float) -> Any:
    seen = np.atleast_1d(np.asarray(tokens, np.float64))
    rate, full = RATES[pool], np.ones(seen.size)
    return LAW.losses(parameters * full, seen, available * rate * full, rate * full, 0 * full)


def row_of(answer: dict[str, Any], pool: str) -> dict[str, Any]:
    (found,) = [row for row in answer["pools"] if row["pool"] == pool]
    return dict(found)


@given(st.floats(1, 1e6), st.floats(1e-3, 1e3), st.floats(0.1, 100))
def test_repeats_are_worth_something_and_never_more_than_new_tokens(unique: float, epochs: float, half: float) -> None:
    tokens = np.array([unique * epochs])
    (worth,) = effective_tokens(tokens, np.array([unique]), half)
    assert min(unique, tokens[0]) * (1 - 1e-9) <= worth <= tokens[0] * (1 + 1e-9)
    assert worth <= unique * (1 + half / np.log(2)) * (1 + 1e-9)
    (more,) = effective_tokens(2 * tokens, np.array([unique]), half)
    assert more >= worth


def test_after_a_half_life_of_repeats_the_next_is_worth_half() -> None:
    half, unique = 5.0, np.array([1.0])
    at = (
        effective_tokens(np.array([1 + half]), unique, half),
        effective_tokens(np.array([1 + half + 1e-4]), unique, half),
    )
    assert (at[1] - at[0])[0] / 1e-4 == pytest.approx(0.5, rel=1e-3)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.floats(0.2, 0.45), st.floats(0.2, 0.45), st.floats(3, 20), st.floats(-0.2, 0.2), st.floats(-0.1, 0.1))
def test_the_planted_law_is_found(alpha: float, beta: float, half: float, trend: float, exponents: float) -> None:
    law = PoolLaw(np.array([alpha, beta, half, trend, exponents]), LAW.linear, dict.fromkeys(RATES, 0.0), UNITS)
    runs = made_runs(law, noise=5e-4)
    found = fit_pools(runs, draws=1).law
    assert found.shape[:2] == pytest.approx([alpha, beta], rel=0.25)
    assert found.shape[2] == pytest.approx(half, rel=0.35)
    assert found.shape[3:] == pytest.approx([trend, exponents], abs=0.05)
    told = found.losses(
        runs.parameters, 2 * runs.tokens, runs.unique, runs.keep_rates, np.array([found.factor(p) for p in runs.pools])
    )
    true = law.losses(runs.parameters, 2 * runs.tokens, runs.unique, runs.keep_rates, 0 * runs.losses)
    assert told == pytest.approx(true, rel=0.01)


def test_a_pool_may_be_better_than_its_keep_rate_says() -> None:
    law = PoolLaw(SHAPE, LAW.linear, {"strict": 0.0, "middle": -0.15, "loose": 0.0}, UNITS)
    found = fit_pools(made_runs(law), draws=1).law
    assert found.factors["middle"] < min(found.factors["strict"], found.factors["loose"]) - 0.1


def test_the_crossing_of_two_pools_is_where_the_planted_law_has_it(fitted: FittedPools) -> None:
    size, available = 1e5, WHOLE
    answer = plan_data(fitted, DataQuestion(3e6, size, available))
    looser = np.minimum(*(true_losses(name, size, BUDGETS, available) for name in ("middle", "loose")))
    planted = first_better(true_losses("strict", size, BUDGETS, available), looser, BUDGETS)
    found = row_of(answer, "strict")["overtaken"]
    assert found["tokens"] == pytest.approx(planted, rel=0.15)
    assert 0.9 * found["low"] <= planted <= 1.1 * found["high"]
    assert found["epochs"] == pytest.approx(found["tokens"] / (WHOLE * RATES["strict"]))
    assert row_of(answer, "loose")["overtaken"] is None


def test_strict_wins_at_a_small_budget_and_loose_at_a_large_one(fitted: FittedPools) -> None:
    small, large = (plan_data(fitted, DataQuestion(budget, 1e5, WHOLE)) for budget in (3e5, 6e7))
    assert small["best"]["pool"] == "strict" and small["best"]["agreed"] > 0.9
    assert large["best"]["pool"] == "loose"
    assert small["strictness"]["keep_rate"] < large["strictness"]["keep_rate"]


def test_bands_hold_the_truth_within_the_runs() -> None:
    asked = DataQuestion(2e6, 5e4, WHOLE)
    held = []
    for seed in range(4):
        answer = plan_data(fit_pools(made_runs(seed=seed), draws=24), asked)
        for name in RATES:
            (true,), row = true_losses(name, 5e4, 2e6, WHOLE), row_of(answer, name)
            held.append(row["low"] <= true <= row["high"])
    assert np.mean(held) >= 0.6


def test_bands_widen_far_from_the_runs(fitted: FittedPools) -> None:
    near, far = (plan_data(fitted, DataQuestion(budget, size, budget)) for budget, size in ((2e6, 5e4), (2e12, 1e9)))
    widths = [row_of(answer, "loose")["high"] - row_of(answer, "loose")["low"] for answer in (near, far)]
    assert widths[1] > 4 * widths[0]
    assert "no forecast" in far["extrapolation"]["told"]
    assert far["extrapolation"]["factors"]["params"] == pytest.approx(1e9 / SIZES[-1])


def test_a_question_within_the_runs_says_so(fitted: FittedPools) -> None:
    assert plan_data(fitted, DataQuestion(2e6, 5e4, WHOLE))["extrapolation"]["told"] == "within the fitted runs"


def test_a_law_is_kept_in_a_file(fitted: FittedPools, tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    path.write_text(json.dumps(as_json({"books": fitted}, card_of({}, fitted, 45, "books"))))
    again, about = read_pool_law(path)
    asked = DataQuestion(2e6, 5e4)
    one, other = (plan_data(each, asked) for each in (fitted, again))
    assert [row["loss"] for row in one["pools"]] == pytest.approx([row["loss"] for row in other["pools"]], rel=1e-4)
    assert about["loss"] == "books" and about["card"]["runs"] == 45
    with pytest.raises(UsageError, match="no law of the loss 'book'; did you mean 'books'"):
        read_pool_law(path, "book")
    body = json.loads(path.read_text())
    with pytest.raises(UsageError, match="cannot be read"):
        read_pool_law(tmp_path / "none.json")
    for change in ({"format": "other"}, {"laws": {"x": {}}}, {"laws": []}):
        path.write_text(json.dumps(body | change))
        with pytest.raises(UsageError, match="is no law that"):
            read_pool_law(path)


def test_the_shipped_law_says_what_it_stands_on() -> None:
    fitted, about = read_pool_law(shipped_law())
    card = about["card"]
    assert {"fitted", "pools", "runs", "seeds", "date", "not_trusted", "command"} <= set(card)
    assert set(card["pools"]) == set(fitted.rates) >= {"yi", "falcon", "ccnet"}
    answer = DataPlanner.of().answer(2e12, 1e9)
    assert not answer["extrapolation"]["within"] and card["not_trusted"] in answer["told"][-1]


def test_a_table_is_read_by_its_columns(tmp_path: Path) -> None:
    table = write_pool_runs(tmp_path / "runs.csv")
    mean, books = read_pool_runs(table), read_pool_runs(table, "books")
    assert mean.losses == pytest.approx(1.05 * books.losses)
    assert np.array_equal(read_pool_runs(table, "books+talks").losses, mean.losses)
    assert len(set(mean.groups.tolist())) == 9
    lines = [
        {"pool": pool, "keep_rate": rate, "unique_tokens": unique, "tokens": tokens, "params": size,
         "loss": {"books": loss}}
        for pool, rate, unique, tokens, size, loss in zip(
            books.pools, books.keep_rates, books.unique, books.tokens, books.parameters, books.losses)
    ]  # fmt: skip
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert np.array_equal(read_pool_runs(tmp_path / "runs.jsonl").losses, books.losses)


GOOD = {"pool": "a", "keep_rate": 0.1, "unique_tokens": 1e5, "tokens": 1e6, "params": 1e4, "loss": 3.0}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{**GOOD, "loss": None}] * 9, "has 0 runs with all columns"),
        ([{name: value for name, value in GOOD.items() if name != "tokens"}] * 9, "no column 'tokens'"),
        ([{name: value for name, value in GOOD.items() if name != "loss"}] * 9, "no column of losses"),
        ([GOOD] * 9, "one keep rate"),
        ([{**GOOD, "keep_rate": 10}] * 9, "give a share, above 0 and at most 1"),
        ([GOOD] * 8 + [{**GOOD, "keep_rate": 0.2}], "two keep rates"),
    ],
)
def test_a_wrong_table_is_told_in_a_line(rows: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        pool_runs(rows)


def test_rows_without_a_number_are_left_out_and_told() -> None:
    rows = [{**GOOD, "pool": name, "keep_rate": rate} for name, rate in (("a", 0.1), ("b", 1.0)) for _ in range(5)]
    said: list[str] = []
    assert len(pool_runs([*rows, {**GOOD, "tokens": "many"}], tell=said.append).pools) == 10
    assert said == ["the table: 1 of 11 rows are left out: a number in them is missing, not positive or out of range"]


def test_runs_of_one_length_make_no_law() -> None:
    rows = [{**GOOD, "pool": name, "keep_rate": rate} for name, rate in (("a", 0.1), ("b", 1.0)) for _ in range(5)]
    with pytest.raises(UsageError, match="equally many tokens"):
        fit_pools(pool_runs(rows))


def test_amounts_are_short() -> None:
    assert [amount(value) for value in (0.5, 12, 1234, 2.5e6, 3e9, 4.2e15)] == [
        "0.5",
        "12",
        "1.23K",
        "2.5M",
        "3B",
        "4200T",
    ]
