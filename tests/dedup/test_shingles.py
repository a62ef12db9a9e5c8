"""Shingles: what is normalised away, and how texts with and without spaces are cut."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.shingles import shingle_sequence, shingles
from dedup.verify import jaccard
from tests.dedup.support import chinese, edited, english


def same(a: str, b: str) -> bool:
    return shingles(a).tolist() == shingles(b).tolist()


@pytest.mark.parametrize(
    "one, other",
    [
        ("The Cat sat, on a mat!", "the cat - sat on a mat"),
        ("don't stop", "don’t stop"),
        ("cafe\u0301 au lait", "CAFÉ au lait"),
        ("co\u00adoperate now", "cooperate now"),
        ("今天 天气，很好。", "今天天气很好"),
        ("ภาษา\u200bไทย", "ภาษา ไทย"),
        ("a\ud800b", "a b"),
    ],
)
def test_normalised_away(one: str, other: str) -> None:
    assert same(one, other)


@pytest.mark.parametrize("one, other", [("a b", "ab"), ("page 1", "page 2"), ("a b", "b a"), ("cafe", "café")])
def test_kept_apart(one: str, other: str) -> None:
    assert not same(one, other)


@pytest.mark.parametrize(
    "text, count",
    [
        ("", 0),
        ("!!! ... \ud800 😀", 0),
        ("word", 1),
        ("one two three four", 1),
        ("one two three four five", 1),
        ("one two three four five six", 2),
        ("今天天气很", 1),
        ("今天天气很好", 2),
        ("今天 twenty words 天气", 2),
        ("コンピューター", 3),
        ("ก" * 15, 1),
        ("ก" * 16, 2),
    ],
)
def test_number_of_shingles(text: str, count: int) -> None:
    assert shingle_sequence(text).size == count


def test_shingles_are_the_runs_of_five_words() -> None:
    """Two texts share exactly as many hashes as Python's sets of word runs share members."""
    a, b = english(1, 400), edited(english(1, 400), 0.05, 2, lambda x: f"w{x}")
    runs_a, runs_b = ({tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (a, b))
    assert shingles(" ".join(a)).size == len(runs_a)
    assert jaccard(shingles(" ".join(a)), shingles(" ".join(b))) == len(runs_a & runs_b) / len(runs_a | runs_b)


def test_chinese_is_cut_by_character() -> None:
    """One changed character in fifty leaves a Chinese text near: at most five shingles change."""
    text = chinese(1, 1000)
    near = edited(text, 0.02, 2, lambda x: chr(0x6000 + x % 4096))
    similarity = jaccard(shingles("".join(text)), shingles("".join(near)))
    assert 0.80 < similarity < 0.86  # (1 - .02)^5 = .904 of the shingles are equal, J = .904 / (2 - .904)


@given(st.text(max_size=200))
@settings(max_examples=50)
def test_any_text(text: str) -> None:
    hashes = shingles(text)
    assert all(hashes[:-1] < hashes[1:])
    assert same(text, unicodedata.normalize("NFD", text))
    assert same(text, " \n" + text + " .")
