"""Recipes: what is shipped can be read, what is wrong is named with its place, and the hash covers what decides."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.models.combination import Combination, Term
from pipeline.recipes.parse import load_recipe, parse_recipe
from pipeline.recipes.shipped import shipped
from pipeline.recipes.text import recipe_text
from tests.pipeline.recipe_texts import Part, judge, stage


def small(least: float, **keys: str) -> Part:
    """A recipe that asks for this many words."""
    return {"name": "small", "stage": [stage("f", "filter", judge("size", {"signal": "words", "min": least}))], **keys}


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_can_be_read_and_shown(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.about
    assert len(recipe_text(recipe).splitlines()) > len(recipe.stages)


def test_the_published_numbers_of_refinedweb() -> None:
    """Gopher's table A1 and RefinedWeb's own numbers, as arXiv 2306.01116 has them."""
    text = recipe_text(load_recipe("falcon"))
    for line in (
        "duplicate_line_fraction at most 0.3 ",
        "duplicate_10_gram_character_fraction at most 0.1 ",
        "top_2_gram_character_fraction at most 0.2 ",
        "gopher_words at least 50 ",
        "gopher_words at most 100000 ",
        "removed_word_fraction at most 0.05 ",
        "language_score at least 0.65 ",
        "dedup minhash: bands 450, link component, ngram 5, policy first, rows 20, verify no",
    ):
        assert line in text + " "


def test_a_recipe_is_shown_with_the_curves_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the model folder; where that has none, those that come with the package; else the file's name alone."""
    monkeypatch.setenv("REFINERY_MODELS", str(tmp_path / "models"))
    shown = recipe_text(load_recipe("yi"))
    assert re.search(
        r"combine quality \(en\) with quality-en.json from -?[\d.]+\n    \w+ at \[[\d., ]+\] adds \[", shown
    )
    assert "prune quality-upper-bound: what cannot pass scores any more\n    quality at least 0.2    #" in shown
    (tmp_path / "models").mkdir()
    mine = Combination(0.25, (Term("words", (5.0,), (1.0,)),))
    (tmp_path / "models" / "quality-en.json").write_text(mine.as_text())
    assert "quality-en.json from 0.25\n    words at [5.0] adds [1.0]" in recipe_text(load_recipe("yi"))
    step = {"kind": "combine", "signal": "quality", "model": "other.json"}
    other = parse_recipe({"stage": [{"command": "filter", "step": [step]}]}, "here")
    assert recipe_text(other).splitlines()[-1] == "  combine quality with other.json"


def test_zero_is_a_threshold() -> None:
    recipe = parse_recipe(small(0), "here")
    assert recipe_text(recipe).splitlines()[-1].strip() == "words at least 0"


def test_the_hash_covers_thresholds_and_models() -> None:
    recipe = parse_recipe(small(50), "here")
    assert recipe.sha256 != parse_recipe(small(51), "here").sha256
    assert recipe.sha256 == parse_recipe(small(50, about="other words"), "elsewhere").sha256
    assert recipe.sha256 != replace(recipe, models={"m": "1"}).sha256


SIZE = {"kind": "judge", "name": "size", "rules": [{"signal": "words", "min": 1}]}
LANGUAGE = {"kind": "label", "what": "language", "model": "m"}


@pytest.mark.parametrize(
    ("command", "steps", "name"),
    [
        ("filter", [SIZE, {**SIZE, "rules": []}], "size"),
        ("filter", [{**SIZE, "name": "language"}, LANGUAGE], "language"),
        ("extract", [{"kind": "extract", "engine": "resiliparse"}] * 2, "extract"),
        ("mix", [LANGUAGE, LANGUAGE], "language"),
    ],
)
def test_two_steps_of_a_stage_have_two_names(command: str, steps: list[dict[str, object]], name: str) -> None:
    source = {"stage": [{"command": command, "step": steps}]}
    with pytest.raises(UsageError, match=f"here: stage 1 .{command}.: two steps are called '{name}'"):
        parse_recipe(source, "here")
    parse_recipe({"stage": [{"command": command, "step": [*steps[:-1], {**steps[-1], "name": "last"}]}]}, "here")


def test_the_former_keys_of_a_stage_are_read() -> None:
    steps = [{"kind": "extract", "engine": "resiliparse"}]
    now = parse_recipe({"stage": [{"command": "extract", "audit": 0.5, "step": steps}]}, "here")
    before = parse_recipe({"stage": [{"verb": "extract", "control": 0.5, "step": steps}]}, "here")
    assert before.stages == now.stages
    with pytest.raises(UsageError, match="verb is the former name of command"):
        parse_recipe({"stage": [{"verb": "extract", "command": "extract", "step": steps}]}, "here")
