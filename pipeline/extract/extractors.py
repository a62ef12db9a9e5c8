"""The engines that turn a page's HTML into its text, by name, and the caps that a page must pass before any of them.

`trafilatura`, `resiliparse` and `joined` parse with libraries that a hostile page can hang, crash or fill, so they run
in the page sandbox (`pipeline/extract/page.py`), and so does `blocks`, for its memory. `all_text`, `strip_tags` and
the caps are linear scans for tags and need no fence. All are pure functions: no network, no clock, no cache that could
change a result, so the order of pages does not matter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, NamedTuple, get_args

from infra.errors import UsageError
from pipeline.extract.markup import BLOCK, RAW, UNSEEN, attributes_of, characters, nest, scan


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


@dataclass(frozen=True)
class StripTagsOptions:
    """None: it is `all_text` without the title, made fast (`pipeline/extract/strip_tags.py`)."""


@dataclass(frozen=True)
class BlocksOptions:
    """None: what it keeps is learned (`pipeline/extract/block_model.py`)."""


@dataclass(frozen=True)
class JoinedOptions:
    """None: how engines are joined is in `pipeline/extract/join.py`."""


Options = TrafilaturaOptions | ResiliparseOptions | AllTextOptions | StripTagsOptions | BlocksOptions | JoinedOptions


_LONG: Final = 4096
# A page that begins with a title longer than this has none; a title is kept to this many characters.
_TITLE_CHARACTERS: Final = 1_000

# Every start tag that may open a level.
_OPENING = re.compile(r"<(?!(?:br|img|input|link|meta|script)[\s/>])[a-zA-Z]")
_LONG_TAG = re.compile(rf"<[a-zA-Z][^<>]{{{_LONG}}}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BYTES: Final = bytes({*range(0x20), 0x7F} - set(b"\t\n\r"))
_LATER_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")  # U+0080 to U+009F in UTF-8
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
    for tag in scan(html, UNSEEN):
        line.append(html[position : tag.start])
        position = tag.end
        if tag.name in BLOCK:
            lines.append("".join(line))
            line = []
        elif tag.name in ("td", "th"):
            line.append(" ")  # WET keeps the cells of a row on one line
    lines.append("".join([*line, html[position:]]))
    title = page_title(html)
    texts = [title] if title and options.title else []
    texts += [text for raw in lines if (text := " ".join(characters(raw).split()))]
    return Extracted(tidy("\n".join(texts)), title)


def strip_tags(html: str, url: str, options: StripTagsOptions) -> Extracted:  # noqa: ARG001
    """All visible text, a line a block, in half of the time. No parser; linear in the page's length."""
    from pipeline.extract.strip_tags import strip_tags

    return Extracted(tidy(strip_tags(html)), page_title(html))


def blocks(html: str, url: str, options: BlocksOptions) -> Extracted:  # noqa: ARG001
    """The blocks that a small network takes for main text, a line each. Needs no parser; linear."""
    from pipeline.extract.block_model import main_text

    return Extracted(main_text(html)[0], page_title(html))


def joined(html: str, url: str, options: JoinedOptions) -> Extracted:  # noqa: ARG001
    """The text by blocks, or trafilatura's where that is unsure and resiliparse sides with trafilatura."""
    from pipeline.extract.block_model import main_text
    from pipeline.extract.join import choose

    def ask(engine: str, options: Options) -> str:
        try:
            return extract(engine, html, url, options).text
        except (MemoryError, ImportError):
            raise
        except Exception:
            return ""  # it gave up on the page, and has no vote

    text = choose(
        *main_text(html),
        lambda: ask("resiliparse", ResiliparseOptions()),
        lambda: ask("trafilatura", TrafilaturaOptions(fallback=False)),
    )
    return Extracted(text, page_title(html))


Extractor = Any
EXTRACTORS: Final[Mapping[str, tuple[Extractor, type[Options]]]] = {
    "trafilatura": (trafilatura, TrafilaturaOptions),
    "resiliparse": (resiliparse, ResiliparseOptions),
    "all_text": (all_text, AllTextOptions),
    "strip_tags": (strip_tags, StripTagsOptions),
    "blocks": (blocks, BlocksOptions),
    "joined": (joined, JoinedOptions),
}


def options_of(engine: str, given: Mapping[str, Any]) -> Options:
    """The options of an engine from a recipe's table. UsageError for an unknown engine, name or value."""
    if engine not in EXTRACTORS:
        raise UsageError(f"extractor {engine!r} is unknown; use one of {', '.join(EXTRACTORS)}")
    kind = EXTRACTORS[engine][1]
    known = {field.name: field for field in fields(kind)}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"extractor {engine} has no option {name!r}; it has {', '.join(known) or 'none'}")
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
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    if _NO_TEXT.search(text):
        text = _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))
    text = "\n".join(map(str.rstrip, text.split("\n")))
    return (_BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text).strip("\n")


def control_characters(text: str) -> int:
    """How many of its characters have no place in a text: all control characters but tab and line ends."""
    raw = text.encode("utf-8", "surrogatepass")
    count = len(raw) - len(raw.translate(None, _CONTROL_BYTES))
    return count if len(raw) == len(text) else count + len(_LATER_CONTROL.findall(raw))


def page_title(html: str) -> str:
    """The text of the first `title` element that has any, on one line; "" if there is none."""
    for tag in scan(html, UNSEEN):
        if tag.name == "title":
            inner = html[tag.content : tag.end].rpartition("</")[0]
            title = " ".join(characters(inner[: _TITLE_CHARACTERS * 4]).split())[:_TITLE_CHARACTERS]
            if title:
                return tidy(title)
        elif tag.name == "body":
            break
    return ""


def check_size(utf8: bytes, caps: Caps = Caps()) -> Rejection | None:
    """What holds for every engine: "cap/bytes" (as UTF-8) or "cap/nodes" (every `<`), or None."""
    if len(utf8) > caps.bytes:
        return Rejection("cap/bytes", len(utf8), caps.bytes)
    nodes = utf8.count(b"<")
    return Rejection("cap/nodes", nodes, caps.nodes) if nodes > caps.nodes else None


def check_caps(html: str, caps: Caps = Caps(), utf8: bytes | None = None) -> Rejection | None:
    """The first cap that the page breaks, or None. Linear, and for most pages no more than a few counts.

    Those of `check_size`, and what a parser's tree must not grow to: "cap/attributes" (of one tag), or "cap/depth" (of
    open elements, estimated from above). `utf8` is the page once more, where the caller has it.
    """
    utf8 = html.encode("utf-8", "replace") if utf8 is None else utf8
    if too_large := check_size(utf8, caps):
        return too_large
    nodes = utf8.count(b"<")
    long = _has_long_tag(html)
    if nodes <= caps.depth and not long:
        return None
    from pipeline.extract.tag_bounds import TagBounds, end_tags  # not for the sandbox, which imports this file

    # no more levels than start tags
    deep = nodes - end_tags(utf8) > caps.depth
    if deep or long:
        bounds = TagBounds(html, utf8)
        deep = deep and bounds.levels(caps.depth) > caps.depth
        long = long and bounds.attributes(_LONG) > caps.attributes
    if not deep and not long:
        return None
    coming = len(_OPENING.findall(html)) if deep else 0
    depth, attributes = _depth_and_attributes(html, caps.depth, coming, long)
    if attributes > caps.attributes:
        return Rejection("cap/attributes", attributes, caps.attributes)
    if depth > caps.depth:
        return Rejection("cap/depth", depth, caps.depth)
    return None


def _has_long_tag(html: str) -> bool:
    """Whether something like a tag goes on for `_LONG` characters without `<` or `>`."""
    opened = -1  # the last `<` so far
    probe = _LONG // 2  # such a stretch covers one of these windows
    for start in range(0, len(html), probe):
        last = html.rfind("<", start, start + probe)
        if last < 0 <= opened and _LONG_TAG.match(html, opened):
            return True
        opened = last if last >= 0 else opened
    return False


def _depth_and_attributes(html: str, most: int, coming: int, long: bool) -> tuple[int, int]:
    """The depth of the open elements, as far as it may exceed `most`, and the most attributes of a `long` tag.

    `coming` is the number of start tags that may open a level. (A tag that is nowhere long between two of `<` and `>`
    is not looked at for attributes.)
    """
    depth = attributes = 0
    stack: list[str] = []
    for tag in scan(html, RAW):
        if long and tag.name and tag.content - tag.start > _LONG:
            attributes = max(attributes, attributes_of(html[tag.start : tag.content]))
        if len(stack) + coming > most:
            coming -= nest(stack, tag)
            depth = max(depth, len(stack))
        elif not long:
            break
    return depth, attributes
