"""The compatible form of a text is Unicode's, whatever its characters are."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filters.nfkc import nfkc

LOW, FORMS = st.characters(max_codepoint=0x33FF), st.characters(min_codepoint=0xFF00, max_codepoint=0xFFEF)
JOINING = st.sampled_from(
    "e\u0301\u0327中\u3400，\u1100\u1161\u11a8가\u09c7\u09be…\xa0ﬁ\uff76\uff9e\ud800\U0001f600か\u3099"
)


@given(st.text(st.one_of(st.characters(), LOW, FORMS, JOINING)))
@example("Ｐ中文，…ｶﾞ")
def test_any_text(text: str) -> None:
    assert nfkc(text) == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize("before", ["", "e", "ᄀ", "\u09c7", "中", "か", "\u1025", "\u0b47"])
def test_every_character_behind_one_that_it_may_join(before: str) -> None:
    for code in (*range(0x3500), *range(0xF900, 0x10000)):
        text = before + chr(code) + "a"
        assert nfkc(text) == unicodedata.normalize("NFKC", text), hex(code)
