"""Which blocks of a page are its main text: a small network over the features of `block_features.py`.

The numbers are in `block_model.toml`, by the names of the features; what they were learned from, how they score and
how to make others is told in docs/extraction.md.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

import numpy as np

from pipeline.extract.block_features import Array, features
from pipeline.extract.blocks import Block, blocks
from pipeline.extract.extractors import tidy

FORMAT: Final = "refinery.blocks/1"
# Further from its mean than this many deviations, a feature says no more.
CLIP: Final = 4.0


class Weights(NamedTuple):
    """F features, H hidden units. The output is the logit of the probability that a block is main text."""

    names: tuple[str, ...]
    mean_F: Array
    scale_F: Array
    hidden_FH: Array
    hidden_bias_H: Array
    output_H: Array
    output_bias: float


@cache
def shipped_weights() -> Weights:
    return read_weights(resources.files("pipeline.extract").joinpath("block_model.toml").read_text())


def read_weights(text: str) -> Weights:
    """The weights in a model's TOML. ValueError if it is of another format."""
    model = tomllib.loads(text)
    if model.get("format") != FORMAT:
        raise ValueError(f"no model of format {FORMAT}: make one with benchmarks/fit_blocks.py")
    rows = np.array(list(model["features"].values()), float)
    return Weights(
        tuple(model["features"]),
        rows[:, 0],
        rows[:, 1],
        rows[:, 2:],
        np.array(model["hidden_bias"], float),
        np.array(model["output"], float),
        float(model["output_bias"]),
    )


def matrix(page: Sequence[Block], names: Sequence[str]) -> Array:
    """The named features of a page's blocks, a row a block."""
    found = features(page)
    return np.stack([found[name] for name in names], axis=1)


def probabilities(page: Sequence[Block], weights: Weights) -> Array:
    """How likely each block is to be main text."""
    inputs_BF = np.clip((matrix(page, weights.names) - weights.mean_F) / weights.scale_F, -CLIP, CLIP)
    hidden_BH = np.maximum(inputs_BF @ weights.hidden_FH + weights.hidden_bias_H, 0)
    probability_B: Array = 1 / (1 + np.exp(-(hidden_BH @ weights.output_H + weights.output_bias)))
    return probability_B


def best(page: Sequence[Block], probability_B: Array) -> tuple[list[bool], float]:
    """Which blocks to keep so that the F1 to be expected is the highest, and that F1. At least one is kept.

    No fixed threshold does: on a page where nothing is sure (a list, a forum), what is half as likely is worth its
    while. The set is one of the likeliest blocks; F1 counts characters; of a ratio's expectation stands the ratio of
    expectations.
    """
    size_B = np.array([len(block.text) for block in page], float)
    order_B = np.argsort(-probability_B, kind="stable")
    likely_B = (size_B * probability_B)[order_B]
    f1_B = 2 * np.cumsum(likely_B) / (np.cumsum(size_B[order_B]) + likely_B.sum())
    last = int(f1_B.argmax())
    kept_B = np.zeros(len(page), bool)
    kept_B[order_B[: last + 1]] = True
    return kept_B.tolist(), float(f1_B[last])


def assemble(page: Sequence[Block], keep: Sequence[bool]) -> str:
    """The text of the kept blocks: a line each, but the cells of a table's row on one line."""
    parts: list[str] = []
    last = -2
    for number, (block, kept) in enumerate(zip(page, keep, strict=True)):
        if kept:
            parts += [" " if block.cell and last == number - 1 else "\n", block.text]
            last = number
    return tidy("".join(parts))


def main_text(html: str) -> tuple[str, float]:
    """The main text of a page and the F1 that is to be expected of it; "" and 1 for a page without text."""
    page = blocks(html)
    if not page:
        return "", 1.0
    keep, expected = best(page, probabilities(page, shipped_weights()))
    return assemble(page, keep), expected
