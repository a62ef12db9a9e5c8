"""Where an element ends whose content is read by rules of its own: raw text, scripts, templates, SVG and MathML.

As in the HTML standard: 13.2.5 (tokenization) for scripts and raw text, 13.2.6.5 for foreign content, of which an HTML
element ends what is open. Each function looks at nothing beyond the end it returns but for one tag, so that a page is
read in linear time whatever is in it.
"""

import re
from functools import lru_cache
from typing import Final

# Elements whose content is no markup.
RAW: Final = frozenset({"script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp", "plaintext"})
VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
FOREIGN: Final = frozenset({"svg", "math"})
# White space, as in tags; slash, name, and the attributes to the end of the tag. A quotation mark counts only where a
# value begins. Possessive: nothing is tried twice, and if this tag has no end, none after it has one.
WS: Final = r"\t\n\f\r "
ATTRIBUTES: Final = (
    rf"(?:[{WS}/]++"
    rf"|[^{WS}/>][^{WS}/>=]*+(?:[{WS}]*+=[{WS}]*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|(?![\"'])[^{WS}>]*+))?+)*+>"
)
# The same for most tags in half of the steps: after a run without "=" that ends inside a name comes a value.
ORDINARY: Final = (
    r"(?>(?:[^>=]++"
    rf"(?<=[^{WS}/])=(?:\"[^\"]*+\"|[{WS}]*+(?:\"[^\"]*+\"|'[^']*+'|[^{WS}>\"'][^{WS}>]*+|(?=>))))*+[^>=]*+>)"
)
TAG: Final = rf"<(?:(/?)([a-zA-Z][^{WS}/>]*+)(>|{ORDINARY}|{ATTRIBUTES})?+|!--|[!?]|/(?!\Z))"

_MARKUP = re.compile(TAG)
_ATTRIBUTES = re.compile(ATTRIBUTES)
_COMMENT_END = re.compile(r"--!?>")
_BODY = re.compile(rf"<body(?=[{WS}/>])", re.IGNORECASE | re.ASCII)
_SCRIPT_TOKEN = re.compile(rf"<!--|-->|<(/?)script(?=[{WS}/>])", re.IGNORECASE | re.ASCII)
# HTML elements whose start tag ends all foreign content that is open; `font` does with these attributes.
# fmt: off
_BREAKS_OUT: Final = frozenset({
    "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "h1", "h2", "h3",
    "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s",
    "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var",
})
# Inside these, HTML is read again.
_HTML_IN: Final = frozenset({"foreignobject", "desc", "title", "mi", "mo", "mn", "ms", "mtext"})
# End tags of these end foreign content in which no element of the name is open: one around it is meant.
_OUTSIDE: Final = _BREAKS_OUT | {
    "a", "article", "aside", "button", "dialog", "details", "fieldset", "figure", "figcaption", "footer", "form",
    "header", "html", "label", "main", "nav", "section", "summary", "td", "th", "tr", "tbody", "thead", "tfoot",
    "caption", "select", "option", "template",
}
# fmt: on
# What ends the content of an ordinary picture or template early, or begins another mode in it.
NOT_PLAIN: Final = {
    "svg": _BREAKS_OUT | _OUTSIDE | {"font", "foreignobject", "math"},
    "math": _BREAKS_OUT | _OUTSIDE | {"font", "annotation-xml", "svg"} | (RAW - {"title"}),
    "template": RAW,
}
# The content of one without these.
_PLAIN: Final = {
    name: re.compile(
        rf"(?:[^<]++|<(?!!|/?(?:{'|'.join(sorted(others | {name}))})[{WS}/>]))*+</{name}(?=[{WS}/>])",
        re.IGNORECASE | re.ASCII,
    )
    for name, others in NOT_PLAIN.items()
}
# An open element: foreign; foreign with HTML inside; HTML.
_FOREIGN, _MIXED, _HTML = range(3)
# An end tag is matched with this many of the open elements at most, else it is stray.
MATCH_LEVELS: Final = 64
_FONT = re.compile(r"[\s/](?:color|face|size)[\s=/>]", re.IGNORECASE)


def comment_end(html: str, start: int) -> int:
    """Where the comment, declaration, instruction or bogus comment at `start` ends."""
    if html.startswith("<!--", start):
        for short in ("<!-->", "<!--->"):
            if html.startswith(short, start):
                return start + len(short)
        end = _COMMENT_END.search(html, start + 4)
        return end.end() if end else len(html)
    return html.find(">", start) + 1 or len(html)


def element_end(html: str, name: str, content: int) -> int:
    """Where the element ends whose content begins at `content`, its end tag included; -1 if nothing ends it.

    For the elements of RAW and FOREIGN, for `template`, and for others that end at the first end tag of their name. One
    difference from the standard: a title without an end that would hold the body has none. Browsers show such a page
    empty; it is mostly one whose head was damaged by what copied it.
    """
    if name in FOREIGN:
        return foreign_end(html, name, content)
    if name == "template":
        return _template_end(html, content)
    if name in RAW:
        end = _raw_end(html, name, content)
        is_damaged = name == "title" and end == len(html) and _BODY.search(html, content)
        return -1 if is_damaged and next_end_tag(html, name, content) < 0 else end
    close = next_end_tag(html, name, content)
    return tag_end(html, close) if close >= 0 else -1


def next_end_tag(html: str, name: str, position: int) -> int:
    """Where the next end tag of a name begins; -1 if there is none."""
    close = _close(name).search(html, position)
    return close.start() if close else -1


def _raw_end(html: str, name: str, content: int) -> int:
    """Where an element of RAW ends, its end tag included; at the end of the page if it has none."""
    if name == "plaintext":
        return len(html)
    end = _script_content_end(html, content) if name == "script" else next_end_tag(html, name, content)
    return tag_end(html, end) if end >= 0 else len(html)


def tag_end(html: str, start: int) -> int:
    """Where the tag ends that begins at `start`, if one does; one without an end reaches to the end of the page."""
    match = _MARKUP.match(html, start)
    return match.end() if match and match[3] is not None else len(html)


@lru_cache(maxsize=64)
def _close(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{re.escape(name)}(?=[{WS}/>])", re.IGNORECASE | re.ASCII)


def _script_content_end(html: str, content: int) -> int:
    """Where the end tag of a script begins; -1 if there is none. In a comment, a script may hold another."""
    close = _close("script").search(html, content)
    if close is None or html.find("<!--", content, close.start()) < 0:
        return close.start() if close else -1
    position, escaped, doubly = content, False, False
    while token := _SCRIPT_TOKEN.search(html, position):
        position = token.end()
        if token[0] == "<!--":
            # its own dashes may be those of its end
            position, escaped = token.start() + 2 if not escaped else position, True
        elif token[0] == "-->":
            escaped = doubly = False
        elif token[1]:
            if not doubly:
                return token.start()
            doubly = False
        else:
            doubly = escaped
    return -1


def _template_end(html: str, content: int) -> int:
    plain = _PLAIN["template"].match(html, content)
    if plain:
        return tag_end(html, plain.end() - len("</template"))
    depth, position = 1, content
    while match := _MARKUP.search(html, position):
        start, position = match.span()
        name = (match[2] or "").lower()
        if not name:
            position = comment_end(html, start)
        elif match[3] is None:
            break
        elif name == "template":
            depth += -1 if match[1] else 1
            if depth == 0:
                return position
        elif name in RAW and not match[1]:
            position = _raw_end(html, name, position)
    return len(html)


def foreign_end(html: str, name: str, content: int) -> int:
    """Where `svg` or `math` ends whose content begins at `content`: after its end tag, or before what else ends it."""
    plain = _PLAIN[name].match(html, content)
    if plain:
        return tag_end(html, plain.end() - len(name) - 2)
    open_: list[tuple[str, int]] = [(name, _FOREIGN)]
    position = content
    while match := _MARKUP.search(html, position):
        start, position = match.span()
        slash, name, rest = match.groups()
        if name is None:
            if open_[-1][1] == _FOREIGN and html.startswith("<![CDATA[", start):
                end = html.find("]]>", start)
                position = end + 3 if end >= 0 else len(html)
            else:
                position = comment_end(html, start)
            continue
        if rest is None:
            break
        name = name.lower()
        is_html = open_[-1][1] != _FOREIGN
        if slash and name not in ("br", "p"):
            _end(open_, name)
            if not open_:
                # an element around may be meant, unless HTML is read inside
                return position
            if name in _OUTSIDE and not is_html and all(kind == _FOREIGN for _, kind in open_[-MATCH_LEVELS:]):
                return start
            continue
        if not is_html and (slash or name in _BREAKS_OUT or (name == "font" and _FONT.search(rest))):
            while open_ and open_[-1][1] == _FOREIGN:
                open_.pop()
            if not open_:
                return start
            is_html = True
        if slash:
            continue
        if is_html and name in RAW:
            position = _raw_end(html, name, position)
        elif is_html and name not in FOREIGN:
            if name not in VOID:
                open_.append((name, _HTML))
        elif not rest.endswith("/>"):
            open_.append((name, _MIXED if name in _HTML_IN else _FOREIGN))
    return len(html)


def _end(open_: list[tuple[str, int]], name: str) -> None:
    """Close the element that an end tag in foreign content ends, if it ends one."""
    in_html = open_[-1][1] == _HTML
    for level in range(1, min(len(open_), MATCH_LEVELS) + 1):
        each, kind = open_[-level]
        if each == name and (kind == _MIXED or (kind == _HTML) == in_html):
            del open_[-level:]
            return
        if (kind == _HTML) != in_html:
            return
