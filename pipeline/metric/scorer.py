"""What measures texts: a model behind two numbers a text, so that nothing here knows how it was trained."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.metric.cells import Passage

Floats = npt.NDArray[np.float64]


class Scores(Protocol):
    """Of each text, shape (texts,): bits, and tokens."""

    @property
    def bits(self) -> Floats: ...

    @property
    def tokens(self) -> npt.NDArray[np.int64]: ...


class PassageScorer(Protocol):
    """`about`: which model it is, for the answer. Called with texts, and whether each is all of its document."""

    @property
    def about(self) -> Mapping[str, Any]: ...

    def __call__(self, texts: Sequence[str], whole: Sequence[bool]) -> Scores: ...


class ChoiceScorer(Protocol):
    """`about` as above; bits of each continuation after its context, shape (texts,)."""

    @property
    def about(self) -> Mapping[str, Any]: ...

    def continuation_bits(self, contexts: Sequence[str], continuations: Sequence[str]) -> Floats: ...


class PassageScores(NamedTuple):
    """Of each passage, shape (passages,)."""

    bits: Floats
    tokens: npt.NDArray[np.int64]
    bytes: Floats


def measured(scorer: PassageScorer, passages: Sequence[Passage]) -> PassageScores:
    found = scorer([each.text for each in passages], [each.whole for each in passages])
    return PassageScores(found.bits, found.tokens, np.array([each.size for each in passages], np.float64))
