"""Character references are resolved one by one, as html.unescape does where the two agree."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.references import characters

PIECES = st.sampled_from(
    [
        "&amp;",
        "&nbsp;",
        "&eacute",
        "&#233;",
        "&#xE9;",
        "&#X20AC;",
        "&#128;",
        "&#0;",
        "&notit;",
        "&",
        "#",
        ";",
        "amp",
        "x",
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_as_the_standard_library(raw: str) -> None:
    assert characters(raw) == html.unescape(raw)


@pytest.mark.parametrize("digits", [15, 5_000, 100_000])
def test_long_numbers(digits: int) -> None:
    assert characters(f"a &#{'9' * digits}; b &#{'0' * digits}65; &amp;amp;") == "a \ufffd b A &amp;"
