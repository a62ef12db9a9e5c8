"""The expected gain of another extractor's text: its signs, its weights, and the file that holds them."""

import numpy as np
import pytest

from pipeline.extract.block_model import best, expected_f1
from pipeline.extract.blocks import blocks
from pipeline.extract.gain import GainWeights, Signs, read_gain, shipped_gain, to_toml
from tests.pipeline.extract.articles import PAGE_WITH_MENUS

SURE = Signs(expected=0.8, expected_of_other=0.3, agree=0.8, others_agree=0.6)


def test_a_text_that_two_find_and_the_network_does_not_is_a_gain() -> None:
    weights = shipped_gain()
    assert weights.gain(Signs(expected=0.5, expected_of_other=0.45, agree=0.2, others_agree=0.95)) > 0.1
    assert weights.gain(SURE) < -0.1
    for better in (SURE._replace(expected_of_other=0.6), SURE._replace(others_agree=0.9), SURE._replace(agree=0.2)):
        assert weights.gain(better) > weights.gain(SURE)
    assert weights.gain(Signs(0.5, 0.0, 0.5, 0.3)) > weights.gain(SURE), "the less is expected, the more is gained"


def test_gain_is_linear_in_its_terms() -> None:
    weights = GainWeights(0.8, 0.9, 0.1, -0.5, -0.25, 0.75)
    assert weights.gain(SURE) == pytest.approx(0.1 - 0.5 * 0.8 - 0.25 * 0.5 + 0.75 * -0.2)


def test_the_file() -> None:
    assert read_gain(to_toml(shipped_gain())) == shipped_gain()
    for broken in ("", 'format = "refinery.blocks/1"', to_toml(shipped_gain()).replace("constant", "other")):
        with pytest.raises(ValueError, match=r"no model of format refinery\.joined/1: make one"):
            read_gain(broken)


def test_the_expected_f1_of_the_best_blocks_is_what_they_were_chosen_by() -> None:
    page = blocks(PAGE_WITH_MENUS)
    probability_B = np.random.default_rng(0).random(len(page))
    keep, expected = best(page, probability_B)
    assert expected_f1(page, probability_B, keep) == pytest.approx(expected)
    assert expected_f1(page, probability_B, [not each for each in keep]) < expected
    assert expected_f1(page, probability_B, [False] * len(page)) == 0
    assert expected_f1(page, np.ones(len(page)), [True] * len(page)) == pytest.approx(1)
