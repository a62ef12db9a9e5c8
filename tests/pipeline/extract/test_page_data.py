"""What the data of a page for search engines tell of its blocks."""

import json
import time
from typing import Any

import pytest

from pipeline.extract.blocks import blocks
from pipeline.extract.page_data import DataTexts, strings

RECIPE = {
    "@context": "https://schema.org",
    "@graph": [
        {"@type": "WebSite", "name": "A kitchen"},
        {
            "@type": "Recipe",
            "name": "Soup",
            "author": {"@type": "Person", "name": "A cook"},
            "recipeIngredient": ["2 onions", "1&nbsp;l of water"],
            "recipeInstructions": [{"@type": "HowToStep", "text": "Cut the onions and boil them.<br>Serve."}],
        },
    ],
}


def told(text: str, data: Any = RECIPE) -> bool:
    return DataTexts([json.dumps(data)]).is_told(text)


@pytest.mark.parametrize("text", ["Soup", "2 onions", "1 l of water", "Cut the onions and boil them.", "Serve."])
def test_names_of_things_ingredients_and_steps_are_told(text: str) -> None:
    assert told(text)


@pytest.mark.parametrize("text", ["A kitchen", "A cook", "Recipe", "3 onions", "Cut the onions and fry them."])
def test_other_text_is_not(text: str) -> None:
    assert not told(text)


def test_a_paragraph_of_an_article_body_is_told() -> None:
    body = {"articleBody": "One two three four five six. Seven eight nine ten eleven twelve."}
    assert told("Seven eight nine ten eleven twelve.", body) and not told("Two three four.", body)


@pytest.mark.parametrize("script", ["", "{", "[" * 100_000, '{"text": 1}', '"text"', '{"text": null};'])
def test_what_tells_nothing(script: str) -> None:
    assert strings(script) == []


def test_blocks_know_whether_they_are_told() -> None:
    page = blocks(
        f"<script type='application/ld+json'>{json.dumps(RECIPE)}</script><p>2 onions</p><p>Print</p>"
        "<script type='application/ld+json'>{</script>"
    )
    assert [(block.text, block.told) for block in page] == [("2 onions", True), ("Print", False)]


def test_many_strings_take_linear_time() -> None:
    data = {"text": ["a b c d e " * 1000] * 9, "step": ["x"] * 9000}
    page = f"<script type=application/ld+json>{json.dumps(data)}</script>" + "<p>a b c d e a b c d" * 20_000
    begin = time.process_time()
    assert all(block.told for block in blocks(page))
    assert time.process_time() - begin < 4
