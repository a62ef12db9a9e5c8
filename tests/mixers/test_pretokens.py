"""The count is that of the documented pattern, for any text."""

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.dataset.manifest import TOKEN_PATTERN
from mixers.pretokens import IDEOGRAPH_RANGES, count

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


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_the_count_is_the_patterns(text: str) -> None:
    assert count(text) == by_pattern(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("word " * 1_000_000, 1_000_000), ("词" * 1_500_000, 1_500_000), ("x" * 5_000_000, 625_000), ("\n" * 99_999, 1)],
)
def test_large_texts(text: str, expected: int) -> None:
    assert count(text) == expected


def test_the_manifest_names_this_pattern() -> None:
    assert TOKEN_PATTERN == "refinery.pretokens/1"
