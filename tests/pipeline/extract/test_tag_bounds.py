"""The bounds of a page's tags are never below the result of following every tag, and close to it on ordinary pages."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.extract.element_ends import RAW
from pipeline.extract.markup import attributes_of, nest, scan
from pipeline.extract.tag_bounds import TagBounds, end_tags

PIECES = st.sampled_from(
    ["<a>", "</a>", "<b ", '<a="', '="', "='", "= ", '"', "'", ">", "<", "</a", "/", " ", "x", "<!--", "-->", "<p>",
     "</p>", "<br>", "<br ", "</b>", "<!", "</ ", "</>", "--!>", "<svg>", "</svg>", "<math>", "<![CDATA[",
     "</1", "<style>", "</style>", "é", "=\u2003'", "<title>", "</title>", "<td>",
     "<table>", "</table>", "<blockquote>", "</blockquote>", "<DIV>", "</div >", "<textarea>", '<i x="a>b" y=\'>\'>']
)  # fmt: skip


def exact(html: str, longer: int) -> tuple[int, int]:
    """The most open elements, and the most attributes of a tag of more than `longer` characters."""
    stack: list[str] = []
    levels = attributes = 0
    for tag in scan(html, RAW):
        nest(stack, tag)
        levels = max(levels, len(stack))
        if tag.name and tag.content - tag.start > longer:
            attributes = max(attributes, attributes_of(html[tag.start : tag.content]))
    return levels, attributes


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join), st.integers(1, 40))
@example('<a="b =" ></a>', 20)
@example("<b><script></b></script>", 20)
@example("<b><!--</b>-->", 20)
@example('<b><img alt="</b>">', 20)
def test_bounds_hold(piece: str, times: int) -> None:
    """Repeated, so that what a bound misses once adds up."""
    html = piece * times
    levels, attributes = exact(html, 2)
    bounds = TagBounds(html, html.encode())
    assert bounds.levels(0) >= levels
    assert bounds.attributes(2) >= attributes
    assert end_tags(html.encode()) == html.count("</")


def test_what_is_closed_does_not_count() -> None:
    row = '<DIV class="a b"><p id=x>é<br/><img src="u>v.png"> text</p ><!-- </div> --><b>1 < 2</b></div>\n'
    bounds = TagBounds(row * 500, (row * 500).encode())
    # the comment keeps each <div> apart from its end, and the image, which is not plain, each <p>; 1 for the <b>
    assert bounds.levels(0) == 1001
    plain = '<DIV class="a b"><p id=x>é<br/><img src=u> text</p ><b>1 < 2</b></div>\n' * 500
    assert TagBounds(plain, plain.encode()).levels(0) == 2


def test_a_page_of_doubtful_tags_takes_little_time() -> None:
    """Each tag might reach to the end of the page."""
    html = "<a x='" * 100_000
    assert TagBounds(html, html.encode()).attributes(4_096) == len(html)
    html = "<a x=' " * 900 + "x" * 100_000
    assert TagBounds(html, html.encode()).attributes(4_096) == len(html)


@pytest.mark.parametrize(
    "html",
    [
        '<a ="b c="d></a>">' + "<b></b>",
        '<a b="c"="d e="f></a>">',
        "<b></ </b>",
        "<b></1</b>",
        '<a b=c="d e="f></a>">',
        '<a/="b c="d></a>">',
    ],
)
def test_what_looks_like_values_does_not_end_tags_early(html: str) -> None:
    bounds = TagBounds(html * 10, html.encode() * 10)
    levels, attributes = exact(html * 10, 2)
    assert bounds.levels(0) >= levels and bounds.attributes(2) >= attributes
