"""The draw: constraints hold, targets are met where they can be, and order changes nothing."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError, WorkError
from mixers.draw import MixturePlan, check_drawn, count_drawn, plan_draw, shares
from mixers.grades import Grade, Grading, count_qualities, find_grading, lower_edge, quality_bins
from mixers.supply import (
    Floats,
    cell_codes,
    count_supply,
    document_ranks,
    kept_apart,
    merge_supplies,
    rank_bins,
    upper_edge,
    weighted_ranks,
)
from mixers.targets import DrawConfig

GROUPS = [
    ("curated", "code"), ("curated", "literature"), ("web", "code"), ("web", "general"), ("web", "literature"),
]  # fmt: skip
BALANCED = {"IQ": 0.5, "EQ": 0.4, "general": 0.1}


class Pool:
    """Documents with skewed lengths, in a fixed order: nine of ten in English, the others in Chinese; of the web with a
    quality that the seed gives."""

    def __init__(self, sizes: dict[tuple[str, str], int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        groups = [group for group, count in sizes.items() for _ in range(count)]
        count = len(groups)
        languages = ["zh" if i % 10 == 3 else "en" for i in range(count)]
        self.table = pa.table(
            {
                "source": pa.array([g[0] for g in groups], pa.string()),
                "language": pa.array(languages, pa.string()),
                "domain": pa.array([g[1] for g in groups], pa.string()),
            }
        )
        self.tokens = np.exp(rng.normal(6, 1, count)).astype(np.int64) + 1
        self.ranks = document_ranks([f"f{i % 3}" for i in range(count)], range(count), seed)
        self.qualities = np.where([g[0] == "web" for g in groups], rng.random(count), np.nan)

    def take(self, indices: list[int]) -> "Pool":
        other = Pool({})
        other.table = self.table.take(pa.array(indices, pa.int64()))
        other.tokens, other.ranks = self.tokens[indices], self.ranks[indices]
        other.qualities = self.qualities[indices]
        return other

    def cells(self, config: DrawConfig) -> pa.Table:
        apart = kept_apart(self.table["language"].combine_chunks(), config.languages())
        return self.table.set_column(1, "language", apart)

    def grading(self, config: DrawConfig) -> Grading:
        return find_grading(config.grades, [count_qualities(self.cells(config), self.tokens, self.qualities)])

    def supply(self, config: DrawConfig, grading: Grading | None = None) -> pa.RecordBatch:
        cells = self.cells(config)
        grades = (grading or self.grading(config)).of(*cell_codes(cells), self.qualities)
        return count_supply(cells, self.tokens, grades, self.ranks)

    def plan(self, config: DrawConfig) -> MixturePlan:
        return plan_draw(merge_supplies([self.supply(config)]), config, self.grading(config))

    def repeats(self, plan: MixturePlan, config: DrawConfig) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        cells = self.cells(config)
        return plan.repeats(cells, plan.grading.of(*cell_codes(cells), self.qualities), self.ranks)

    def draw(self, plan: MixturePlan, config: DrawConfig) -> dict[str, int]:
        cells = self.cells(config)
        grades = plan.grading.of(*cell_codes(cells), self.qualities)
        return count_drawn(cells, grades, self.tokens, self.repeats(plan, config))


MANY = Pool(dict(zip(GROUPS, (800, 3000, 300, 600, 400))))


def test_shares_and_floor_of_many_documents() -> None:
    config = DrawConfig(targets=BALANCED, min_source_share={"web": 0.3}, tokens=1_500_000)
    plan = MANY.plan(config)
    counts = MANY.draw(plan, config)
    check_drawn(plan, counts)
    realised = shares(plan.groups)
    assert realised["axis"] == pytest.approx(BALANCED, abs=0.002)
    assert realised["source"]["web"] >= 0.3 - 1e-6
    drawn = sum(n for name, n in counts.items() if name.startswith("tokens/"))
    assert drawn == plan.tokens == pytest.approx(1_500_000, rel=0.002)
    assert plan.as_dict()["shares"] == realised


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to draw from"):
        Pool({}).plan(DrawConfig())


def test_one_epoch_of_everything_draws_each_document_once() -> None:
    config = DrawConfig(max_epochs=1)
    assert set(MANY.repeats(MANY.plan(config), config).tolist()) == {1}


def test_a_floor_holds_even_for_a_handful_of_documents() -> None:
    for seed in range(20):
        pool = Pool({("curated", "science"): 40, ("web", "general"): 9, ("web", "arts"): 5}, seed)
        plan = pool.plan(DrawConfig(min_source_share={"web": 0.5}, tokens=int(pool.tokens.sum()) // 2))
        assert shares(plan.groups)["source"]["web"] >= 0.5 - 1e-5


def test_a_cap_holds_even_for_a_handful_of_documents() -> None:
    for seed in range(20):
        pool = Pool({("curated", "science"): 40, ("web", "general"): 9, ("web", "arts"): 50}, seed)
        plan = pool.plan(DrawConfig(max_source_share={"web": 0.3}, tokens=int(pool.tokens.sum()) // 2))
        assert shares(plan.groups)["source"]["web"] <= 0.3 + 1e-5


def test_undrawn_documents_are_counted_and_stay() -> None:
    config = DrawConfig(targets=BALANCED, tokens=1_000_000)
    counts = MANY.draw(MANY.plan(config), config)
    documents = sum(n for name, n in counts.items() if not name.startswith("tokens/"))
    assert documents == MANY.table.num_rows
    assert counts["undrawn/curated/literature"] > 0


def test_a_pool_that_changed_is_an_error() -> None:
    config = DrawConfig(targets=BALANCED, tokens=1_000_000)
    plan = MANY.plan(config)
    with pytest.raises(WorkError, match="the pool changed"):
        check_drawn(plan, MANY.take(list(range(MANY.table.num_rows - 1000))).draw(plan, config))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_and_shards_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = [int(i) for i in rng.permutation(MANY.table.num_rows)]
    config = DrawConfig(
        targets=BALANCED, language_targets={"zh": 0.2}, min_source_share={"web": 0.3}, quality="quality", grades=GRADES
    )
    plan = MANY.plan(config)
    cut = int(rng.integers(0, len(order)))
    parts = [MANY.take(order[:cut]), MANY.take(order[cut:])]
    counts = [count_qualities(part.cells(config), part.tokens, part.qualities) for part in parts]
    grading = find_grading(config.grades, counts)
    assert grading == find_grading(config.grades, counts[::-1]) == plan.grading
    supplies = [part.supply(config, grading) for part in parts]
    assert plan_draw(merge_supplies(supplies), config, grading) == plan
    assert plan_draw(merge_supplies(supplies[::-1]), config, grading) == plan
    assert np.array_equal(MANY.take(order).repeats(plan, config), MANY.repeats(plan, config)[order])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 60),
    cap=st.sampled_from([0.3, 1.0, 1.7, 4.0]),
    part=st.floats(0.001, 1),
)
def test_no_document_passes_its_cap(seed: int, count: int, cap: float, part: float) -> None:
    pool = Pool({("web", "code"): count}, seed)
    supply = int(pool.tokens.sum())
    config = DrawConfig(max_epochs=cap, tokens=max(1, int(supply * cap * part)))
    plan = pool.plan(config)
    assert pool.repeats(plan, config).max() <= np.ceil(cap)
    assert sum(group.drawn_tokens for group in plan.groups) <= cap * supply
    check_drawn(plan, pool.draw(plan, config))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), cap=st.sampled_from([0.8, 1.0, 1.7, 4.0]), part=st.floats(0.4, 1))
def test_of_a_large_pool_larger_draws_contain_smaller(seed: int, cap: float, part: float) -> None:
    pool = Pool({("web", "code"): 8000}, seed)
    pool.tokens = np.minimum(pool.tokens, 2000)
    config, most = DrawConfig(max_epochs=cap), int(pool.tokens.sum()) * cap * part
    small, large = (replace(config, tokens=int(tokens)) for tokens in (most / 2, most))
    assert (pool.repeats(pool.plan(small), small) <= pool.repeats(pool.plan(large), large)).all()


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
    rank, one = np.array([0.5]), np.array([1])
    for source, domain, words in (
        (None, "code", "no source"),
        ("web", None, "no domain"),
        ("web", "cooking", "'cooking'"),
    ):
        columns = {"source": [source], "language": ["en"], "domain": [domain]}
        cells = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        with pytest.raises(UsageError, match=words):
            count_supply(cells, one, one * 0, rank)


def test_groups_without_tokens_are_left_out_and_drawn_zero_times() -> None:
    pool, config = Pool({("web", "code"): 3, ("web", "arts"): 2}), DrawConfig(max_epochs=2)
    pool.tokens = np.array([5, 6, 7, 0, 0])
    plan = pool.plan(config)
    assert [group.name for group in plan.groups] == ["web/code"]
    assert pool.repeats(plan, config).tolist() == [2, 2, 2, 0, 0]
    assert pool.draw(plan, config)["undrawn/web/arts"] == 2


def test_languages_and_axes_have_targets_of_their_own() -> None:
    config = DrawConfig(targets=BALANCED, language_targets={"zh": 0.3}, joint_targets={"zh/IQ": 0.2})
    plan = MANY.plan(config)
    check_drawn(plan, MANY.draw(plan, config))
    assert plan.missed == {}
    assert shares(plan.groups)["language"]["zh"] == pytest.approx(0.3, abs=0.005)
    assert {name: target.drawn for name, target in plan.targets.items()} == pytest.approx(
        {**BALANCED, "zh": 0.3, "zh/IQ": 0.2}, abs=0.005
    )
    # what of Chinese code there is limits it: a fifth of the mixture has at most four epochs of it
    scarce = [group for group in plan.groups if group.language == "zh" and group.domain == "code"]
    assert all(group.epochs == 4.0 for group in scarce) and len(scarce) == 2
    assert plan.tokens == pytest.approx(20 * sum(group.tokens for group in scarce), rel=0.01)
    assert "target zh/IQ = 0.2" in plan.binding and plan.alone["zh/IQ"] == pytest.approx(plan.tokens, rel=0.01)


GRADES = (Grade(best=0.1, epochs=4), Grade(best=0.5, epochs=2), Grade(best=1.0, epochs=1))


@pytest.mark.parametrize("tokens", [None, 300_000])
def test_the_best_are_repeated(tokens: int | None) -> None:
    """Of each group of the web the best tenth has four times the epochs of the worst half; others have no grades."""
    config = DrawConfig(quality="quality", grades=GRADES, tokens=tokens)
    plan = MANY.plan(config)
    check_drawn(plan, MANY.draw(plan, config))
    repeats = MANY.repeats(plan, config)
    for domain in ("code", "general", "literature"):
        mine = np.array(
            [
                s == "web" and d == domain
                for s, d in zip(MANY.table["source"].to_pylist(), MANY.table["domain"].to_pylist())
            ]
        )
        best, middle, worst = [group for group in plan.groups if group.source == "web" and group.domain == domain]
        assert [best.epochs / worst.epochs, middle.epochs / worst.epochs] == pytest.approx([4, 2], rel=1e-6)
        assert best.tokens / MANY.tokens[mine].sum() == pytest.approx(0.1, abs=0.03)
        assert best.min_quality and middle.min_quality and worst.min_quality is None
        order = np.argsort(MANY.qualities[mine])
        in_order = repeats[mine][order]
        assert in_order[-10:].mean() > in_order[:10].mean()
    if tokens is None:
        assert {group.epochs for group in plan.groups if group.source == "curated"} == {4.0}
        assert {group.epochs for group in plan.groups if group.source == "web"} == {4.0, 2.0, 1.0}
    else:
        assert plan.tokens == pytest.approx(tokens, rel=0.01)


def test_grades_by_bounds_leave_out_what_is_below_and_count_the_unscored_as_the_last() -> None:
    pool = Pool({("web", "code"): 5})
    pool.qualities, pool.tokens = np.array([0.95, 0.9, 0.5, 0.4999, np.nan]), np.array([10, 10, 10, 10, 10])
    config = DrawConfig(quality="quality", grades=(Grade(min=0.9, epochs=3), Grade(min=0.5, epochs=1)))
    plan = pool.plan(config)
    assert pool.repeats(plan, config).tolist() == [3, 3, 1, 0, 1]
    assert [(group.name, group.min_quality, group.documents) for group in plan.groups] == [
        ("web/code grade 1", 0.9, 2), ("web/code grade 2", 0.5, 2), ("web/code grade 3", None, 1),
    ]  # fmt: skip


def test_a_draw_by_quality_prefers_the_best() -> None:
    """With weights exp(q / T), a draw of few documents has each with a probability in proportion to its weight."""
    pool, temperature = Pool({("web", "code"): 20_000}), 0.5
    pool.tokens = np.ones(20_000, dtype=np.int64)
    pool.ranks = weighted_ranks(pool.ranks, pool.qualities, temperature)
    config = DrawConfig(tokens=1000)
    drawn = pool.repeats(pool.plan(config), config) > 0
    high, low = (float(drawn[part].sum()) for part in (pool.qualities > 0.9, pool.qualities < 0.1))
    assert drawn.sum() == pytest.approx(1000, abs=2) and high / low == pytest.approx(
        np.exp(0.9 / temperature), rel=0.35
    )
    pool.ranks = weighted_ranks(document_ranks(["x"] * 20_000, range(20_000), 1), pool.qualities, 0.01)
    drawn = pool.repeats(pool.plan(config), config) > 0
    assert pool.qualities[drawn].min() > np.quantile(pool.qualities, 0.88)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30))
def test_bins_of_quality_keep_the_order(values: list[float]) -> None:
    ordered = np.array(sorted(values))
    bins = quality_bins(ordered)
    assert (np.diff(bins) >= 0).all()
    for value, number in zip(ordered.tolist(), bins.tolist()):
        assert lower_edge(number) <= value < lower_edge(number + 1)
        assert lower_edge(number + 1) - lower_edge(number) <= max(abs(value), 2.0**-126) * 2**-10
