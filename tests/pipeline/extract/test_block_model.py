"""The network over the features of blocks, and the choice of the blocks to keep."""

import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.block import Block
from pipeline.extract.block_model import best, main_text, without_comments
from pipeline.extract.block_network import FORMAT, probabilities, read_weights
from pipeline.extract.blocks import blocks
from pipeline.extract.structure.markdown import plain
from tests.pipeline.extract.articles import OTHER, PAGE_WITH_MENUS, PIECES, SENTENCE

HOSTILE = [
    "<div class='nav menu'>x" * 15_000,
    "<td>x" * 30_000,
    "<a id=" * 50_000 + ">x",
    "<p>x" * 25_000,
    "<b " + "class=x " * 50_000 + ">x",
    "</div>" * 25_000 + "x",
]


def test_the_cells_of_a_row_stand_on_one_line() -> None:
    page = blocks("<table><tr><td>a<td>b<td>c<tr><th>d</th><td>e</td></tr></table>f")
    assert [block.text for block in page] == list("abcdef")
    assert plain(page, [True] * 6) == "a b c\nd e\nf"
    assert plain(page, [True, False, True, True, False, True]) == "a\nc\nd\nf"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_the_main_text_can_be_encoded(html: str) -> None:
    text = main_text(html).plain
    assert text.encode().decode() == text


@pytest.mark.parametrize("html", HOSTILE, ids=lambda html: html[:8])
def test_hostile_pages_take_linear_time(html: str) -> None:
    started = time.process_time()
    main_text(html)
    assert time.process_time() - started < 3


def test_main_text_keeps_the_article_and_drops_the_rest() -> None:
    main = main_text(PAGE_WITH_MENUS)
    found, expected = main.plain, main.expected_f1
    assert found.count(SENTENCE.strip()) == found.count(OTHER.strip()) == 6
    assert "Contact" not in found and "Imprint" not in found
    assert 0.8 < expected <= 1 and main_text(PAGE_WITH_MENUS).keep == main.keep


def with_comments(count: int, paragraphs: int = 4, name: str = "comment", author: str = "cite") -> str:
    remarks = "".join(
        f"<li class={name} id='{name}-{number}'><{author} class=fn>Reader {number}</{author}><p>{OTHER * 2}{number}</p>"
        for number in range(count)
    )
    text = "".join(f"<p>{SENTENCE * 3}</p>" for _ in range(paragraphs))
    return f"<body><article><h1>The keeper</h1>{text}</article><ol>{remarks}</ol>"


def test_comments_below_an_article_are_not_its_text() -> None:
    for count in (1, 2, 10):
        found = main_text(with_comments(count)).plain
        assert found.count(SENTENCE.strip()) == 12 and OTHER.strip() not in found


@pytest.mark.parametrize(
    "html",
    [
        with_comments(10, paragraphs=1),
        with_comments(40, paragraphs=4),
        with_comments(4, name="post"),
        with_comments(4, name="answer"),
        with_comments(4, name="athing"),
        with_comments(1, author="b").replace("class=fn", ""),
        with_comments(0) + "<p><code><b class=comment># One</b></code><p><code><i class=comment># Two</i></code>",
    ],
    ids=["a remark and its thread", "a long thread", "a forum", "answers", "a board", "a note", "code"],
)
def test_conversations_stay(html: str) -> None:
    page = blocks(html)
    keep = [True] * len(page)
    assert without_comments(page, keep) == keep


def test_the_best_block_is_kept_if_none_is_good() -> None:
    main = main_text("<nav><a href=x>Home</a></nav>")
    assert main.plain == "Home" and main.expected_f1 < 0.8
    assert main_text("").plain == "" and main_text("").expected_f1 == 1


def model(form: str = FORMAT, name: str = "linked") -> str:
    """One hidden unit: the logarithm of bare characters, less nine times the share of links."""
    return f'''
        format = "{form}"
        hidden_bias = [0.0]
        output = [1.0]
        output_bias = 0.0
        [features]
        "bare length" = [0.0, 1.0, 1.0]
        "{name}" = [0.0, 1.0, -9.0]
    '''


def test_probabilities_follow_from_the_weights() -> None:
    page = blocks(f"<p>{'x' * 9}<p>{'x' * 20}<p><a>{'x' * 30}</a>")
    # the logit is log(1 + bare characters), or 0 if all is linked
    assert probabilities(page, read_weights(model())).tolist() == pytest.approx([10 / 11, 21 / 22, 1 / 2])
    with pytest.raises(ValueError, match="format"):
        read_weights(model("other"))
    with pytest.raises(ValueError, match="no feature 'links'"):
        read_weights(model(name="links"))


def page_of(*sizes: int) -> list[Block]:
    return [Block("x" * size, 0, 0, 0, 0, 0, 0, "p", False) for size in sizes]


@pytest.mark.parametrize(
    ("sizes", "likely", "keep", "expected"),
    [
        ([10, 10], [0.9, 0.1], [True, False], 2 * 9 / (10 + 10)),
        # no block is certain, so the second is kept too
        ([10, 10], [0.4, 0.3], [True, True], 2 * 7 / (20 + 7)),
        ([10, 1], [0.001, 0.0], [True, False], 2 * 0.01 / (10 + 0.01)),
        ([10, 10, 10], [0.5, 0.9, 0.5], [True, True, True], 2 * 19 / (30 + 19)),
    ],
)
def test_the_kept_blocks_are_those_of_the_highest_expected_f1(
    sizes: list[int], likely: list[float], keep: list[bool], expected: float
) -> None:
    kept, f1 = best(page_of(*sizes), np.array(likely))
    assert kept == keep and f1 == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0.01, 0.99)), min_size=1, max_size=7))
def test_no_other_set_of_blocks_has_a_higher_expected_f1(blocks: list[tuple[int, float]]) -> None:
    sizes, likely = zip(*blocks, strict=True)
    whole = sum(size * p for size, p in blocks)
    others = (
        2 * sum(size * p for (size, p), taken in zip(blocks, chosen, strict=True) if taken)
        / (sum(size for (size, _), taken in zip(blocks, chosen, strict=True) if taken) + whole)
        for chosen in product([False, True], repeat=len(blocks))
    )  # fmt: skip
    assert best(page_of(*sizes), np.array(likely))[1] == pytest.approx(max(others))
