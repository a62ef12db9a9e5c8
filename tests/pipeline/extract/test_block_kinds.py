"""What the names of an element say."""

import pytest

from pipeline.extract.block_kinds import HINT, KINDS, named


@pytest.mark.parametrize(
    ("inside", "kinds", "first"),
    [
        (" class='site-nav top'", {"menu", "frame"}, "site-nav"),
        (" id=commentList class=x", {"talk", "row"}, "commentList"),
        (" CLASS='Footer'", {"frame"}, "Footer"),
        (" Class = 'siteFooter top' id=menu", {"frame", "menu"}, "siteFooter"),
        ("/id=menu class='a id=nav'class\n=footer", {"frame", "menu"}, "menu"),
        (' itemscope itemtype="https://schema.org/Recipe"', {"recipe"}, "https://schema.org/Recipe"),
        (" itemprop=recipeIngredient", {"recipe"}, "recipeIngredient"),
        # only names: no data, no addresses
        (" href='/x?id=menu&class=footer'", set(), ""),
        (" data-id=menu data-class=footer", set(), ""),
        (" href=x", set(), ""),
    ],
)
def test_kinds(inside: str, kinds: set[str], first: str) -> None:
    own, found, _ = named(inside)
    assert {kind for number, kind in enumerate(KINDS) if own >> number & 1} == kinds and found == first


def test_words_that_ask_for_a_closer_look() -> None:
    assert named(" class=highlight")[0] & HINT and not named(" class=plain")[0] & HINT
    assert named(" class=sr-only")[2] and named(" hidden")[2] and not named(" class=sr")[2]
