"""Rules as data and the judge: ties, off, zero, null, and every failure."""

import pytest

from filters.rules import Failure, Rule, judge


@pytest.mark.parametrize(
    ("bound", "threshold", "value", "passes"),
    [
        ("min", 5.0, 5.0, True),
        ("min", 5.0, 4.9, False),
        ("max", 0.0, 0.0, True),
        ("max", 0.0, 0.1, False),  # zero is a threshold
        ("max", None, 9.0, True),  # None is off
        ("min", 0.0, None, True),  # a null never rejects
    ],
)
def test_bounds(bound: str, threshold: float | None, value: float | None, passes: bool) -> None:
    rule = Rule("x", bound, threshold)  # type: ignore[arg-type]
    assert rule.passes(value) is passes
    assert (judge({"x": value}, [rule]) == []) is passes


def test_every_failure_is_reported_in_the_order_of_the_rules() -> None:
    rules = [Rule("a", "max", 1), Rule("b", "min", 2), Rule("a", "max", 3), Rule("a", "max", 9)]
    assert judge({"a": 5.0, "b": 1.0}, rules) == [
        Failure(rules[0], 5.0, 1),
        Failure(rules[1], 1.0, 2),
        Failure(rules[2], 5.0, 3),
    ]
    assert [rule.name for rule in rules[:2]] == ["max_a", "min_b"]


def test_a_signal_that_was_not_measured_is_a_mistake_unless_the_rule_is_off() -> None:
    assert judge({}, [Rule("a", "max", None)]) == []
    with pytest.raises(ValueError, match=r"min_a.*not measured"):
        judge({}, [Rule("a", "min", 1)])


@pytest.mark.parametrize(("bound", "threshold"), [("most", 1.0), ("max", float("nan")), ("min", float("inf"))])
def test_nonsense_is_refused(bound: str, threshold: float) -> None:
    with pytest.raises(ValueError, match="rule on 'a'"):
        Rule("a", bound, threshold)  # type: ignore[arg-type]
