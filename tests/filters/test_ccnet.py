"""CCNet's normalisations, against what cc_net's own code gives."""

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.catalog import edit
from filters.ccnet import normalize_for_dedup, normalize_for_language_model, paragraph_hash


@pytest.mark.parametrize(
    ("line", "for_dedup", "for_language_model"),
    [
        # The first line was checked by running cc_net/text_normalizer.py.
        ("  Hello, World 12! É “q” – x…", "hello, world 00! é q  x", 'hello, world 00! e "q" - x...'),
        ("全角，１２。「引」—", "全角00引", '全角,00."引" - '),
        ("a\x00b\x7fc\u0085", "abc", "abc"),
        ("ÅNGSTRÖM ٣", "ångström 0", "angstrom 0"),
        (string.punctuation, string.punctuation, string.punctuation),
        (" \n", "", ""),
    ],
)
def test_golden(line: str, for_dedup: str, for_language_model: str) -> None:
    assert normalize_for_dedup(line) == for_dedup
    assert normalize_for_language_model(line) == for_language_model


@pytest.mark.parametrize(
    ("text", "after", "lines_gone"),
    [
        ("Title\n one \n\n \ntwo", "one\ntwo", 3),
        ("\nTitle\n", "", 3),
        ("", "", 1),
    ],
)
def test_the_first_line_is_the_title(text: str, after: str, lines_gone: int) -> None:
    assert edit("ccnet_body")(text) == (after, lines_gone)


def test_paragraph_hash_is_eight_bytes_of_sha1() -> None:
    assert paragraph_hash(" Hello, World 12! ") == hashlib.sha1(b"hello, world 00!").digest()[:8]
    assert paragraph_hash("Price: 5 €") == paragraph_hash("price: 7 €  ")
    assert len(paragraph_hash("\ud800")) == 8


@given(st.text())
def test_total_and_stable(line: str) -> None:
    once = normalize_for_dedup(line)
    assert normalize_for_dedup(once) in (once, once.strip(), normalize_for_dedup(once.strip()))
    assert not any(char.isdecimal() and char != "0" for char in once + normalize_for_language_model(line))
