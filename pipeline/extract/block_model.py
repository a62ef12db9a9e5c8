"""Classifies the blocks of a page as main text or not: a small network over the features of `block_features.py`.

Its weights are in `block_model.toml`, by the names of the features. docs/extraction.md says what they were fitted on,
how they score and how to fit others.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.block_features import Array, features
from pipeline.extract.blocks import Block, blocks
from pipeline.extract.structure.markdown import fill_tables, is_formed, markdown, plain, shares, wholes
from pipeline.extract.text import Shares

FORMAT: Final = "refinery.blocks/1"
# Features are clipped to this many standard deviations from their mean.
CLIP: Final = 4.0
# A table, code or formula of a larger part of the page's text is not kept for the sake of what stands around it.
MAX_LIFTED: Final = 0.5


class BlockWeights(NamedTuple):
    """F features, H hidden units. The output is the logit of the probability that a block is main text."""

    names: tuple[str, ...]
    mean_F: Array
    scale_F: Array
    hidden_FH: Array
    hidden_bias_H: Array
    output_H: Array
    output_bias: float


class MainText(NamedTuple):
    """The blocks of a page, which of them are main text, and the `expected_f1` of their words against the true main
    text, as far as the network's probabilities hold."""

    page: Sequence[Block]
    keep: Sequence[bool]
    expected_f1: float

    @property
    def plain(self) -> str:
        """The text, a line for each block."""
        return plain(self.page, self.keep)

    @property
    def markdown(self) -> str:
        """The text as light Markdown."""
        return markdown(self.page, self.keep)

    @property
    def shares(self) -> Shares:
        return shares(self.page, self.keep)


@cache
def shipped_weights() -> BlockWeights:
    return read_weights(resources.files("pipeline.extract").joinpath("block_model.toml").read_text())


def read_weights(text: str) -> BlockWeights:
    """The weights in a model's TOML. ValueError if its format is not FORMAT."""
    model = tomllib.loads(text)
    if model.get("format") != FORMAT:
        raise ValueError(f"no model of format {FORMAT}: make one with benchmarks/fit_blocks.py")
    rows = np.array(list(model["features"].values()), float)
    return BlockWeights(
        tuple(model["features"]),
        rows[:, 0],
        rows[:, 1],
        rows[:, 2:],
        np.array(model["hidden_bias"], float),
        np.array(model["output"], float),
        float(model["output_bias"]),
    )


def matrix(page: Sequence[Block], names: Sequence[str]) -> Array:
    """The named features of a page's blocks, a row for each block."""
    found = features(page)
    return np.array([found[name] for name in names]).T


def probabilities(page: Sequence[Block], weights: BlockWeights) -> Array:
    """The probability of each block to be main text."""
    inputs_BF = matrix(page, weights.names)
    inputs_BF -= weights.mean_F
    inputs_BF /= weights.scale_F
    np.clip(inputs_BF, -CLIP, CLIP, out=inputs_BF)
    hidden_BH = np.maximum(inputs_BF @ weights.hidden_FH + weights.hidden_bias_H, 0)
    probability_B: Array = 1 / (1 + np.exp(-(hidden_BH @ weights.output_H + weights.output_bias)))
    return probability_B


def best(page: Sequence[Block], probability_B: Array) -> tuple[list[bool], float]:
    """Which blocks to keep so that the expected F1 is highest, and that F1. At least one block is kept.

    A fixed threshold would not do that: on a page where no block is certain (a list, a forum), keeping blocks of lower
    probability raises the expected F1. The kept blocks are those of the highest probability. F1 counts characters, and
    the expectation of a ratio is approximated by the ratio of expectations.
    """
    size_B = np.array([len(block.text) for block in page], float)
    order_B = np.argsort(-probability_B, kind="stable")
    likely_B = (size_B * probability_B)[order_B]
    f1_B = 2 * np.cumsum(likely_B) / (np.cumsum(size_B[order_B]) + likely_B.sum())
    last = int(f1_B.argmax())
    kept_B = np.zeros(len(page), bool)
    kept_B[order_B[: last + 1]] = True
    return kept_B.tolist(), float(f1_B[last])


def main_text(html: str) -> MainText:
    """The main text of a page; of one without text no blocks, with an expected F1 of 1."""
    page = blocks(html)
    return MainText(page, *main_blocks(page, shipped_weights())) if page else MainText((), (), 1.0)


def main_blocks(page: Sequence[Block], weights: BlockWeights) -> tuple[list[bool], float]:
    """Which blocks are main text, and the expected F1 of that. A table of data is kept or dropped as a whole."""
    fill_tables(page)
    probability_B = probabilities(page, weights)
    whole_B = np.array(wholes(page))
    size_B = np.array([len(block.text) for block in page], float)
    together_B = np.bincount(whole_B, probability_B * size_B, len(page))
    sizes_B = np.bincount(whole_B, size_B, len(page))
    several_B = np.bincount(whole_B, minlength=len(page))[whole_B] > 1
    probability_B = np.where(several_B, together_B[whole_B] / sizes_B[whole_B], probability_B)
    formed_B = several_B | np.array([is_formed(block) for block in page])
    # a table that is most of the page decides for itself
    probability_B = lifted(probability_B, formed_B, formed_B & (sizes_B[whole_B] <= MAX_LIFTED * size_B.sum()))
    keep, expected_f1 = best(page, probability_B)
    kept_B = np.bincount(whole_B, np.array(keep) * size_B, len(page)) * 2 >= sizes_B
    return kept_B[whole_B].tolist(), expected_f1


def lifted(probability_B: Array, formed_B: NDArray[np.bool_], chosen_B: NDArray[np.bool_]) -> Array:
    """The probabilities, those of code, formulas and tables (`formed`) that are `chosen` at least as high as those of
    the text before and after.

    The network has seen few of them, and tells text by its sentences: what stands between two paragraphs of the main
    text belongs to it. Of the two blocks of text before, and of the two after, the likelier one counts.
    """
    if not formed_B.any() or formed_B.all():
        return probability_B
    text_T = probability_B[~formed_B]
    before_T = np.maximum(text_T, np.append(0, text_T[:-1]))
    after_T = np.maximum(text_T, np.append(text_T[1:], 0))
    number_B = np.cumsum(~formed_B)  # of the texts up to here
    before_B = np.append(0, before_T)[number_B]
    after_B = np.append(after_T, 0)[number_B]
    return np.where(chosen_B, np.maximum(probability_B, np.minimum(before_B, after_B)), probability_B)
