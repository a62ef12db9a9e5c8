"""Texts of two kinds, and a scorer that needs no trained model."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

KINDS = {
    "sea": "tide wave sail harbour gull storm anchor deck",
    "proof": "lemma field ring ideal prime group map kernel",
}


def prose(kind: str, seed: int, words: int = 120) -> str:
    """Words of a kind, with some that all kinds have; another seed gives another text."""
    draw = random.Random(f"{kind} {seed}")
    own, common = KINDS[kind].split(), ["the", "of", "and", "in", "a", "that"]
    return " ".join(
        draw.choice(own if draw.random() < 0.6 else common) + draw.choice(["", "s", "."]) for _ in range(words)
    )


class MadeScores(NamedTuple):
    bits: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int64]


class LettersScorer:
    """Four bits for a letter of `known`, and eight for any other byte; a token is a byte."""

    def __init__(self, known: str = "etaoin ") -> None:
        self.known = known

    @property
    def about(self) -> Mapping[str, Any]:
        return {"checkpoint": "letters"}

    def __call__(self, texts: Sequence[str], whole: Sequence[bool]) -> MadeScores:
        sizes = np.array([len(text.encode()) for text in texts], np.int64)
        known = np.array([sum(text.count(letter) for letter in self.known) for text in texts])
        return MadeScores(8.0 * sizes - 4.0 * known, sizes)
