"""The best of a pool within budgets of documents and tokens, by group, with length taken out."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pipeline.pool.domain_bounds import best_of_domains
from pipeline.pool.keep_rate import (
    MOST_PRICE,
    Bounds,
    Floors,
    KeepBudget,
    KeepRateJudge,
    find_bounds,
    quotas,
)
from pipeline.pool.quotas import shared, whole
from pipeline.pool.score_cells import RANK_DIGITS, Cells, least_bin, length_bins, ranks, score_bins

FLOORS = Floors(language=0.8, axis=0.15, domain=0.7)
BY = ("language", "axis")
Pool = dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def drawn(seed: int, sizes: dict[str, int], slope: float = 1.0) -> Pool:
    """Probabilities and tokens by group. A probability rises with length, by `slope` logits an octave."""
    chance = np.random.default_rng(seed)
    made = {}
    for name, size in sizes.items():
        tokens = np.maximum(chance.lognormal(6.5, 1.0, size), 50).astype(np.int64)
        logits = slope * np.log2(tokens / 600) + chance.normal(0, 1.5, size)
        made[name] = (1 / (1 + np.exp(-logits)), tokens)
    return made


def cells_of(pool: Pool) -> dict[str, Cells]:
    made = {}
    for name, (values, tokens) in pool.items():
        bins = np.stack([score_bins(values), length_bins(tokens)])
        cells, at = np.unique(bins, axis=1, return_inverse=True)
        sums = np.bincount(at.ravel(), weights=tokens).astype(np.int64)
        made[name] = Cells(cells[0], cells[1], np.bincount(at.ravel()).astype(np.int64), sums)
    return made


def kept_by_judge(pool: Pool, bounds: Bounds) -> dict[str, tuple[int, int]]:
    judge = KeepRateJudge("rate", "quality", bounds)
    found = {}
    for name, (values, tokens) in pool.items():
        rows = zip(values.tolist(), score_bins(values).tolist(), length_bins(tokens).tolist(), strict=True)
        keeps = [
            judge({"group": name, "value": value, "score": score, "length": length}).reject is None
            for value, score, length in rows
        ]
        found[name] = sum(keeps), int(tokens[np.array(keeps, bool)].sum())
    return found


SIZES = {"en/EQ": 300, "en/IQ": 500, "en/general": 900, "zh/EQ": 120}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 2.5])
def test_budgets_are_full_and_never_exceeded(seed: int, slope: float) -> None:
    pool = drawn(seed, SIZES, slope)
    tokens = sum(int(each.sum()) for _, each in pool.values())
    budget = KeepBudget(130, int(130 / 1820 * tokens))
    cells = cells_of(pool)
    bounds = find_bounds(budget, cells, BY, FLOORS, {"en": 1500.0, "zh": 150.0, "de": 200.0})
    kept = bounds.kept(cells)
    assert kept == kept_by_judge(pool, bounds)
    docs, of_tokens = (sum(each[number] for each in kept.values()) for number in (0, 1))
    assert docs <= budget.docs and of_tokens <= budget.tokens
    assert docs >= 0.85 * budget.docs and of_tokens >= 0.75 * budget.tokens


def test_short_documents_of_middling_chances_do_not_replace_long_good_ones() -> None:
    """There the budget of tokens alone is full."""
    values = np.concatenate([np.linspace(0.5, 0.65, 800), np.linspace(0.9, 0.97, 200)])
    tokens = np.array([300] * 800 + [1200] * 200)
    pool = {"en/general": (values, tokens)}
    bounds = find_bounds(KeepBudget(100, 40_000), cells_of(pool), BY, FLOORS, {})
    kept = bounds.passed("en/general", score_bins(values), length_bins(tokens))
    assert bounds.price <= MOST_PRICE
    assert 28 <= kept[800:].sum() <= 33 and not kept[:800].any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slope", [0.5, 1.0])
def test_what_is_kept_has_nearly_the_most_good_documents_within_both_budgets(seed: int, slope: float) -> None:
    """Beside the optimum of the linear program, in which a document may be kept in part."""
    pool = drawn(seed, {"en/general": 1500}, slope)
    values, tokens = pool["en/general"]
    budget = KeepBudget(100, int(100 * tokens.mean()))
    bounds = find_bounds(budget, cells_of(pool), BY, FLOORS, {})
    bins = score_bins(values), length_bins(tokens)
    kept = bounds.passed("en/general", *bins)
    assert kept.sum() <= budget.docs and tokens[kept].sum() <= budget.tokens
    limits = np.stack([np.ones(len(values)), tokens.astype(float)])
    most = -linprog(-values, A_ub=limits, b_ub=[budget.docs, budget.tokens], bounds=(0, 1)).fun
    assert 0.95 * most <= values[kept].sum() <= most
    # the best by their score alone are too long for the budget, and fewer
    order = np.argsort(-values)
    alone = order[: budget.docs][np.cumsum(tokens[order[: budget.docs]]) <= budget.tokens]
    assert values[alone].sum() < values[kept].sum()


def test_ranks_are_those_of_other_processors() -> None:
    """Of so few digits that the last bits of an exponential, which differ, decide nothing."""
    scores, lengths = np.arange(-1024, 1025), np.arange(2049) % 80
    found = ranks(scores, lengths, 0.0725, 200)
    exact = [
        1 / (1 + math.exp(-score / 64)) - 0.0725 * max(2 ** ((length + 0.5) / 4) / 200 - 1, 0)
        for score, length in zip(scores.tolist(), lengths.tolist(), strict=True)
    ]
    assert found.tolist() == [round(each, RANK_DIGITS) for each in exact]
    assert ranks(np.array(0), length_bins(np.array([1903])), 0.1, 1903)[0] == 0.5  # as long as what costs nothing
    assert ranks(np.array(0), length_bins(np.array([3806])), 0.1, 1903)[0] == pytest.approx(0.4, abs=0.01)


@example(value=1.0, tokens=1, bound=1.0, price=0.0, free=0)
@example(value=1.0, tokens=1, bound=0.99999999, price=0.0, free=1903)
@given(st.floats(0, 1), st.integers(1, 10**6), st.floats(-0.5, 1.02), st.floats(0, 1), st.integers(0, 5000))
def test_a_rejected_score_is_under_the_one_that_was_needed(
    value: float, tokens: int, bound: float, price: float, free: int
) -> None:
    score, length = score_bins(np.array([value])), length_bins(np.array([tokens]))
    judge = KeepRateJudge("rate", "quality", Bounds(price, free, {"en/IQ": bound}, 0.75))
    reject = judge({"group": "en/IQ", "value": value, "score": int(score[0]), "length": int(length[0])}).reject
    if reject is None:
        assert value >= 0.75
    else:
        assert reject.threshold is not None and value < reject.threshold
        if reject.threshold < 0.999:
            needed = {"group": "en/IQ", "value": reject.threshold, "length": int(length[0])}
            bins = score_bins(np.array([reject.threshold]))
            assert judge({**needed, "score": int(bins[0])}).reject is None


@pytest.mark.parametrize("docs", [1, 3, 7])
def test_a_group_that_gets_nothing_does_not_borrow_the_bound_of_another(docs: int) -> None:
    pool = drawn(3, {"en/EQ": 60, "en/IQ": 2, "en/general": 60, "zh/EQ": 1})
    cells = cells_of(pool)
    bounds = find_bounds(KeepBudget(docs, 10**9), cells, BY, FLOORS, {"en": 90.0, "zh": 10.0})
    assert sum(each for each, _ in bounds.kept(cells).values()) <= docs
    assert bounds.groups.keys() == cells.keys()


def test_a_score_that_rises_with_length_does_not_fill_the_budget_with_long_documents() -> None:
    pool = drawn(7, {"en/general": 2000}, slope=1.0)
    values, tokens = pool["en/general"]
    cells = cells_of(pool)
    budget = KeepBudget(150, int(150 * tokens.mean()))
    bounds = find_bounds(budget, cells, BY, FLOORS, {})
    by_score_alone = tokens[np.argsort(-values)]
    alone = int((np.cumsum(by_score_alone) <= budget.tokens).sum())
    assert 0 < bounds.price < MOST_PRICE and bounds.kept(cells)["en/general"][0] >= 145 > 2 * alone
    kept = bounds.passed("en/general", score_bins(values), length_bins(tokens))
    assert tokens[kept].min() < np.median(tokens)


def test_a_short_document_gains_nothing_by_its_length() -> None:
    """Of documents no longer than the baseline's mean one the better is kept, however short the other is."""
    values = np.array([0.90, 0.89] * 50 + [0.99] * 20)
    tokens = np.array([900, 60] * 50 + [9000] * 20)
    pool = {"en/general": (values, tokens)}
    bounds = find_bounds(KeepBudget(50, 50 * 1100), cells_of(pool), BY, FLOORS, {})
    judge = KeepRateJudge("rate", "quality", bounds)
    bins = zip(values.tolist(), score_bins(values).tolist(), length_bins(tokens).tolist(), strict=True)
    kept = [
        judge({"group": "en/general", "value": v, "score": score, "length": length}).reject is None
        for v, score, length in bins
    ]
    assert kept == [v == 0.90 for v in values]


def test_a_language_and_an_axis_have_their_floors() -> None:
    cells = cells_of(drawn(1, {"en/EQ": 20, "en/IQ": 900, "en/general": 900, "zh/EQ": 40}))
    found = quotas(100, cells, BY, FLOORS, {"en": 700.0, "zh": 200.0, "fr": 100.0})
    assert sum(found.values()) == 100
    assert found["zh/EQ"] == 16  # .8 of .2, where the pool has .02 of it
    assert found["en/EQ"] == 10  # half of the group, which is less than .15 of 84
    assert abs(found["en/IQ"] - found["en/general"]) <= 1


def test_of_a_group_of_junk_not_even_the_best_are_kept() -> None:
    """Neither for a floor nor in proportion; the documents go to the others."""
    pool = drawn(4, {"en/EQ": 400, "en/IQ": 500, "en/general": 30, "zh/IQ": 60, "zh/EQ": 9})
    for name, good in (("en/general", 2), ("zh/IQ", 5), ("zh/EQ", 0)):
        number = np.arange(len(pool[name][1]))
        pool[name] = np.where(number < good, 0.8 + 0.03 * number, 0.3), pool[name][1]
    cells, spoken, budget = cells_of(pool), {"en": 800.0, "zh": 200.0}, KeepBudget(100, 10**9)
    bounds = find_bounds(budget, cells, BY, FLOORS, spoken, 0.5)
    kept = {name: docs for name, (docs, _) in bounds.kept(cells).items()}
    assert bounds.kept(cells) == kept_by_judge(pool, bounds)
    assert (kept["en/general"], kept["zh/IQ"], kept["zh/EQ"]) == (2, 5, 0)  # all that is good
    assert sum(kept.values()) >= 90
    judge = KeepRateJudge("rate", "quality", Bounds(0.01, 100, {"en/IQ": 0.5}, 0.5))
    short = judge({"group": "en/IQ", "value": 0.49, "score": int(score_bins(np.array([0.49]))[0]), "length": 4}).reject
    assert short is not None and short.threshold == 0.5
    long = judge({"group": "en/IQ", "value": 0.7, "score": int(score_bins(np.array([0.7]))[0]), "length": 44}).reject
    assert long is not None and long.threshold is not None and long.threshold > 0.7


def test_a_domain_of_junk_has_no_floor() -> None:
    pool = drawn(2, {"en/EQ/arts": 100, "en/EQ/society": 800})
    pool["en/EQ/arts"] = pool["en/EQ/arts"][0] / 1000, pool["en/EQ/arts"][1]
    cells, by, budget = cells_of(pool), (*BY, "domain"), KeepBudget(90, 10**9)  # .7 of .1 of 100, less by equal ranks
    assert find_bounds(budget, cells, by, FLOORS, {}).kept(cells)["en/EQ/arts"][0] == 5
    assert find_bounds(budget, cells, by, FLOORS, {}, 0.5).kept(cells)["en/EQ/arts"][0] == 0


@pytest.mark.parametrize("by", [BY, (*BY, "domain")])
def test_good_documents_fill_the_budget_however_much_junk_is_beside_them(by: tuple[str, ...]) -> None:
    values = np.concatenate([np.linspace(0.6, 0.95, 100), np.full(900, 0.2)])
    groups = ["en/EQ/arts", "en/EQ/society"] if "domain" in by else ["en/EQ"]
    pool = {
        name: (values[place :: len(groups)], np.full(1000 // len(groups), 500)) for place, name in enumerate(groups)
    }
    kept = find_bounds(KeepBudget(90, 10**9), cells_of(pool), by, FLOORS, {"en": 1000.0}, 0.5).kept(cells_of(pool))
    assert 88 <= sum(docs for docs, _ in kept.values()) <= 90


@given(st.floats(0, 1), st.floats(0, 1))
def test_no_score_under_the_least_one_passes(least: float, value: float) -> None:
    cells = cells_of({"en/EQ": (np.array([value]), np.array([100]))})
    bounds = Bounds(0.0, 0, {"en/EQ": -math.inf}, least)
    if bounds.kept(cells)["en/EQ"][0]:
        assert value >= least or least_bin(least) == score_bins(np.array([0.0]))[0]
    else:
        assert value < min(1.0, least + 0.01)


def test_a_pool_of_junk_keeps_nothing() -> None:
    pool = drawn(2, {"en/EQ/arts": 100, "en/IQ/code": 50})
    cells = cells_of({name: (values / 1000, tokens) for name, (values, tokens) in pool.items()})
    bounds = find_bounds(KeepBudget(20, 10**9), cells, (*BY, "domain"), FLOORS, {"en": 150.0}, 0.5)
    assert set(bounds.kept(cells).values()) == {(0, 0)}


def test_a_domain_that_scores_lower_keeps_its_floor_and_the_budget_holds() -> None:
    pool = drawn(2, {"en/EQ/arts": 100, "en/EQ/dialogue": 30, "en/EQ/society": 800, "en/IQ/science": 400})
    values, tokens = pool["en/EQ/arts"]
    pool["en/EQ/arts"] = values / 100, tokens
    cells = cells_of(pool)
    budget = KeepBudget(100, 10**9)
    bounds = find_bounds(budget, cells, (*BY, "domain"), FLOORS, {})
    kept = {name: docs for name, (docs, _) in bounds.kept(cells).items()}
    assert kept["en/EQ/arts"] == 5  # .7 of the 70 documents of EQ for 930
    assert 93 <= sum(kept.values()) <= 100 and kept["en/IQ/science"] in (29, 30)
    assert bounds.groups["en/EQ/arts"] < bounds.groups["en/EQ/dialogue"] == bounds.groups["en/EQ/society"]
    alone = find_bounds(budget, cells, (*BY, "domain"), replace(FLOORS, domain=0.0), {}).kept(cells)
    assert alone["en/EQ/arts"][0] == 0 and sum(docs for docs, _ in alone.values()) >= sum(kept.values()) - 3
    assert kept_by_judge(pool, bounds) == bounds.kept(cells)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=5), st.integers(0, 300), st.floats(0, 1), st.integers(0, 9))
def test_domains_share_the_documents_of_an_axis(sizes: list[int], docs: int, floor: float, seed: int) -> None:
    domains = cells_of(drawn(seed, {f"d{number}": size for number, size in enumerate(sizes)}))
    found = best_of_domains(domains, 0.02, 600, docs, floor)
    kept = {
        name: int(each.docs[ranks(each.scores, each.lengths, 0.02, 600) >= found[name].rank].sum())
        for name, each in domains.items()
    }
    assert sum(kept.values()) <= docs
    one = best_of_domains(domains, 0.02, 600, docs, 0.0)
    assert len({each.rank for each in one.values()}) == 1


def test_a_group_without_a_bound_has_that_of_its_axis_then_its_language() -> None:
    bounds = Bounds(0.0, 0, {"en/EQ": 3.0, "en/IQ/code": 1.0, "en/IQ/science": 2.0, "zh/EQ": 0.5})
    assert [bounds.of(name) for name in ("en/EQ/arts", "en/IQ/code", "en/IQ/reasoning", "en/general/general")] == [
        3.0, 1.0, 2.0, 3.0
    ]  # fmt: skip
    assert bounds.of("zh/IQ/code") == 0.5 and bounds.of("fr/EQ/arts") == 3.0 and Bounds(0.0, 0, {}).of("en/EQ") is None


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.floats(0, 1e6), st.floats(0, 50)), min_size=1),
    st.integers(0, 1000),
)
def test_a_budget_is_shared_within_floors_and_caps(groups: dict[str, tuple[float, float]], total: int) -> None:
    weights = {name: weight for name, (weight, _) in groups.items()}
    floors = {name: floor for name, (_, floor) in groups.items()}
    caps = {name: weight / 2 for name, weight in weights.items()}
    found = shared(total, weights, floors, caps)
    assert sum(found.values()) <= total * (1 + 1e-6) + 1e-6
    assert sum(found.values()) == pytest.approx(min(total, sum(caps.values())), rel=1e-6, abs=1e-3)
    assert all(found[name] <= caps[name] for name in groups)
    if sum(floors.values()) <= total:
        assert all(found[name] >= min(floors[name], caps[name]) - 1e-9 for name in groups)
    assert sum(whole(found, total).values()) <= total
