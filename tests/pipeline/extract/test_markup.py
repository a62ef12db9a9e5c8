"""The scan for tags."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.markup import scan


@settings(max_examples=50, deadline=None)
@given(st.text(st.sampled_from("<>/!-='\" abp\n&#;\u00e9\ud800\r\x00"), max_size=80))
def test_scan_covers_the_page_in_order(html: str) -> None:
    position = 0
    for tag in scan(html, frozenset({"a"})):
        assert position <= tag.start < tag.content <= tag.end <= len(html)
        assert html[tag.start] == "<"
        position = tag.end
