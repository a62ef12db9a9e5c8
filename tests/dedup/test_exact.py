"""Exact duplicates: the keys of documents."""

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.exact import digest, key_table, normalise_text, text_digests
from dedup.tables import keys_schema
from tests.dedup.support import column, documents

# white space of all sorts, marks that join or change places, what NFC replaces, what is invisible, joiners, surrogates
HARD = "aZ \t\n\x1c\x85\xa0\u2000\u2028\u3000\u180e\xe9\u0130\u0301\u0323\u1100\u1161\u212b\uf900"
HARD += "\u4eca\u65e5\u3042\u3002\xad\u200b\u200d\u2060\ufeff\ud800\U0001f600"


def test_normalisation_keeps_what_tells_texts_apart() -> None:
    assert normalise_text(" a\t b\r\n\u3000c ") == "a b c"
    assert normalise_text("e\u0301") == normalise_text("é")
    assert len({normalise_text(text) for text in ("A b", "a b", "a, b", "a 1", "a 2")}) == 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("in\u00adter\u00adna\u00adtional", "international"),
        ("light\u200bhouse", "lighthouse"),
        ("\ufeffa text", "a text"),
        ("a\u2060b", "ab"),
        ("می\u200cخواهم", "میخواهم"),
        ("क्\u200dष", "क्ष"),
        ("\u200eabc\u200f (\u202aabc\u202c)", "abc (abc)"),
        ("\u2067שלום\u2069", "שלום"),
        ("東京で\n会議", "東京で会議"),
        ("東京 で\u3000会議。\nあ", "東京で会議。あ"),
        ("a\u00a0b", "a b"),
        ("f\u2061(x)", "f(x)"),
        ("e\u200b\u0301", "é"),
        ("一\u00ad \n二", "一二"),
    ],
)
def test_what_shows_nothing_tells_no_texts_apart(one: str, other: str) -> None:
    assert normalise_text(one) == normalise_text(other)


def test_white_space_that_parts_words_stays() -> None:
    assert normalise_text("한국 어") != normalise_text("한국어")
    assert normalise_text("中文 abc") != normalise_text("中文abc")
    assert normalise_text("a b") != normalise_text("ab")


def test_digest_is_xxh3_128_of_utf8() -> None:
    # the test vector of xxHash for no input and seed 0, most significant byte first
    assert digest("").hex() == "99aa06d3014798d86001c324468d497f"
    assert len({digest(text) for text in ("\ud800", "\udfff", "?")}) == 3


def test_documents_without_text_or_address_have_no_key() -> None:
    batch = documents(["a", None, "", "b"], url=[None, "http://x/1", "  ", "http://x/1"])
    assert key_table(batch, 0, 0, "text")["row"].to_pylist() == [0, 2, 3]
    assert key_table(batch, 3, 10, "url")["row"].to_pylist() == [11, 13]


@pytest.mark.parametrize(("policy", "missing"), [("best", "quality"), ("newest", "date")])
def test_columns_that_documents_lack_have_defaults(policy: str, missing: str) -> None:
    row = key_table(documents(["ab"]), 2, 5, "text", policy).to_pylist()[0]
    assert (row["shard"], row["row"], row["copies"], row["snapshots"], row[missing]) == (2, 5, 1, 1, None)


def test_a_row_holds_the_columns_that_the_policy_compares_and_no_other() -> None:
    assert keys_schema("first").names == ["key", "check", "shard", "row", "dumps", "copies", "snapshots"]
    assert set(keys_schema("longest").names) - set(keys_schema("first").names) == {"chars", "content"}
    assert key_table(documents(["a é"]), 0, 0, "text", "longest")["chars"].to_pylist() == [3]


@given(st.lists(st.one_of(st.text(HARD, max_size=20), st.text(max_size=20)), max_size=5))
@settings(max_examples=300, deadline=None)
def test_a_column_has_the_digests_of_its_normalised_texts(texts: list[str]) -> None:
    digests = text_digests(column([text.encode("utf-8", "surrogatepass") for text in texts]))
    assert digests == [digest(normalise_text(text)) for text in texts]


@given(st.integers(0, 70), st.sampled_from([*HARD, "  ", "\n\n", " \n", "\u4eca \u65e5", "\x7f"]), st.integers(0, 70))
@settings(max_examples=500, deadline=None)
def test_ascii_that_is_copied_in_blocks_is_normalised_alike(before: int, odd: str, after: int) -> None:
    text = ("many words in a line\n" * 4)[:before] + odd + ("of a text\tand so on " * 4)[:after]
    (found,) = text_digests(column([text.encode("utf-8", "surrogatepass")]))
    assert found == digest(normalise_text(text))


@given(st.binary(max_size=20), st.text(HARD, max_size=4))
@settings(max_examples=300, deadline=None)
def test_bytes_that_are_no_utf8_stay(junk: bytes, text: str) -> None:
    whole = junk + text.encode("utf-8", "surrogatepass") + junk
    (found,) = text_digests(column([whole]))
    expected = normalise_text(whole.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    assert found == xxhash.xxh3_128_digest(expected)


def test_every_character_is_normalised_alike() -> None:
    points = (*range(0xD800), *range(0xE000, 0x32000), *range(0xE0000, 0xE0200))  # all that are assigned
    texts = [f" {chr(point)}\u0301b {chr(point)} " for point in points]
    assert text_digests(pa.array(texts)) == [digest(normalise_text(text)) for text in texts]
