"""Small elements inside a line, lines parted by breaks, and what old pages are made of, as `blocks` reads them."""

import pytest

from pipeline.extract.blocks import blocks
from pipeline.extract.inline import emoji_of, raised
from pipeline.extract.json_ld import told
from pipeline.extract.structure.markdown import markdown


def written(html: str) -> str:
    page = blocks(html)
    return markdown(page, [True] * len(page))


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("10<sup>6</sup> m, 10<sup>-3</sup> s, 10<sup>&minus;9</sup> s", "10⁶ m, 10⁻³ s, 10⁻⁹ s"),
        ("x<sup>2</sup> + y<sup>2</sup>, <sup>14</sup>C, 3 km<sup>2</sup>", "x² + y², ¹⁴C, 3 km²"),
        ("as was said.<sup>12</sup> Later", "as was said.¹² Later"),
        ("the 1<sup>st</sup>, M<sup>me</sup>, x<sup>n</sup>, said<sup><a>[1]</a></sup>", "the 1st, Mme, xn, said[1]"),
        ("H<sub>2</sub>O", "H2O"),
    ],
)
def test_raised_numbers(html: str, text: str) -> None:
    assert written(f"<p>{html}</p>") == text


def test_a_number_is_raised_as_a_whole_or_not() -> None:
    assert (raised("-12"), raised(" 8 "), raised("12345"), raised("2a"), raised("")) == (
        "⁻¹²",
        " ⁸ ",
        "12345",
        "2a",
        "",
    )


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ('<img class="emoji" alt="😀" src=x>', "😀"),
        ("<img class='wp-smiley' alt=':-)'/>", ":-)"),
        ('<img src=x title=s class="smilies" alt=":D">', ":D"),
        ('<img class="emoji only-emoji" alt=":slight_smile:">', ":slight_smile:"),
        ('<img class="emoji" alt="&lt;3">', "&lt;3"),
        ('<img class="smilie" alt="Smile">', ""),
        ('<img class="photo" alt="😀" src="emoji.png">', ""),
        ('<img class="emoji">', ""),
        ('<img class="emoji" alt="A picture of a smiling face">', ""),
        ('<img alt="😀">', ""),
    ],
)
def test_pictures_of_emoji(tag: str, text: str) -> None:
    assert emoji_of(tag) == text


def test_an_emoji_stands_in_its_line() -> None:
    assert written('<p>I am <img class="emoji" alt="😀"> and <img alt="a boat"> glad.</p>') == "I am 😀 and glad."


def test_two_breaks_part_paragraphs() -> None:
    html = "<div>one<br>two<br><br>three<br />\n<br />four<br>&nbsp;<br>five<br><img src=x><br>six<br>seven</div>"
    assert written(html) == "one\ntwo\n\nthree\n\nfour\n\nfive\n\nsix\nseven"


def test_obsolete_elements_of_code() -> None:
    html = "<P>Before<XMP>\nif (a<b) {\n  x();\n}\n</XMP>Between<LISTING>\n10 PRINT\n20 GOTO 10\n</LISTING>After"
    assert written(html) == (
        "Before\n\n```\nif (a<b) {\n  x();\n}\n```\n\nBetween\n\n```\n10 PRINT\n20 GOTO 10\n```\n\nAfter"
    )


def test_the_number_of_an_equation_is_beside_the_formula() -> None:
    row = "<tr><td><math alttext='f(x)=0' display=block><mi>f</mi></math></td><td>(1)</td></tr>"
    html = f"<p>We have</p><table>{row}</table>"
    assert written(html) == "We have\n\n$$\nf(x)=0\n$$\n\n(1)"


@pytest.mark.parametrize("end", ["</noframes></frameset></html>", ""])
def test_a_page_of_frames_has_what_it_shows_without_them(end: str) -> None:
    html = f"<html><title>t</title><frameset><frame src=a><NOFRAMES><body><h1>Boats</h1>One <b>two</b>.<p>Three{end}"
    assert written(html) == "# Boats\n\nOne two.\n\nThree"
    assert written(f"<p>Text</p>{html}") == "Text"


def test_markup_written_as_text_in_data() -> None:
    body = "&lt;p&gt;One &amp;amp; two&lt;/p&gt;&lt;p&gt;Three&lt;/p&gt;"
    html = f'<script type="application/ld+json">{{"articleBody": "{body}"}}</script>'
    assert told(html).text == "One & two\nThree"
    assert told(html.replace(body, "Fish &amp; chips &rsquo;")).text == "Fish & chips ’"
