"""The network that tells which blocks of a page are main text: its weights, and the probabilities that it gives.

It has one hidden layer and sees the features of `block_features.py`. Its weights are in `block_model.toml`, by the
names of the features.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

import numpy as np

from pipeline.extract.block import Block
from pipeline.extract.block_features import NAMES, Array, features

FORMAT: Final = "refinery.blocks/1"
# Features are clipped to this many standard deviations from their mean.
CLIP: Final = 4.0


class BlockWeights(NamedTuple):
    """F features, H hidden units. The output is the logit of the probability that a block is main text."""

    mean_F: Array
    scale_F: Array
    hidden_FH: Array
    hidden_bias_H: Array
    output_H: Array
    output_bias: float


@cache
def shipped_weights() -> BlockWeights:
    return read_weights(resources.files("pipeline.extract").joinpath("block_model.toml").read_text())


def read_weights(text: str) -> BlockWeights:
    """The weights in a model's TOML; those of features that it does not name are 0. ValueError if its format is not
    FORMAT, or for a name of no feature."""
    model = tomllib.loads(text)
    if model.get("format") != FORMAT:
        raise ValueError(f"no model of format {FORMAT}: make one with benchmarks/fit_blocks.py")
    named: dict[str, list[float]] = model["features"]
    if unknown := named.keys() - set(NAMES):
        raise ValueError(f"no feature {min(unknown)!r}: make a model with benchmarks/fit_blocks.py")
    nothing = [0.0, 1.0] + [0.0] * len(model["output"])
    rows = np.array([named.get(name, nothing) for name in NAMES], float)
    biases = np.array(model["hidden_bias"], float), np.array(model["output"], float), float(model["output_bias"])
    return BlockWeights(rows[:, 0], rows[:, 1], rows[:, 2:], *biases)


def probabilities(page: Sequence[Block], weights: BlockWeights) -> Array:
    """The probability of each block to be main text."""
    inputs_BF = features(page)
    inputs_BF -= weights.mean_F
    inputs_BF /= weights.scale_F
    np.minimum(inputs_BF, CLIP, out=inputs_BF)
    np.maximum(inputs_BF, -CLIP, out=inputs_BF)
    hidden_BH = np.maximum(inputs_BF @ weights.hidden_FH + weights.hidden_bias_H, 0)
    probability_B: Array = 1 / (1 + np.exp(-(hidden_BH @ weights.output_H + weights.output_bias)))
    return probability_B
