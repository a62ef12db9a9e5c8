"""CCNet's normalisation for language models, against the output of cc_net's own code."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.catalog import edit
from filters.ccnet import normalize_for_language_model


@pytest.mark.parametrize(
    ("line", "normal"),
    [
        # The first line was checked by running cc_net/text_normalizer.py.
        ("  Hello, World 12! É “q” – x…", 'hello, world 00! e "q" - x...'),
        ("全角，１２。「引」—", '全角,00."引" - '),
        ("a\x00b\x7fc\u0085", "abc"),
        ("ÅNGSTRÖM ٣", "angstrom 0"),
        (string.punctuation, string.punctuation),
        (" \n", ""),
    ],
)
def test_golden(line: str, normal: str) -> None:
    assert normalize_for_language_model(line) == normal


@pytest.mark.parametrize(
    ("text", "after", "lines_gone"), [("Title\n one \n\n \ntwo", "one\ntwo", 3), ("\nTitle\n", "", 3), ("", "", 1)]
)
def test_the_first_line_is_the_title(text: str, after: str, lines_gone: int) -> None:
    assert edit("ccnet_body")(text) == (after, lines_gone)


@given(st.text())
def test_no_digit_but_0_is_left(line: str) -> None:
    assert not any(char.isdecimal() and char != "0" for char in normalize_for_language_model(line))
