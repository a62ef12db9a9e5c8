"""Short cuts that must not change what they shorten: the caps of a page, its control characters."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.extractors import Caps, check_caps, control_characters
from pipeline.extract.markup import RAW, nest, scan

# fmt: off
PIECES = [
    "<div>", "</div>", "<p>", "</p>", "<b>", "</b>", "<tr>", "<td>", "<table>", "</table>", "<br>", "<br/>", "<img x>",
    "<IMG >", "<hr>", "<link a>", "<script>", "</script>", "<script src=x>", "<!--", "-->", "<style>", "<metal>",
    "<META >", "<brx>", "x", "<a ", "b='<", "'>", "</",
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


@settings(max_examples=100, deadline=None)
@given(st.integers(4080, 4110), st.integers(0, 9000), st.booleans())
def test_a_long_tag_is_seen_wherever_it_begins(length: int, before: int, broken: bool) -> None:
    """Long is a tag of which 4,096 characters stand together without `<` and `>`."""
    inside = ("a " * length)[:length]
    middle = f"{inside[:2000]}<{inside[2000:]}" if broken else inside
    rejection = check_caps(f"<p>{'x' * before}<p{middle}>", Caps(attributes=100))
    assert (rejection is not None) == (not broken and length >= 4096)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters()) | st.text(st.sampled_from("a\x00\t\n\r\x1f\x7f\x80\x9f\xa0\xc2\ud800é中"), max_size=40))
def test_control_characters(text: str) -> None:
    assert control_characters(text) == len(re.findall(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", text))
