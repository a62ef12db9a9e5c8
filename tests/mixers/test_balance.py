"""The solution of a mixture: sums, caps and floors hold, and targets are met wherever a linear program finds a way."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from infra.errors import UsageError
from mixers.balance import MixtureSolution, solve_mixture
from mixers.domains import DOMAINS, Axis, domains_of
from mixers.grades import Cell
from mixers.targets import DrawConfig

CELLS: list[Cell] = [
    ("curated", "*", "code"), ("curated", "*", "literature"), ("web", "*", "code"), ("web", "*", "general"),
    ("web", "*", "literature"),
]  # fmt: skip
AVAILABLE = [1000, 3000, 200, 600, 400]
BALANCED = {"IQ": 0.5, "EQ": 0.4, "general": 0.1}


def epochs(solved: MixtureSolution, available: list[int] = AVAILABLE) -> list[float]:
    return [drawn / tokens for drawn, tokens in zip(solved.drawn, available)]


def test_as_many_as_the_scarcest_target_allows() -> None:
    solved = solve_mixture(CELLS, AVAILABLE, DrawConfig(targets=BALANCED))
    # Half of the mixture is code, and there are 1,200 tokens of it, four times over.
    assert solved.tokens == pytest.approx(9600, rel=1e-5)
    assert epochs(solved)[0] == epochs(solved)[2] == 4.0
    assert solved.binding == (
        "max_epochs 4 of curated/code (1,000 tokens)", "max_epochs 4 of web/code (200 tokens)", "target IQ = 0.5",
    )  # fmt: skip
    # 5,200 tokens are 20,800 with repeats, 16,000 of them not code: what each target alone allows
    assert solved.missed == {} and solved.possible == pytest.approx(20_800, rel=1e-5)
    assert solved.alone == pytest.approx({"IQ": 9600, "EQ": (4800 + 2400) / 0.6, "general": 20_800}, rel=0.02)


def test_targets_come_before_size() -> None:
    """40/40/20 of a pool with little that is general: the total is what that allows, four epochs of it."""
    cells: list[Cell] = [("curated", "*", "code"), ("curated", "*", "literature"), ("web", "*", "general")]
    config = DrawConfig(targets={"IQ": 0.4, "EQ": 0.4, "general": 0.2}, tolerance=0.2)
    solved = solve_mixture(cells, [10_000, 10_000, 230], config)
    assert solved.tokens == pytest.approx(5 * 4 * 230, rel=1e-4)
    assert [drawn / solved.tokens for drawn in solved.drawn] == pytest.approx([0.4, 0.4, 0.2], abs=1e-5)
    # asked for a size, it is drawn, and the miss is told with what it is limited by
    sized = solve_mixture(cells, [10_000, 10_000, 230], replace(config, tokens=20_000))
    assert sum(sized.drawn) == pytest.approx(20_000, rel=1e-5)
    assert sized.missed["general"] == pytest.approx((0.2, 0.046))
    assert sized.limits_of["general"] == ("max_epochs 4 of web/general (230 tokens)",)
    with pytest.raises(
        UsageError, match=r"target general = 0.2 .* limited by max_epochs 4 of web/general .* 9,200 tokens"
    ):
        solve_mixture(cells, [10_000, 10_000, 230], replace(config, tokens=20_000, tolerance=0.1))


def test_within_what_is_asked_groups_keep_the_pool_s_proportions() -> None:
    solved = solve_mixture(CELLS, AVAILABLE, DrawConfig(targets=BALANCED, tokens=3000))
    assert epochs(solved) == pytest.approx((1.25, 0.352941, 1.25, 0.5, 0.352941), abs=1e-4)
    assert solved.binding == () and solved.missed == {}


def test_a_target_of_what_the_pool_has_not_is_missed_by_as_little_as_can_be() -> None:
    config = DrawConfig(targets=BALANCED | {"mathematics": 0.05})
    for tokens in (3000, None):
        solved = solve_mixture(CELLS, AVAILABLE, replace(config, tokens=tokens))
        assert solved.missed == {"mathematics": (0.05, 0.0)}
        assert solved.limits_of == {"mathematics": ("the pool, which has nothing of it",)}


def test_what_contradicts_a_target_is_named() -> None:
    solved = solve_mixture(CELLS, AVAILABLE, DrawConfig(targets={"IQ": 0.8}, max_share={"code": 0.5}))
    assert solved.missed["IQ"] == pytest.approx((0.8, 0.5), abs=1e-5)
    assert "max_share code = 0.5" in solved.limits_of["IQ"]
    solved = solve_mixture(CELLS, AVAILABLE, DrawConfig(targets={"IQ": 0.2}, min_share={"code": 0.5}, tokens=3000))
    assert solved.limits_of == {"IQ": ("min_share code = 0.5",)}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            DrawConfig(targets=BALANCED, tokens=30_000),
            ["30,000", "max_epochs 4 of curated/code", "at most 20,800 tokens"],
        ),
        (DrawConfig(targets={"mathematics": 0.1}, tolerance=0.01), ["target mathematics", "has nothing of it"]),
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
        solve_mixture(CELLS, AVAILABLE, config)
    message = str(caught.value)
    assert all(word in message for word in words) and "loosen" in message and "\n" not in message


def test_a_miss_that_no_size_mends_suggests_none() -> None:
    config = DrawConfig(targets={"general": 0.2}, max_source_share={"web": 0.1}, tokens=3000, tolerance=0.05)
    with pytest.raises(UsageError, match=r"0.1 is possible, limited by max_source_share web = 0.1; loosen"):
        solve_mixture(CELLS, AVAILABLE, config)


@pytest.mark.parametrize("field", ["language_targets", "min_language_share"])
def test_a_language_that_no_document_has_is_refused(field: str) -> None:
    with pytest.raises(UsageError, match="no document of the pool has the language 'zho'"):
        solve_mixture(CELLS, AVAILABLE, DrawConfig.from_block({field: {"zho": 0.2}}))


EXACT = 1e-10  # the least tolerance that the linear program takes


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Cell], list[int], DrawConfig]:
    domains = ("code", "science", "arts", "dialogue", "general")
    all_cells = list(itertools.product(("a", "b"), ("en", "zh"), domains))
    cells = draw(st.lists(st.sampled_from(all_cells), min_size=1, max_size=12, unique=True))
    supply = [int(10 ** draw(st.floats(1, 9))) for _ in cells]
    weights = draw(st.lists(st.floats(0.05, 1), min_size=3, max_size=3))
    languages = {cell[1] for cell in cells}
    share = draw(st.floats(0.05, 0.95))
    config = DrawConfig(
        targets={n: w / sum(weights) for n, w in zip(Axis, weights)} if draw(st.booleans()) else {},
        language_targets={"zh": share} if "zh" in languages and draw(st.booleans()) else {},
        joint_targets={"zh/IQ": draw(st.floats(0.05, 0.9)) * share} if "zh" in languages else {},
        min_source_share={"a": draw(st.one_of(st.just(0.0), st.floats(0.001, 0.6)))},
        max_share={"code": draw(st.floats(0.2, 1))},
        max_epochs=draw(st.sampled_from([1.0, 1.5, 4.0])),
        tokens=draw(st.one_of(st.none(), st.integers(1, 10**9))),
    )
    return sorted(cells), supply, config


def linear_program(cells: list[Cell], supply: list[int], config: DrawConfig, targets: bool) -> float:
    """The most tokens of a mixture that satisfies everything exactly: in tokens all of it is linear."""
    rows = [-(np.array([c[0] == "a" for c in cells]) - share) for share in config.min_source_share.values()]
    rows += [np.array([c[2] == "code" for c in cells]) - share for share in config.max_share.values()]
    equal = []
    if targets:
        equal += [np.array([c[2] in domains_of(name) for c in cells]) - share for name, share in config.targets.items()]
        equal += [np.array([c[1] == name for c in cells]) - share for name, share in config.language_targets.items()]
        equal += [
            np.array([c[1] == "zh" and c[2] in domains_of("IQ") for c in cells]) - share
            for share in config.joint_targets.values()
        ]
    scale = max(supply)
    answer = linprog(
        -np.ones(len(cells)), A_ub=np.array(rows), b_ub=np.zeros(len(rows)),
        A_eq=np.array(equal) if equal else None, b_eq=np.zeros(len(equal)) if equal else None,
        bounds=[(0, config.max_epochs * tokens / scale) for tokens in supply],
        options={"primal_feasibility_tolerance": EXACT, "dual_feasibility_tolerance": EXACT},
    )  # fmt: skip
    assert answer.status == 0
    return float(-answer.fun * scale)


@settings(max_examples=60, deadline=None)
@given(problem=problems())
@example(
    (
        [("a", "en", "arts"), ("a", "en", "code"), ("a", "en", "science"), ("b", "zh", "code")],
        [10, 10, 10, 10**9],
        DrawConfig(joint_targets={"zh/IQ": 0.25}, min_source_share={"a": 0.5}, max_share={"code": 1.0}, max_epochs=1.0),
    )
)
def test_a_linear_program_finds_nothing_better(problem: tuple[list[Cell], list[int], DrawConfig]) -> None:
    cells, supply, config = problem
    best, any_size = (linear_program(cells, supply, config, targets) for targets in (True, False))
    try:
        solved = solve_mixture(cells, supply, config)
    except UsageError as error:
        assert any_size < max(config.tokens or 1, 1) * (1 + 1e-3), str(error)
        assert any(word in str(error) for word in ("max_epochs", "min_source_share", "max_share")), str(error)
        return
    drawn = np.array(solved.drawn)
    total = drawn.sum()
    assert total == pytest.approx(solved.tokens, rel=1e-4)
    assert (drawn >= 0).all() and (drawn <= config.max_epochs * np.array(supply) * (1 + 1e-9)).all()
    assert drawn[[c[0] == "a" for c in cells]].sum() / total >= config.min_source_share["a"] - 1e-4
    assert drawn[[c[2] == "code" for c in cells]].sum() / total <= config.max_share["code"] + 1e-4
    for target in config.wanted():
        share = drawn[[target.counts(language, domain) for _, language, domain in cells]].sum() / total
        assert solved.planned[target.name] == pytest.approx((target.share, share), abs=1e-4)
    # what the program itself may be wrong by, as a share of the largest supply, is small beside this
    smallest = 1e3 * EXACT * max(supply) + 10
    if best > smallest and (config.tokens is None or config.tokens < best * (1 - 1e-3)):
        assert all(abs(asked - planned) < 1e-4 for asked, planned in solved.planned.values())
        if config.tokens is None:
            assert solved.tokens == pytest.approx(best, rel=5e-3)
    if config.tokens is not None and config.tokens > best * (1 + 5e-3) + 1:
        assert solved.missed
    assert set(solved.limits_of) == set(solved.missed) and all(solved.limits_of.values())


@settings(max_examples=25, deadline=None)
@given(problem=problems(), factor=st.floats(1, 3))
def test_more_supply_or_more_epochs_never_give_a_smaller_mixture(
    problem: tuple[list[Cell], list[int], DrawConfig], factor: float
) -> None:
    cells, supply, config = problem
    asked = replace(config, max_share={}, tokens=None, max_epochs=2)
    try:
        solved = solve_mixture(cells, supply, asked)
    except UsageError:
        return
    small = solved.tokens * (1 - 1e-3)
    if solved.missed:  # what is missed may change with the supply; without targets it cannot
        return
    assert solve_mixture(cells, supply, replace(asked, max_epochs=2 * factor)).tokens >= small
    richer = [int(tokens * factor) if i % 2 else tokens for i, tokens in enumerate(supply)]
    assert solve_mixture(cells, richer, asked).tokens >= small


def test_many_groups_are_solved_in_seconds() -> None:
    """88 groups: of two sources, four languages and all domains."""
    rng = np.random.default_rng(0)
    languages = ("en", "zh", "de", "*")
    cells = sorted(itertools.product([f"s{i}" for i in range(2)], languages, DOMAINS))
    supply = [int(value) for value in np.exp(rng.normal(18, 2, len(cells)))]
    config = DrawConfig(
        targets={"IQ": 0.4, "EQ": 0.4, "general": 0.2},
        language_targets={"zh": 0.3, "de": 0.1},
        max_share={"code": 0.15},
    )
    solved = solve_mixture(cells, supply, config)
    assert solved.missed == {} and min(solved.alone.values()) >= solved.tokens
