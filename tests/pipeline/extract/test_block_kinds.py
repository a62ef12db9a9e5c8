"""What the names of an element say."""

import pytest

from pipeline.extract.block_kinds import HINT, KINDS, named


@pytest.mark.parametrize(
    ("inside", "kinds", "first"),
    [
        (" class='site-nav top'", {"menu", "frame"}, "site-nav"),
        (" id=commentList class=x", {"talk", "row"}, "commentList"),
        (" CLASS='Footer'", {"frame"}, "Footer"),
        (' itemscope itemtype="https://schema.org/Recipe"', {"recipe"}, "https://schema.org/Recipe"),
        (" itemprop=recipeIngredient", {"recipe"}, "recipeIngredient"),
        # only names: no data, no addresses
        (" href='/x?id=menu&class=footer'", set(), ""),
        (" data-id=menu data-class=footer", set(), ""),
        (" href=x", set(), ""),
    ],
)
def test_kinds(inside: str, kinds: set[str], first: str) -> None:
    found = named(inside)
    assert {kind for number, kind in enumerate(KINDS) if found.own >> number & 1} == kinds and found.first == first


def test_words_that_ask_for_a_closer_look() -> None:
    assert named(" class=highlight").own & HINT and not named(" class=plain").own & HINT
    assert named(" class=sr-only").said and named(" hidden").said and not named(" class=sr").said
