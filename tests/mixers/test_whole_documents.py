"""Small pools: whole documents are fitted to the plan, epochs and bounds hold, order changes nothing."""

from math import ceil
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from mixers import draw
from mixers.domains import DOMAINS
from mixers.draw import MixturePlan, check_drawn, count_drawn, plan_draw
from mixers.grades import Grade, Grading, count_qualities, find_grading
from mixers.supply import Ints, cell_codes, count_supply, document_ranks, kept_apart, merge_supplies
from mixers.targets import DrawConfig
from mixers.whole_documents import (
    BOUND_UNIT,
    CELL_UNIT,
    GOOD_ENOUGH,
    SHARE_UNIT,
    SIZE_UNIT,
    WantedGroup,
    fit_documents,
    rows_of_cells,
    rows_of_shares,
)

BY_AXIS = {"IQ": 0.4, "EQ": 0.4, "general": 0.2}
TARGETS = (
    DrawConfig(targets=BY_AXIS),
    DrawConfig(language_targets={"zh": 0.3, "en": 0.7}),
    DrawConfig(targets=BY_AXIS, language_targets={"zh": 0.3}, joint_targets={"zh/IQ": 0.1}),
    DrawConfig(targets={"general": 0.3}, min_source_share={"a": 0.3}, max_share={"code": 0.1}),
)
GRADES = (Grade(best=0.1, epochs=4), Grade(best=0.5, epochs=2), Grade(best=1.0, epochs=1))


class Pool:
    """Documents of 200 to 20,000 tokens, of two sources, two languages and all domains."""

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        # the first documents see to it that no target is without one
        domains = ["science", "literature", "general", *rng.choice(DOMAINS, count)]
        languages = ["zh", "zh", "en", *rng.choice(["en", "zh"], count)]
        sources = ["a", "b", "a", *rng.choice(["a", "b"], count)]
        columns = {"source": sources, "language": languages, "domain": domains}
        self.table = pa.table({name: pa.array([str(each) for each in column]) for name, column in columns.items()})
        self.tokens = np.exp(rng.uniform(np.log(200), np.log(20_000), count + 3)).astype(np.int64)
        self.ranks = document_ranks(["x"] * (count + 3), range(count + 3), seed)
        self.qualities = rng.random(count + 3)

    def part(self, rows: Ints) -> "Pool":
        other = Pool(0, 0)
        other.table, other.tokens = self.table.take(pa.array(rows)), self.tokens[rows]
        other.ranks, other.qualities = self.ranks[rows], self.qualities[rows]
        return other

    def cells(self, config: DrawConfig) -> pa.Table:
        return self.table.set_column(
            1, "language", kept_apart(self.table["language"].combine_chunks(), config.languages())
        )

    def grading(self, config: DrawConfig) -> Grading:
        return find_grading(config.grades, [count_qualities(self.cells(config), self.tokens, self.qualities)])

    def grades(self, config: DrawConfig, grading: Grading) -> Ints:
        return grading.of(*cell_codes(self.cells(config)), self.qualities)

    def supply(self, config: DrawConfig, grading: Grading) -> pa.RecordBatch:
        return count_supply(self.cells(config), self.tokens, self.grades(config, grading), self.ranks)

    def plan(self, config: DrawConfig) -> MixturePlan:
        grading = self.grading(config)
        return plan_draw(merge_supplies([self.supply(config, grading)]), config, grading)

    def repeats(self, plan: MixturePlan, config: DrawConfig) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return plan.repeats(self.cells(config), self.grades(config, plan.grading), self.ranks)


def rounded_alone(pool: Pool, config: DrawConfig) -> MixturePlan:
    """The plan without what this file tests."""

    def alone(wanted: list[WantedGroup], _: DrawConfig) -> list[Ints]:
        return [each.repeats_in() for each in wanted]

    with patch.object(draw, "fit_documents", alone):
        return pool.plan(config)


def misses(plan: MixturePlan) -> tuple[list[float], float]:
    """What is told of a draw: the misses of the shares, absolute, and of the size, relative."""
    size = sum(group.epochs * group.tokens for group in plan.groups)
    return [abs(each.drawn - each.planned) for each in plan.targets.values()], abs(plan.tokens / size - 1)


def miss(plan: MixturePlan, config: DrawConfig) -> tuple[float, float]:
    """The sum of the squared misses that is made less, and the largest miss of a target or the size, in units."""
    size, drawn = sum(group.epochs * group.tokens for group in plan.groups), plan.tokens
    if not drawn:
        return np.inf, np.inf
    told = [(drawn / size - 1) / SIZE_UNIT]
    for target in config.wanted():
        mine = [group for group in plan.groups if target.counts(group.language, group.domain)]
        planned = sum(group.epochs * group.tokens for group in mine) / size
        told.append((sum(group.drawn_tokens for group in mine) / drawn - planned) / SHARE_UNIT)
    by_cell: dict[object, float] = {}
    for group in plan.groups:
        off = (group.drawn_tokens - group.epochs * group.tokens) / size / CELL_UNIT
        by_cell[group.cell] = by_cell.get(group.cell, 0.0) + off
    broken = [max(each / size / BOUND_UNIT - GOOD_ENOUGH, 0.0) for each in beyond_bounds(plan, config)]
    return sum(each**2 for each in [*told, *by_cell.values(), *broken]), max(abs(each) for each in told)


def beyond_bounds(plan: MixturePlan, config: DrawConfig) -> tuple[float, float]:
    """Tokens by which the floor and the cap of the last of `TARGETS` are passed."""
    a, code = (sum(group.drawn_tokens for group in plan.groups if key in group.cell) for key in ("a", "code"))
    floor, cap = config.min_source_share.get("a", 0.0), config.max_share.get("code", 1.0)
    return max(floor * plan.tokens - a, 0.0), max(code - cap * plan.tokens, 0.0)


@st.composite
def draws(choose: st.DrawFn) -> tuple[Pool, DrawConfig]:
    """A pool of 5 to 200 documents, and a draw of it, of its largest size or of a part of that."""
    pool = Pool(choose(st.integers(2, 197)), choose(st.integers(0, 2**32 - 1)))
    options = dict(vars(choose(st.sampled_from(TARGETS))))
    options["max_epochs"] = choose(st.sampled_from([0.7, 1.0, 2.5, 4.0]))
    if choose(st.booleans()):
        options |= {"quality": "quality", "grades": GRADES}
    part = choose(st.sampled_from([None, 0.05, 0.3, 0.8]))
    if part:
        options["tokens"] = max(1, int(pool.tokens.sum() * min(options["max_epochs"], 1) * part))
    return pool, DrawConfig(**options)


@settings(max_examples=60, deadline=None)
@given(drawn=draws())
def test_never_worse_and_no_document_or_group_passes_its_epochs(drawn: tuple[Pool, DrawConfig]) -> None:
    pool, config = drawn
    try:
        plan = pool.plan(config)
    except UsageError:
        return  # no mixture of this pool has the floors and caps
    before = rounded_alone(pool, config)
    total, largest = miss(plan, config)
    total_before, largest_before = miss(before, config)
    assert total <= total_before * (1 + 1e-9) and largest <= total_before**0.5 * (1 + 1e-9)
    held = GOOD_ENOUGH * BOUND_UNIT * sum(group.epochs * group.tokens for group in plan.groups) + 1e-6
    for beyond, beyond_before in zip(beyond_bounds(plan, config), beyond_bounds(before, config), strict=True):
        assert beyond <= held or beyond_before > held  # what holds is kept
    if largest_before <= GOOD_ENOUGH * (1 - 1e-9):
        assert plan == before

    repeats, grades = pool.repeats(plan, config), pool.grades(config, plan.grading)
    check_drawn(plan, count_drawn(pool.cells(config), grades, pool.tokens, repeats))
    names, cell_of = cell_codes(pool.cells(config))
    for group in plan.groups:
        mine = repeats[(cell_of == names.index(group.cell)) & (grades == group.grade)]
        cap = plan.grading.cap(group.grade, config.max_epochs)
        assert int(group.epochs) <= mine.min() and mine.max() <= ceil(group.epochs) <= ceil(cap)
        assert group.drawn_tokens <= cap * group.tokens + 1e-6


@settings(max_examples=20, deadline=None)
@given(drawn=draws(), seed=st.integers(0, 2**32 - 1))
def test_order_and_shards_change_nothing(drawn: tuple[Pool, DrawConfig], seed: int) -> None:
    pool, config = drawn
    order = np.random.default_rng(seed).permutation(len(pool.tokens))
    parts = [pool.part(rows) for rows in np.array_split(order, 3)]
    try:
        plan = pool.plan(config)
    except UsageError:
        return
    supplies = [part.supply(config, plan.grading) for part in parts]
    assert plan_draw(merge_supplies(supplies[::-1]), config, plan.grading) == plan
    found = np.concatenate([part.repeats(plan, config) for part in parts])
    assert np.array_equal(found, pool.repeats(plan, config)[order])


@pytest.mark.parametrize("targets", TARGETS[:3])
def test_small_pools_meet_their_targets_and_size(targets: DrawConfig) -> None:
    shares, sizes, shares_before, sizes_before = [], [], [], []
    for seed in range(12):
        pool = Pool(100 + 20 * seed, seed)
        config = DrawConfig(**{**vars(targets), "tokens": int(pool.tokens.sum() * 0.3)})
        for plan, share, size in (
            (pool.plan(config), shares, sizes), (rounded_alone(pool, config), shares_before, sizes_before),
        ):  # fmt: skip
            found = misses(plan)
            share += found[0]
            size.append(found[1])
    assert np.mean(shares) <= 0.0005 and max(shares) <= 0.002 < np.mean(shares_before)
    assert np.mean(sizes) <= 0.003 and max(sizes) <= 0.01 < np.mean(sizes_before)


def best_by_hand(wanted: list[WantedGroup], config: DrawConfig) -> float:
    """The least sum of squared misses of all ways to round the epochs of the bins up or down."""
    bins = [(number, place) for number, each in enumerate(wanted) for place in range(len(each.group.bin))
            if each.epochs != each.whole_epochs]  # fmt: skip
    chosen = (np.arange(2 ** len(bins))[:, None] >> np.arange(len(bins))) & 1
    drawn = np.tile([float(each.whole_epochs * each.group.tokens) for each in wanted], (len(chosen), 1))
    for (number, place), one in zip(bins, chosen.T):
        drawn[:, number] += one * wanted[number].group.tokens_in[place]
    most = [each.cap * each.group.tokens for each in wanted]
    cells, plan = [each.group.cell for each in wanted], np.array([each.tokens for each in wanted])
    drawn = drawn[(drawn <= most).all(axis=1) & (drawn.sum(axis=1) > 0)]
    off, sizes = drawn - plan, drawn.sum(axis=1) / plan.sum()
    totals = ((off @ rows_of_shares(cells, plan, config).T) ** 2).sum(axis=1) / sizes**2
    return float((totals + ((off @ rows_of_cells(cells, plan).T) ** 2).sum(axis=1)).min())


def test_of_a_handful_of_documents_nearly_always_the_best_are_drawn() -> None:
    ratios = []
    for seed in range(40):
        pool = Pool(2 + seed % 8, seed)
        config = DrawConfig(**{**vars(TARGETS[seed % 3]), "tokens": int(pool.tokens.sum() * 0.4)})
        with patch.object(draw, "fit_documents", wraps=fit_documents) as fit:
            total, largest = miss(pool.plan(config), config)
        if largest > GOOD_ENOUGH:
            ratios.append((total / best_by_hand(fit.call_args.args[0], config)) ** 0.5)
    assert len(ratios) > 30 and np.mean(np.array(ratios) < 1 + 1e-6) > 0.9 and max(ratios) < 1.3


def test_a_large_pool_is_cut_by_ranks_alone() -> None:
    pool, config = Pool(60_000, 0), DrawConfig(targets=BY_AXIS)
    plan = pool.plan(config)
    assert plan == rounded_alone(pool, config)
    assert not any("others" in group for group in plan.as_dict()["groups"])


def test_documents_apart_from_the_cutoff_are_in_the_manifest() -> None:
    pool, config = Pool(60, 1), DrawConfig(targets=BY_AXIS, tokens=40_000)
    plan = pool.plan(config)
    groups = {group["domain"]: group for group in plan.as_dict()["groups"] if group["source"] == "a"}
    again = [
        next((n for least, above, n in groups[domain].get("others", ()) if least <= rank < above),
             groups[domain]["whole_epochs"] + (rank < groups[domain]["rank_cutoff"]))
        for source, domain, rank in zip(*(pool.table[n].to_pylist() for n in ("source", "domain")), pool.ranks.tolist())
        if source == "a"
    ]  # fmt: skip
    assert any("others" in group for group in groups.values())
    assert again == pool.repeats(plan, config)[[each == "a" for each in pool.table["source"].to_pylist()]].tolist()


@pytest.mark.parametrize("seed", range(20))
def test_a_floor_that_rounding_breaks_is_mended(seed: int) -> None:
    pool = Pool(120, seed)
    config = DrawConfig(
        targets={"IQ": 0.4, "EQ": 0.4, "general": 0.2}, min_source_share={"a": 0.3, "b": 0.3}, max_share={"code": 0.1},
        tokens=int(pool.tokens.sum()) // 3,
    )  # fmt: skip
    plan, alone = pool.plan(config), rounded_alone(pool, config)
    assert broken(plan) <= max(broken(alone), GOOD_ENOUGH * BOUND_UNIT) + 1e-9
    assert broken(plan) < 0.003


def broken(plan: MixturePlan) -> float:
    """By how much of the mixture a floor or the cap is broken, at most."""
    drawn = {name: sum(g.drawn_tokens for g in plan.groups if g.source == name) / plan.tokens for name in "ab"}
    code = sum(group.drawn_tokens for group in plan.groups if group.domain == "code") / plan.tokens
    return max(0.3 - drawn["a"], 0.3 - drawn["b"], code - 0.1, 0.0)
