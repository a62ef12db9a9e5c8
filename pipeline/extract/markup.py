"""The tags of a page, found as browsers find them by one linear scan without a parser, and what each tag does.

The caps, the plain text, the title and the blocks of a page need no tree: it is enough to know where tags begin and
end, which of them break a line, and which elements are open.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pipeline.extract.element_ends import (
    ATTRIBUTES,
    FOREIGN,
    MATCH_LEVELS,
    ORDINARY,
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
_made: Final[Any] = tuple.__new__  # half the time of `Tag(...)`
_TAG = re.compile(TAG)
# A tag or a comment that has an end; for `split` one without an end reaches to the end of what is cut.
_WHOLE: Final = rf"</?[a-zA-Z][^{WS}/>]*+(?:>|{ORDINARY}|{ATTRIBUTES}$)|<!--(?:-?>|(?:[^-]++|-(?!-!?>))*+(?:--!?>$))"
_WHOLE_TAG = re.compile(_WHOLE.replace("$", ""))
_ORDINARY_TAG = re.compile(rf"({_WHOLE.replace('$', '|(?s:.*+)')})")
_ORDINARY_START = re.compile("</?[a-zA-Z]")
# So many characters, and what is there to the next tag, are cut at once.
_LONGEST: Final = 1 << 16
_ATTRIBUTE = re.compile(
    rf"""([^{WS}/>][^{WS}/>=]*+)(?:[{WS}]*+=[{WS}]*+(?:"([^"]*+)"?|'([^']*+)'?|([^{WS}>"'][^{WS}>]*+))?)?"""
)
# What makes a template the shadow tree of the element around it.
SHADOW_ROOT: Final = re.compile(r"""[\s"'/]shadowroot(?:mode)?\s*+=\s*+["']?(?:open|closed)""", re.IGNORECASE)
_QUOTED = re.compile(r""""[^"]*+"|'[^']*+'""")


def scan(html: str, skipped: frozenset[str]) -> Iterator[Tag]:
    """The tags of a page in order; an element of RAW or in `skipped` is one tag from its start to its end. Linear.

    A tag, comment or element of RAW without an end reaches to the end of the page, as in browsers. A template that is
    the shadow tree of an element is not skipped: its content is shown.
    """
    reader = _SpecialTags(html, skipped)
    special = reader.names
    while reader.position < len(html):
        for match in _TAG.finditer(html, reader.position):
            if match.lastindex == 3 and (name := match[2].lower()) not in special:
                start, position = match.span()
                yield _made(Tag, (name, match[1] == "/", start, position, position))
                continue
            yield from reader.read(match)
            if reader.position != match.end():
                break
        else:
            return


def stretches(html: str, skipped: frozenset[str], stops: frozenset[str]) -> Iterator[tuple[list[str], Tag | None]]:
    """The same tags, most of them as the page writes them: text and tags (or comments) by turns, text first and last
    (it may be empty), and the tag behind that, of which more is known; None at the end of the page.

    Those are what is in `skipped` or RAW, the start tags in `stops`, whose places are needed, and what has no end. What
    is between them is cut by one call, which takes a third of the time of a match for each tag.
    """
    reader = _SpecialTags(html, skipped)
    stop = _stop(reader.names, stops)
    next_stop = -1
    while True:
        position = reader.position
        if next_stop < position:
            found = stop.search(html, position)
            next_stop = found.start() if found else len(html)
        end = next_stop
        if end - position > _LONGEST and (found := _ORDINARY_START.search(html, position + _LONGEST, end)):
            end = found.start()
        pieces = _ORDINARY_TAG.split(html[position:end])
        if not pieces[-1] and len(pieces) > 1 and not _WHOLE_TAG.fullmatch(pieces[-2]):
            end -= len(pieces[-2])  # the stop was inside this tag
            del pieces[-2:]
        if end == len(html):
            yield pieces, None
            return
        for tag in reader.read(_TAG.match(html, end)):
            yield pieces, tag
            pieces = [""]


@lru_cache(maxsize=16)
def _stop(names: frozenset[str], starts: frozenset[str]) -> re.Pattern[str]:
    """Finds what may be a declaration, a tag of one of these names, or a start tag of one of `starts`, also inside of a
    tag or a comment."""
    first = "|".join(sorted({re.escape(name[0]) for name in names | starts}))  # few tags begin with these letters
    either, start = ("|".join(map(re.escape, sorted(each))) for each in (names, starts))
    opening, closing = (rf"(?={first})(?:{each})(?=[{WS}/>]|\Z)" for each in (f"{either}|{start}", either))
    # the most frequent first
    return re.compile(rf"<(?:{opening}|/(?:{closing}|(?![a-zA-Z]|\Z))|!(?!--)|\?)", re.IGNORECASE | re.ASCII)


class _SpecialTags:
    """The tags of a page that hide what is behind them, each read from where `_TAG` finds it. `names` are theirs;
    `position` is where the next tag may begin."""

    def __init__(self, html: str, skipped: frozenset[str]) -> None:
        self.html = html
        self.whole = skipped | RAW
        self.names = self.whole | FOREIGN | {"noscript"}
        self.position = 0
        self.endless: set[str] = set()
        self.foreign = 0  # before this the page is SVG or MathML
        self.spare = 0  # where the open noscript ends: browsers that run scripts look for nothing else there

    def read(self, match: re.Match[str] | None) -> tuple[Tag, ...]:
        """The tag of a match of `_TAG` at or behind `position`, in rare cases two, or a whole element."""
        assert match is not None
        start, self.position = match.span()
        slash, name, rest = match.groups()
        if name is None:
            return self.comment(start)
        name = name.lower()
        if rest is None:
            self.position = self.spare if start < self.spare else len(self.html)
            return (Tag(name, bool(slash), start, self.position, self.position),)
        content = self.position
        if name not in self.whole or slash or name in self.endless or (start < self.foreign and name in RAW):
            if name in FOREIGN and not slash and start >= self.foreign:
                self.foreign = content if rest.endswith("/>") else foreign_end(self.html, name, content)
            elif name == "noscript" and not slash and start >= self.spare >= 0:
                self.spare = next_end_tag(self.html, name, content)
        elif not (name == "template" and SHADOW_ROOT.search(rest)) and not (name in FOREIGN and rest.endswith("/>")):
            self.position = self.element_end(name, start, content)
        return (_made(Tag, (name, slash == "/", start, content, self.position)),)

    def comment(self, start: int) -> tuple[Tag, ...]:
        html = self.html
        if start < self.foreign and html.startswith("<![CDATA[", start):
            begin = Tag("", False, start, start + 9, start + 9)
            start = html.find("]]>", start, self.foreign)
            self.position = start + 3 if start >= 0 else self.foreign
            return (begin, Tag("", False, start, self.position, self.position)) if start >= 0 else (begin,)
        end = comment_end(html, start)
        self.position = end = self.spare if start < self.spare < end else end
        return (_made(Tag, ("", False, start, end, end)),)

    def element_end(self, name: str, start: int, content: int) -> int:
        """Where a whole element ends whose content begins here: at its content if nothing ends it."""
        end = element_end(self.html, name, content)
        if end < 0:
            self.endless.add(name)
        return content if end < 0 or start < self.spare < end else end


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
