"""Byte models are probabilities, and distances are what a kind of text tells of itself beyond the training text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.metric.cells import Passage
from pipeline.metric.cross_entropy import ByteModel, distance_of
from tests.pipeline.metric.texts import prose


def passages(kind: str, first: int, count: int) -> list[Passage]:
    return [Passage(prose(kind, first + n), True) for n in range(count)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4), st.text(alphabet="abc é中\n", max_size=8))
def test_what_may_follow_any_text_adds_up_to_one(texts: list[str], before: str) -> None:
    """All bytes that UTF-8 allows alone (ASCII), the end, and the bytes that begin or continue a character: 2 to 1."""
    texts = [*texts, "abc"]
    model = ByteModel(texts, 4)
    start = model.log2([Passage(before, False)]).sum()
    after = [model.log2([Passage(before + chr(byte), False)]).sum() - start for byte in range(128)]
    end = model.log2([Passage(before, True)]).sum() - start
    total = np.exp2([*after, end]).sum()
    others = 0.0
    for byte in range(128, 256):
        ids = [*before.encode(), byte]
        # A byte that is no character by itself: as the model numbers it.
        tokens = np.array([model._begin, *model._id_of_byte[ids]])
        others += 10 ** model._log10_T(tokens, np.arange(len(tokens)))[-1]
    assert total + others == pytest.approx(1.0, abs=1e-9)


def test_text_of_the_kind_costs_less_than_of_another() -> None:
    model = ByteModel([prose("sea", n) for n in range(8)])
    near, far = (-model.log2(passages(kind, 50, 4)).sum() for kind in ("sea", "proof"))
    assert near < 0.7 * far


def test_a_byte_that_was_never_seen_costs_bits_and_no_error() -> None:
    bits = -ByteModel(["aaab"]).log2([Passage("中", True), Passage("", True), Passage("", False)])
    assert len(bits) == 3 + 1 + 1 and np.isfinite(bits).all() and (bits[:3] > 7).all()


def test_distance_is_what_the_kind_tells_of_itself() -> None:
    training = ByteModel([prose("sea", n) for n in range(20)])
    same, other = (distance_of(training, passages(kind, 100, 6)) for kind in ("sea", "proof"))
    saved = [found.cross_entropy - (found.entropy or 0.0) for found in (same, other)]
    assert 0 <= saved[0] < 0.2 * saved[1]
    assert same.own_weight is not None and other.own_weight is not None and same.own_weight < other.own_weight


def test_one_text_has_no_entropy_of_its_own() -> None:
    assert distance_of(ByteModel(["abc"]), passages("sea", 0, 1))[1:] == (None, None)
