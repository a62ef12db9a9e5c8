"""The largest size of a mixture of groups from 1 token to 10^12: exact, and found whatever stands beside what."""

import itertools
from fractions import Fraction
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from mixers.balance import MixtureSolution, solve_mixture
from mixers.constraints import SLACK
from mixers.domains import domains_of
from mixers.grades import Cell
from mixers.simplex import largest_sum
from mixers.targets import DrawConfig

DOMAINS = ("code", "science", "arts", "dialogue", "general")
SIZES = st.one_of(st.sampled_from([1, 2, 10**9, 10**12]), st.floats(0, 12).map(lambda power: int(10**power)))
SHARES = st.one_of(st.sampled_from([0.0, 0.1, 0.3, 1 / 3, 0.5]), st.floats(0.001, 0.6))

Problem = tuple[list[Cell], list[int], DrawConfig]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    every = list(itertools.product(("a", "b"), ("en", "zh"), DOMAINS))
    cells = sorted(draw(st.lists(st.sampled_from(every), min_size=1, max_size=10, unique=True)))
    weights = draw(st.lists(st.floats(0.05, 1), min_size=3, max_size=3))
    config = DrawConfig(
        targets={n: w / sum(weights) for n, w in zip(("IQ", "EQ", "general"), weights)} if draw(st.booleans()) else {},
        language_targets={"zh": draw(SHARES)} if any(cell[1] == "zh" for cell in cells) else {},
        min_source_share={"a": draw(SHARES)},
        min_share={"general": draw(SHARES) / 2},
        max_share={"code": 1 - draw(SHARES)},
        max_epochs=draw(st.sampled_from([1.0, 1.5, 4.0])),
        tokens=draw(st.one_of(st.none(), st.integers(1, 10**12))),
    )
    return cells, [draw(SIZES) for _ in cells], config


def without_targets(problem: Problem) -> float:
    """The size by rows made here, in tokens."""
    cells, supply, config = problem
    rows = []
    for members, share, sign in (
        ([cell[0] == "a" for cell in cells], config.min_source_share["a"], 1),
        ([cell[2] in domains_of("general") for cell in cells], config.min_share["general"], 1),
        ([cell[2] == "code" for cell in cells], config.max_share["code"], -1),
    ):
        rows.append([sign * (Fraction(member) - Fraction(str(share))) for member in members])
    return float(largest_sum(rows, [Fraction(config.max_epochs) * tokens for tokens in supply]).total)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_groups_of_all_sizes_have_a_solution_or_a_reason(problem: Problem) -> None:
    cells, supply, config = problem
    expected = without_targets(problem)
    try:
        solved = solve_mixture(cells, supply, config)
    except UsageError as error:
        assert expected < (config.tokens or 1e-9) * (1 + 1e-5), str(error)
        return
    # thirds and the like, which contradict others by rounding alone, are the only ones that are loosened
    assert solved.possible == pytest.approx(expected * (1 - SLACK), rel=1e-12) or expected == 0
    assert all(0 <= drawn <= config.max_epochs * tokens * (1 + 1e-9) for drawn, tokens in zip(solved.drawn, supply))
    assert solved.tokens <= solved.possible * (1 + 1e-5)
    assert sum(solved.drawn) == pytest.approx(solved.tokens, rel=1e-4)
    check_alone(problem, solved)


def check_alone(problem: Problem, solved: MixtureSolution) -> None:
    """No target allows more than there is without one."""
    for name, tokens in solved.alone.items():
        assert 0 < tokens <= solved.possible * (1 + 1e-9), (name, problem)


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, st.sampled_from([0.5, 0.3, 0.125]))
def test_of_two_groups_the_scarcer_one_limits(one: int, other: int, share: float) -> None:
    cells: list[Cell] = [("web", "*", "arts"), ("web", "*", "code")]
    solved = solve_mixture(cells, [one, other], DrawConfig(targets={"EQ": share, "IQ": 1 - share}, max_epochs=4))
    # targets may be missed by the slack
    assert solved.tokens == pytest.approx(min(4 * one / share, 4 * other / (1 - share)), rel=2e-5)


def test_shares_that_add_up_to_one_but_for_rounding() -> None:
    cells: list[Cell] = [("web", "*", "arts"), ("web", "*", "code"), ("web", "*", "general")]
    thirds = dict.fromkeys(("EQ", "IQ", "general"), 1 / 3)
    solved = solve_mixture(cells, [10**9, 10**9, 10], DrawConfig(max_share=thirds, max_epochs=1))
    assert solved.possible == pytest.approx(30, rel=1e-5)
    tenths = {"EQ": 0.1, "IQ": 0.2, "general": 0.7}
    solved = solve_mixture(cells, [10**9, 10**9, 7], DrawConfig(min_share=tenths, max_epochs=1))
    assert solved.possible == pytest.approx(10, rel=1e-5)


def test_what_contradicts_by_little_is_named() -> None:
    cells: list[Cell] = [("web", "*", "arts"), ("web", "*", "code")]
    with pytest.raises(UsageError, match=r"min_share EQ = 0.5; min_share IQ = 0.5"):
        solve_mixture(cells, [10, 10], DrawConfig(min_share={"EQ": 0.5, "IQ": 0.5 + 3e-9}))


def test_hundreds_of_groups_are_quick() -> None:
    """264 groups of 1 token to 10^12, twelve targets."""
    languages = [f"l{n}" for n in range(8)]
    every = itertools.product(("a", "b", "c"), languages, (*DOMAINS, "literature", "emotion", "society", "mathematics"))
    cells = sorted(every)
    supply = [10 ** (place * 7 % 13) for place in range(len(cells))]
    config = DrawConfig(
        targets={"IQ": 0.4, "EQ": 0.4, "general": 0.2},
        language_targets=dict.fromkeys(languages[1:], 0.1),
        min_source_share={"a": 0.2, "b": 0.05},
        max_share={"code": 0.15},
    )
    begin = process_time()
    solved = solve_mixture(cells, supply, config)
    assert process_time() - begin < 20 and solved.possible > 10**12
