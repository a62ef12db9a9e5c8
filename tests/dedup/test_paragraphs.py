"""CCNet's paragraph rule: its normalisation, its hash, and what survives in which block."""

import hashlib
import random
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.paragraphs import KEPT_LINES, KeepUnique, line_hashes, line_table, normalise_lines, surviving_text
from tests.dedup.support import documents, reduce

FANCY = "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►"


def surviving(table: pa.Table, texts: list[str]) -> list[str | None]:
    rows = table.to_pylist()
    kept = [np.array([row["line"] for row in rows if row["row"] == i], np.int32) for i in range(len(texts))]
    return [surviving_text(text, lines) for text, lines in zip(texts, kept)]


@pytest.mark.parametrize(
    "line, normal",
    [
        ("  Hello, World 12! É “q” – x…", "hello, world 00! é q  x"),  # run through cc_net's own code
        ("１٣", "00"),
        ("a\x00b\x7f\x9fc\td", "abcd"),
        ("« Oui » : 50％", " oui  : 00"),
        ("", ""),
        ("it's (ASCII) - stays.", "it's (ascii) - stays."),
        ("\ud800", "\ud800"),
    ],
)
def test_normalisation(line: str, normal: str) -> None:
    assert normalise_lines(line) == normal


@given(st.text(st.characters() | st.sampled_from("\n\r\u2028 \x1c" + FANCY + "Aİ9é"), max_size=120))
@settings(max_examples=50)
def test_all_lines_at_once_is_each_line_by_itself(text: str) -> None:
    def one(line: str) -> str:
        line = re.sub(r"\d", "0", line.strip().lower())
        return "".join(c for c in line if c not in FANCY and not (ord(c) < 32 or 127 <= ord(c) < 160))

    lines = [one(line) for line in text.split("\n")]
    assert normalise_lines(text).split("\n") == lines
    digests = [hashlib.sha1(line.encode("utf-8", "surrogatepass")).digest()[:8] for line in lines]
    assert line_hashes(text).tolist() == [int.from_bytes(d, "little") for d in digests]


def test_all_copies_go_and_the_first_too() -> None:
    texts = ["Menu\nalpha\nbeta", "menu \nalpha 1\n", "gamma\nalpha 2\ngamma", "Menu"]
    table = reduce(KeepUnique(), [line_table(documents(texts), 0, 0, 0)], KEPT_LINES, 2)
    assert surviving(table, texts) == ["alpha\nbeta", "", None, None]


def test_a_line_that_one_document_repeats() -> None:
    texts = ["gamma\ndelta\nGamma", "epsilon"]
    lines = line_table(documents(texts), 0, 0, 0)
    assert surviving(reduce(KeepUnique("none"), [lines], KEPT_LINES), texts) == ["delta", "epsilon"]
    assert surviving(reduce(KeepUnique("first"), [lines], KEPT_LINES), texts) == ["gamma\ndelta", "epsilon"]


def test_blocks_are_counted_apart() -> None:
    lines = [line_table(documents(["same"]), shard, 0, block) for shard, block in ((0, 0), (1, 1), (2, 1))]
    table = reduce(KeepUnique(), lines, KEPT_LINES, 1)
    assert [(row["shard"], row["row"]) for row in table.to_pylist()] == [(0, 0)]


def test_texts_without_lines() -> None:
    assert line_table(documents([]), 0, 0, 0).num_rows == 0
    assert line_table(documents([None, ""]), 0, 0, 0)["count"].to_pylist() == [2]


@pytest.mark.parametrize("mode", ["none", "first"])
def test_any_batches_give_what_counting_gives(mode: str) -> None:
    draw = random.Random(5)
    texts = ["\n".join(str(chr(97 + draw.randrange(26)) * draw.randrange(1, 9)) for _ in range(3)) for _ in range(60)]
    batch = documents(texts)
    tables = [line_table(batch.slice(i, 13), 0, i, 0) for i in range(0, 60, 13)]
    draw.shuffle(tables)
    got = surviving(reduce(KeepUnique(mode), tables, KEPT_LINES, 5), texts)
    occurrences = Counter(line for text in texts for line in text.split("\n"))
    owners = Counter(line for text in texts for line in set(text.split("\n")))
    for text, kept in zip(texts, got):
        lines = text.split("\n")
        if mode == "none":
            expected = [line for line in lines if occurrences[line] == 1]
        else:
            expected = [line for i, line in enumerate(lines) if owners[line] == 1 and line not in lines[:i]]
        assert kept == ("\n".join(expected) if expected else None)


def test_a_line_on_every_page_is_linear() -> None:
    pages = documents([f"menu\n{i}{'x' * (i % 50)}" for i in range(1000)])
    tables = [line_table(pages, shard, 0, 0) for shard in range(200)]
    assert reduce(KeepUnique(), tables, KEPT_LINES, 1000).num_rows == 0
