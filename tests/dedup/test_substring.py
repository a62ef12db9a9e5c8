"""Exact substrings: what is cut is what a plain search for repeated runs of tokens finds."""

import random
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.substring import DUPLICATE_WINDOWS, KeepRepeated, remaining_text, token_spans, window_hashes, window_table
from tests.dedup.support import chinese, documents, english, reduce

SIZE = 5


def plain_tokens(text: str) -> list[str]:
    return re.findall(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+", text)


def deduplicated(texts: list[str], size: int, batch_rows: int = 7, shards: int = 1) -> list[str | None]:
    """The texts after the reduction, cut; documents are dealt to `shards` shards."""
    tables = [
        window_table(documents([text], warc_offset=[i]), i % shards, i // shards, size) for i, text in enumerate(texts)
    ]
    rows = reduce(KeepRepeated(), tables, DUPLICATE_WINDOWS, batch_rows).to_pylist()
    found: dict[tuple[int, int], list[int]] = {}
    for row in rows:
        found.setdefault((row["shard"], row["row"]), []).append(row["token"])
    return [
        remaining_text(text, np.array(found.get((i % shards, i // shards), []), np.int64), size, min_characters=1)
        for i, text in enumerate(texts)
    ]


def plainly(texts: list[str], size: int) -> list[list[str]]:
    """The tokens that stay, by counting every run of `size` tokens."""
    split = [plain_tokens(text) for text in texts]
    runs = Counter(tuple(words[i : i + size]) for words in split for i in range(len(words) - size + 1))
    left = []
    for words in split:
        gone = {
            j for i in range(len(words) - size + 1) if runs[tuple(words[i : i + size])] > 1 for j in range(i, i + size)
        }
        left.append([word for j, word in enumerate(words) if j not in gone])
    return left


def test_every_copy_is_cut_and_the_rest_stays_as_it_is() -> None:
    shared = " ".join(english(1, 60))
    texts = [f"One,  begins.\n{shared}\nEnds  so.", f"Two {shared}", " ".join(english(2, 80)), shared]
    assert deduplicated(texts, 50) == ["One,  begins.\n\nEnds  so.", "Two ", texts[2], None]


def test_49_equal_tokens_are_not_enough() -> None:
    shared = " ".join(english(3, 49))
    texts = [f"a {shared} b", f"c {shared} d"]
    assert deduplicated(texts, 50) == texts
    assert deduplicated(texts, 49) == ["a  b", "c  d"]


def test_matches_that_overlap_are_one_span() -> None:
    words = english(4, 90)
    texts = [" ".join(words), "x " + " ".join(words[:60]), "y " + " ".join(words[30:])]
    assert deduplicated(texts, 50) == [None, "x ", "y "]


def test_one_document_may_repeat_itself() -> None:
    shared = " ".join(english(5, 50))
    assert deduplicated([f"{shared} between {shared}"], 50) == [" between "]


def test_ideographs_are_tokens_by_themselves() -> None:
    shared = "".join(chinese(6, 60))
    first, second = "".join(chinese(7, 30)), "".join(chinese(8, 30))
    assert deduplicated([first + shared, shared + second], 50)[1] == second.removeprefix("，").removeprefix("。")
    assert len(token_spans("中文 abc，def").hashes) == 3


def test_case_and_marks_count() -> None:
    shared = english(9, 60)
    assert deduplicated([" ".join(shared), " ".join(shared).upper()], 50)[1] is not None
    assert deduplicated([" ".join(shared), "\n".join(shared)], 50) == [None, None]


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "c,", "D", "字"]), max_size=30).map(" ".join), min_size=1, max_size=6)
)
@settings(max_examples=60, deadline=None)
def test_against_plain_counting(texts: list[str]) -> None:
    found = [plain_tokens(text or "") for text in deduplicated(texts, SIZE, 3)]
    assert found == plainly(texts, SIZE)


@pytest.mark.parametrize("batch_rows", [1, 5, 1000])
def test_neither_batches_nor_shards_change_the_answer(batch_rows: int) -> None:
    draw = random.Random(11)
    texts = [" ".join(draw.choices(["a", "b", "c"], k=40)) for _ in range(6)]
    assert deduplicated(texts, SIZE, batch_rows, shards=2) == deduplicated(texts, SIZE)


def test_what_is_left_must_be_something() -> None:
    text = " ".join(english(12, 50)) + " nineteen characters"
    assert remaining_text(text, np.array([0])) is None
    assert remaining_text(text + " more", np.array([0])) == " nineteen characters more"
    assert remaining_text(text, np.array([], np.int64)) == text
    assert remaining_text("few tokens", np.array([0, -1, 10**9])) == "few tokens"


@given(st.text(st.characters() | st.sampled_from("\n \ud800字"), max_size=80))
@settings(max_examples=60)
def test_tokens_of_any_text(text: str) -> None:
    found = token_spans(text)
    pieces = [text[start:end] for start, end in zip(found.start.tolist(), found.end.tolist())]
    assert "".join(pieces) == "".join(text.split())
    same: dict[str, set[int]] = {}
    for piece, value in zip(pieces, found.hashes.tolist()):
        same.setdefault(piece, set()).add(value)
    assert all(len(each) == 1 for each in same.values())
    assert len({value for each in same.values() for value in each}) == len(same)
    assert window_hashes(text, 3).size == max(0, len(pieces) - 2)


def test_no_document_and_no_text() -> None:
    empty = documents([None, "", "a b"])
    assert window_table(empty, 0, 0).num_rows == 0
    assert reduce(KeepRepeated(), [window_table(empty, 0, 0)], DUPLICATE_WINDOWS) == pa.Table.from_batches(
        [], DUPLICATE_WINDOWS
    )
