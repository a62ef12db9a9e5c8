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

from dedup.paragraphs import (
    KEPT_LINES,
    KeepBest,
    KeepUnique,
    LineSpans,
    WithinDocument,
    c4_lines,
    line_hashes,
    line_table,
    normalise_lines,
    surviving_text,
)
from dedup.policy import content_hashes
from infra.errors import UsageError
from tests.dedup.support import documents, reduce

ONE = LineSpans()
FANCY = "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►"


def surviving(table: pa.Table, texts: list[str], span: int = 1) -> list[str | None]:
    rows = table.to_pylist()
    kept = [np.array([row["line"] for row in rows if row["row"] == i], np.int32) for i in range(len(texts))]
    return [surviving_text(text, lines, span) for text, lines in zip(texts, kept)]


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
    table = reduce(KeepUnique(), [line_table(documents(texts), 0, 0, 0, ONE)], KEPT_LINES, 2)
    assert surviving(table, texts) == ["alpha\nbeta", "", None, None]


def test_a_line_that_one_document_repeats() -> None:
    texts = ["gamma\ndelta\nGamma", "epsilon"]
    lines = line_table(documents(texts), 0, 0, 0, ONE)
    assert surviving(reduce(KeepUnique("none"), [lines], KEPT_LINES), texts) == ["delta", "epsilon"]
    assert surviving(reduce(KeepUnique("first"), [lines], KEPT_LINES), texts) == ["gamma\ndelta", "epsilon"]


def test_blocks_are_counted_apart() -> None:
    lines = [line_table(documents(["same"]), shard, 0, block, ONE) for shard, block in ((0, 0), (1, 1), (2, 1))]
    table = reduce(KeepUnique(), lines, KEPT_LINES, 1)
    assert [(row["shard"], row["row"]) for row in table.to_pylist()] == [(0, 0)]


def test_texts_without_lines() -> None:
    assert line_table(documents([]), 0, 0, 0, ONE).num_rows == 0
    assert line_table(documents([None, ""]), 0, 0, 0, ONE)["count"].to_pylist() == [2]


@pytest.mark.parametrize("mode", ["none", "first"])
def test_any_batches_give_what_counting_gives(mode: str) -> None:
    draw = random.Random(5)
    texts = ["\n".join(str(chr(97 + draw.randrange(26)) * draw.randrange(1, 9)) for _ in range(3)) for _ in range(60)]
    batch = documents(texts)
    tables = [line_table(batch.slice(i, 13), 0, i, 0, ONE) for i in range(0, 60, 13)]
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
    tables = [line_table(pages, shard, 0, 0, ONE) for shard in range(200)]
    assert reduce(KeepUnique(), tables, KEPT_LINES, 1000).num_rows == 0


# Lines of one letter; "A " is "a" by either normalisation, "1" is "2" by CCNet's alone.
LINES_OF_FEW = st.lists(st.lists(st.sampled_from("aAb12 "), min_size=1, max_size=9).map("\n".join), max_size=7)


def brute_force(
    texts: list[str], blocks: list[int], spans: LineSpans, within: WithinDocument, order: list[int]
) -> list[str | None]:
    """What stays of each text, by a look at every pair of spans. `order`: of the documents, the best first."""
    normal = {"ccnet": normalise_lines, "c4": c4_lines}[spans.normal]
    lines = [normal(text).split("\n") for text in texts]
    places = [(i, j) for i in order for j in range(len(lines[i]) - spans.lines + 1)]
    gone = [set[int]() for _ in texts]
    for i, j in places:
        span = lines[i][j : j + spans.lines]
        equal = [(d, k) for d, k in places if blocks[d] == blocks[i] and lines[d][k : k + spans.lines] == span]
        alone = len({d for d, _ in equal}) == 1
        stays = equal[0] == (i, j) if spans.keep == "first" or (within == "first" and alone) else len(equal) == 1
        gone[i] |= set() if stays else {*range(j, j + spans.lines)}
    left = [[line for k, line in enumerate(text.split("\n")) if k not in gone[i]] for i, text in enumerate(texts)]
    return ["\n".join(each) if each else None for each in left]


@pytest.mark.parametrize("keep", ["none", "first"])
@given(
    LINES_OF_FEW,
    st.integers(1, 3),
    st.sampled_from(["ccnet", "c4"]),
    st.sampled_from(["none", "first"]),
    st.integers(1, 3),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
@settings(max_examples=120, deadline=None)
def test_against_a_look_at_every_pair(
    keep: str,
    texts: list[str],
    lines: int,
    normal: str,
    within: WithinDocument,
    blocks: int,
    rows: int,
    draw: random.Random,
) -> None:
    """Whatever the order of the documents, and the batches and shards that they come in."""
    spans = LineSpans(lines, keep, normal)  # type: ignore[arg-type]
    of = [draw.randrange(blocks) for _ in texts]
    whole = documents(texts)
    order = np.lexsort((np.arange(len(texts)), content_hashes(whole))).tolist()
    expected = brute_force(texts, of, spans, within, order)
    shuffled = draw.sample(range(len(texts)), len(texts))
    batch = whole.take(pa.array(shuffled, pa.int64()))
    cuts = sorted(draw.sample(range(len(texts) + 1), min(2, len(texts))))
    pieces = list(zip([0, *cuts], [*cuts, len(texts)], strict=True))
    tables = [
        line_table(
            batch.slice(begin, end - begin), 0, begin, np.array([of[i] for i in shuffled[begin:end]], np.int32), spans
        )
        for begin, end in pieces
    ]
    reducer = KeepBest() if keep == "first" else KeepUnique(within)
    got = surviving(reduce(reducer, tables, KEPT_LINES, rows), [texts[i] for i in shuffled], lines)
    assert got == [expected[i] for i in shuffled]


@given(LINES_OF_FEW, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_of_each_line_one_stays(texts: list[str], lines: int) -> None:
    """Spans overlap, and a span's first copy may lose lines to another; no line is lost from all."""
    spans = LineSpans(lines, "first", "c4")
    kept = reduce(KeepBest(), [line_table(documents(texts), 0, 0, 0, spans)], KEPT_LINES)
    left = {line for text in surviving(kept, texts, lines) for line in c4_lines(text or "").split("\n") if text}
    assert left == {line for text in texts for line in c4_lines(text).split("\n")}


def test_planted_spans_of_three_lines() -> None:
    shared = ["It was so.", "They went home.", "The end came."]
    texts = [
        "\n".join(["One begins.", *shared, "One goes on."]),
        "\n".join([*shared, "Two is another."]),
        "\n".join([*shared[:2], "Three has two of them."]),
        "\n".join([*shared[:2]]),
    ]
    spans = LineSpans(3, "first", "c4")
    batch = documents(texts)
    best = int(np.argmin(content_hashes(batch)[:2]))
    got = surviving(reduce(KeepBest(), [line_table(batch, 0, 0, 0, spans)], KEPT_LINES), texts, 3)
    others = ["One begins.\nOne goes on.", "Two is another."]
    assert got == [texts[i] if i == best or i > 1 else others[i] for i in range(4)]
    every = surviving(reduce(KeepUnique(), [line_table(batch, 0, 0, 0, LineSpans(3))], KEPT_LINES), texts, 3)
    assert every == [*others, *texts[2:]]


def test_a_line_on_every_page_is_one_row_a_batch_where_one_stays() -> None:
    pages = documents([f"menu\n{i}{'x' * (i % 50)}" for i in range(1000)])
    tables = [line_table(pages, shard, 0, 0, LineSpans(1, "first", "c4")) for shard in range(50)]
    assert max(table.num_rows for table in tables) == 1001
    kept = reduce(KeepBest(), tables, KEPT_LINES, 1000)
    assert kept.num_rows == 1001 and set(kept["shard"].to_pylist()) == {0}


def test_a_span_of_no_line_is_refused() -> None:
    with pytest.raises(UsageError, match="lines is 0; give at least 1"):
        LineSpans(0)
