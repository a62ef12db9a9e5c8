"""What a page says of itself: hidden elements, copies, readings, and where white space is text."""

import time

import pytest

from pipeline.extract.blocks import blocks
from pipeline.extract.shadow import composed
from pipeline.extract.visibility import GONE, LINES, SPACES, Sheet, declared
from tests.pipeline.extract.articles import OTHER, SENTENCE
from tests.pipeline.extract.hostile import HOSTILE

SHOWN = "<p>A paragraph that every reader sees, longer than what is hidden beside it, so that this is believed.</p>"

SELECTED = "🏴\U000e0067\U000e0062\U000e007f ❤\ufe0f 葛\U000e0100"  # by tags and selectors that show nothing alone

ROOT = "<template shadowrootmode=open>"


def texts(html: str) -> list[str]:
    return [block.text for block in blocks(html)]


@pytest.mark.parametrize(
    "html",
    [
        "<div hidden>no</div>",
        "<div HIDDEN=''>no</div>",
        "<div hidden=hidden><p>no<p>no</div>",
        "<div style='display:none'>no</div>",
        '<div style="color: red; DISPLAY : None !important">no</div>',
        "<div style='visibility:hidden'>no<b>no</b></div>",
        "<div style='visibility: collapse'>no</div>",
        "<div style=display:none>no</div>",
        "<div style='/* display:block */display:none'>no</div>",
        "<ul><li style='display:none'>no<li style='display:none'>no</ul>",
        "<div style='display:none'><div style='display:block'>no</div></div>",
        "<dialog>no</dialog>",
        "<div popover>no</div>",
        "<span class='a sr-only'>no</span>",
        "<span class=visually-hidden>no</span>",
        "<h2 class='screen-reader-text'>no</h2>",
        "<video>no</video><audio>no</audio><canvas>no</canvas>",
        "<table><tr><td style='display:none'>no</td></tr></table>",
        "<template>no</template><noscript>no</noscript>",
        f"<p {'x' * 1500} hidden>no</p>",
        "<style>.x{display:none}</style><p class=x>no</p>",
        "<style>p{margin:0} .a, .x {color:red;display:none;}</style><p class='y x'>no</p>",
        "<style>#x{visibility:hidden}</style><p id=x>no</p>",
        "<style>/* .x */.x{/* a */display:none!important}</style><p class=x style='display:block'>no</p>",
        "<style>@media print{.x{display:block}}.x{display:none}</style><p class=x>no</p>",
        "<p class=x>no</p><style>.x{display:none}</style>",
        "<style>.x{display:block}</style><style>.x{display:none}</style><p class=x>no</p>",
        "<style><!-- .x{display:none} --></style><p class=x>no</p>",
        "<style>.x{DISPLAY: NONE}</style><p class=x>no</p>",
        "<style>@media screen{.x{display:none}}</style><p class=x>no</p>",
        "<style>@media only screen , print{.x{display:none}}</style><p class=x>no</p>",
        "<style>@supports (display:grid){@layer a{.x{display:none}}}</style><p class=x>no</p>",
        "<style type=text/css media=screen>.x{display:none;;}</style><p class=x>no</p>",
        "<div style='content-visibility:hidden'>no</div>",
        "<span style='position:absolute;left:-9999px'>no</span>",
        "<h1 style='text-indent:-9999px'>no</h1>",
        "<span style='position:absolute;top:-999em'>no</span>",
        "<span style='clip:rect(0,0,0,0);position:absolute'>no</span>",
        "<span style='position:fixed;top:-10000px'>no</span>",
        "<span style='position:absolute;right:-9999em'>no</span>",
        "<span style='position:absolute;left:-100vw'>no</span>",
        "<span style='position:absolute;margin-left:-99999px'>no</span>",
        "<span style='clip-path: inset(50%)'>no</span>",
        "<span style='clip-path:circle(0)'>no</span>",
        "<style>p.x{display:none}</style><p class=x>no</p>",
        "<style>P#x{color:red}p#x , a{visibility:hidden}</style><p id=x>no</p>",
        "<style>.x{display:block}p.x{display:none}</style><p class=x>no</p>",
        "<p class=x>no</p><style>p.x{display:none}</style>",
        "<style>.x{display:none}b.x{display:none}</style><p class=x>no</p>",
        "<span style='clip: rect(1px 1px 1px 1px)'>no</span>",
        "<span class=cdk-visually-hidden>no</span><i class=usa-sr-only>no</i>",
        "<a class='skip visually-hidden-focusable'>no</a><b class=show-for-sr>no</b>",
        "<b class=a11y-hidden>no</b><b class=slds-assistive-text>no</b>",
        "<progress>no</progress><meter>no</meter>",
        "<datalist hidden><option>no</datalist><input type=hidden value=no>",
        "<p style='display:&#110;one'>no</p>",
        "<p style='display:\nnone'>no</p>",
        "<table><tbody hidden><tr><td>no</td></tr></tbody></table>",
    ],
)
def test_what_readers_do_not_see_is_left_out(html: str) -> None:
    assert texts(html + SHOWN) == texts(SHOWN)


@pytest.mark.parametrize(
    "html",
    [
        "<div hidden=until-found>yes</div>",
        "<div hidden style='display:block'>yes</div>",
        "<style>.y{display:none}.x{display:block}</style><div hidden class=x>yes</div>",
        "<details><summary>yes</summary></details>",
        "<details>yes</details>",
        "<dialog open>yes</dialog>",
        "<div style='visibility:hidden'><b style='visibility:visible'>yes</b></div>",
        "<div aria-hidden=true>yes</div>",
        "<div data-style='display:none'>yes</div>",
        "<div title='hidden display:none'>yes</div>",
        "<div style='opacity:0'>yes</div>",
        "<img hidden><br hidden><input hidden>yes",
        "<main style='display:none'>yes</main>",
        "<div id=content style='visibility:hidden'>yes</div>",
        "<div role=main hidden>yes</div>",
        "<div hidden id='S:0'>yes</div>",
        "<span class='sr-only not-sr-only'>yes</span>",
        "<style>@media print{.x{display:none}}</style><p class=x>yes</p>",
        "<style>@media (max-width:600px){.x{display:none}}</style><p class=x>yes</p>",
        "<style media=print>.x{display:none}</style><p class=x>yes</p>",
        "<style>.js .x{display:none} a.x{display:none} .x:hover{display:none}</style><p class=x>yes</p>",
        "<style>.x{display:none}.x.open{display:block}</style><p class='x'>yes</p>",
        "<style>.x{display:none}.menu:hover .x{display:block}</style><p class=x>yes</p>",
        "<style>.x{display:none}@media (min-width:1px){.x{display:block}}</style><p class=x>yes</p>",
        "<style>.x{display:none}</style><style>.x{display:inline}</style><p class=x>yes</p>",
        "<style>.x{display:none}</style><p class=x style='display:block'>yes</p>",
        "<noscript><style>.x{display:none}</style></noscript><p class=x>yes</p>",
        "<!-- <style>.x{display:none}</style> --><p class=x>yes</p>",
        "<style>.x{display:none</style><p class=y>yes</p>",
        "<style type=text/less>.x{display:none}</style><p class=x>yes</p>",
        "<style>@media not screen{.x{display:none}}</style><p class=x>yes</p>",
        "<style>@media screen and (max-width:9px){.x{display:none}}</style><p class=x>yes</p>",
        "<style>@supports not (display:grid){.x{display:none}}</style><p class=x>yes</p>",
        "<style>@container (min-width:1px){.x{display:none}}</style><p class=x>yes</p>",
        "<style>@keyframes x{from{display:none}}</style><p class=x>yes</p>",
        "<style>.x{content:'.y{display:none}'}</style><p class=y>yes</p>",
        "<style>.x::before{display:none}.x>.y{display:none}</style><p class='x y'>yes</p>",
        "<svg><style>.x{display:none}</style></svg><p class=x>yes</p>",
        "<p style='display:none' class=carousel-item>yes</p><!-- a reader opens it -->",
        "<p style='display:none' class='swiper-slide'>yes</p>",
        "<p style='left:-50px'>yes</p>",
        "<p style='top:-100%'>yes</p>",
        "<p style='clip:rect(0,100px,100px,0)'>yes</p>",
        "<p style='background:url(\"display:none\")'>yes</p>",
        "<p style='--x:display:none'>yes</p>",
        "<p style='position:absolute;margin-bottom:-9999px;padding-bottom:9999px'>yes</p>",
        "<p style='clip-path:inset(5%)'>yes</p>",
        "<style>b.x{display:none}</style><p class=x>yes</p>",
        "<style>p.x{display:none}.y p.x{display:block}</style><p class=x>yes</p>",
        "<style>p.x{display:none}p.x{display:block}</style><p class=x>yes</p>",
        "<style>.x{display:none}p.x{display:block}</style><p class=x>yes</p>",
        "<style>p.x p{display:none}p.x:hover{display:none}</style><p class=x>yes</p>",
        "<p style='display:none-x'>yes</p>",
        "<p class='md:hidden d-none-sm no-sr-only-x'>yes</p>",
        "<p hidden=until-FOUND>yes</p>",
    ],
)
def test_what_readers_see_stays(html: str) -> None:
    assert texts(html + SHOWN) == ["yes", *texts(SHOWN)]


@pytest.mark.parametrize(
    "page",
    [
        "<body hidden>{}",
        "<body style='opacity:0;visibility:hidden'>{}",
        "<html style='display:none'><body>{}",
        "<style>.all{{display:none}}</style><nav>Home</nav><div class=all>{}</div>",
        "<nav>Home</nav><div style='display:none'>{}</div><footer>Imprint</footer>",
        "<style amp-boilerplate>body{{visibility:hidden}}</style><body>{}",
        "<body><div hidden>{}</div>",
        "<div class=sr-only>{}</div>",
        "<dialog>{}</dialog>",
        "<div hidden><div style='display:none'>{}</div></div>",
    ],
)
def test_what_would_hide_most_of_a_page_is_not_believed(page: str) -> None:
    assert SENTENCE.strip() in texts(page.format(f"<p>{SENTENCE}</p>"))


@pytest.mark.parametrize(
    ("more", "believed"),
    [
        ("", True),
        ("<p class='description onion'>", True),
        ("<script src=a.js></script>", False),
        ("<button onclick='show()'>", False),
        ("<a href='javascript:show()'>", False),
    ],
)
def test_a_page_that_nothing_can_change_is_believed(more: str, believed: bool) -> None:
    html = f"<p>Lamps burn oil, or gas.</p><p hidden>{SENTENCE * 3}</p><div style='visibility:hidden'>{SENTENCE}</div>"
    assert ("keeper" not in "".join(texts(html + more))) == believed


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>in 1881<span style='display:none'> (1881-05-03)</span>, built</p>", ["in 1881, built"]),
        ("<p>in 1881 (<span style='display:none'>1881<br>05-03</span>spring)</p>", ["in 1881 (spring)"]),
        ("<div>a long line<span hidden>b</div>c", ["a long line", "c"]),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rp>(</rp><rt>ji</rt><rp>)</rp></ruby>です", ["漢字です"]),
        ("<ruby>漢<rt>kan<rt>x</ruby>字", ["漢字"]),
        ("<ruby><rb>漢</rb><rb>字</rb><rtc><rt>kan</rt><rt>ji</rt></rtc></ruby>です", ["漢字です"]),
        ("<p><ruby>\n東京\n<rt>とうきょう</rt>\n</ruby>で", ["東京で"]),
        ("<b>Read more</b><b aria-hidden=true>Read more</b>", ["Read more"]),
        ("<i aria-hidden=true>4 of 5</i><i>4 of 5</i> stars", ["4 of 5 stars"]),
        ("<p>x <b>y</b></p><p aria-hidden=true>x <i>y</i></p>z", ["x y", "z"]),
        ("<ul><li>a<li>b</ul><ul aria-hidden=true><li>a<li>b</ul>", ["a", "b"]),
        ("banan<i aria-hidden=true>A</i>", ["bananA"]),
        ("<p>★★★ <i aria-hidden=true>★★</i></p>", ["★★★ ★★"]),
        ("<ruby>東<rt>とう</rt>京<rt>きょう</rt></ruby>へ", ["東京へ"]),
        ("<ruby><ruby>攻<rt>こう</rt></ruby><rt>x</rt></ruby>", ["攻"]),
        ("<h1>t</h1><h1 aria-hidden=true>t</h1>", ["t"]),
        ("<p>Price <s>$5</s> <del>a</del><ins>b</ins>", ["Price $5 ab"]),
        ("<span class=MathJax_Preview>x</span><span class=MathJax>x</span><script type='math/tex'>x</script>", ["x"]),
        ("<span class=katex><math><mi>x</mi></math><span class=katex-html aria-hidden=true>x</span></span>", ["x"]),
        ("<math><mphantom><mi>x</mi></mphantom><mi>y</mi></math>", ["y"]),
        ("<img class=latex alt='x^2'>", ["x^2"]),
        ("<picture><img alt=x></picture>y", ["y"]),
        ("<video controls>no<track></video>y", ["y"]),
    ],
)
def test_alternatives_are_read_once(html: str, found: list[str]) -> None:
    assert texts(html) == found


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<pre>a\n  b\n\n   c</pre>", ["a\n  b\n\n   c"]),
        ("<pre>\n<i>a</i>\n  <i>b</i> <i>c</i>\n</pre>", ["a\n  b c"]),
        ("<pre>a\r\n\tb&#10;&nbsp;c</pre>", ["a\n\tb\n c"]),
        ("<textarea>a &lt;b&gt;\n  c</textarea>", ["a <b>\n  c"]),
        ("<xmp>a <b>&amp;\n  c</xmp>", ["a <b>&amp;\n  c"]),
        ("<div style='white-space:pre'>a  b\n c</div>", ["a  b\n c"]),
        ("<div style='white-space: pre-wrap'>a  b\n c<p>d  e</div>", ["a  b\n c", "d  e"]),
        ("<div class=whitespace-pre-wrap>a\n\n  b</div>", ["a\n\n  b"]),
        ("<div style='white-space:pre-line'>a   b \n  c</div>", ["a b\nc"]),
        ("<style>.poem{white-space:pre}</style><div class=poem>a\n  b</div>", ["a\n  b"]),
        ("<p>a  b <span style='white-space:pre'>c  d</span>\n  e", ["a b c  d e"]),
        ("<div style='white-space:pre'>a  <b style='white-space:normal'>b  c</b></div>", ["a  b c"]),
        ("<div style='white-space:nowrap'>a\n  b</div>", ["a b"]),
        ("<p><code>f  (x)</code> begins\n   a paragraph", ["f (x) begins a paragraph"]),
        ("<p><tt>f</tt>\n<b>g</b>", ["f g"]),
        ("<div style='white-space-collapse:preserve'>a\n  b</div>", ["a\n  b"]),
        ("<div style='white-space:preserve nowrap'>a\n  b</div>", ["a\n  b"]),
        ("<div style='white-space-collapse: preserve-breaks'>a  b\n c</div>", ["a b\nc"]),
        ("<div style='WHITE-SPACE:PRE-WRAP!important'>a\n  b</div>", ["a\n  b"]),
        ("<style>.x{white-space-collapse:preserve}</style><p class=x>a\n  b", ["a\n  b"]),
        ("<listing>a\n  b</listing>", ["a\n  b"]),
        ("<pre>a<br>b<div>c</div></pre>", ["a\nb\nc"]),
        ("<textarea>\n\n中文\n文字</textarea>", ["中文\n文字"]),
        ("<td style='white-space:pre'>a\n b</td>", ["a\n b"]),
        ("<pre>中\n文\u200b</pre>", ["中\n文"]),
    ],
)
def test_white_space_that_is_text_stays(html: str, found: list[str]) -> None:
    assert texts(html) == found


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("中文\n  文字", "中文文字"),
        ("ひらがな、\r\n\tカタカナ。\n「かぎ」", "ひらがな、カタカナ。「かぎ」"),
        ("中<b>文</b>\n<i>字</i>", "中文字"),
        ("𠀀\n𠀁", "𠀀𠀁"),
        ("中文\nabc\n中", "中文 abc 中"),
        ("中文 文字", "中文 文字"),
        ("한국\n어", "한국 어"),
        ("ไทย\nไทย", "ไทย ไทย"),
        ("word\nword", "word word"),
        ("in&shy;ter&#173;na\u00adtional", "international"),
        ("light&#8203;house&ZeroWidthSpace;s", "lighthouses"),
        ("a\u2060b&NoBreak;c", "abc"),
        ("\ufeffa\ufeffb", "ab"),
        ("می‌خواهم", "می‌خواهم"),
        ("क्‍ष 👩‍👩‍👧", "क्‍ष 👩‍👩‍👧"),
        ("a&lrm;b&rlm;\u2067c\u2069", "a\u200eb\u200f\u2067c\u2069"),
        ("f&ApplyFunction;(x)", "f(x)"),
        ("中文\n<!-- c -->\n文字", "中文文字"),
        ("中文&#10;&#13;文字", "中文文字"),
        ("々\n人ー\nカ", "々人ーカ"),
        ("ㄅㄆ\nㄇ", "ㄅㄆㄇ"),
        ("a<wbr>b\u2061c", "abc"),
        (SELECTED, SELECTED),
        ("a\u2028b\x0bc&thinsp;d", "a b c d"),
        ("123\n中", "123 中"),
        ("ไทย\u200bไทย", "ไทยไทย"),
        ("a \u200b b", "a b"),
        ("co&shy;\noperate", "co operate"),
    ],
)
def test_what_shows_nothing_goes(html: str, text: str) -> None:
    assert texts(f"<p>{html}</p>") == [text]


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<x-a><template shadowrootmode=open><p>in</p><slot></slot></template>out</x-a>", ["in", "out"]),
        ("<x-a><template shadowrootmode=closed>in <slot>spare</slot></template></x-a>", ["in spare"]),
        ("<x-a><template shadowrootmode=open>(<slot name=b></slot>)</template><b slot=b>b</b>lost</x-a>", ["(b)"]),
        ("<x-a><template shadowroot=open>old</template></x-a>", ["old"]),
        ("<x-a><template>no</template>yes</x-a>", ["yes"]),
        ("<x-a><template shadowrootmode=no>no</template>yes</x-a>", ["yes"]),
        (f"<x-a>{ROOT}<x-b>{ROOT}[<slot></slot>]</template><slot></slot></x-b></template>deep</x-a>", ["[deep]"]),
        (
            "<x-a><template shadowrootmode=open><slot name=t></slot><slot></slot></template>1<i slot=t>2 </i></x-a>",
            ["2 1"],
        ),
        ("<x-a><template shadowrootmode=open>in<script>no</script><style>b{}</style></template></x-a>", ["in"]),
        ("<x-a><template shadowrootmode=open>never ends", ["never ends"]),
    ],
)
def test_shadow_roots_are_composed(html: str, found: list[str]) -> None:
    assert texts(html) == found


def test_a_page_without_shadow_roots_is_itself() -> None:
    html = f"<p>shadowroot {OTHER}</p><template>x</template>"
    assert composed(html) is html


def test_declarations() -> None:
    assert declared("display:none") == declared("color:red;display : NONE;") == GONE
    assert declared("display:none;white-space:pre") == GONE | SPACES
    assert declared("white-space:pre;white-space:pre-line") == LINES
    assert declared("display:none;display:block") != GONE
    assert declared("") == declared("xdisplay:none") == declared("display") == 0


@pytest.mark.parametrize(
    "css",
    [
        "{" * 400_000,
        "}" * 400_000,
        ".a{" * 200_000 + "display:none",
        "@media print{" * 100_000 + ".a{display:none}",
        "/*" * 400_000,
        ".a," * 300_000 + ".b{display:none}",
        ".a .b" * 200_000 + "{display:block}",
        ".a{display:none}" * 60_000,
        "display:none;" * 100_000,
        "".join(f".a{i}{{display:none}}" for i in range(50_000)),
    ],
    ids=lambda css: css[:12],
)
def test_style_sheets_are_read_in_linear_time(css: str) -> None:
    started = time.process_time()
    Sheet().add(css)
    texts(f"<style>{css}</style><p class=a>x")
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "html",
    [
        *HOSTILE,
        "<style>.a{display:none}</style><p class=a>" * 30_000,
        "".join(f"<p class=a{i}><style>.a{i}{{display:none}}</style>" for i in range(10_000)),
        "<b aria-hidden=true>x</b>" * 60_000,
        "x<b aria-hidden=true> </b>" * 60_000,
        "<b aria-hidden=true>" * 100_000,
        f"<p>{'<i>x</i>' * 50_000}<b aria-hidden=true>{'<i>x</i>' * 50_000}</b>",
        "<p aria-hidden=true>x</p>" * 50_000,
        "<ruby><rt>" * 60_000,
        "<p style='display:none'>" * 60_000,
    ],
    ids=lambda html: html[:12],
)
def test_hostile_pages_take_linear_time(html: str) -> None:
    started = time.process_time()
    blocks(html)
    assert time.process_time() - started < 10
