"""Shingles: what is normalised away, and how texts with and without spaces are cut."""

import unicodedata
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import kernels
from dedup.shingles import character_codes, shingle_sequence, shingles, utf8
from dedup.verify import jaccard
from tests.dedup.support import chinese, column, edited, english, sorted_sets

ALL = 0xFFFFFFFFFFFFFFFF
SPACELESS = (
    *("Thai", "Lao", "Khmer", "Myanmar", "Javanese", "Balinese", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet"),
)
# ASCII, capitals whose lower case is two characters or in other planes, marks that join or change places, Hangul in
# parts, what is replaced by NFC, scripts without spaces, ideographs, what is ignored, lone surrogates
HARD = (
    "aZ9 .-_\u00e9\u0130\u01c5\U00010400\u0301\u0323\u0327\u05b0\u05bc\u0f71\u0f72\u1100\u1161\u11a8\uac00\u212b\u0958"
)
HARD += "\u0e01\u0e33\u0e49\u0eb1\u1780\u4eca\u5929\uf900\U0002f800\u30b3\u30fc\u3002\u00ad\u200b\u200d\ufe0f"
HARD += "\ud800\udfff\U0001f600"


def mixed(value: int) -> int:
    """MurmurHash3's finaliser."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ value >> 33) * factor & ALL
    return value ^ value >> 33


@cache
def kind(character: str) -> str:
    """What a character is: `ignored`, `letter` (of a script without spaces), `ideograph`, `word` or `separator`."""
    if "\ud800" <= character <= "\udfff":
        return "separator"
    if regex.match(r"\p{Default_Ignorable_Code_Point}", character):
        return "ignored"
    if not regex.match(r"[\p{L}\p{M}\p{N}]", character):
        return "separator"
    if any(regex.match(rf"\p{{Script={script}}}", character) for script in SPACELESS):
        return "letter"
    if regex.match(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}ーｰ〆]", character):
        return "ideograph"
    return "word"


def defined(text: str, ngram: int) -> list[int]:
    """The sequence of shingles as the docstring of the module defines it, in plain Python."""
    tokens: list[tuple[int, int]] = []
    word: int | None = None
    for character in unicodedata.normalize("NFC", text) + " ":
        what = kind(character)
        lower = ord(character.lower()[0]) if regex.match(r"[\p{Lu}\p{Lt}]", character) else ord(character)
        if what == "ignored":
            continue
        if what == "word":
            word = ((0x9E3779B97F4A7C15 if word is None else word) ^ lower) * 0xFF51AFD7ED558CCD & ALL
            continue
        if word is not None:
            tokens.append((mixed(word), 3))
        word = None
        if what != "separator":
            tokens.append((mixed(0x9E3779B97F4A7C15 ^ lower), 3 if what == "ideograph" else 1))
    found = []
    for start in range(len(tokens)):
        run, weight = 0x9E3779B97F4A7C15, 0
        for token, counts in tokens[start:]:
            if weight >= 3 * ngram:
                break
            run = (run ^ token) * 0xC4CEB9FE1A85EC53 & ALL
            weight += counts
        if weight < 3 * ngram and start > 0:
            break
        found.append(mixed(run))
    return found


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


@given(st.lists(st.one_of(st.text(HARD, max_size=40), st.text(max_size=40)), max_size=5), st.integers(1, 6))
@settings(max_examples=300, deadline=None)
def test_a_column_and_a_text_are_cut_as_defined(texts: list[str], ngram: int) -> None:
    expected = [defined(text, ngram) for text in texts]
    assert [shingle_sequence(text, ngram).tolist() for text in texts] == expected
    sets = sorted_sets(column([text.encode("utf-8", "surrogatepass") for text in texts]), ngram)
    assert [each.tolist() for each in sets] == [sorted(set(each)) for each in expected]


@given(st.lists(st.binary(max_size=12), max_size=4), st.text("ab\u0301今😀é", max_size=4))
@settings(max_examples=300, deadline=None)
def test_bytes_that_are_no_utf8_separate_words(parts: list[bytes], between: str) -> None:
    """Also where one text ends in the middle of a character, and whether or not NFC changes the rest."""
    text = between.encode().join(parts)
    sets = sorted_sets(column([text, text[:-1], b"\x80\xbf", b"\xf0\x9f"]))
    texts = (text, text[:-1], b"", b"")
    expected = [sorted(set(defined(each.decode("utf-8", "replace"), 5))) for each in texts]
    assert [each.tolist() for each in sets] == expected


def test_what_is_not_looked_at_again_is_in_nfc() -> None:
    """For each character after some bases that marks join: the kernel's quick check passes no text that NFC changes."""
    characters = [chr(point) for point in (*range(0xD800), *range(0xE000, 0x32000), *range(0xE0000, 0xE0200))]
    for base in ("", "a", "\u0323", "\u1100", "\u0f71"):
        texts = [base + character for character in characters]
        every = utf8(pa.array(texts, pa.large_string()))
        unsure = kernels.shingle_sequences(*every, character_codes(), 5, False)[2]
        for text, is_unsure in zip(texts, unsure.tolist(), strict=True):
            assert is_unsure or unicodedata.is_normalized("NFC", text), ascii(text)
    assert not kernels.shingle_sequences(*utf8(pa.array(["Äpfel, наша 今天 ภาษา"])), character_codes(), 5, False)[
        2
    ].any()


def test_any_column_of_texts() -> None:
    texts = ["one two three four five six", None, "", "cafe\u0301 au lait", "今天天气很好"]
    expected = [shingles(text or "").tolist() for text in texts]
    whole = pa.array(texts, pa.string())
    for kind_of_column in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        cast = whole.cast(kind_of_column) if kind_of_column != pa.string_view() else pa.array(texts, kind_of_column)
        assert [each.tolist() for each in sorted_sets(cast)] == expected, kind_of_column
        assert [each.tolist() for each in sorted_sets(cast.slice(2, 2))] == expected[2:4], kind_of_column
    assert sorted_sets(whole.slice(0, 0)) == []
    # a null may have bytes of its own
    _, places, data = pa.array(["a", "hidden words", "b"]).buffers()
    hiding = pa.Array.from_buffers(pa.string(), 3, [pa.array([True, False, True]).buffers()[1], places, data])
    assert [each.size for each in sorted_sets(hiding)] == [1, 0, 1]


def test_many_short_texts_have_room() -> None:
    assert [each.size for each in sorted_sets(pa.array(["a"] * 1000 + ["今"] * 1000))] == [1] * 2000
    assert shingle_sequence("a " * 100_000, 1).size == 100_000
    assert np.unique(shingle_sequence("\0" * 100_000)).size == 0
