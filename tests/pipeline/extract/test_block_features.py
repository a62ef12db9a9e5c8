"""The features of blocks: a finite number for each block, named as in the shipped weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.block_features import NAMES, features
from pipeline.extract.blocks import blocks
from tests.pipeline.extract.articles import PIECES


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_there_is_a_finite_number_for_each_name(html: str) -> None:
    page = blocks(html)
    if page:
        found = features(page)
        assert found.shape == (len(page), len(NAMES)) and np.isfinite(found).all()


def column(html: str, name: str) -> list[float]:
    found: list[float] = features(blocks(html))[:, NAMES.index(name)].round(3).tolist()
    return found


CARDS = "".join(f"<div class=card><h3><a href=/{i}>Chair {i}</a></h3><b>$ {i}.99</b></div>" for i in range(3))


@pytest.mark.parametrize(
    ("html", "name", "values"),
    [
        ("<p>One. Two! 3</p><p>四。", "sentences", [1.099, 0.693]),
        ("<p>a, b</p><p>a、b，c", "pauses", [0.693, 1.099]),
        ("<p>A1</p><p>٣b", "digits", [0.5, 0.5]),
        ("<p>ABc d", "capitals", [0.4]),
        ("<p>9 €</p><p>€</p><p>9", "priced", [1, 0, 0]),
        ("<p>a<p>b<p>a", "repeated", [1, 0, 1]),
        ("<p>ab</p><p>abcd", "-1 bare length", [1.609, 0]),
        ("<p>ab</p><h1>c</h1><p>d", "after <h1>", [0, 1, 1]),
        (CARDS + "<p>Imprint", "in run", [1] * 6 + [0]),
        (CARDS + "<p>Imprint", "run: priced", [0.5] * 6 + [0]),
        (CARDS + "<p>Imprint", "path: blocks", [1.386] * 6 + [0.693]),
    ],
)
def test_what_is_counted(html: str, name: str, values: list[float]) -> None:
    assert column(html, name) == pytest.approx(values, abs=1e-3)
