"""All visible text, by following each tag."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.extractors.all_text import AllTextOptions, all_text
from pipeline.extract.text import tidy
from tests.pipeline.extract.articles import ARTICLE
from tests.pipeline.extract.hostile import HOSTILE

ALL_TEXT = [
    ("<p>a<b>b</b>c</p>d", "abc\nd"),
    ("a<br>b<div>c</div>", "a\nb\nc"),
    ("<tr><td>a</td><td>b</td></tr><tr><td>c", "a b\nc"),
    ("a <!-- <p>no</p> --> b", "a b"),
    ("a<script>if (x<y) '</p>'</script>b", "ab"),
    ("a<SCRIPT >x</Script\n>b", "ab"),
    ("<p title='x>y'>a", "a"),
    ('<p title="5>">6">a', '6">a'),
    ('<a href="x\'>y">a</a>', "a"),
    ("a &lt;b&gt; &amp;amp; &eacute; &#x4e2d;", "a <b> &amp; é 中"),
    ("a &#99999999999999; &#xD800; &#0; b", "a \ufffd \ufffd \ufffd b"),
    ("a<noscript>no</noscript><svg><text>no</text></svg>b", "ab"),
    ("a<svg>b<p>c", "a\nc"),
    ("a<script>b", "a"),
    ("a<!-- b", "a"),
    ("a<p b", "a"),
    ("a < b <3 <> c", "a < b <3 <> c"),
    ("<pre>a\r\nb\t c</pre>", "a b c"),
    # as in WET, which published recipes read
    ("in&shy;ter light&#8203;house\u2060\ufeff", "in\xadter light\u200bhouse\u2060\ufeff"),
    ("<p>海上生\n明月", "海上生 明月"),
]


@pytest.mark.parametrize(("html", "text"), ALL_TEXT)
def test_all_text(html: str, text: str) -> None:
    assert all_text(html, "", AllTextOptions()).text == text


def test_the_title_is_an_option() -> None:
    assert all_text(ARTICLE, "", AllTextOptions()).text.startswith("The keeper\nHome")
    assert all_text(ARTICLE, "", AllTextOptions(title=False)).text.startswith("Home")


@pytest.mark.parametrize("html", HOSTILE, ids=lambda html: html[:12])
def test_its_time_is_linear(html: str) -> None:
    started = time.process_time()
    all_text(html, "", AllTextOptions())
    assert time.process_time() - started < 5


@settings(max_examples=50, deadline=None)
@given(st.text(st.sampled_from("<>/!-='\" abp\n&#;\u00e9\ud800\r\x00"), max_size=80))
def test_any_page_gives_a_tidy_text(html: str) -> None:
    found = all_text(html, "", AllTextOptions()).text
    found.encode()
    assert tidy(found) == found
