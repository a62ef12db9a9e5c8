"""The tables of docs/signals.md agree with the code and the recipe."""

import re
from pathlib import Path

import pytest

from filters.catalog import EDITS
from filters.redpajama import COUNTERPARTS
from filters.stopwords import FINEWEB2_STOP_WORDS
from pipeline.recipes.parse import load_recipe
from pipeline.steps.judge import Judge
from pipeline.steps.label import Label

DOCS = (Path(__file__).parent.parent.parent / "docs" / "signals.md").read_text()


def table(name: str) -> list[list[str]]:
    """The rows of a marked table, without its head."""
    block = DOCS.split(f"<!-- {name}:")[1].split("<!-- end -->")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line.startswith("|")
    ]
    return rows[2:]


def test_every_redpajama_name_is_in_the_table() -> None:
    rows = [(name.strip("`"), (ours.strip("`"), note)) for name, ours, note in table("redpajama")]
    assert rows == sorted(COUNTERPARTS.items())


def test_every_mask_is_in_the_table() -> None:
    masks = {name for name in EDITS if name.startswith("mask_")}
    assert masks <= set(re.findall(r"`(mask_\w+)`", DOCS))


def bounds(language: str) -> dict[str, float]:
    """The recipe's thresholds for one language, those for all languages left out."""
    judges = [step for stage in load_recipe("fineweb2").stages for step in stage.steps if isinstance(step, Judge)]
    rules = [each for judge in judges for each in judge.rules if each.languages == (language,)]
    return {each.rule.name: each.rule.threshold for each in rules if each.rule.threshold is not None}


@pytest.mark.parametrize("row", table("fineweb2"), ids=lambda row: row[0])
def test_the_recipe_has_the_thresholds_of_the_table(row: list[str]) -> None:
    language, _, score, lines, top, duplicate, punctuated, newlines, length, alphabetic = row
    shortest, longest = length.split(" to ")
    assert bounds(language) == {
        "min_language_score": float(score),
        "max_duplicate_line_fraction": float(lines),
        **{f"max_top_{n}_gram_character_fraction": float(x) for n, x in zip((2, 3, 4), top.split(), strict=True)},
        **{
            f"max_duplicate_{n}_gram_character_fraction": float(x)
            for n, x in zip(range(5, 11), duplicate.split(), strict=True)
        },
        "min_fineweb_punctuated_line_fraction": float(punctuated),
        "max_fineweb_newline_word_ratio": float(newlines),
        "min_gopher_mean_word_length": float(shortest),
        "max_gopher_mean_word_length": float(longest),
        "min_gopher_alphabetic_word_fraction": float(alphabetic),
    }


def test_the_recipe_keeps_the_languages_of_the_table() -> None:
    labels = [step for stage in load_recipe("fineweb2").stages for step in stage.steps if isinstance(step, Label)]
    languages = {row[0] for row in table("fineweb2")}
    assert len(languages) == 10
    assert {*labels[0].keep} == languages == set(FINEWEB2_STOP_WORDS)
