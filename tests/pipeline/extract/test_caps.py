"""The caps of a page: which rule rejects it, that ordinary pages pass, and that short cuts change no answer."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.caps import Caps, check_caps, check_size
from pipeline.extract.element_ends import RAW
from pipeline.extract.markup import nest, scan
from tests.pipeline.extract.hostile import HOSTILE

SMALL = Caps(bytes=120_001, nodes=2_000, depth=100, attributes=50)
DEEP = [
    ("<div>" * 101 + "</div>" * 101, "cap/depth", 101),
    ("<font>text" * 101, "cap/depth", 101),
    ("<div><table><tr><td></div>" * 30, "cap/depth", 119),
    ("<p " + " ".join(f"attribute{i}='{'v' * 90}'" for i in range(51)) + ">", "cap/attributes", 51),
]
LARGE = [("é" * 60_001, "cap/bytes", 120_002), ("<" * 2_001, "cap/nodes", 2_001)]


@pytest.mark.parametrize(("html", "rule", "value"), [*LARGE, *DEEP])
def test_the_rule_of_each_cap(html: str, rule: str, value: float) -> None:
    rejection = check_caps(html, SMALL)
    assert rejection is not None and rejection.rule == rule
    assert rejection.value >= value > rejection.threshold


@pytest.mark.parametrize("html", [html for html, *_ in LARGE])
def test_size_alone_is_checked_the_same_way(html: str) -> None:
    assert check_size(html.encode(), SMALL) == check_caps(html, SMALL)


@pytest.mark.parametrize("html", [html for html, *_ in DEEP])
def test_size_alone_does_not_bound_depth_and_attributes(html: str) -> None:
    assert check_size(html.encode(), SMALL) is None


@pytest.mark.parametrize(
    "html",
    [
        "<div></div>" * 400,
        "<p>" * 900,
        "<div><table><tr><td>x</table></div>" * 200,
        "<table><tr><td><div></td></tr></table></div>" * 200,
        "<ul>" + "<li>x" * 900,
        "<table>" + "<tr><td>x<td>y" * 300,
        "<br>" * 900,
        "<select>" + "<option>x" * 900,
        "<a href=x>" * 900,
        "<!--" + "<div>" * 400 + "-->",
        "<script>" + "'<div>'" * 400 + "</script>",
        "<img src='data:" + "A b " * 5_000 + "'>",
        "<p>" + "x" * 100_000,
    ],
    ids=lambda html: html[:16],
)
def test_ordinary_shapes_exceed_no_cap(html: str) -> None:
    assert check_caps(html, SMALL) is None


@pytest.mark.parametrize("html", HOSTILE, ids=lambda html: html[:12])
def test_their_time_is_linear(html: str) -> None:
    started = time.process_time()
    check_caps(html, Caps())
    assert time.process_time() - started < 5


# fmt: off
PIECES = [
    "<div>", "</div>", "<p>", "</p>", "<b>", "</b>", "<tr>", "<td>", "<table>", "</table>", "<br>", "<br/>", "<img x>",
    "<IMG >", "<hr>", "<link a>", "<script>", "</script>", "<script src=x>", "<!--", "-->", "<style>", "<metal>",
    "<META >", "<brx>", "x", "<a ", "b='<", "'>", "</", "</ ", "</>", "--!>", "<svg>", "</svg>", "<xmp>", "=\"", "\"",
]
# fmt: on


def depth_by_all_tags(html: str) -> int:
    stack: list[str] = []
    depth = 0
    for tag in scan(html, RAW):
        nest(stack, tag)
        depth = max(depth, len(stack))
    return depth


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.integers(0, 12))
def test_the_depth_cap_is_that_of_a_count_of_all_tags(html: str, cap: int) -> None:
    rejection = check_caps(html, Caps(depth=cap))
    if depth_by_all_tags(html) > cap:
        assert rejection is not None and rejection.rule == "cap/depth" and rejection.value > cap
    else:
        assert rejection is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60))
def test_deep_pages_are_rejected_with_their_depth(depth: int, beside: int) -> None:
    html = "<div><b>x</b></div>" * beside + "<div>" * depth + "</div>" * depth
    rejection = check_caps(html, Caps(depth=20))
    assert (rejection is not None) == (depth > 20)
    assert rejection is None or rejection == ("cap/depth", depth, 20)


@settings(max_examples=100, deadline=None)
@given(st.integers(4080, 4110), st.integers(0, 9000), st.booleans())
def test_a_long_tag_is_found_wherever_it_begins(length: int, before: int, broken: bool) -> None:
    """A tag is long if 4,096 of its characters stand together without `<` and `>`."""
    inside = ("a " * length)[:length]
    middle = f"{inside[:2000]}<{inside[2000:]}" if broken else inside
    rejection = check_caps(f"<p>{'x' * before}<p{middle}>", Caps(attributes=100))
    assert (rejection is not None) == (not broken and length >= 4096)
