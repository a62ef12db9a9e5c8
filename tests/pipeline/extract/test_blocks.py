"""The blocks of a page: their texts, and what each records of its place."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract import block_tags
from pipeline.extract.block import Block
from pipeline.extract.block_kinds import KINDS, TAGS
from pipeline.extract.blocks import blocks
from pipeline.extract.extractors.all_text import AllTextOptions, all_text
from tests.pipeline.extract.articles import OTHER, PAGE_WITH_MENUS, PIECES, SENTENCE

POSTS = "".join(
    f"<div class='post'><div class='author'>Reader {i}</div><div class='message'>{SENTENCE}{OTHER * i}</div></div>"
    for i in range(1, 5)
)


def marked(block: Block) -> set[str]:
    return {name for i, name in enumerate([*TAGS, *KINDS]) if block.marks >> i & 1}


def test_a_block_records_the_elements_around_it() -> None:
    page = blocks(PAGE_WITH_MENUS)
    menu = next(block for block in page if block.text == "Prices")
    assert marked(menu) == {"nav", "li", "a", "menu", "main"} and menu.link_characters == len("Prices")
    text = next(block for block in page if block.text.startswith(OTHER[:9]))
    assert marked(text) == {"main", "article", "p"} and text.link_characters == 0 and text.tag == "p"
    assert marked(page[-1]) == {"footer"}
    # capitals inside names begin words; names of the body are about the whole page, so they are not used
    assert page[-2].text == "Contact" and marked(page[-2]) == {"aside", "li", "a", "more", "message"}


def test_blocks_made_alike_share_a_path() -> None:
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
        ("<pre>a\n  b  \n\nc</pre>d", ["a\n  b\n\nc", "d"]),
        ("<script>no</script><noscript>no</noscript>a<svg><text>no</text></svg> &lt;b&gt;", ["a <b>"]),
        ("<p>text</p><noscript><p>no</p></noscript>", ["text"]),
        ("<p>text</p><noscript><p>more text</p>for crawlers</noscript>", ["text", "more text", "for crawlers"]),
        ("<p>text</p><noscript>&lt;p class=x&gt;more text&lt;/p&gt;</noscript>", ["text"]),
        ("<title>no</title><div hidden>a</div>", ["a"]),
        ("", []),
        ("<p> \n </p>", []),
    ],
)
def test_texts(html: str, texts: list[str]) -> None:
    assert [block.text for block in blocks(html)] == texts


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_blocks_hold_all_the_text_there_is(html: str) -> None:
    page = blocks(html)
    text = "".join("".join(block.text for block in page).split()).replace("\ud800", "\ufffd")
    assert text == "".join(all_text(html, "", AllTextOptions(title=False)).text.split())
    assert all(0 <= block.link_characters <= len(block.text) and block.text.strip() for block in page)


def test_what_was_read_before_makes_no_difference() -> None:
    pages = [
        PAGE_WITH_MENUS,
        POSTS,
        f"<pre class='code'>{SENTENCE}</pre><p class=code>{OTHER}</p><img alt=':)' class=smiley>",
    ]
    first = [[block[:9] for block in blocks(page)] for page in pages]
    blocks("".join(f"<p id=n{number}>" for number in range(block_tags._MOST_TAGS)))
    assert [[block[:9] for block in blocks(page)] for page in reversed(pages)] == first[::-1]
    assert len(block_tags.KNOWN) <= block_tags._MOST_TAGS


@pytest.mark.parametrize(
    ("inside", "is_token"),
    [
        (' class="kd"', True),
        (" href=x title='line one'", True),
        (' class="lineno"', False),
        (' style="display: block"', False),
        (' class="language-python"', False),
        (' class="toolbar"', False),
        (' data-tex="x^2"', False),
    ],
)
def test_what_is_a_token_of_code_and_no_more(inside: str, is_token: bool) -> None:
    assert block_tags.is_token(inside) is is_token
