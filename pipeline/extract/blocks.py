"""A page as a list of blocks: the pieces of text between tags that break lines, and the place of each in the page.

The elements around a block tell main text from the rest better than its words do. So a block records the tags around
it, the kinds that the class names around it indicate, its container and its path; `block_features.py` turns these into
numbers. One pass over the tags, without a parser; linear in the length of the page.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from pipeline.extract.markup import BLOCK, UNSEEN, characters, nest, scan

# Tags that may be around a block; one bit for each.
# fmt: off
TAGS: Final = (
    "nav", "header", "footer", "aside", "article", "main", "li", "table", "a", "heading", "p", "blockquote", "pre",
    "form", "button", "dl", "figure", "section",
)
_TAG_OF: Final = {
    **{name: name for name in TAGS},
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "heading"),
    "menu": "nav", "select": "button", "option": "button", "label": "form", "code": "pre", "figcaption": "figure",
}
# Kinds of element, by the words in their `class`, `id`, `role` and `itemprop`: words that more than a dozen of 1,000
# sites use and that tell main text from the rest, sorted by hand.
KINDS: Final[dict[str, str]] = {
    "menu": """nav navigation menu menubar menuitem submenu megamenu mega subnav topnav navbar leftnav dropdown flyout
        drawer breadcrumb breadcrumbs crumbs pagination pager prev previous skip tabs burger hierarchy sections""",
    "frame": """footer foot contentinfo colophon header masthead banner branding logo hdr head topbar toolbar copyright
        legal ft top bottom""",
    "beside": """sidebar aside complementary rail widget widgets widgettitle textwidget blogroll rightcol side
        secondary tertiary sb module""",
    "more": """related popular recent most latest trending recommend recommended also archive archives category
        categories tagcloud tags taxonomy linkcat hot headlines promo teaser carousel slider swiper slide featured links
        link xoxo stories more topics community videos ticker ad ads advert advertisement sponsored outbrain taboola""",
    "ask": """subscribe subscription newsletter login signup signin sign register account consent cookie cookies privacy
        terms modal popup dialog overlay tooltip form input fields field gform postform commentform search button
        buttons btn cta toggle close notice error options validation cart""",
    "share": "share sharing social facebook twitter tweet follow email print sharedaddy rss feed feeds addthis connect",
    "talk": """comment comments commentlist commentmetadata respond replies reply disqus dsq discussion children guest
        bypostauthor byuser""",
    "about": """byline author authors bio avatar meta metadata info date time timestamp credit caption badge vcard
        profile signature username user member stats rating published updated posted count views source day year""",
    "body": """article articlebody articletext articlecontent content entry post postcontent hentry story storybody body
        bodytext text textblock maintext copy prose richtext rich paragraph wysiwyg blog detail details intro lead""",
    "message": "message messages msg postbody posts answer answers question quote forum forums topic thread",
    "hidden": "none hidden visually sr hide invisible nocontent offscreen",
    "goods": """product products price shop store shipping review reviews sku description desc summary spec specs
        feature""",
    "row": """list item items listitem listing listings card cards grid tile result results row odd even teaser
        collection""",
    "main": "main page single primary center middle column maincontent",
}
# fmt: on
_KIND_WORDS: Final = {
    word: sum(1 << i for i, words in enumerate(KINDS.values()) if word in words.split())
    for words in KINDS.values()
    for word in words.split()
}
_KIND_SHIFT: Final = len(TAGS)
_SPARE: Final = 1 << (len(TAGS) + len(KINDS))  # inside <noscript>
_TAG_BITS: Final = {name: 1 << TAGS.index(tag) for name, tag in _TAG_OF.items()} | {"noscript": _SPARE}
_LINK: Final = _TAG_BITS["a"]
_PRE: Final = _TAG_BITS["pre"]
# Block elements that are lines of a container, not containers.
_LINES: Final = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "br", "hr", "li", "pre", "blockquote", "dd", "dt", "td", "th", "tr"}
)
_CONTAINERS: Final = BLOCK - _LINES
_CELLS: Final = frozenset({"td", "th"})
_BREAKS: Final = BLOCK | _CELLS | {"noscript"}
_SKIPPED: Final = UNSEEN - {"noscript"}

_NAMES = re.compile(r"""\b(?:class|id|role|itemprop|style)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"']++))""", re.I)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAME_WORD = re.compile(r"[a-z]+")
# Longer values are style sheets written into an attribute; the rest of them is ignored.
_NAME_CHARACTERS: Final = 400
_TAG_CHARACTERS: Final = 2000


class Block(NamedTuple):
    """`marks`: bits of TAGS, then of KINDS, of all elements around it; `near`: bits of KINDS of the nearest two.

    `container` numbers the elements that hold lines, and `path` the paths of tags and first class names: blocks made by
    one template share a path. `depth` counts the open elements; `cell`: it is a cell of a table, but not the first of
    its row.
    """

    text: str
    link_characters: int
    marks: int
    near: int
    container: int
    path: int
    depth: int
    tag: str
    cell: bool


class _Level(NamedTuple):
    """An open element; fields as in Block, `own` are the bits of its own kinds."""

    tag: str
    marks: int
    own: int
    container: int
    path: int


_ROOT: Final = _Level("", 0, 0, 0, 0)


@lru_cache(maxsize=1 << 14)
def _kinds(attributes: str) -> tuple[int, str]:
    """The bits of the kinds that an element's names indicate, and the first of its names."""
    bits, first = 0, ""
    for found in _NAMES.findall(attributes):
        names = (found[0] or found[1] or found[2])[:_NAME_CHARACTERS]
        first = first or names.partition(" ")[0]
        for word in _NAME_WORD.findall(_HUMP.sub(" ", names).lower()):
            bits |= _KIND_WORDS.get(word, 0)
    return bits, first


def blocks(html: str) -> list[Block]:
    """The blocks of a page that have text, in order.

    Blocks inside `<noscript>` are left out unless they hold more than half of the text: some forums are rendered by
    scripts and put their posts there for crawlers.
    """
    found = _all_blocks(html)
    spare = [bool(block.marks & _SPARE) for block in found]
    spared = sum(len(block.text) for block, without in zip(found, spare) if without)
    if 0 < spared <= sum(len(block.text) for block in found) / 2:
        return [block for block, without in zip(found, spare) if not without]
    return found


def _all_blocks(html: str) -> list[Block]:
    found: list[Block] = []
    names: list[str] = []
    levels = [_ROOT]  # the root, then a level for each of `names`
    paths: dict[tuple[int, str, str], int] = {}
    pieces: list[str] = []
    start: tuple[_Level, int, int] | None = None  # level, near and depth of the current block
    links = position = containers = 0
    cell = in_row = False
    for tag in scan(html, _SKIPPED):
        if tag.start > position:
            raw = html[position : tag.start]
            if not raw.isspace():
                start = start or (levels[-1], levels[-1].own | levels[-2 if len(levels) > 1 else -1].own, len(names))
                if levels[-1].marks & _LINK:
                    links += len(raw)
                pieces.append(raw)
            elif pieces:
                pieces.append(" ")
        position = tag.end
        name = tag.name
        if name in _BREAKS:
            if start is not None:
                _add(found, pieces, links, start, cell)
                pieces, links, start = [], 0, None
            cell = in_row and name in _CELLS and not tag.closing
            in_row = name in _CELLS
        if name in _SKIPPED:
            continue
        opened = nest(names, tag)
        del levels[len(names) + (not opened) :]
        if opened:
            outer = levels[-1]
            # a tag shorter than ` id=x` has no names; those of the body are about the whole page
            named = tag.content - tag.start > len(name) + 6 and name not in ("body", "html")
            own, first = (
                _kinds(html[tag.start + len(name) + 1 : min(tag.content, _TAG_CHARACTERS + tag.start)])
                if named
                else (0, "")
            )
            container = outer.container
            if name in _CONTAINERS:
                containers += 1
                container = containers
            path = paths.setdefault((outer.path, name, first), len(paths) + 1)
            marks = outer.marks | _TAG_BITS.get(name, 0) | own << _KIND_SHIFT
            levels.append(_Level(name, marks, own, container, path))
    if position < len(html):
        start = start or (levels[-1], levels[-1].own, len(names))
        pieces.append(html[position:])
    if start is not None:
        _add(found, pieces, links, start, cell)
    return found


def _add(found: list[Block], pieces: list[str], links: int, start: tuple[_Level, int, int], cell: bool) -> None:
    """Append the block of these pieces to `found`, if they have text."""
    level, near, depth = start
    raw = characters("".join(pieces))
    if level.marks & _PRE:
        text = "\n".join(line for line in map(str.rstrip, raw.split("\n")) if line)
    else:
        text = " ".join(raw.split())
    if text:
        found.append(
            Block(text, min(links, len(text)), level.marks, near, level.container, level.path, depth, level.tag, cell)
        )
