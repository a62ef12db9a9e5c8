"""The engines that turn a page's HTML into its text, by name, and the caps that a page must pass before any of them.

`trafilatura` and `resiliparse` parse with libraries that a hostile page can hang, crash or fill, so they run in
the page sandbox (`pipeline/page.py`). `all_text` and the caps are linear scans for tags and need no fence. All are
pure functions: no network, no clock, no cache that outlives a page, so the order of pages does not change a result.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from html import unescape
from typing import Any, Final, Literal, NamedTuple, get_args

from infra.errors import UsageError


class Extracted(NamedTuple):
    text: str
    title: str


class TruncatedPage(Exception):
    """The parser gave up inside the page: what it returned is not the whole page."""


class Rejection(NamedTuple):
    """Why a page is rejected, as the ledger states it: `value` is on the wrong side of `threshold`."""

    rule: str
    value: float
    threshold: float


@dataclass(frozen=True)
class Caps:
    """The most that a page may have.

    Of 2,600 pages crawled in the wild the largest had 3.2 MB, 75,000 `<`, 313 levels (a broken one 1,374) and 31
    attributes on one tag (a broken one 934). libxml2 reads 2,048 levels.
    """

    bytes: int = 5 << 20
    nodes: int = 250_000
    depth: int = 1_500
    attributes: int = 2_000


@dataclass(frozen=True)
class TrafilaturaOptions:
    """`fallback` also asks readability and justext; `deduplicate` drops segments repeated within the page."""

    favor: Literal["precision", "recall", "balanced"] = "balanced"
    fallback: bool = True
    include_comments: bool = True
    include_tables: bool = True
    deduplicate: bool = False


@dataclass(frozen=True)
class ResiliparseOptions:
    """Named as in `resiliparse.extract.html2text`; the defaults are DCLM's (section 4.2), which add no markup."""

    main_content: bool = True
    list_bullets: bool = True
    alt_texts: bool = False
    links: bool = False
    form_fields: bool = False
    noscript: bool = False


@dataclass(frozen=True)
class AllTextOptions:
    """`title` puts the page's title on the first line, as Common Crawl's WET files do."""

    title: bool = True


Options = TrafilaturaOptions | ResiliparseOptions | AllTextOptions


class Tag(NamedTuple):
    """`html[start:content]` is a tag and `end` the same; or `html[start:end]` is a whole element that is skipped.

    Comments and declarations have the name "".
    """

    name: str
    closing: bool
    start: int
    content: int
    end: int


# Elements whose content is no markup, and elements whose content is not shown.
_RAW: Final = frozenset({"script", "style", "title", "textarea", "iframe", "noembed", "noframes"})
_UNSEEN: Final = _RAW | {"noscript", "template", "svg", "datalist"}
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
# fmt: off
_BLOCK: Final = frozenset({
    "address", "article", "aside", "blockquote", "body", "br", "button", "caption", "center", "dd", "details", "dialog",
    "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "head", "header", "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "optgroup", "option", "p",
    "pre", "search", "section", "select", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
})
# fmt: on
# An open element on the left is ended by the start of one on the right (HTML standard, 13.1.2.4).
_ENDED_BY: Final[dict[str, frozenset[str]]] = {
    "p": _BLOCK - {"br", "button", "body", "html", "head"},
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
_SCOPES: Final = frozenset({"table", "caption", "td", "th"})
_TABLE: Final = frozenset({"table", "caption", "tbody", "thead", "tfoot", "tr", "td", "th"})
# How far up the open elements an end tag is matched; further, it counts as stray, so depth is estimated from above.
_MATCH_LEVELS: Final = 64
_LONG: Final = 4096
# A page that begins with a title longer than this has none; a title is kept to this many characters.
_TITLE_CHARACTERS: Final = 1_000

# Slash, name, and the rest to the end. A quotation mark counts only after "=", as in the HTML standard. Possessive:
# nothing is tried twice, and if this tag has no end, none after it has one.
_TAG = re.compile(r"""<(?:!--|[!?]|(/?)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+>)?+)""")
_LONG_TAG = re.compile(rf"<[a-zA-Z][^<>]{{{_LONG}}}")
_QUOTED = re.compile(r""""[^"]*+"|'[^']*+'""")
# Python refuses to read a number of more than 4,300 digits; no character has one of more than seven.
_ENDLESS_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n?")
_BLANK_LINES = re.compile(r"\n{3,}")


def trafilatura(html: str, url: str, options: TrafilaturaOptions) -> Extracted:
    """trafilatura's main text. Raises TruncatedPage, or what the library raises.

    The tree is parsed here, as the library does but for `huge_tree`: without that, libxml2 silently drops what
    follows the 256th level of nesting. (What readability proposes is parsed again by the library, and so cut there.)
    """
    import trafilatura as library
    from trafilatura.deduplication import LRUCache
    from trafilatura.settings import LRU_SIZE

    tree = _lxml_tree(html)
    if tree is None:
        return Extracted("", page_title(html))
    text = library.extract(
        tree,
        url=url,
        fast=not options.fallback,
        favor_precision=options.favor == "precision",
        favor_recall=options.favor == "recall",
        include_comments=options.include_comments,
        include_tables=options.include_tables,
        # A cache of its own for each page: the library's shared one remembers the pages before.
        deduplicate=LRUCache(maxsize=LRU_SIZE) if options.deduplicate else False,
    )
    return Extracted(tidy(text or ""), page_title(html))


def _lxml_tree(html: str) -> Any:
    from lxml.etree import LxmlError
    from lxml.html import HTMLParser, fromstring
    from trafilatura.utils import repair_faulty_html

    parser = HTMLParser(
        collect_ids=False,
        default_doctype=False,
        encoding="utf-8",
        remove_comments=True,
        remove_pis=True,
        huge_tree=True,
    )
    try:
        tree = fromstring(repair_faulty_html(html, html[:50].lower()).encode(), parser=parser)
    except (LxmlError, AssertionError):
        # No element at all: an empty page, or one of comments alone.
        tree = None
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log.filter_from_fatals()):
        raise TruncatedPage("nested more deeply than libxml2 reads")
    return tree


def resiliparse(html: str, url: str, options: ResiliparseOptions) -> Extracted:  # noqa: ARG001
    """resiliparse's main content, or without `main_content` all that is visible. Raises what the library raises."""
    from resiliparse.extract.html2text import extract_plain_text

    text = extract_plain_text(
        html,
        preserve_formatting=True,
        main_content=options.main_content,
        list_bullets=options.list_bullets,
        alt_texts=options.alt_texts,
        links=options.links,
        form_fields=options.form_fields,
        noscript=options.noscript,
    )
    return Extracted(tidy(text), page_title(html))


def all_text(html: str, url: str, options: AllTextOptions) -> Extracted:  # noqa: ARG001
    """All visible text, a line a block: what a WET file holds. No parser; linear in the page's length."""
    lines: list[str] = []
    line: list[str] = []
    position = 0
    for tag in scan(html, _UNSEEN):
        line.append(html[position : tag.start])
        position = tag.end
        if tag.name in _BLOCK:
            lines.append("".join(line))
            line = []
        elif tag.name in ("td", "th"):
            line.append(" ")  # WET keeps the cells of a row on one line
    lines.append("".join([*line, html[position:]]))
    title = page_title(html)
    texts = [title] if title and options.title else []
    texts += [text for raw in lines if (text := " ".join(_characters(raw).split()))]
    return Extracted(tidy("\n".join(texts)), title)


Extractor = Any
EXTRACTORS: Final[Mapping[str, tuple[Extractor, type[Options]]]] = {
    "trafilatura": (trafilatura, TrafilaturaOptions),
    "resiliparse": (resiliparse, ResiliparseOptions),
    "all_text": (all_text, AllTextOptions),
}


def options_of(engine: str, given: Mapping[str, Any]) -> Options:
    """The options of an engine from a recipe's table. UsageError for an unknown engine, name or value."""
    if engine not in EXTRACTORS:
        raise UsageError(f"extractor {engine!r} is unknown; use one of {', '.join(EXTRACTORS)}")
    kind = EXTRACTORS[engine][1]
    known = {field.name: field for field in fields(kind)}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"extractor {engine} has no option {name!r}; it has {', '.join(known)}")
        if isinstance(known[name].default, bool):
            fits, wanted = isinstance(value, bool), "true or false"
        else:
            choices = get_args(known[name].type)
            fits, wanted = value in choices, " or ".join(map(repr, choices))
        if not fits:
            raise UsageError(f"option {name!r} of extractor {engine} is {value!r}; it must be {wanted}")
    return kind(**given)


def extract(engine: str, html: str, url: str, options: Options) -> Extracted:
    """One page through the named engine. Raises TruncatedPage, or what the engine's library raises."""
    function, kind = EXTRACTORS[engine]
    assert isinstance(options, kind), f"{engine} does not take {type(options).__name__}"
    extracted: Extracted = function(html, url, options)
    return extracted


def tidy(text: str) -> str:
    """The one form that texts have: LF line ends without blanks before them, at most one empty line between two.

    There are none around the text, no control characters but tab and LF, and U+FFFD for lone surrogates. Nothing
    else is changed.
    """
    text = _CONTROL.sub("", _LINE_END.sub("\n", text))
    text = _SURROGATE.sub("\ufffd", text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def control_characters(text: str) -> int:
    """How many of its characters have no place in a text: all control characters but tab and line ends."""
    return len(_CONTROL.findall(text))


def page_title(html: str) -> str:
    """The text of the first `title` element that has any, on one line; "" if there is none."""
    for tag in scan(html, _UNSEEN):
        if tag.name == "title":
            inner = html[tag.content : tag.end].rpartition("</")[0]
            title = " ".join(_characters(inner[: _TITLE_CHARACTERS * 4]).split())[:_TITLE_CHARACTERS]
            if title:
                return tidy(title)
        elif tag.name == "body":
            break
    return ""


def _characters(raw: str) -> str:
    """`raw` with its character references resolved."""
    return unescape(_ENDLESS_REFERENCE.sub("\ufffd", raw)) if "&" in raw else raw


def check_caps(html: str, caps: Caps = Caps()) -> Rejection | None:
    """The first cap that the page breaks, or None. Linear, and for most pages no more than a few counts.

    "cap/bytes" (as UTF-8), "cap/nodes" (every `<`), "cap/attributes" (of one tag), or "cap/depth" (of open elements,
    estimated from above).
    """
    size = len(html) if html.isascii() else len(html.encode("utf-8", "replace"))
    nodes = html.count("<")
    if size > caps.bytes:
        return Rejection("cap/bytes", size, caps.bytes)
    if nodes > caps.nodes:
        return Rejection("cap/nodes", nodes, caps.nodes)
    if nodes - html.count("</") <= caps.depth and not _LONG_TAG.search(html):
        return None  # no more levels than start tags
    depth = attributes = 0
    stack: list[str] = []
    for tag in scan(html, _RAW):
        if tag.name and tag.content - tag.start > _LONG:
            attributes = max(attributes, len(_QUOTED.sub("", html[tag.start : tag.content]).split()) - 1)
        _nest(stack, tag)
        depth = max(depth, len(stack))
    if attributes > caps.attributes:
        return Rejection("cap/attributes", attributes, caps.attributes)
    if depth > caps.depth:
        return Rejection("cap/depth", depth, caps.depth)
    return None


def _nest(stack: list[str], tag: Tag) -> None:
    """Update the open elements by a tag."""
    name = tag.name
    if not name or name in _VOID or name in _RAW:
        return
    if tag.closing:
        for level in range(1, min(len(stack), _MATCH_LEVELS) + 1):
            if stack[-level] == name:
                del stack[-level:]
                return
            if stack[-level] in _SCOPES and (name not in _TABLE or stack[-level] == "table"):
                return
        return
    while stack and name in _ENDED_BY.get(stack[-1], ()):
        stack.pop()
    stack.append(name)


def scan(html: str, skipped: frozenset[str]) -> Iterator[Tag]:
    """The tags of a page in order; an element in `skipped` is one tag from its start to its end. Linear.

    A tag, comment, script or style without an end reaches to the end of the page, as in browsers.
    """
    endless: set[str] = set()
    position = 0
    while position < len(html):
        for match in _TAG.finditer(html, position):
            start, position = match.span()
            slash, name, rest = match.groups()
            if name is None:
                position = _end_of_comment(html, start)
                yield Tag("", False, start, position, position)
                break
            if rest is None:
                yield Tag(name.lower(), bool(slash), start, len(html), len(html))
                return
            name = name.lower()
            skip = name in skipped and not slash and name not in endless
            if skip:
                position = _end_of_element(html, name, position)
                if position < 0:
                    endless.add(name)
                    position = match.end()
            yield Tag(name, bool(slash), start, match.end(), position)
            if skip:
                break
        else:
            return


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
