"""All visible text by regular expressions: the same as by following each tag."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.extractors.all_text import AllTextOptions, all_text
from pipeline.extract.extractors.extractor import NoOptions
from pipeline.extract.extractors.strip_tags import _ODD, strip_tags
from pipeline.extract.markup import SHOWN_RAW, UNSEEN

NAMES = ["p", "div", "td", "b", "a", "script", "style", "svg", "title", "x-y", "p-x", "BR", "table", "noscript", "html"]
PIECES = st.one_of(
    st.sampled_from(["text ", "wo", "rds", " ", "\n\t", "&amp;", "&nbsp;", "é", "漢字", "&#0;", "a < b", "x &lt y"]),
    st.builds(
        "<{}{}{}>".format,
        st.sampled_from(["", "/"]),
        st.sampled_from(NAMES),
        st.sampled_from(["", " class=x", " title='a b'", ' href="/a?b&amp;c"', "/", " /"]),
    ),
    st.sampled_from(["<!-- a <p> b -->", "<!doctype html>", "<!-->", "<?xml version='1.0'?>"]),
)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_it_is_the_text_by_following_each_tag(html: str) -> None:
    slow = all_text(html, "", AllTextOptions(title=False)).text
    assert strip_tags(html, "", NoOptions()).text == slow


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one<b>word</b></p>two", "oneword\ntwo"),
        ("<tr><td>a</td><td>b</td></tr><tr><td>c", "a b\nc"),
        ("a<script>if (a<b) x = '<p>'</script >b", "ab"),
        ("a<SCRIPT>never ends <p>b", "a"),
        ("a<svg>never ends <p>b", "a\nb"),
        ("a<!-- never ends <p>b", "a"),
        ("<p title='a>b'>c", "b'>c"),
        ('<a data-x="<!-- x"><b title="<script <style">c</b>', "c"),
        ('<a data-x="<!-- <!-- x">c<!-- y -->d', "cd"),
        ("a <<!-- x -->b < <script>y</script>c", "a <b < c"),
        ("<p-button>a</p-button>b<x-p>c", "abc"),
        ("a\0b&#0;c<p>\ud800d", "ab\ufffdc\n\ufffdd"),
        ("<p>a<b class=", "a"),
        ("", ""),
    ],
)
def test_broken_pages(html: str, text: str) -> None:
    assert strip_tags(html, "", NoOptions()).text == text


@given(st.text(alphabet="<>/!-a \"'&;#p\0", max_size=200))
def test_any_page_gives_a_text_without_nuls(html: str) -> None:
    assert "\0" not in strip_tags(html, "", NoOptions()).text


@pytest.mark.parametrize(
    "unit", ["<a ", "<!--", "<svg>", "</", "<script>", "<b\"'", "<svg></svg>", "&#9", "<svg </svg"]
)
def test_its_time_is_linear(unit: str) -> None:
    """Sixteen times the page may not take a hundred times as long: quadratic time would take 256."""

    def seconds(repeats: int) -> float:
        html, start = unit * repeats, time.process_time()
        strip_tags(html, "", NoOptions())
        return time.process_time() - start

    assert seconds(160_000) < 100 * max(seconds(10_000), 0.002)


@pytest.mark.parametrize("name", sorted(UNSEEN | SHOWN_RAW))
def test_every_name_of_what_is_not_read_as_text_is_found(name: str) -> None:
    """The search skips tags by their first letters: a name that is new to the list must not be among those."""
    for each in (name, name.upper(), name.title()):
        assert _ODD.search(f"a <p>b</p> <{each}>")
