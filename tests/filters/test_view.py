"""The one segmentation: against Python's own splitting, and against pieces cut by hand."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.catalog import SIGNALS, measure
from filters.repeats import extra_copies, hash_words
from filters.view import Spans, View

# Letters, every kind of line break and space, joiners, marks, kana, astral characters, a lone surrogate, NUL.
ALPHABET = "aAbÉ1 \t\n\n\r\x0b\x1c\x85\u2028\xa0\u00ad\u200d'’.,_-#…!。あ中\u0301😀𠀀\ud800\0{["
TEXTS = st.text(alphabet=ALPHABET, max_size=60)


def cut(text: str, spans: Spans) -> list[str]:
    return [text[start:end] for start, end in zip(spans.start.tolist(), spans.end.tolist(), strict=True)]


def tokens(text: str) -> list[str]:
    return cut(text, Spans(View(text).tokens.start, View(text).tokens.end))


@given(TEXTS)
@settings(max_examples=50, deadline=None)
@example("")
@example("a\r\nb\r\r\n\n")
@example("\n")
def test_splits_as_python_does(text: str) -> None:
    view = View(text)
    assert cut(text, view.lines) == text.split("\n")
    assert cut(text, view.split_lines) == text.splitlines()
    assert cut(text, view.pieces) == text.split()
    assert cut(text, view.paragraphs) == re.split("\n{2,}", text.strip())
    assert cut(text, view.strip(view.lines)) == [line.strip() for line in text.split("\n")]
    assert cut(text, view.filled_lines) == [line.strip() for line in text.split("\n") if line.strip()]
    assert len(view.lower) == len(text)


@given(TEXTS)
@settings(max_examples=30, deadline=None)
@example("他们来到了北京。The end of it, and a list:\n- one\n- one\n\n以前 2024")
def test_a_view_in_another_language_is_as_one_made_in_it(text: str) -> None:
    names = [name for name in SIGNALS if not name.startswith("url_")]
    before = View(text, language="en")
    measure(before, names)  # computes everything that there is
    for language in ("zh", "en", ""):
        again, fresh = measure(before.in_language(language), names), measure(View(text, language=language), names)
        assert {name: str(value) for name, value in again.items()} == {n: str(value) for n, value in fresh.items()}


@given(TEXTS)
@settings(max_examples=50, deadline=None)
def test_tokens_are_whole_and_in_order(text: str) -> None:
    view = View(text)
    found = tokens(text)
    assert all(found)
    kept = [char for char in text if not char.isspace() and char not in "\u00ad\u200d"]
    assert [char for char in "".join(found) if char not in "\u00ad\u200d"] == kept
    assert cut(text, Spans(view.words.start, view.words.end)) == [token for token in found if token[0].isalnum()]
    assert view.tokens.hashes.tolist() == hash_words(found).tolist()
    again = View(text, words=found)  # the same tokens handed in as external tokens
    assert again.tokens.hashes.tolist() == view.tokens.hashes.tolist()
    assert again.tokens.flags.tolist() == view.tokens.flags.tolist()
    assert again.lower_words.tolist() == view.lower_words.tolist()


@given(st.lists(st.text(alphabet="ab\0😀", max_size=5), max_size=30))
@settings(max_examples=50, deadline=None)
def test_equal_hashes_mean_equal_pieces(pieces: list[str]) -> None:
    text = "\n".join(pieces)
    view = View(text)
    lines = text.split("\n")
    seen: set[str] = set()
    expected = [line in seen or bool(seen.add(line)) for line in lines]
    assert extra_copies(view.hashes(view.lines)).tolist() == expected


def test_spans_beyond_one_block_of_powers_hash_alike() -> None:
    """Positions from 65,536 on take the second table of powers."""
    text = "word here\n" + "x" * 70_000 + "\nword here\n" + "y" * 70_000 + "\nword here"
    view = View(text)
    assert extra_copies(view.hashes(view.lines)).tolist() == [False, False, True, False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, Müller’s dog!", ["Don't", "stop", ",", "Müller’s", "dog", "!"]),
        ("snake_case example.com 3.14 1,000", ["snake_case", "example.com", "3.14", "1,000"]),
        ("12/31/2005 10:30 and/or", ["12/31/2005", "10:30", "and", "/", "or"]),
        ("The end.Begin again...", ["The", "end", ".", "Begin", "again", "..."]),
        ("----- ?! ##", ["-----", "?", "!", "##"]),
        ("我爱iPhone手机。", ["我", "爱", "iPhone", "手", "机", "。"]),
        ("カタカナとひら", list("カタカナとひら")),
        ("한국어 문장", ["한국어", "문장"]),
        ("naïve co\u00adoperate e\u0301tude", ["naïve", "co\u00adoperate", "e\u0301tude"]),
        ("'quoted' _x_", ["'", "quoted", "'", "_", "x", "_"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ("J. Smith paid 3.50 to example.com.", ["J. Smith paid 3.50 to example.com."]),
        ("Heading\nA line. Another", ["Heading", "A line.", "Another"]),
        ("你好。世界！“好。”他说。", ["你好。", "世界！", "“好。”", "他说。"]),
        ("So do I? Yes.", ["So do I?", "Yes."]),
        (" \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert cut(text, View(text).sentences) == expected


def test_containing_finds_lower_case_within_one_piece() -> None:
    view = View("JavaScript here\nnone java\nscript\nİjavascript javascript")
    assert view.containing("javascript", view.lines).tolist() == [0, 3]


def test_repeats_are_those_a_dictionary_finds() -> None:
    words = ["a", "b", "c", "a", "b", "c", "a", "b", "d"]
    found = dict(View(" ".join(words)).tokens.repeats(4))
    for n, repeats in found.items():
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        assert repeats.positions.tolist() == [i for i, gram in enumerate(grams) if grams.count(gram) > 1]
        assert [repeats.counts[i] for i in repeats.ids] == [grams.count(grams[p]) for p in repeats.positions]
