"""The extractors: what each keeps, that the order of pages changes nothing, and the caps before them."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import UsageError
from pipeline.extract.extractors import (
    EXTRACTORS,
    AllTextOptions,
    Caps,
    ResiliparseOptions,
    TrafilaturaOptions,
    TruncatedPage,
    all_text,
    check_caps,
    extract,
    options_of,
    page_title,
    resiliparse,
    tidy,
    trafilatura,
)
from pipeline.extract.markup import scan

SENTENCE = "The lighthouse keeper climbed the stairs every evening, lit the lamp, and wrote the weather in his book. "
OTHER = "Nobody had told the fishermen, who mended their nets in the harbour, that the storm would come so soon. "


def article(body: str, title: str = "The keeper", nav: str = "Home About Contact") -> str:
    return (
        f"<!DOCTYPE html><html><head><title>{title}</title><style>p {{ color: red }}</style></head><body>"
        f"<nav><ul><li>{nav}</li></ul></nav><article><h1>{title}</h1>{body}</article>"
        "<script>var hidden = '<p>not text</p>';</script><footer>Imprint</footer></body></html>"
    )


ARTICLE = article(f"<p>{SENTENCE * 3}</p><p>{OTHER * 3}</p><table><tr><td>Lamp</td><td>oil</td></tr></table>")


@pytest.mark.parametrize("engine", EXTRACTORS)
def test_each_engine_keeps_the_text_and_not_the_scripts(engine: str) -> None:
    found = extract(engine, ARTICLE, "http://example.com/", options_of(engine, {}))
    assert SENTENCE.strip() in found.text and OTHER.strip() in found.text
    assert "not text" not in found.text and "color" not in found.text
    assert found.title == "The keeper"
    assert ("Home" in found.text) == (engine in ("all_text", "strip_tags"))
    assert tidy(found.text) == found.text


def test_options_reach_the_libraries() -> None:
    assert "Lamp" in trafilatura(ARTICLE, "", TrafilaturaOptions()).text
    assert "Lamp" not in trafilatura(ARTICLE, "", TrafilaturaOptions(include_tables=False)).text
    assert "Home" in resiliparse(ARTICLE, "", ResiliparseOptions(main_content=False)).text
    picture = article(f"<p>{SENTENCE}<img alt='a white tower'></p>")
    assert "white tower" in resiliparse(picture, "", ResiliparseOptions(alt_texts=True)).text
    assert "white tower" not in resiliparse(picture, "", ResiliparseOptions()).text
    assert all_text(ARTICLE, "", AllTextOptions(title=False)).text.startswith("Home")


@pytest.mark.parametrize("deduplicate", [False, True])
def test_the_order_of_pages_changes_nothing(deduplicate: bool) -> None:
    options = TrafilaturaOptions(deduplicate=deduplicate)
    pages = [article(f"<p>{SENTENCE * 2}</p><p>Page {i}: {OTHER * 2}</p>") for i in range(6)]
    forward = [trafilatura(page, "", options) for page in pages]
    backward = [trafilatura(page, "", options) for page in reversed(pages)]
    assert forward == backward[::-1]
    assert all(SENTENCE.strip() in found.text for found in forward)


def test_text_below_256_levels_is_kept_or_the_page_is_reported() -> None:
    """trafilatura's own parser drops what follows the 256th level without a word."""
    deep = article(f"<p>{SENTENCE * 3}</p>" + "<div>" * 400 + "</div>" * 400 + f"<p>{OTHER * 3}</p>")
    assert OTHER.strip() in trafilatura(deep, "", TrafilaturaOptions()).text
    too_deep = article("<div>" * 2500 + SENTENCE + "</div>" * 2500)
    with pytest.raises(TruncatedPage):
        trafilatura(too_deep, "", TrafilaturaOptions())


@pytest.mark.parametrize(
    "html", ["", " ", "<!-- only -->", "\0\0", "<", "<?xml version='1.0' encoding='koi8-r'?>", "</p>"]
)
@pytest.mark.parametrize("engine", EXTRACTORS)
def test_pages_without_text_are_empty(engine: str, html: str) -> None:
    assert extract(engine, html, "", options_of(engine, {})).text in ("", "<")


def test_a_declared_encoding_does_not_confuse_the_parser() -> None:
    text = "Übermut und Äpfel im Garten, sagt der alte Mann am Öltank, sind gefährlich. " * 4
    html = (
        f'<?xml version="1.0" encoding="koi8-r"?><html><head><meta charset="gb2312"></head><body><p>{text}</p></body>'
    )
    assert text.strip() in trafilatura(html, "", TrafilaturaOptions()).text


ALL_TEXT = [
    ("<p>a<b>b</b>c</p>d", "abc\nd"),
    ("a<br>b<div>c</div>", "a\nb\nc"),
    ("<tr><td>a</td><td>b</td></tr><tr><td>c", "a b\nc"),
    ("a <!-- <p>no</p> --> b", "a b"),
    ("a<script>if (x<y) '</p>'</script>b", "ab"),
    ("a<SCRIPT >x</Script\n>b", "ab"),
    ("<p title='x>y'>a", "a"),
    ('<p title="5">6">a', '6">a'),
    ('<a href="x\'>y">a</a>', "a"),
    ("a &lt;b&gt; &amp;amp; &eacute; &#x4e2d;", "a <b> &amp; é 中"),
    ("a &#99999999999999; &#xD800; &#0; b", "a \ufffd \ufffd \ufffd b"),
    ("a<noscript>no</noscript><svg><text>no</text></svg>b", "ab"),
    ("a<svg>b", "ab"),
    ("a<script>b", "a"),
    ("a<!-- b", "a"),
    ("a<p b", "a"),
    ("a < b <3 <> c", "a < b <3 <> c"),
    ("<pre>a\r\nb\t c</pre>", "a b c"),
]


@pytest.mark.parametrize(("html", "text"), ALL_TEXT)
def test_all_text(html: str, text: str) -> None:
    assert all_text(html, "", AllTextOptions()).text == text


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title>a &amp; b\n c</title>", "a & b c"),
        ("<TITLE x='>'>t</TITLE>", "t"),
        ("<svg><title>no</title></svg><title>yes</title>", "yes"),
        ("<title></title><title>second</title>", "second"),
        ("<title>never closed <body>", ""),
        ("<body><title>late</title>", ""),
        (f"<title>{'x' * 10_000}</title>", "x" * 1000),
    ],
)
def test_page_title(html: str, title: str) -> None:
    assert page_title(html) == title


@pytest.mark.parametrize(
    ("engine", "options", "says"),
    [
        ("lynx", {}, "unknown"),
        ("trafilatura", {"favour": "recall"}, "no option 'favour'"),
        ("trafilatura", {"favor": "speed"}, "'precision' or 'recall' or 'balanced'"),
        ("trafilatura", {"fallback": 1}, "true or false"),
        ("all_text", {"main_content": True}, "no option"),
    ],
)
def test_wrong_options_are_the_users_error(engine: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        options_of(engine, options)


@pytest.mark.parametrize(
    ("html", "rule", "value"),
    [
        ("é" * 60_001, "cap/bytes", 120_002),
        ("<" * 2_001, "cap/nodes", 2_001),
        ("<div>" * 101 + "</div>" * 101, "cap/depth", 101),
        ("<font>text" * 101, "cap/depth", 101),
        ("<div><table><tr><td></div>" * 30, "cap/depth", 119),
        ("<p " + " ".join(f"attribute{i}='{'v' * 90}'" for i in range(51)) + ">", "cap/attributes", 51),
    ],
)
def test_caps(html: str, rule: str, value: float) -> None:
    caps = Caps(bytes=120_001, nodes=2_000, depth=100, attributes=50)
    rejection = check_caps(html, caps)
    assert rejection is not None and rejection.rule == rule
    assert rejection.value >= value > rejection.threshold


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
def test_honest_shapes_break_no_cap(html: str) -> None:
    assert check_caps(html, Caps(bytes=120_001, nodes=2_000, depth=100, attributes=50)) is None


HOSTILE = [
    "<div " * 400_000,
    "<a b='" * 400_000,
    "<a b=\"'" * 300_000,
    "<!-" * 500_000,
    "<!--" * 500_000,
    "<script>" * 250_000,
    "<svg>" * 240_000,
    "</script" * 240_000,
    "<svg>" + "</svg" * 240_000,
    "</b>" * 240_000,
    "<b>" * 200_000 + "</i>" * 40_000,
    "&" * 2_000_000,
    "&#" + "9" * 2_000_000,
    "<title>" * 200_000,
    "<p a=" * 400_000,
    "= " * 1_000_000,
]


@pytest.mark.parametrize("html", HOSTILE, ids=lambda html: html[:12])
def test_scans_of_hostile_pages_are_linear(html: str) -> None:
    started = time.process_time()
    check_caps(html, Caps())
    all_text(html, "", AllTextOptions())
    assert time.process_time() - started < 8


@settings(max_examples=50, deadline=None)
@given(st.text(st.sampled_from("<>/!-='\" abp\n&#;\u00e9\ud800\r\x00"), max_size=80))
def test_scan_covers_the_page_in_order(html: str) -> None:
    position = 0
    for tag in scan(html, frozenset({"a"})):
        assert position <= tag.start < tag.content <= tag.end <= len(html)
        assert html[tag.start] == "<"
        position = tag.end
    found = all_text(html, "", AllTextOptions()).text
    found.encode()
    assert tidy(found) == found


def test_tidy_is_the_form_that_it_states() -> None:
    assert tidy("\n\n a \t\r\nb\rc\n\n\n\n\nd\x00\x1f\x85e\ud800 \n") == " a\nb\nc\n\nd" + "e\ufffd"
