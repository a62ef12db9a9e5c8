"""All visible text by regular expressions: the same as by following each tag."""

import time
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.extractors.all_text import AllTextOptions, all_text
from pipeline.extract.extractors.strip_tags import EXTRACTOR, MIN_ALONE, MIN_UNLINKED, StripTagsOptions, strip_tags
from pipeline.extract.line_kernels import IN_SUCCESSION
from pipeline.extract.markup import BLOCK, SHOWN_RAW, UNSEEN
from tests.pipeline.extract.extractors.visible_by_patterns import _ODD, visible_text

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

# What begins, ends or breaks something in one reading or the other.
ODD_NAMES = sorted(
    {"td", "th", "math", "foreignObject", "bloc\u212aquote", "div\u0130", "linearGradient", "b"}
    | UNSEEN
    | SHOWN_RAW
    | BLOCK
)
PARTS = [
    *"<>/!?-='\" \t\f\n\x1c\x85\xa0\0;&#aZ9",
    *("</", "<!", "<!--", "-->", "--!>", "<![CDATA[", "]]>", "/>", "</ ", "<é", "<\u3000", "\ud800", "\x7f\x80"),
    *(
        "&nbsp;",
        "&am",
        "p;",
        "&#0;",
        "&#x2003;",
        "&lt;",
        "é",
        "漢 字。",
        "\u2028",
        "\u2009",
        "\U0001f600",
        "\U00020000",
    ),
    *(" a=b", " a='>'", ' b="<!--"', " shadowrootmode=open", "<slot>", "<slot name=x>", " slot=x", "</slot>"),
]
ENDS = ["", ">", ">", ">", " ", " >", "/", "/>", " x='>'>", ' y="', " <p>", "x>"]
TAGS = [
    f"<{slash}{name}{end}" for slash in ("", "/") for each in ODD_NAMES for name in (each, each.title()) for end in ENDS
]


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.sampled_from(PARTS) | st.sampled_from(TAGS) | PIECES, max_size=40).map("".join))
def test_it_is_the_text_by_patterns(html: str) -> None:
    assert strip_tags(html, "", StripTagsOptions()).text == visible_text(html)


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("inside", ["<!-- </{0}> -->b", "<p>b</p>", "<{0}>b</{0}>", "<style></{0}></style>b", "é<b>b"])
def test_each_element_ends_where_patterns_say(name: str, inside: str) -> None:
    for each in (name, name.upper()):
        for end in (f"</{each}>", f"</{each} x>", f"</{each}", "", f"</{each}x></{each}\f>"):
            html = f"é<p>a<{each}>{inside.format(each)}{end}c<i>d</i>"
            assert strip_tags(html, "", StripTagsOptions()).text == visible_text(html)


SCRIPTS = ["<script>", "</script>", "<script/", "</SCRIPT", "</Script\n>", "</script x>"]
SCRIPTS += ["<!--", "-->", "--", ">", "<!", "-", "<p>", "a", " "]


@settings(deadline=None)
@given(st.lists(st.sampled_from(SCRIPTS), max_size=20).map("".join))
def test_scripts_end_where_patterns_say(html: str) -> None:
    html = f"<script>{html}"
    assert strip_tags(html, "", StripTagsOptions()).text == visible_text(html)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_it_is_the_text_by_following_each_tag(html: str) -> None:
    slow = all_text(html, "", AllTextOptions(title=False)).text
    assert strip_tags(html, "", StripTagsOptions()).text == slow


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
    assert strip_tags(html, "", StripTagsOptions()).text == text


@settings(deadline=None)  # the first call compiles
@given(st.text(alphabet="<>/!-a \"'&;#p\0", max_size=200))
def test_any_page_gives_a_text_without_nuls(html: str) -> None:
    assert "\0" not in strip_tags(html, "", StripTagsOptions()).text


UNLINKED = StripTagsOptions(unlinked=True)
LONG = (
    "A sentence of a text that is long enough to stand alone, as few labels have one: blanks apart, it has a hundred "
    "and sixty bytes and more, so that nobody takes it for the name of a button or for a notice."
)
LABEL = "Share it with your friends:"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<li><a href=/>The first page of a shop</a><li><a>Baskets and payment</a><p>" + LONG, LONG),
        (f"<p>{LONG} <a href=x>With a link</a> in it", f"{LONG} With a link in it"),
        ("<h1>Short</h1><p>床前明月光，</p><p>疑是地上霜。</p><p>五个汉字呢<p>举头望明月，", ""),
        (f"<p>床前明月光，</p>{'<p>疑是地上霜。' * 2}<p>五个汉字呢", "床前明月光，\n疑是地上霜。\n疑是地上霜。"),
        (f"{'<p>has fifteen byte' * 3}<p>none{'<p>has sixteen bytes 16' * 3}", "\n".join(["has sixteen bytes 16"] * 3)),
        (f"<p>{LABEL}<p>{LONG}", LONG),
        (f"<p>{LONG}<p>{LABEL}", LONG),
        (f"<p>{LABEL}<p>{LONG}<p>{LABEL}", f"{LABEL}\n{LONG}\n{LABEL}"),
        (f"<p>{LONG}<p>Menu<p>{LABEL}<p>{LONG}<p>Menu<p>{LABEL}<p>{LABEL}<p>Menu<p>{LONG}", f"{LONG}\n{LONG}\n{LONG}"),
        (f"<p>{LABEL}<p>{LABEL}<p>Menu<p>{LABEL}<p>Menu", ""),
        (f"<a><h2>A card that is one link</h2><p>{LONG}</p></a><p>{LONG}", LONG),
        ("<a>" + "word " * 200, ("word " * 200).strip()),  # no end tag, or a page in a link
        ("<a>" + "汉字，" * 200, "汉字，" * 200),
        (f"<p>\1\1{LONG}\2<p>\1{LONG}", f"{LONG}\n{LONG}"),  # no marks of links but those of tags
        (f"<p>&#1;{LONG}&#x02;<p>&#01{LONG}<p><a>{LONG}&#2;links</a>", f"{LONG}\n{LONG}"),
        (f"<p><textarea>&#1;</textarea>{LONG}", LONG),
        (f"<p>&#&#1;1;{LONG}<p><\1a>{LONG}", f"&#1;{LONG}\n<a>{LONG}"),
        (f"<svg><a>link</a>{LONG}</a></svg>", LONG),  # a link ends what is not plain, as without the option
        (f"<ABBR>{LONG}</ABBR><p><A HREF=x>{LONG}</A >", LONG),
        (f"<A NAME=1>{LONG}</A><br><a class='x'\nname>{LONG}", f"{LONG}\n{LONG}"),  # places in the page, no links
        (f"<p><a href=x>Link <a name=y>{LONG}</a><p><a name='y' href=x>{LONG}</a>", f"Link {LONG}"),
        (f"<p><a name='y'HREF='x'>{LONG}</a><p><a name=y onclick='f.href=1'>{LONG}", LONG),
        (f"<p><a onclick='f()'>{LONG}</a><p><a names=y>{LONG}</a><p><a/name>{LONG}", LONG),
        ("<p>short", ""),
    ],
)
def test_lines_of_links_are_left_out(html: str, text: str) -> None:
    assert strip_tags(html, "", UNLINKED).text == text


@settings(deadline=None)
@given(st.lists(st.sampled_from(PARTS) | st.sampled_from(TAGS) | PIECES, max_size=40).map("".join))
def test_unlinked_lines_are_lines_of_the_text(html: str) -> None:
    whole = strip_tags(html, "", StripTagsOptions()).text.split("\n")
    unlinked = strip_tags(html, "", UNLINKED).text.split("\n")
    rest = iter(whole)
    assert unlinked == [""] or all(line in rest for line in unlinked)  # in their order
    if "<a" not in html.lower() and not set(html) & set("\x7f\x80\ud800"):  # which are left out of a line at last
        assert unlinked == (_in_succession(whole) or [""])


def _in_succession(lines: list[str]) -> list[str]:
    sizes = [len(line.replace(" ", "").encode()) for line in lines]
    kept: list[str] = []
    for is_text, group in groupby(zip(sizes, lines), lambda each: each[0] >= MIN_UNLINKED):
        run = list(group)
        kept += [line for size, line in run if is_text and (len(run) >= IN_SUCCESSION or size >= MIN_ALONE)]
    return kept


@settings(deadline=None)
@given(st.lists(st.sampled_from([1, 15, 16, 20, 159, 160, 170]), max_size=12))
def test_short_lines_stay_in_succession(sizes: list[int]) -> None:
    lines = [chr(97 + number) * size for number, size in enumerate(sizes)]
    assert strip_tags("<p>".join(lines), "", UNLINKED).text == "\n".join(_in_succession(lines))


@pytest.mark.parametrize("options", [StripTagsOptions(), UNLINKED])
def test_of_utf8_it_is_the_same(options: StripTagsOptions) -> None:
    html = f"<title>Title</title><p>{LONG} é 漢<p><a>é 漢字漢字漢字漢字</a>"
    assert EXTRACTOR.of_utf8 is not None
    assert EXTRACTOR.of_utf8(html, html.encode(), options) == strip_tags(html, "", options)


@pytest.mark.parametrize(
    "unit",
    [
        "<a ",
        "<a name hrefs <",
        "<a>b</a>",
        "<a>",
        "<!--",
        "<svg>",
        "</",
        "<script>",
        "<b\"'",
        "<svg></svg>",
        "&#9",
        "<svg </svg",
    ],
)
@pytest.mark.parametrize("options", [StripTagsOptions(), UNLINKED])
def test_its_time_is_linear(unit: str, options: StripTagsOptions) -> None:
    """Sixteen times the page may not take a hundred times as long: quadratic time would take 256."""

    def seconds(repeats: int) -> float:
        html, start = unit * repeats, time.process_time()
        strip_tags(html, "", options)
        return time.process_time() - start

    assert seconds(160_000) < 100 * max(seconds(10_000), 0.002)


@pytest.mark.parametrize("name", sorted(UNSEEN | SHOWN_RAW))
def test_every_name_of_what_is_not_read_as_text_is_found(name: str) -> None:
    """The search skips tags by their first letters: a name that is new to the list must not be among those."""
    for each in (name, name.upper(), name.title()):
        assert _ODD.search(f"a <p>b</p> <{each}>")
