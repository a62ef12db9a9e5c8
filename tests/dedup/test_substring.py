"""Exact substrings: what is cut is what a plain search for repeated runs finds, and what counting every run finds."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import blocks, segments
from dedup.policy import content_hashes
from dedup.segments import Windows, bounds_of
from dedup.substring import Keep, RepeatedSpans, SpanEdit
from tests.dedup import counted_windows
from tests.dedup.spans import counted, deduplicated, marked, plain_tokens, spans_of
from tests.dedup.support import chinese, documents, english

TOKENS = Windows("tokens", 50)
ALL = SpanEdit(TOKENS, characters=1)
NONE = RepeatedSpans(np.array([], np.int64), np.array([], np.int64), np.array([], np.bool_))

few_words = st.lists(st.sampled_from(["a", "b", "c,", "D", "字", "w" * 70]), max_size=40).map(" ".join)
few_letters = st.text("abé字\n", max_size=60)


def small(keep: Keep = "none", length: int = 5, unit: segments.Unit = "tokens") -> SpanEdit:
    return SpanEdit(Windows(unit, length), keep=keep, characters=1)


def test_every_copy_is_cut_and_the_rest_stays_as_it_is() -> None:
    shared = " ".join(english(1, 60))
    texts = [f"One,  begins.\n{shared}\nEnds  so.", f"Two {shared}", " ".join(english(2, 80)), shared]
    assert deduplicated(texts, ALL) == ["One,  begins.\n\nEnds  so.", "Two ", texts[2], None]


def test_the_first_copy_stays_whole() -> None:
    shared = " ".join(english(1, 60))
    texts = [f"One {shared} a", f"Two {shared} b", shared]
    assert deduplicated(texts, SpanEdit(TOKENS, keep="first", characters=1)) == [texts[0], "Two  b", None]
    # of a text that goes round, one whole copy of each window: 60 of them, from the first 109 tokens
    (left,) = deduplicated([" ".join([shared] * 4)], SpanEdit(TOKENS, keep="first", characters=1))
    assert (left or "").split() == (shared.split() * 2)[:109]


def test_49_equal_tokens_are_not_enough() -> None:
    shared = " ".join(english(3, 49))
    texts = [f"a {shared} b", f"c {shared} d"]
    assert deduplicated(texts, ALL) == texts
    assert deduplicated(texts, small(length=49)) == ["a  b", "c  d"]


def test_499_equal_bytes_are_not_enough() -> None:
    shared = "".join(random.Random(3).choices("abcdefgh ", k=499))
    texts = [f"1{shared}2", f"3{shared}4"]
    assert deduplicated(texts, small(length=500, unit="bytes")) == texts
    assert deduplicated(texts, small(length=499, unit="bytes")) == ["12", "34"]


def test_matches_that_overlap_are_one_span() -> None:
    words = english(4, 90)
    texts = [" ".join(words), "x " + " ".join(words[:60]), "y " + " ".join(words[30:])]
    assert deduplicated(texts, ALL) == [None, "x ", "y "]


def test_ideographs_are_tokens_by_themselves() -> None:
    shared = "".join(chinese(6, 60))
    first, second = "".join(chinese(7, 30)), "".join(chinese(8, 30))
    assert deduplicated([first + shared, shared + second], ALL)[1] == second.removeprefix("，").removeprefix("。")


def test_case_and_marks_count_and_white_space_does_not() -> None:
    shared = english(9, 60)
    assert deduplicated([" ".join(shared), " ".join(shared).upper()], ALL)[1] is not None
    assert deduplicated([" ".join(shared), "\n".join(shared)], ALL) == [None, None]


@pytest.mark.parametrize("keep", ["none", "first"])
@given(texts=st.lists(few_words, min_size=1, max_size=6), length=st.integers(2, 7), batch_rows=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_tokens_against_plain_search(keep: Keep, texts: list[str], length: int, batch_rows: int) -> None:
    cut = marked([plain_tokens(text) for text in texts], length, keep)
    left = [[token for token, gone in zip(plain_tokens(text), of) if not gone] for text, of in zip(texts, cut)]
    found = deduplicated(texts, small(keep, length), batch_rows)
    assert [plain_tokens(text or "") for text in found] == left


@pytest.mark.parametrize("keep", ["none", "first"])
@given(texts=st.lists(few_letters, min_size=1, max_size=5), length=st.integers(2, 7))
@settings(max_examples=60, deadline=None)
def test_bytes_against_plain_search(keep: Keep, texts: list[str], length: int) -> None:
    """A character goes if all of its bytes do."""
    cut = marked([text.encode() for text in texts], length, keep)
    left = []
    for text, gone in zip(texts, cut):
        ends = np.cumsum([len(letter.encode()) for letter in text]).tolist()
        left.append("".join(c for c, end in zip(text, ends) if not all(gone[end - len(c.encode()) : end])))
    assert [text or "" for text in deduplicated(texts, small(keep, length, "bytes"))] == [
        "" if not text.split() and any(gone) else text for text, gone in zip(left, cut)
    ]


@pytest.mark.parametrize("most_different", [1024, 0])
@given(
    texts=st.lists(few_words, min_size=1, max_size=7),
    length=st.integers(2, 7),
    shards=st.integers(1, 3),
    draw=st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_the_first_copy_is_that_of_the_least_hash_in_any_order(
    most_different: int, texts: list[str], length: int, shards: int, draw: random.Random
) -> None:
    """Of content, then of the id; documents that are shuffled and dealt to other shards have the same texts."""
    ids = [f"n{number}" for number in range(len(texts))]
    order = np.argsort(content_hashes(documents(texts, id=ids))).tolist()
    cut = marked([plain_tokens(text) for text in texts], length, "first", order)
    left = [[token for token, gone in zip(plain_tokens(text), of) if not gone] for text, of in zip(texts, cut)]
    shuffled = draw.sample(range(len(texts)), len(texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "MOST_DIFFERENT", most_different)
        for places in (range(len(texts)), shuffled):
            some, names = [texts[i] for i in places], [ids[i] for i in places]
            found = deduplicated(some, small("first", length), 5, shards, names)
            assert [plain_tokens(text or "") for text in found] == [left[i] for i in places]


@given(texts=st.lists(few_words, min_size=1, max_size=6), length=st.integers(2, 7))
@settings(max_examples=40, deadline=None)
def test_the_texts_that_counting_leaves(texts: list[str], length: int) -> None:
    assert deduplicated(texts, small(length=length)) == counted(texts, length)


@pytest.mark.parametrize("length", [9, 12, 15])
def test_texts_that_repeat_themselves(length: int) -> None:
    """Runs of one word, in which segments of other sizes begin and end alike."""
    for seed in range(60):
        draw = random.Random(1000 * length + seed)
        texts = [
            " ".join(letter for _ in range(9) for letter in draw.choice("ab") * draw.randrange(1, 14))
            for _ in range(draw.randrange(2, 6))
        ]
        assert deduplicated(texts, small(length=length), 1000) == counted(texts, length), seed


@pytest.mark.parametrize("unit", ["tokens", "bytes"])
@pytest.mark.parametrize("keep", ["none", "first"])
def test_no_size_changes_the_answer(keep: Keep, unit: segments.Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards, batches, pieces, blocks, and keys with many segments."""
    draw = random.Random(11)
    texts = [" ".join(draw.choices(["a", "b", "cc"], k=60)) for _ in range(12)] + [" ".join("a" * 90)]
    cut = small(keep, 7, unit)
    expected = deduplicated(texts, cut)
    assert expected != texts
    for batch_rows, shards in ((1, 1), (3, 2), (1000, 13)):
        if shards == 1 or keep == "none":  # without ranks the first copy is the first by shard
            assert deduplicated(texts, cut, batch_rows, shards) == expected
    for module, name, value in (
        (segments, "PIECE_UNITS", 8),
        (segments, "MOST_LENGTHS", 1),
        (blocks, "BLOCK_BYTES", 1),
        (segments, "MOST_DIFFERENT", 1),
        (segments, "MOST_DIFFERENT", 0),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert deduplicated(texts, cut) == expected, name


def test_planted_spans() -> None:
    """Of every length around 50, at any place of long texts: those of 50 and more are found, to the token."""
    draw = random.Random(5)
    texts, left = [], []
    for number, size in enumerate(range(40, 61)):
        shared = english(1000 + number, size)
        for copy in range(2):
            before, after = (english(2000 + 4 * number + 2 * copy + i, draw.randrange(1, 400)) for i in range(2))
            texts.append(" ".join([*before, *shared, *after]))
            left.append([*before, *(shared if size < 50 else []), *after])
    assert [(text or "").split() for text in deduplicated(texts, ALL)] == left


def test_what_is_left_must_be_something() -> None:
    shared = " ".join(english(12, 50))
    texts = [shared, shared + " nineteen characters", shared + " twenty characters, or more"]
    assert deduplicated(texts, SpanEdit(TOKENS)) == [None, None, " twenty characters, or more"]
    assert SpanEdit(TOKENS)("few tokens", NONE).text == "few tokens"


def test_actions() -> None:
    shared, own = " ".join(english(13, 60)), " ".join(english(14, 300))
    texts = [f"{own} {shared}", f"A {shared} b."]
    assert deduplicated(texts, SpanEdit(TOKENS, "mask")) == [f"{own} […]", "A […] b."]
    assert deduplicated(texts, SpanEdit(TOKENS, "drop")) == [texts[0], None]
    assert deduplicated(texts, SpanEdit(TOKENS, "drop", share=0.0)) == [None, None]
    assert deduplicated(texts, SpanEdit(TOKENS, "drop", keep="first", share=0.0)) == [texts[0], None]


def test_gaps_are_merged() -> None:
    one, two = " ".join(english(15, 50)), " ".join(english(16, 50))
    texts = [f"a {one} x y {two} b", one, two]
    assert deduplicated(texts, SpanEdit(TOKENS, gap=1, characters=1))[0] == "a  x y  b"
    assert deduplicated(texts, SpanEdit(TOKENS, gap=2, characters=1))[0] == "a  b"
    kept = SpanEdit(TOKENS, gap=2, keep="first", characters=1)
    assert deduplicated([one, two, texts[0]], kept) == [one, two, "a  b"]


@given(st.text(st.characters() | st.sampled_from("\n \ud800字"), max_size=80))
@settings(max_examples=60)
def test_tokens_of_any_text(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    bounds = bounds_of(np.frombuffer(data, np.uint8)).tolist()
    found = [data[begin:end].decode("utf-8", "surrogatepass") for begin, end in bounds]
    old = counted_windows.token_spans(text)
    assert found == [text[begin:end] for begin, end in zip(old.start.tolist(), old.end.tolist())]


def test_bytes_that_are_no_utf8_do_no_harm() -> None:
    data = np.array([0xF0, 0x9F, 0x20, 0xC3, 0xFF, 0x20, 0xE5], np.uint8)
    assert bounds_of(data)[:, 0].min() == 0 and bounds_of(data)[:, 1].max() == data.size


@pytest.mark.parametrize("unit", ["tokens", "bytes"])
@pytest.mark.parametrize("keep", ["none", "first"])
@pytest.mark.parametrize(
    "text",
    ["a" * 5000, "a " * 5000, "\0" * 3000, "\0 " * 3000, "\ud800x " * 2000, " " * 3000, "字" * 3000, "", "ab " * 3000],
    ids=["one token", "one word", "NULs", "NUL words", "surrogates", "blank", "ideographs", "empty", "two letters"],
)
def test_hostile_texts(text: str, keep: Keep, unit: segments.Unit) -> None:
    """Alone, and twice: what stays of `first` is shorter than two windows, of all copies nothing."""
    cut = SpanEdit(Windows(unit, 50), keep=keep, characters=0)
    clean = text.replace("\ud800", "x")  # Arrow's strings have no lone surrogates
    alone, twice = deduplicated([clean], cut), deduplicated([clean, clean], cut)
    units = len(clean.encode()) if unit == "bytes" else len(plain_tokens(clean))
    left = [sum(len(plain_tokens(each or "")) for each in found) for found in (alone, twice)]
    if units <= 50:
        assert alone == [clean]
    elif keep == "none":
        assert left == [0, 0]
    else:
        assert max(len((each or "").encode()) for each in (*alone, *twice)) <= 50 * 4
    assert cut("\ud800 " * 3, NONE).text == "\ud800 " * 3


def test_a_million_copies_are_as_many_rows_and_two_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here 2,000, each after another word: the page's segments are compared once, those around the words each."""
    page = " ".join(english(20, 400))
    monkeypatch.setattr(segments, "MOST_DIFFERENT", 100)
    texts = [f"w{number} {page}" for number in range(2000)]
    found = deduplicated(texts, SpanEdit(TOKENS, keep="first", characters=1), 65536)
    assert found == [texts[0], *(f"w{number} " for number in range(1, 2000))]


def test_no_document_and_no_text() -> None:
    empty = documents([None, "", "a b"])
    assert segments.segment_table(empty, 0, 0, TOKENS).num_rows == 0
    assert [spans.begin.size for spans in spans_of([None, "", "a b"], ALL)] == [0, 0, 0]
