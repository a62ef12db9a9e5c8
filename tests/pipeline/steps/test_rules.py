"""Rules in a recipe: written short or out, they are the same, in the same order."""

import tomllib
from typing import Any

import pytest

from infra.errors import UsageError
from pipeline.recipes.parse import parse_recipe
from pipeline.recipes.toml import recipe_toml
from pipeline.steps.rules import RecipeRule

SHORT = """
[[stage]]
command = "filter"
step = [
  { kind = "judge", name = "size", source = "by eye", rules = [
    "words >= 50", "words <= 9000",
    { signal = "mean_word_length", min = 3, source = "Gopher A.1.1" },
    { languages = ["en", "de"], rules = ["digit_fraction <= 0.1", "symbol_fraction <= 1e-3"] },
    { languages = ["zh"], source = "a guess", rules = ["han_fraction >= 0.5"] },
    { signal = "characters", max = 9, languages = ["zh"] },
    "uppercase_fraction >= -0.5",
  ] },
]
"""
LONG: list[dict[str, Any]] = [
    {"signal": "words", "min": 50, "source": "by eye"},
    {"signal": "words", "max": 9000, "source": "by eye"},
    {"signal": "mean_word_length", "min": 3, "source": "Gopher A.1.1"},
    {"signal": "digit_fraction", "max": 0.1, "source": "by eye", "languages": ["en", "de"]},
    {"signal": "symbol_fraction", "max": 0.001, "source": "by eye", "languages": ["en", "de"]},
    {"signal": "han_fraction", "min": 0.5, "source": "a guess", "languages": ["zh"]},
    {"signal": "characters", "max": 9, "source": "by eye", "languages": ["zh"]},
    {"signal": "uppercase_fraction", "min": -0.5, "source": "by eye"},
]


def rules_of(source: dict[str, Any]) -> tuple[RecipeRule, ...]:
    return parse_recipe(source, "here").stages[0].steps[0].rules


def test_the_short_form_and_the_long_are_one() -> None:
    short = tomllib.loads(SHORT)
    long = {"stage": [{"command": "filter", "step": [{"kind": "judge", "name": "size", "rules": LONG}]}]}
    assert rules_of(short) == rules_of(long)


def test_the_program_writes_it_as_people_do() -> None:
    assert recipe_toml(tomllib.loads(SHORT)).replace("0.001", "1e-3").strip() == SHORT.strip()


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("words", "'words' is no comparison of a signal with a number"),
        ("words > 50", "is no comparison"),
        ("words == 50", "is no comparison"),
        ("50 <= words", "is no comparison"),
        ("words >= many", "is no comparison"),
        ("words >= nan", "is no comparison"),
        ("words >= 5 <= 9", "is no comparison"),
        ("words >= 5\n", "is no comparison"),
        ("wrods >= 5", "no signal 'wrods'"),
        ("words >= 1e999", "min must be a number"),
        ("words >= " + "9" * 5000, "must be a number"),
        (5, "rules must be a list of tables and comparisons"),
        ({"rules": ["words >= 5"], "sorce": "x"}, "did you mean 'source'"),
        ({"rules": ["words >= 5"], "min": 5}, "unknown key 'min'"),
        ({"rules": "words >= 5"}, "rules must be a list"),
        ({"rules": [{"signal": "words", "min": 5}]}, "is no comparison"),
        ({"rules": ["words >= 5"], "languages": "en"}, "languages must be a list of words"),
        ({"rules": ["words >= 5"], "source": 5}, "source must be a text"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_line(rule: Any, says: str) -> None:
    source = {"stage": [{"command": "filter", "step": [{"kind": "judge", "name": "size", "rules": [rule]}]}]}
    with pytest.raises(UsageError) as refused:
        parse_recipe(source, "here")
    message = str(refused.value)
    assert says in message and message.startswith("here") and "\n" not in message and len(message) < 600
