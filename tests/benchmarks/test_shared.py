"""What several benchmarks use."""

import tomllib

import pytest

from benchmarks.shared import recipe_until
from pipeline.recipes.parse import load_recipe, parse_recipe


@pytest.mark.parametrize("name", ["yi", "falcon", "fineweb"])
def test_a_recipe_until_a_stage_is_one_that_can_be_run(name: str) -> None:
    made = parse_recipe(tomllib.loads(recipe_until(name)), "made")
    whole = load_recipe(name)
    assert made.stages == whole.stages[: len(made.stages)] and made.stages[-1].name == "filter"
