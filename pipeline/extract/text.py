"""The form of extracted text, and the title of a page.

Every extractor returns an `Extracted` whose two strings have the form that `tidy` makes. No parser and no numpy here:
the sandbox's child process imports this file at its start.
"""

import re
from typing import Final, NamedTuple

from pipeline.extract.markup import UNSEEN, end_tag_of, scan
from pipeline.extract.references import characters

# Only this many characters of a title are kept.
_TITLE_CHARACTERS: Final = 1_000

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BYTES: Final = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))
_LATER_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")  # U+0080 to U+009F in UTF-8
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n?")
# They show nothing: soft hyphens, zero-width spaces, word joiners and invisible operators, byte order marks, grapheme
# joiners (which newsletters are padded with), Mongolian separators. Joiners
# and marks of direction change what is shown.
_INVISIBLE: Final = "\u00ad\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u034f\u180e"
_DROP_INVISIBLE: Final = dict.fromkeys(map(ord, _INVISIBLE))
# Scripts written without spaces, as their punctuation: a line end of the source between two of them is nothing.
_SOLID: Final = (
    "\u2e80-\u2fdf\u3001-\u30ff\u3105-\u312f\u31a0-\u4dbf\u4e00-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff9f"
    "\U00020000-\U0003ffff"
)
_SOLID_LINE_END = re.compile(rf"(?<=[{_SOLID}])[ \t\r\f]*+\n[ \t\r\n\f]*+(?=[{_SOLID}])")
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_BLANKS_IN_LINE = re.compile(r"[ \t\r\f]+")
_BLANKS_AT_LINE_END = re.compile(r" ?\n ?")
_BLANK_LINES = re.compile(r"\n{3,}")
_FENCED = re.compile(r"^([ \t]*+)(`{3,}+)[^`\n]*+\n(?:.*\n)*?\1\2$", re.MULTILINE)


class Shares(NamedTuple):
    """The shares of a text's characters that are code, tables and formulas, 0 to 1; marks of Markdown do not count."""

    code: float = 0.0
    table: float = 0.0
    formula: float = 0.0


class Extracted(NamedTuple):
    """The text and the title of a page, both as `tidy` returns them; "" for none. `shares`: None if not measured.

    `by`: what found the text if it is not the extractor itself, else "".
    """

    text: str
    title: str
    shares: Shares | None = None
    by: str = ""


class TruncatedPage(Exception):
    """The parser stopped inside the page: what it returned is not the whole page."""


def tidy(text: str) -> str:
    """The text with LF line ends, no blanks before them, and at most one empty line in a row.

    Empty lines at both ends and control characters other than tab and LF are removed; lone surrogates become U+FFFD.
    Nothing else is changed, and `tidy(tidy(text)) == tidy(text)`.
    """
    text = _lines(text)
    return (_BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text).strip("\n")


def tidy_markdown(text: str) -> str:
    """The same of Markdown: in fenced code every empty line stays."""
    text = _lines(text)
    if "\n\n\n" not in text or "```" not in text:
        return tidy(text)
    parts: list[str] = []
    end = 0
    for found in _FENCED.finditer(text):
        parts += [_BLANK_LINES.sub("\n\n", text[end : found.start()]), found[0]]
        end = found.end()
    return "".join([*parts, _BLANK_LINES.sub("\n\n", text[end:])]).strip("\n")


def _lines(text: str) -> str:
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    if control_characters(text) if text.isascii() else _NO_TEXT.search(text):  # the former in a tenth of the time
        text = _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))
    return "\n".join(map(str.rstrip, text.split("\n")))


def without_invisible(text: str) -> str:
    """The text without the characters that show nothing wherever they are."""
    if text.isascii() or not any(map(text.__contains__, _INVISIBLE)):
        return text
    return text.translate(_DROP_INVISIBLE)


def one_line(text: str) -> str:
    """Text as WET files hold it: runs of white space are one blank, none at the ends, and characters that show nothing
    stay. So published recipes that read WET get what they were made with."""
    return " ".join(text.split())


def flowing(text: str) -> str:
    """Text as a browser fills lines with it: runs of white space are one blank, and none at the ends.

    Line ends between characters of scripts without spaces (Han, kana, their punctuation) are nothing.
    """
    if text.isascii():
        return " ".join(text.split())
    if "\n" in text:
        text = _SOLID_LINE_END.sub("", text)
    return " ".join(without_invisible(text).split())


def standing(text: str) -> str:
    """Text whose white space is text, as in `<pre>`: without blanks at line ends and blank lines at both ends."""
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    text = without_invisible(text).replace("\xa0", " ")
    return "\n".join(map(str.rstrip, text.split("\n"))).strip("\n")


def one_blank(text: str) -> str:
    """Text whose runs of white space are one blank each."""
    return _BLANKS.sub(" ", text)


def lines_kept(text: str) -> str:
    """Text whose line ends stay, and whose other runs of white space are one blank each."""
    return _BLANKS_AT_LINE_END.sub("\n", _BLANKS_IN_LINE.sub(" ", text))


def control_characters(text: str) -> int:
    """How many characters of a text are control characters other than tab, LF and CR."""
    raw = text.encode("utf-8", "surrogatepass")
    count = len(raw) - len(raw.translate(None, _CONTROL_BYTES))
    return count if len(raw) == len(text) else count + len(_LATER_CONTROL.findall(raw))


def page_title(html: str) -> str:
    """The text of the first non-empty `title` element before `body`, on one line; "" if there is none."""
    for tag in scan(html, UNSEEN):
        if tag.name == "title":
            end = max(tag.content, end_tag_of(html, tag))  # a title without an end is none
            inner = html[tag.content : min(end, tag.content + _TITLE_CHARACTERS * 4)]
            title = flowing(characters(inner))[:_TITLE_CHARACTERS].rstrip()
            if title:
                return tidy(title)
        elif tag.name == "body":
            break
    return ""
