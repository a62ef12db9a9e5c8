"""Whatever is set, and wherever: the result is a recipe that can be saved, or it is refused in one line."""

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from pipeline.recipes.check import check_options
from pipeline.recipes.moot import moot_bounds
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.paths import settable
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.toml import recipe_toml

NAMES = ("yi", "fineweb2", "mixture", "minhash", "tokens")
PATHS = {name: [each.path for each in settable(load_recipe(name))] for name in NAMES}
WORDS = "filter extract language words min max off audit draw rules options name kind . de"
PARTS = st.sampled_from(WORDS.split())
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), PARTS,
              st.just("off")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(PARTS, inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(NAMES))
    known = st.sampled_from(PATHS[name])
    shorter = st.builds(lambda path, parts: ".".join(path.split(".")[:parts]), known, st.integers(1, 4))
    other = st.lists(PARTS, min_size=1, max_size=4).map(".".join)
    longer = st.builds(lambda path, part: f"{path}.{part}", known, PARTS)
    return name, draw(st.dictionaries(st.one_of(known, shorter, longer, other), VALUES, min_size=1, max_size=3))


@settings(max_examples=300, deadline=None)
@given(changes())
def test_any_change_makes_a_recipe_or_is_refused_in_one_line(given: tuple[str, dict[str, Any]]) -> None:
    name, change = given
    try:
        recipe = load_recipe(name, change)
        check_options(recipe)
    except UsageError as refused:
        assert len(str(refused).splitlines()) == 1
        return
    assert isinstance(recipe, Recipe) and isinstance(moot_bounds(recipe), list)
    saved = parse_recipe(tomllib.loads(recipe_toml(recipe.source)), "saved")
    assert (saved.sha256, saved.name) == (recipe.sha256, recipe.name)
    base = load_recipe(name)
    assert (recipe.sha256 == base.sha256) == (repr(recipe.source["stage"]) == repr(base.source["stage"]))
