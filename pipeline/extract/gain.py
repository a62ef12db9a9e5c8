"""By how much another extractor's text of a page is expected to be better than that of the network of blocks.

Three signs tell it: what F1 the network expects of its own text, how much less it expects of the other one, and how
much more the other one agrees with that of a third extractor than the network's own does. The gain is linear in them.
Its weights are in `joined_model.toml`, fitted by `benchmarks/confidence.py` on pages of hosts, and of whole
collections, that the network had not seen.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

FORMAT: Final = "refinery.joined/1"


class Signs(NamedTuple):
    """Of a page, each from 0 to 1: the F1 that the network expects of its own text and of another one; the share of
    words in which the network's text agrees with that of a third extractor, and the same of the other text."""

    expected: float
    expected_of_other: float
    agree: float
    others_agree: float

    @property
    def terms(self) -> tuple[float, float, float]:
        """What the weights of GainWeights are multiplied by, in their order."""
        return self.expected, self.expected - self.expected_of_other, self.others_agree - self.agree


class GainWeights(NamedTuple):
    """`ask_below`: from this expected F1 on no other extractor is asked; `agree_from`: nor a second one, if the first
    agrees so well. The rest are the coefficients of the gain in F1, in the order of `Signs.terms`."""

    ask_below: float
    agree_from: float
    constant: float
    expected: float
    expected_loss: float
    others_agree_more: float

    def gain(self, signs: Signs) -> float:
        """The expected gain in F1 of the other text."""
        return self.constant + sum(weight * term for weight, term in zip(self[3:], signs.terms, strict=True))


@cache
def shipped_gain() -> GainWeights:
    return read_gain(resources.files("pipeline.extract").joinpath("joined_model.toml").read_text())


def read_gain(text: str) -> GainWeights:
    """The weights in a model's TOML. ValueError if its format is not FORMAT or a weight is missing."""
    model = tomllib.loads(text)
    if model.pop("format", None) != FORMAT or model.keys() != set(GainWeights._fields):
        raise ValueError(f"no model of format {FORMAT}: make one with benchmarks/confidence.py")
    return GainWeights(**{name: float(value) for name, value in model.items()})


def to_toml(weights: GainWeights) -> str:
    lines = [f"{name} = {value}" for name, value in weights._asdict().items()]
    head = ["# Made by benchmarks/confidence.py, see docs/extraction.md.", f'format = "{FORMAT}"']
    return "\n".join([*head, *lines, ""])
