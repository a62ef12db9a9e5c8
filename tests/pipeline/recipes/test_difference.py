"""In what two recipes differ, in one line."""

from dataclasses import replace

import pytest

from pipeline.recipes.difference import recipe_difference
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.recipe import Recipe

LAST = {"name": "only", "command": "filter"}


def recipe(*steps: dict[str, object], **keys: object) -> Recipe:
    return parse_recipe({"name": "mine", "about": "", "stage": [{**LAST, **keys, "step": list(steps)}]}, "mine.toml")


def judge(*rules: str, name: str = "size") -> dict[str, object]:
    return {"kind": "judge", "name": name, "rules": list(rules)}


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (
            judge("words >= 5"),
            judge("words >= 6"),
            "stage 'only', step 'size': 'words at least 5' is 'words at least 6' now",
        ),
        (
            judge("words >= 5"),
            judge("words >= 5", "lines >= 2"),
            "stage 'only', step 'size': 'lines at least 2' is new",
        ),
        (
            judge("words >= 5", "lines >= 2"),
            judge("lines >= 2"),
            "stage 'only', step 'size': 'words at least 5' is not there now",
        ),
    ],
)
def test_rules(before: dict[str, object], now: dict[str, object], says: str) -> None:
    assert recipe_difference(recipe(before), recipe(now)) == says


def test_steps_and_stages() -> None:
    one, two = judge("words >= 5"), judge("lines >= 2", name="lines")
    assert recipe_difference(recipe(one), recipe(one, two)).startswith("stage 'only': 'judge lines' is new; ")
    assert recipe_difference(recipe(one), recipe(one, name="other")) == (
        "stage 'other' is new; stage 'only' is not there now"
    )
    carried = recipe(one, carried=["quality"])
    assert recipe_difference(recipe(one), carried) == (
        "stage 'only' was filter, and is filter with carried=['quality'] now"
    )


def test_models_and_words() -> None:
    before, now = (replace(recipe(judge("words >= 5")), models={"quality.bin": sha256}) for sha256 in "12")
    assert recipe_difference(before, now) == "the model 'quality.bin' is another file"
    fewer = replace(before, models={})
    assert recipe_difference(before, fewer) == "other stages of it were run, since its inputs are of another kind"
    other = recipe({**judge("words >= 5"), "source": "by eye"})
    assert recipe_difference(recipe(judge("words >= 5")), other) == "it is written in another way"


def test_two_shipped_recipes() -> None:
    said = recipe_difference(load_recipe("falcon"), load_recipe("fineweb"))
    assert said.startswith("it was 'falcon', and is 'fineweb' now; ") and said.endswith("`refinery recipes diff`)")
    assert len(said) < 300
