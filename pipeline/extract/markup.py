"""The tags of a page, found as browsers find them by one linear scan without a parser, and what each tag does.

The caps, the plain text, the title and the blocks of a page need no tree: it is enough to know where tags begin and
end, which of them break a line, and which elements are open.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Final, NamedTuple


class Tag(NamedTuple):
    """`html[start:content]` is a tag and `end` the same; or `html[start:end]` is a whole element that is skipped.

    Comments and declarations have the name "".
    """

    name: str
    closing: bool
    start: int
    content: int
    end: int


# Elements whose content is no markup; those of them that show it; elements whose content is not shown.
RAW: Final = frozenset({"script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp", "plaintext"})
SHOWN_RAW: Final = frozenset({"textarea", "xmp", "plaintext"})
UNSEEN: Final = RAW | {"noscript", "template", "svg", "datalist"}
VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
# fmt: off
BLOCK: Final = frozenset({
    "address", "article", "aside", "blockquote", "body", "br", "button", "caption", "center", "dd", "details", "dialog",
    "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "head", "header", "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "optgroup", "option", "p",
    "pre", "search", "section", "select", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
})
# fmt: on
# An open element on the left is ended by the start of one on the right (HTML standard, 13.1.2.4).
ENDED_BY: Final[dict[str, frozenset[str]]] = {
    "p": BLOCK - {"br", "button", "body", "html", "head"},
    "a": frozenset({"a"}),
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "option": frozenset({"option", "optgroup"}),
    "td": frozenset({"td", "th", "tr", "tbody", "thead", "tfoot"}),
    "th": frozenset({"td", "th", "tr", "tbody", "thead", "tfoot"}),
    "tr": frozenset({"tr", "tbody", "thead", "tfoot"}),
}
# An end tag inside one of these does not end what is around it, unless both are parts of one table.
SCOPES: Final = frozenset({"table", "caption", "td", "th"})
TABLE: Final = frozenset({"table", "caption", "tbody", "thead", "tfoot", "tr", "td", "th"})
# An end tag is matched with this many of the open elements at most, else it is stray: depth is estimated from above.
MATCH_LEVELS: Final = 64
# Slash, name, and the rest to the end. A quotation mark counts only after "=", as in the HTML standard. Possessive:
# nothing is tried twice, and if this tag has no end, none after it has one.
_TAG = re.compile(r"""<(?:!--|[!?]|(/?)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+>)?+)""")
_ATTRIBUTE = re.compile(r"""([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"?|'([^']*+)'?|([^\s>"'][^\s>]*+))?)?""")
_QUOTED = re.compile(r""""[^"]*+"|'[^']*+'""")
# Python refuses to read a number of more than 4,300 digits; no character has one of more than seven.
_ENDLESS_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")


def scan(html: str, skipped: frozenset[str]) -> Iterator[Tag]:
    """The tags of a page in order; an element in `skipped` is one tag from its start to its end. Linear.

    A tag, comment, script or style without an end reaches to the end of the page, as in browsers.
    """
    endless: set[str] = set()
    position = 0
    made = tuple.__new__  # half the time of `Tag(...)`
    while position < len(html):
        for match in _TAG.finditer(html, position):
            start, position = match.span()
            slash, name, rest = match.groups()
            if name is None:
                position = _end_of_comment(html, start)
                yield Tag("", False, start, position, position)
                break
            name = name.lower()
            if rest is None:
                yield Tag(name, bool(slash), start, len(html), len(html))
                return
            if name not in skipped or slash or name in endless:
                yield made(Tag, (name, slash == "/", start, position, position))
                continue
            content = position
            position = _end_of_element(html, name, content)
            if position < 0:
                endless.add(name)
                position = content
            yield Tag(name, False, start, content, position)
            break
        else:
            return


def tag_end(html: str, start: int) -> int:
    """Where the tag ends that begins at `start`, if one does; one without an end reaches to the end of the page."""
    match = _TAG.match(html, start)
    return match.end() if match and match[3] is not None else len(html)


def attributes_of(tag: str) -> int:
    """How many attributes a tag has, counted by the white space between them."""
    return len(_QUOTED.sub("", tag).split()) - 1


def raw_text(html: str, tag: Tag) -> str:
    """What an element of SHOWN_RAW shows, with "&" as a reference where it is text."""
    inner = html[tag.content : tag.end]
    if tag.name != "plaintext" and inner.endswith(">"):
        inner = inner.rpartition("</")[0] or inner
    return inner if tag.name == "textarea" else inner.replace("&", "&amp;")


def attributes(inside: str) -> dict[str, str]:
    """The attributes in the inside of a tag, after its name: names in lower case, values with references resolved.

    Of two attributes of one name the first counts, as in browsers.
    """
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(inside):
        found.setdefault(name.lower(), characters(double or single or bare))
    return found


def _end_of_comment(html: str, start: int) -> int:
    """Where the comment or declaration at `start` ends. `<!-->` is a whole comment."""
    is_comment = html.startswith("<!--", start)
    end = html.find("-->", start + 2) if is_comment else html.find(">", start)
    return end + (3 if is_comment else 1) if end >= 0 else len(html)


def _end_of_element(html: str, name: str, position: int) -> int:
    """Where the element ends whose content begins at `position`; -1 if it has no end and is no script or style."""
    close = re.compile(rf"</{re.escape(name)}(?=[\s/>])", re.IGNORECASE).search(html, position)
    if close:
        return html.find(">", close.end()) + 1 or len(html)
    return len(html) if name in ("script", "style") else -1


def nest(stack: list[str], tag: Tag) -> bool:
    """Update the open elements by a tag. Returns whether it opened one."""
    name = tag.name
    if not name or name in VOID or name in RAW:
        return False
    if tag.closing:
        for level in range(1, min(len(stack), MATCH_LEVELS) + 1):
            if stack[-level] == name:
                del stack[-level:]
                break
            if stack[-level] in SCOPES and (name not in TABLE or stack[-level] == "table"):
                break
        return False
    while stack and name in ENDED_BY.get(stack[-1], ()):
        stack.pop()
    stack.append(name)
    return True


def characters(raw: str) -> str:
    """`raw` with its character references resolved; numbers too long to be a character become U+FFFD."""
    return unescape(_ENDLESS_REFERENCE.sub("\ufffd", raw)) if "&" in raw else raw
