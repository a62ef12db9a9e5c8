"""The draw: constraints hold, shares are as planned to the token, and order changes nothing."""

import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError, WorkError
from mixers.balance import solve_mixture
from mixers.domains import DOMAINS
from mixers.draw import MixturePlan, check_drawn, count_drawn, plan_draw, shares
from mixers.supply import Floats, count_supply, document_ranks, merge_supplies, rank_bins, upper_edge
from mixers.targets import DrawConfig

Groups = list[tuple[str, str]]
GROUPS: Groups = [
    ("curated", "code"), ("curated", "literature"), ("web", "code"), ("web", "general"), ("web", "literature"),
]  # fmt: skip
BALANCED = {"IQ": 0.5, "EQ": 0.4, "general": 0.1}


class Pool:
    """Documents with skewed lengths, in a fixed order."""

    def __init__(self, sizes: dict[tuple[str, str], int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        groups = [group for group, count in sizes.items() for _ in range(count)]
        self.sources, self.domains = pa.array([g[0] for g in groups]), pa.array([g[1] for g in groups])
        self.tokens = pa.array(np.exp(rng.normal(6, 1, len(groups))).astype(np.int64) + 1)
        self.ranks = document_ranks([f"f{i % 3}" for i in range(len(groups))], range(len(groups)), seed)

    def take(self, indices: list[int]) -> "Pool":
        other = Pool({})
        other.sources, other.domains, other.tokens = (
            c.take(pa.array(indices, pa.int64())) for c in (self.sources, self.domains, self.tokens)
        )
        other.ranks = self.ranks[indices]
        return other

    def plan(self, config: DrawConfig) -> MixturePlan:
        return plan_draw(merge_supplies([count_supply(self.sources, self.domains, self.tokens, self.ranks)]), config)

    def draw(self, plan: MixturePlan) -> dict[str, int]:
        return count_drawn(
            self.sources, self.domains, self.tokens, plan.repeats(self.sources, self.domains, self.ranks)
        )


MANY = Pool(dict(zip(GROUPS, (800, 3000, 300, 600, 400))))


def test_shares_and_floor_of_many_documents() -> None:
    plan = MANY.plan(DrawConfig(targets=BALANCED, min_source_share={"web": 0.3}, tokens=1_500_000))
    counts = MANY.draw(plan)
    check_drawn(plan, counts)
    realised = shares(counts)
    assert realised["axis"] == pytest.approx(BALANCED, abs=0.002)
    assert realised["source"]["web"] >= 0.3 - 1e-6
    assert sum(n for name, n in counts.items() if name.startswith("tokens/")) == pytest.approx(1_500_000, rel=0.002)
    assert plan.as_dict()["shares"] == realised


def test_as_many_as_the_binding_constraint_allows() -> None:
    solved = solve_mixture(GROUPS, [1000, 3000, 200, 600, 400], DrawConfig(targets=BALANCED, tolerance=0))
    # Half of the mixture is code, and there are 1,200 tokens of it, four times over.
    assert solved.tokens == pytest.approx(9600, rel=1e-5)
    assert solved.epochs[0] == solved.epochs[2] == 4.0
    assert [name.split(" of ")[-1] for name in solved.binding if "max_epochs" in name] == [
        "curated/code (1,000 tokens)", "web/code (200 tokens)",
    ]  # fmt: skip


def test_within_what_is_asked_groups_keep_the_pool_s_proportions() -> None:
    solved = solve_mixture(GROUPS, [1000, 3000, 200, 600, 400], DrawConfig(targets=BALANCED, tokens=3000))
    assert solved.epochs == pytest.approx((1.25, 0.352941, 1.25, 0.5, 0.352941), abs=1e-4)
    assert solved.binding == () and solved.missed == {}


def test_a_target_that_cannot_be_met_is_missed_by_as_little_as_can_be() -> None:
    config = DrawConfig(targets=BALANCED | {"mathematics": 0.05}, tolerance=0.05, tokens=3000)
    solved = solve_mixture(GROUPS, [1000, 3000, 200, 600, 400], config)
    assert solved.missed == {"mathematics": (0.05, 0.0)}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            DrawConfig(targets=BALANCED, tokens=30_000),
            ["30,000", "max_epochs 4 of curated/code", "target IQ", "at most 9,795"],
        ),
        (DrawConfig(targets={"mathematics": 0.1}), ["target mathematics", "the pool has nothing of it", "tolerance"]),
        (DrawConfig(min_source_share={"forum": 0.2}), ["min_source_share forum", "nothing of it"]),
        (
            DrawConfig(min_source_share={"web": 0.7}, max_source_share={"web": 0.6}),
            ["min_source_share web", "max_source_share web"],
        ),
        (DrawConfig(max_epochs=0), ["max_epochs 0"]),
    ],
)
def test_an_infeasible_draw_names_what_to_loosen(config: DrawConfig, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        solve_mixture(GROUPS, [1000, 3000, 200, 600, 400], config)
    message = str(caught.value)
    assert all(word in message for word in words) and "loosen" in message and "\n" not in message


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to draw from"):
        Pool({}).plan(DrawConfig())


def test_one_epoch_of_everything_draws_each_document_once() -> None:
    plan = MANY.plan(DrawConfig(max_epochs=1))
    assert set(plan.repeats(MANY.sources, MANY.domains, MANY.ranks).tolist()) == {1}


def test_a_floor_holds_even_for_a_handful_of_documents() -> None:
    for seed in range(20):
        pool = Pool({("curated", "science"): 40, ("web", "general"): 9, ("web", "arts"): 5}, seed)
        supply = int(np.sum(pool.tokens.to_numpy()))
        plan = pool.plan(DrawConfig(min_source_share={"web": 0.5}, tokens=supply // 2))
        assert shares(pool.draw(plan))["source"]["web"] >= 0.5 - 1e-5


def test_undrawn_documents_are_counted_and_stay() -> None:
    counts = MANY.draw(MANY.plan(DrawConfig(targets=BALANCED, tokens=1_000_000)))
    documents = sum(n for name, n in counts.items() if not name.startswith("tokens/"))
    assert documents == len(MANY.sources)
    assert counts["undrawn/curated/literature"] > 0


def test_a_pool_that_changed_is_an_error() -> None:
    plan = MANY.plan(DrawConfig(targets=BALANCED, tokens=1_000_000))
    with pytest.raises(WorkError, match="the pool changed"):
        check_drawn(plan, MANY.take(list(range(len(MANY.sources) - 1000))).draw(plan))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_and_shards_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = [int(i) for i in rng.permutation(len(MANY.sources))]
    config = DrawConfig(targets=BALANCED, min_source_share={"web": 0.3})
    plan = MANY.plan(config)
    cut = int(rng.integers(0, len(order)))
    parts = [MANY.take(order[:cut]), MANY.take(order[cut:])]
    supplies = [count_supply(p.sources, p.domains, p.tokens, p.ranks) for p in parts]
    assert plan_draw(merge_supplies(supplies), config) == plan == plan_draw(merge_supplies(supplies[::-1]), config)
    repeats = plan.repeats(MANY.sources, MANY.domains, MANY.ranks)
    mixed = MANY.take(order)
    assert np.array_equal(plan.repeats(mixed.sources, mixed.domains, mixed.ranks), repeats[order])


@st.composite
def problems(draw: st.DrawFn) -> tuple[Groups, list[int], DrawConfig]:
    groups = draw(
        st.lists(
            st.sampled_from(list(itertools.product(("a", "b", "c"), DOMAINS))), min_size=1, max_size=14, unique=True
        )
    )
    supply = [int(10 ** draw(st.floats(1, 9))) for _ in groups]
    weights = draw(st.lists(st.floats(0.05, 1), min_size=3, max_size=3))
    config = DrawConfig(
        targets=dict(zip(("IQ", "EQ", "general"), (w / sum(weights) for w in weights))) if draw(st.booleans()) else {},
        min_source_share={"a": draw(st.floats(0, 0.6))},
        max_share={"code": draw(st.floats(0.2, 1))},
        max_epochs=draw(st.sampled_from([1.0, 1.5, 4.0])),
        tokens=draw(st.one_of(st.none(), st.integers(1, 10**9))),
        tolerance=draw(st.sampled_from([0.0, 0.02, 1.0])),
    )
    return sorted(groups), supply, config


@settings(max_examples=50, deadline=None)
@given(problem=problems())
def test_every_solution_satisfies_every_constraint(problem: tuple[Groups, list[int], DrawConfig]) -> None:
    groups, supply, config = problem
    try:
        solved = solve_mixture(groups, supply, config)
    except UsageError:
        return
    tokens = np.array(solved.epochs) * supply
    total = tokens.sum()
    assert total == pytest.approx(solved.tokens, rel=1e-4)
    room = 1e-4
    assert all(0 <= epochs <= config.max_epochs for epochs in solved.epochs)
    assert tokens[[s == "a" for s, _ in groups]].sum() / total >= config.min_source_share["a"] - room
    assert tokens[[d == "code" for _, d in groups]].sum() / total <= config.max_share["code"] + room
    for axis, share in shares({f"tokens/{s}/{d}": n for (s, d), n in zip(groups, tokens)})["axis"].items():
        assert abs(share - config.targets.get(axis, share)) <= config.tolerance + room


@settings(max_examples=25, deadline=None)
@given(problem=problems(), factor=st.floats(1, 3))
def test_more_supply_or_more_epochs_never_give_a_smaller_mixture(
    problem: tuple[Groups, list[int], DrawConfig], factor: float
) -> None:
    groups, supply, config = problem
    asked = replace(config, max_share={}, tokens=None, max_epochs=2)
    try:
        small = solve_mixture(groups, supply, asked).tokens
    except UsageError:
        return
    assert solve_mixture(groups, supply, replace(asked, max_epochs=2 * factor)).tokens >= small * (1 - 1e-4)
    richer = [int(tokens * factor) if i % 2 else tokens for i, tokens in enumerate(supply)]
    assert solve_mixture(groups, richer, asked).tokens >= small * (1 - 1e-4)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 60),
    cap=st.sampled_from([0.3, 1.0, 1.7, 4.0]),
    part=st.floats(0.001, 1),
)
def test_no_document_passes_its_cap_and_larger_draws_contain_smaller(
    seed: int, count: int, cap: float, part: float
) -> None:
    pool = Pool({("web", "code"): count}, seed)
    supply = int(np.sum(pool.tokens.to_numpy()))
    sizes = [max(1, int(supply * cap * part / 2)), max(1, int(supply * cap * part))]
    plans = [pool.plan(DrawConfig(max_epochs=cap, tokens=tokens)) for tokens in sizes]
    small, large = (plan.repeats(pool.sources, pool.domains, pool.ranks) for plan in plans)
    assert (small <= large).all() and large.max() <= np.ceil(cap)
    assert sum(group.drawn_tokens for group in plans[1].groups) <= cap * supply
    for plan in plans:
        check_drawn(plan, pool.draw(plan))


def test_ranks_are_seeded_hashes_of_the_key() -> None:
    # Golden: another hash would draw other documents for every recipe.
    paths, offsets = ["a.warc.gz", "a.warc.gz"], [123, 124]
    first, second = document_ranks(paths, offsets, 0), document_ranks(paths, offsets, 1)
    assert first.tolist() == [0.241148764124133, 0.8567839175112256]
    assert second[0] == 0.8722771974118174
    assert np.array_equal(document_ranks(paths, offsets, 0), first)
    many = document_ranks(["x"] * 20_000, range(20_000), 3)
    assert many.min() >= 0 and many.max() < 1
    assert np.histogram(many, bins=10, range=(0, 1))[0].min() > 1800


def test_bins_lie_between_edges() -> None:
    ranks: Floats = np.array([0.0, 2.0**-30, 2.0**-24, 0.001, 0.3, 0.5, 0.75, 1 - 2.0**-53])
    bins = rank_bins(ranks)
    assert bins.tolist() == sorted(bins.tolist())
    assert all(rank < upper_edge(int(b)) for rank, b in zip(ranks, bins))
    assert all(rank >= upper_edge(int(b) - 1) for rank, b in zip(ranks[2:], bins[2:]) if b > 0)
    assert upper_edge(int(bins[-1])) == 1.0


def test_documents_without_a_source_or_domain_are_refused() -> None:
    ranks = np.array([0.5])
    with pytest.raises(UsageError, match="no source"):
        count_supply(pa.array([None], pa.string()), pa.array(["code"]), pa.array([1]), ranks)
    with pytest.raises(UsageError, match="'cooking'"):
        count_supply(pa.array(["web"]), pa.array(["cooking"]), pa.array([1]), ranks)


def test_groups_without_tokens_are_left_out_and_drawn_zero_times() -> None:
    pool = Pool({("web", "code"): 3, ("web", "arts"): 2})
    pool.tokens = pa.array([5, 6, 7, 0, None], pa.int64())
    plan = pool.plan(DrawConfig(max_epochs=2))
    assert [group.name for group in plan.groups] == ["web/code"]
    assert plan.repeats(pool.sources, pool.domains, pool.ranks).tolist() == [2, 2, 2, 0, 0]
    assert pool.draw(plan)["undrawn/web/arts"] == 2
