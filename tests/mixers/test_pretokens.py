"""The count is that of the documented pattern, for any text, alone or in a column."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.manifest import TOKEN_PATTERN
from mixers.pretokens import IDEOGRAPH_RANGES, count, count_column

# The documented pattern, over the categories of the Unicode that the test sees.
_IDEOGRAPHS = "".join(f"{chr(low)}-{chr(high)}" for low, high in IDEOGRAPH_RANGES)


def by_pattern(text: str) -> int:
    """Spell each character as the letter of its class, then match the pattern on that."""

    def spell(character: str) -> str:
        category = unicodedata.category(character)[0]
        if character == "\n":
            return "n"
        if category == "Z" or character in "\t\v\f\r\x1c\x1d\x1e\x1f\x85":
            return " "
        if regex.match(f"[{_IDEOGRAPHS}]", character) and (category in "LM" or ord(character) >= 0x20000):
            return "I"
        return {"L": "L", "M": "L", "N": "N"}.get(category, "S")

    return len(regex.findall("I|N|L{1,8}|S{1,2}|n+", "".join(map(spell, text))))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("   \t\r", 0),
        ("The cat sat.", 4),
        ("internationalisation", 3),
        ("2024", 4),
        ("one\n\n\ntwo\nthree", 5),
        ("a----b", 4),
        ("中文有四个字。", 7),
        ("カタカナ と ひらがな", 9),
        ("한국어 문장", 2),
        ("e\u0301te\u0301", 1),
        ("\U0001f642\U0001f642\U0001f642", 2),
        ("x = f(y)", 6),
        ("\x00\x00", 1),
        ("\ud800", 1),
    ],
)
def test_examples(text: str, expected: int) -> None:
    assert count(text) == expected


ALPHABET = st.sampled_from("ab \n\t.,-(9½中々〇ひカｶ한éع\u0301\u00a0\u3000\u200d\U0001f642\U00020000\x00\r")
TEXTS = st.text(st.one_of(ALPHABET, st.characters(codec="utf-8")), max_size=40)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.one_of(st.none(), TEXTS), max_size=12), start=st.integers(0, 4))
def test_column_equals_each_text_equals_the_pattern(texts: list[str | None], start: int) -> None:
    expected = [by_pattern(text or "") for text in texts]
    assert [count(text or "") for text in texts] == expected
    for kind in (pa.string(), pa.large_string()):
        column = pa.array(texts, kind)
        assert count_column(column).tolist() == expected
        assert count_column(column.slice(start, 5)).tolist() == expected[start : start + 5]
        assert count_column(pa.chunked_array([column, column], kind)).tolist() == expected * 2


def test_texts_larger_than_a_chunk_and_empty_ones_between() -> None:
    texts = ["word " * 1_000_000, "", None, "词" * 1_500_000, "", "x" * 5_000_000, "1"]
    assert count_column(pa.array(texts)).tolist() == [1_000_000, 0, 0, 1_500_000, 0, 625_000, 1]


def test_bytes_that_are_not_utf8_are_replaced_not_raised() -> None:
    data = b"ab\xffcd ef"
    column = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 5, 8], np.int32)), pa.py_buffer(data)]
    )
    assert count_column(column).tolist() == [count("ab\ufffdcd"), 1]


def test_no_rows() -> None:
    assert count_column(pa.array([], pa.string())).tolist() == []
    assert count_column(pa.chunked_array([], pa.string())).tolist() == []


def test_the_manifest_names_this_pattern() -> None:
    assert TOKEN_PATTERN == "refinery.pretokens/1"
