"""Blocks of a page, their features, the network over them, and the choice between engines."""

import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.block_features import features
from pipeline.extract.block_model import FORMAT, assemble, best, main_text, probabilities, read_weights, shipped_weights
from pipeline.extract.blocks import KINDS, TAGS, Block, blocks
from pipeline.extract.extractors import AllTextOptions, all_text
from pipeline.extract.join import choose

SENTENCE = "The lighthouse keeper climbed the stairs every evening, lit the lamp, and wrote the weather in his book. "
OTHER = "Nobody had told the fishermen, who mended their nets in the harbour, that the storm would come so soon. "
MENU = "".join(f"<li><a href='/{name}'>{name}</a></li>" for name in ("Home", "About us", "Prices", "Contact"))
POSTS = "".join(
    f"<div class='post'><div class='author'>Reader {i}</div><div class='message'>{SENTENCE}{OTHER * i}</div></div>"
    for i in range(1, 5)
)
PAGE = (
    "<!DOCTYPE html><html><head><title>The keeper</title></head><body class='comment'>"
    f"<nav class='main-menu'><ul>{MENU}</ul></nav><main><article><h1>The keeper</h1>"
    + "".join(f"<p>{text * 3}</p>" for text in (SENTENCE, OTHER, SENTENCE, OTHER))
    + f"</article></main><aside class='relatedPosts'><ul>{MENU}</ul></aside><footer>Imprint</footer>"
)


def marked(block: Block) -> set[str]:
    return {name for i, name in enumerate([*TAGS, *KINDS]) if block.marks >> i & 1}


def test_a_block_knows_what_it_is_inside_of() -> None:
    page = blocks(PAGE)
    menu = next(block for block in page if block.text == "Prices")
    assert marked(menu) == {"nav", "li", "a", "menu", "main"} and menu.link_characters == len("Prices")
    text = next(block for block in page if block.text.startswith(OTHER[:9]))
    assert marked(text) == {"main", "article", "p"} and text.link_characters == 0 and text.tag == "p"
    assert marked(page[-1]) == {"footer"}
    # humps in names are borders of words; names of the body are of the whole page, and say nothing of its parts
    assert page[-2].text == "Contact" and marked(page[-2]) == {"aside", "li", "a", "more", "message"}


def test_paths_are_alike_where_the_make_is_alike() -> None:
    found = blocks(POSTS)
    authors, messages = found[::2], found[1::2]
    assert len({block.path for block in authors}) == len({block.path for block in messages}) == 1
    assert authors[0].path != messages[0].path
    assert len({block.container for block in found}) == len(found)
    paragraphs = blocks(f"<div><p>{SENTENCE}</p><p>{OTHER}</p></div>")
    assert len({block.container for block in paragraphs}) == 1


@pytest.mark.parametrize(
    ("html", "texts"),
    [
        ("a<br>b<p>c <b>d</b>e", ["a", "b", "c de"]),
        ("<pre>a\n  b  \n\nc</pre>d", ["a\n  b\nc", "d"]),
        ("<script>no</script><noscript>no</noscript>a<svg><text>no</text></svg> &lt;b&gt;", ["a <b>"]),
        ("<p>text</p><noscript><p>no</p></noscript>", ["text"]),
        ("<p>text</p><noscript><p>more text</p>for crawlers</noscript>", ["text", "more text", "for crawlers"]),
        ("<title>no</title><div hidden>a</div>", ["a"]),
        ("", []),
        ("<p> \n </p>", []),
    ],
)
def test_texts(html: str, texts: list[str]) -> None:
    assert [block.text for block in blocks(html)] == texts


def test_the_cells_of_a_row_stand_on_one_line() -> None:
    page = blocks("<table><tr><td>a<td>b<td>c<tr><th>d</th><td>e</td></tr></table>f")
    assert [block.text for block in page] == list("abcdef")
    assert assemble(page, [True] * 6) == "a b c\nd e\nf"
    assert assemble(page, [True, False, True, True, False, True]) == "a\nc\nd\nf"


# fmt: off
PIECES = [
    "<p>", "</p>", "<td>", "<tr>", "</table>", "<table>", "<a b=c>", "</a>", "<br>", "<h1 ", "class='nav x'>", "<!--",
    "-->", "<svg>", "x", "é&amp;", " ", "\ud800", "<", "<li>",
]
# fmt: on


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_blocks_hold_all_the_text_there_is(parts: list[str]) -> None:
    html = "".join(parts)
    page = blocks(html)
    seen = "".join("".join(block.text for block in page).split()).replace("\ud800", "\ufffd")
    assert seen == "".join(all_text(html, "", AllTextOptions(title=False)).text.split())
    assert all(0 <= block.link_characters <= len(block.text) and block.text.strip() for block in page)
    if page:
        columns = features(page)
        assert tuple(columns) == shipped_weights().names
        assert all(column.shape == (len(page),) and np.isfinite(column).all() for column in columns.values())
    main_text(html)[0].encode()


HOSTILE = [
    "<div class='nav menu'>x" * 60_000,
    "<td>x" * 120_000,
    "<a id=" * 200_000 + ">x",
    "<p>x" * 100_000,
    "<b " + "class=x " * 200_000 + ">x",
    "</div>" * 100_000 + "x",
]


@pytest.mark.parametrize("html", HOSTILE, ids=lambda html: html[:8])
def test_hostile_pages_take_linear_time(html: str) -> None:
    started = time.process_time()
    main_text(html)
    assert time.process_time() - started < 10


def test_main_text_keeps_the_article_and_drops_the_rest() -> None:
    found, expected = main_text(PAGE)
    assert found.count(SENTENCE.strip()) == found.count(OTHER.strip()) == 6
    assert "Contact" not in found and "Imprint" not in found
    assert 0.8 < expected <= 1 and main_text(PAGE) == (found, expected)


def test_the_best_block_is_kept_where_none_is_good() -> None:
    text, expected = main_text("<nav><a href=x>Home</a></nav>")
    assert text == "Home" and expected < 0.8
    assert main_text("") == ("", 1.0)


def model(form: str = FORMAT) -> str:
    """One hidden unit: the logarithm of bare characters, less nine times the share of links."""
    return f'''
        format = "{form}"
        hidden_bias = [0.0]
        output = [1.0]
        output_bias = 0.0
        [features]
        "bare length" = [0.0, 1.0, 1.0]
        "linked" = [0.0, 1.0, -9.0]
    '''


def test_probabilities_are_what_the_weights_say() -> None:
    page = blocks(f"<p>{'x' * 9}<p>{'x' * 20}<p><a>{'x' * 30}</a>")
    # the logit is log(1 + bare characters), or nothing where all is linked
    assert probabilities(page, read_weights(model())).tolist() == pytest.approx([10 / 11, 21 / 22, 1 / 2])
    with pytest.raises(ValueError, match="format"):
        read_weights(model("other"))


def page_of(*sizes: int) -> list[Block]:
    return [Block("x" * size, 0, 0, 0, 0, 0, 0, "p", False) for size in sizes]


@pytest.mark.parametrize(
    ("sizes", "likely", "keep", "expected"),
    [
        ([10, 10], [0.9, 0.1], [True, False], 2 * 9 / (10 + 10)),
        # where nothing is sure, the half as likely is kept too
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


@pytest.mark.parametrize(
    ("by_blocks", "expected", "second", "third", "chosen"),
    [
        ("a b c d", 0.9, None, None, "a b c d"),
        ("a b c d", 0.5, "a b c d e", None, "a b c d"),
        ("a b c d", 0.5, "x y z", "x y", "x y"),
        ("a b c d", 0.5, "x y z", "q r", "a b c d"),
        ("a", 0.5, "", "", "a"),
        ("海上生明月", 0.5, "海上生明日", None, "海上生明月"),
    ],
)
def test_other_engines_are_asked_only_in_need_and_two_outvote_one(
    by_blocks: str, expected: float, second: str | None, third: str | None, chosen: str
) -> None:
    def ask(answer: str | None) -> str:
        assert answer is not None, "asked without need"
        return answer

    assert choose(by_blocks, expected, lambda: ask(second), lambda: ask(third)) == chosen
