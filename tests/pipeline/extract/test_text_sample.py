"""The sample of a page is the beginning of all its text, however the page is cut to find it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract import text_sample as module
from pipeline.extract.text_sample import SAMPLE, text_sample

PIECES = st.sampled_from(
    ["<p class=x>", "<" + "a" * 40 + ">", "<" + "b" * 60 + ">", "text é ", "<", ">", "\n", "的" * 30]
)
PAGES = st.lists(PIECES, max_size=40).map("".join)


@given(PAGES)
def test_sample(page: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("SAMPLE", 50), ("_FIRST", 60), ("_LONGEST_TAG", 50)):
            patch.setattr(module, name, value)
        patch.setattr(module, "_TAG", re.compile("<[^<>]{0,50}>"))
        patch.setattr(module, "_TAG_OF_BYTES", re.compile(b"<[^<>]{0,50}>"))
        assert text_sample(page) == re.sub("<[^<>]{0,50}>", " ", page)[:50]
        assert text_sample(page.encode()) == re.sub(b"<[^<>]{0,50}>", b" ", page.encode())[:50]


def test_a_long_page() -> None:
    page = "<p>" * 100_000 + "word <b>" * 50_000
    assert text_sample(page) == re.sub("<[^<>]{0,2000}>", " ", page)[:SAMPLE]
