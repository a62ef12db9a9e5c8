"""The scan for tags: as the HTML standard's tokenizer, in order, and nothing twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract import markup
from pipeline.extract.extractors.all_text import AllTextOptions, all_text
from pipeline.extract.extractors.strip_tags import StripTagsOptions, strip_tags
from pipeline.extract.markup import attributes, scan
from pipeline.extract.references import characters
from pipeline.extract.text import page_title


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("<>/!-='\" abp\n&#;\u00e9\ud800\r\x00"), max_size=80))
def test_scan_covers_the_page_in_order(html: str) -> None:
    position = 0
    for tag in scan(html, frozenset({"a"})):
        assert position <= tag.start < tag.content <= tag.end <= len(html)
        assert html[tag.start] == "<"
        position = tag.end


# fmt: off
MARKUP = [
    "<svg>", "</svg>", "<svg/>", "<g>", "</g>", "<desc>", "</desc>", "<foreignObject>", "<math>", "<mi>", "</math>",
    "<![CDATA[", "]]>", "<template>", "</template>", "<template shadowrootmode=open>", "<slot>", "<noscript>",
    "</noscript>", "<script>", "</script>", "<!--", "-->", "--!>", "<title>", "</title>", "<xmp>", "</xmp>", "<p>",
    "</p>", "<body>", "</", "</>", "<b a='", "'>", "x", "<textarea>", "<iframe>", "<plaintext>",
]
# fmt: on


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(MARKUP), max_size=25).map("".join), st.sampled_from([frozenset(), frozenset({"svg"})]))
def test_any_nesting_is_covered_in_order(html: str, skipped: frozenset[str]) -> None:
    position = 0
    for tag in scan(html, skipped):
        assert position <= tag.start < tag.content <= tag.end <= len(html)
        position = tag.end


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([*MARKUP, "<code>", "</code>", "<b a='<script>'>", "<!--<p>", "a < b", "<!>"]), max_size=25
    ),
    st.sampled_from([1, 5, 1 << 16]),
)
def test_stretches_have_the_tags_of_the_scan_and_the_text_between_them(pieces: list[str], longest: int) -> None:
    html = "".join(pieces)
    read: list[str] = []
    skipped = frozenset({"svg", "math", "template"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markup, "_LONGEST", longest)
        for cut, tag in markup.stretches(html, skipped, frozenset({"code"})):
            read += cut
            if tag is not None:
                assert "".join(read) == html[: tag.start]
                read.append(html[tag.start : tag.end])
    scanned = [""]
    for tag in scan(html, skipped):
        scanned[-1:] = [html[sum(map(len, scanned[:-1])) : tag.start], html[tag.start : tag.end], ""]
    scanned[-1] = html[sum(map(len, scanned)) :]
    assert read == scanned


TEXTS = [
    # comments, their ends, bogus ones
    ("a<!-- x --!>b", "ab"),
    ("a<!-->b<!--->c", "abc"),
    ("a<!---->b<!----!>c<!-- - -- ->d -->e", "abce"),
    ("a<!--x--!-->b", "ab"),
    ("a<!-- --x> -->b", "ab"),
    ("a<!>b<!x>c<!DOCTYPE html>d<![CDATA[e]]>f", "abcdf"),
    ("a<?php echo '>' ?>b", "a' ?>b"),
    ("a</>b</ p>c</1>d</ >e", "abcde"),
    ("a<1>b < c <>d </", "a<1>b < c <>d </"),
    ("a</<b>c", "ac"),
    # scripts
    ("a<script>x</script >b", "ab"),
    ("a<script><!--</script>b", "ab"),
    ("a<script><!--<script></script>x</script>b", "ab"),
    ("a<script><!--<script></script>--></script>b", "ab"),
    ("a<script><!--<script>--></script>b", "ab"),
    ("a<script><!-- x <script> y </script> z --></script>b", "ab"),
    ("a<script><!--><script></script>b", "ab"),
    ("a<script></scriptx></script>b", "ab"),
    ("a<script><!--<scripty></script>b", "ab"),
    ("a<script><!--<script>never ends</script>b", "a"),
    # other raw text
    ("a<style></p></style>b", "ab"),
    ("<title>x</titles></title>b", "b"),
    ("a<iframe><p>x</iframe>b<noembed>x</noembed>c<noframes>x</noframes>d", "abcd"),
    ("a<textarea><p>x</textarea>b", "ab"),
    ("a<style>x</style b='>'>c", "ac"),
    ("a<iframe>never ends", "a"),
    # templates, SVG, MathML
    ("a<template><template>x</template>y</template>b", "ab"),
    ("a<template><script></template></script>y</template>b", "ab"),
    ("a<template><!--</template>-->y</template>b", "ab"),
    ("a<svg><svg>x</svg>y</svg>b", "ab"),
    ("a<svg/>b<svg x='/'/>c", "abc"),
    ("a<svg><title>x</title><path/></svg>b", "ab"),
    ("a<svg><path><p>b", "a\nb"),
    ("a<svg><g>x</g></p>b", "a\nb"),
    ("<div>a<svg><g></div>b", "a\nb"),
    ("a<svg><foreignObject><p>x</p></foreignObject></svg>b", "ab"),
    ("a<svg><foreignObject><svg></svg>x</foreignObject>y</svg>b", "ab"),
    ("a<svg><![CDATA[</svg>x]]></svg>b", "ab"),
    ("a<svg><style></svg>b", "ab"),
    ("a<svg><script>if (a < b) x</script></svg>b", "ab"),
    ("a<svg><font>x</font></svg>b", "ab"),
    ("a<svg><font color=red>b", "ab"),
    # noscript is raw text to browsers that run scripts
    ("a<noscript><iframe></noscript>b", "ab"),
    # numbers
    ("&#0;&#x110000;&#xd800;&#99999999999999;", "\ufffd\ufffd\ufffd\ufffd"),
    ("&#000000000000065;&#x00000000000041;", "AA"),
    ("&#128;&#x99;&#150;", "€™–"),
    ("&ampx &amp;lt; &notit; &notin; &NotEqualTilde;", "&x &lt; ¬it; ∉ ≂̸"),
    ("&#; &#x; &; &x; &unknown;", "&#; &#x; &; &x; &unknown;"),
]


@pytest.mark.parametrize(("html", "text"), TEXTS)
def test_texts(html: str, text: str) -> None:
    assert all_text(html, "", AllTextOptions(title=False)).text == text


@pytest.mark.parametrize(("html", "text"), TEXTS)
def test_texts_by_regular_expressions(html: str, text: str) -> None:
    if "'>'" not in html:  # a ">" in a value ends its tag there
        assert strip_tags(html, "", StripTagsOptions()).text == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<xmp>a<b>&amp;</xmp>c", "a<b>&amp;\nc"),
        ("<plaintext>a</plaintext><b>", "a</plaintext><b>"),
        ("<xmp></xmp>a", "a"),
        ("a<math><mi>x</mi><mtext><b>y</b></mtext></math>b", "axyb"),
        ("a<math><![CDATA[<b>x</b>]]></math>c", "a<b>x</b>c"),
        ("a<math><p>b", "a\nb"),
        ("<html><head></head><frameset><frame></frameset>never", ""),
        ("text<frameset>more", "textmore"),
    ],
)
def test_what_few_pages_have(html: str, text: str) -> None:
    assert all_text(html, "", AllTextOptions(title=False)).text == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<title>damaged<body>a</body>", "damaged\na"),
        ("<title>damaged<body>a</title>b", "b"),
        ("<title>not the whole page", ""),
    ],
)
def test_a_title_without_an_end_does_not_swallow_the_body(html: str, text: str) -> None:
    assert all_text(html, "", AllTextOptions(title=False)).text == text
    assert page_title("<title>damaged<body>a</body>") == ""


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        (" a=b c='d e' f=\"g\" h", {"a": "b", "c": "d e", "f": "g", "h": ""}),
        (" A=1 a=2", {"a": "1"}),
        ('a="b"c="d"', {"a": "b", "c": "d"}),
        (" =a=b", {"=a": "b"}),
        (" a = 'b' / c/d", {"a": "b", "c": "", "d": ""}),
        (" a=b\"c='d", {"a": "b\"c='d"}),
        (" a=/b/ c=d/", {"a": "/b/", "c": "d/"}),
        (" a=&lt;b&amp;c&copy=d", {"a": "<b&c&copy=d"}),
        (" a='&notx &not; &not'", {"a": "&notx ¬ ¬"}),
        (" a\n=\n'b\nc'", {"a": "b\nc"}),
        (" a='never ends", {"a": "never ends"}),
    ],
)
def test_attributes(inside: str, found: dict[str, str]) -> None:
    assert attributes(inside) == found


def test_a_reference_of_many_digits_is_read() -> None:
    assert characters("&#" + "9" * 10_000 + ";&#" + "0" * 10_000 + "65;") == "\ufffdA"
