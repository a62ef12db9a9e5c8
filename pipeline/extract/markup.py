"""The tags of a page, found as browsers find them by one linear scan without a parser, and what each tag does.

The caps, the plain text, the title and the blocks of a page need no tree: it is enough to know where tags begin and
end, which of them break a line, and which elements are open.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from pipeline.extract.element_ends import (
    FOREIGN,
    MATCH_LEVELS,
    RAW,
    TAG,
    VOID,
    WS,
    comment_end,
    element_end,
    foreign_end,
    next_end_tag,
)
from pipeline.extract.references import characters_of_value


class Tag(NamedTuple):
    """`html[start:content]` is a tag and `end` the same; or `html[start:end]` is a whole element that is skipped.

    Comments and declarations have the name "".
    """

    name: str
    closing: bool
    start: int
    content: int
    end: int


# Elements of RAW that show their content; elements whose content is not shown to readers (a textarea's is its user's).
SHOWN_RAW: Final = frozenset({"textarea", "xmp", "plaintext"})
UNSEEN: Final = (RAW - {"xmp", "plaintext"}) | {"noscript", "template", "svg", "datalist"}
# fmt: off
BLOCK: Final = frozenset({
    "address", "article", "aside", "blockquote", "body", "br", "button", "caption", "center", "dd", "details", "dialog",
    "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "head", "header", "hgroup", "hr", "html", "legend", "li", "listing", "main", "menu", "nav", "ol", "optgroup",
    "option", "p", "pre", "search", "section", "select", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
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
_TAG = re.compile(TAG)
_ATTRIBUTE = re.compile(
    rf"""([^{WS}/>][^{WS}/>=]*+)(?:[{WS}]*+=[{WS}]*+(?:"([^"]*+)"?|'([^']*+)'?|([^{WS}>"'][^{WS}>]*+))?)?"""
)
# What makes a template the shadow tree of the element around it.
SHADOW_ROOT: Final = re.compile(r"""[\s"'/]shadowroot(?:mode)?\s*+=\s*+["']?(?:open|closed)""", re.IGNORECASE)
_QUOTED = re.compile(r""""[^"]*+"|'[^']*+'""")


def scan(html: str, skipped: frozenset[str], kind: type[tuple[Any, ...]] = Tag) -> Iterator[Tag]:
    """The tags of a page in order; an element of RAW or in `skipped` is one tag from its start to its end. Linear.

    A tag, comment or element of RAW without an end reaches to the end of the page, as in browsers. A template that is
    the shadow tree of an element is not skipped: its content is shown. `kind`: of the tags that are neither skipped
    nor of RAW; `tuple` for those who take them apart at once.
    """
    whole = skipped | RAW
    special = whole | FOREIGN | {"noscript"}
    endless: set[str] = set()
    position = foreign = 0  # before `foreign` the page is SVG or MathML
    spare = 0  # where the open noscript ends: browsers that run scripts look for nothing else there
    made: Any = tuple.__new__  # half the time of `Tag(...)`
    while position < len(html):
        for match in _TAG.finditer(html, position):
            start, position = match.span()
            slash, name = match.group(1, 2)
            if name is None:
                if start < foreign and html.startswith("<![CDATA[", start):
                    yield Tag("", False, start, start + 9, start + 9)
                    start = html.find("]]>", start, foreign)
                    position = start + 3 if start >= 0 else foreign
                else:
                    position = comment_end(html, start)
                    position = spare if start < spare < position else position
                if start >= 0:
                    yield Tag("", False, start, position, position)
                break
            name = name.lower()
            if match.lastindex == 2:
                position = spare if start < spare else len(html)
                yield Tag(name, bool(slash), start, position, position)
                break
            if name not in special:
                yield made(kind, (name, slash == "/", start, position, position))
                continue
            rest = match[3]
            if name not in whole or slash or name in endless or (start < foreign and name in RAW):
                if name in FOREIGN and not slash and start >= foreign:
                    foreign = position if rest.endswith("/>") else foreign_end(html, name, position)
                elif name == "noscript" and not slash and start >= spare >= 0:
                    spare = next_end_tag(html, name, position)
                yield made(Tag, (name, slash == "/", start, position, position))
                continue
            content = position
            if name == "template" and SHADOW_ROOT.search(rest):
                yield Tag(name, False, start, position, position)
                continue
            if name not in FOREIGN or not rest.endswith("/>"):
                position = element_end(html, name, content)
                if position < 0:
                    endless.add(name)
                    position = content
                elif start < spare < position:
                    position = content
            yield Tag(name, False, start, content, position)
            break
        else:
            return


def attributes_of(tag: str) -> int:
    """How many attributes a tag has, counted by the white space between them."""
    return len(_QUOTED.sub("", tag).split()) - 1


def end_tag_of(html: str, tag: Tag) -> int:
    """Where the end tag begins of a whole element that `scan` found; -1 if it has none."""
    start = html.rfind("</", tag.content, tag.end)
    return start if start >= 0 and html[start + 2 : start + 2 + len(tag.name)].lower() == tag.name else -1


def raw_text(html: str, tag: Tag) -> str:
    """What an element of SHOWN_RAW shows, with "&" as a reference where it is text."""
    end = end_tag_of(html, tag) if tag.name != "plaintext" else -1
    inner = html[tag.content : end if end >= 0 else tag.end]
    return inner if tag.name == "textarea" else inner.replace("&", "&amp;")


def attributes(inside: str) -> dict[str, str]:
    """The attributes in the inside of a tag, after its name: names in lower case, values with references resolved.

    Of two attributes of one name the first counts, as in browsers.
    """
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(inside):
        found.setdefault(name.lower(), characters_of_value(double or single or bare))
    return found


def nest(stack: list[str], tag: Tag) -> bool:
    """Update the open elements by a tag. Returns whether it opened one."""
    name = tag.name
    if not name or name in VOID or name in RAW:
        return False
    if tag.closing:
        end_element(stack, name)
        return False
    while stack and name in ENDED_BY.get(stack[-1], ()):
        stack.pop()
    stack.append(name)
    return True


def end_element(stack: list[str], name: str) -> None:
    """Update the open elements by an end tag of this name, of an element that has content."""
    for level in range(1, min(len(stack), MATCH_LEVELS) + 1):
        if stack[-level] == name:
            del stack[-level:]
            break
        if stack[-level] in SCOPES and (name not in TABLE or stack[-level] == "table"):
            break
