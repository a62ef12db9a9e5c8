"""Runs of letters and digits are those that the regular expression finds, whatever the characters are."""

import string

from hypothesis import given
from hypothesis import strategies as st

from filters.alphanumeric import RUN, alphanumeric_runs, others_of
from filters.bag_of_words import quality_words, word_counts

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(string.printable + "éß²½٣中文字_İſ\u0301\u00a0\ud800")))


@given(TEXTS)
def test_runs(text: str) -> None:
    assert alphanumeric_runs(text) == alphanumeric_runs(text, others=others_of(text) | {"é", "—"}) == RUN.findall(text)
    zeros = str.maketrans("123456789", "0" * 9)
    assert alphanumeric_runs(text, zero_digits=True) == [run.translate(zeros) for run in RUN.findall(text)]


def test_many_kinds_of_characters() -> None:
    text = " a1 ".join(map(chr, range(0x3B1, 0x3B1 + 150))) + "_" + "—2"
    assert len(others_of(text)) > 100
    assert alphanumeric_runs(text) == RUN.findall(text)
    assert "a0" in alphanumeric_runs(text, zero_digits=True) and "2" not in alphanumeric_runs(text, zero_digits=True)


@given(st.text(st.one_of(st.characters(max_codepoint=0x2FFF), st.sampled_from(string.printable + "éß²½٣İſ\u0301"))))
def test_counts_are_of_the_words(text: str) -> None:
    """Without Han characters, of which pairs count too."""
    words = quality_words(text).split()
    assert {word: words.count(word) for word in words} == word_counts(text)
