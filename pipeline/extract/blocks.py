"""A page as a list of blocks: the pieces of text between tags that break lines, and the place of each in the page.

The elements around a block tell main text from the rest better than its words do. So a block records the tags around
it, the kinds that the class names around it indicate, its container and its path; `block_features.py` turns these into
numbers. One pass over the tags, without a parser; linear in the length of the page.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from pipeline.extract.markup import BLOCK, SHOWN_RAW, UNSEEN, Tag, nest, raw_text, scan
from pipeline.extract.references import characters
from pipeline.extract.shadow import composed
from pipeline.extract.structure import formulas, outline, posts
from pipeline.extract.structure.code import HINTS as CODE_HINTS
from pipeline.extract.structure.code import code_text, is_code_box, is_numbers
from pipeline.extract.structure.formulas import Formula
from pipeline.extract.structure.marks import CODE, CODE_END, LINE_START, ROW_START, unmarked
from pipeline.extract.structure.outline import Frame, open_frame
from pipeline.extract.text import flowing, lines_kept, one_blank, standing, without_invisible
from pipeline.extract.visibility import (
    ASIDE,
    COPY,
    GONE,
    LINES,
    SPACES,
    TELLING,
    TELLING_WORDS,
    Copies,
    Sheet,
    inherit,
    may_tell,
    tell,
    told_by_name,
)
from pipeline.extract.visibility import UNSEEN as INVISIBLE

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
# A class name that may give the element a form: what follows reads its attributes.
_HINT: Final = 1 << len(KINDS)
for _word in CODE_HINTS | outline.FORMULA_HINTS | outline.OTHER_HINTS | posts.HINTS:
    _KIND_WORDS[_word] = _KIND_WORDS.get(_word, 0) | _HINT
# A word that may say whether the element is seen, or that its white space is text.
_TELLS: Final = _HINT << 1
for _word in TELLING_WORDS.split():
    _KIND_WORDS[_word] = _KIND_WORDS.get(_word, 0) | _TELLS
_SPARE: Final = 1 << (len(TAGS) + len(KINDS))  # inside <noscript>
_TAG_BITS: Final = {name: 1 << TAGS.index(tag) for name, tag in _TAG_OF.items()} | {"noscript": _SPARE}
_LINK: Final = _TAG_BITS["a"]
# Of the state of a place (`visibility.py`): what is no text of the page, and where white space is text.
_HIDDEN: Final = GONE | INVISIBLE
_OUT: Final = _HIDDEN | ASIDE
_STANDS: Final = SPACES | LINES
# Block elements that are lines of a container, not containers.
_LINES: Final = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "br", "hr", "li", "pre", "blockquote", "dd", "dt", "td", "th", "tr"}
)
_CONTAINERS: Final = BLOCK - _LINES
_CELLS: Final = frozenset({"td", "th"})
_BREAKS: Final = BLOCK | _CELLS | {"noscript"}
_MATH: Final = frozenset({"math", "m:math", "mml:math"})
_SKIPPED: Final = (UNSEEN - {"noscript"}) | SHOWN_RAW | _MATH
_ROWS_OF_TABLE: Final = frozenset({"table", "tbody", "thead", "tfoot", "tr"})

_NAMES = re.compile(r"""\b(?:class|id|role|itemprop|style)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"']++))""", re.I)
_SPACES = re.compile(r"[ \t\n\r\f]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAME_WORD = re.compile(r"[a-z]+")
# Longer values are style sheets written into an attribute; the rest of them is ignored.
_NAME_CHARACTERS: Final = 400
_TAG_CHARACTERS: Final = 2000


_TOP: Final = Frame(outline.ROOT, None)


class Block(NamedTuple):
    """`marks`: bits of TAGS, then of KINDS, of all elements around it; `near`: bits of KINDS of the nearest two.

    `container` numbers the elements that hold lines, and `path` the paths of tags and first class names: blocks made by
    one template share a path. `depth` counts the open elements; `cell`: it is a cell of a table, but not the first of
    its row.

    `frame` is the innermost element that gives it a form; `marked` the text with the marks of `structure/marks.py`
    where it has any, else the same; `soft`: a `<br>` alone parts it from the text before.
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
    frame: Frame = _TOP
    marked: str = ""
    soft: bool = False


class _Level(NamedTuple):
    """An open element; fields as in Block, `own` are the bits of its own kinds, `state` is what it shows."""

    tag: str
    marks: int
    own: int
    container: int
    path: int
    frame: Frame
    state: int


_ROOT: Final = _Level("", 0, 0, 0, 0, _TOP, 0)


@lru_cache(maxsize=1 << 14)
def _kinds_of(names: str) -> int:
    """The bits of the kinds that names indicate."""
    bits = 0
    for word in _NAME_WORD.findall(names if names.islower() else _HUMP.sub(" ", names).lower()):
        bits |= _KIND_WORDS.get(word, 0)
    return bits


@lru_cache(maxsize=1 << 14)
def _kinds(attributes: str) -> tuple[int, str, int]:
    """The bits of the kinds that an element's names indicate, the first of its names, and what `tell` says."""
    bits, first = 0, ""
    lowered = attributes.lower()
    if not ("class" in lowered or "id" in lowered or "role" in lowered or "itemprop" in lowered or "style" in lowered):
        return 0, "", tell(attributes).alone if may_tell(attributes) else 0
    for one, other, bare in _NAMES.findall(attributes):
        names = (one or other or bare)[:_NAME_CHARACTERS]
        first = first or names.partition(" ")[0]
        bits |= _kinds_of(names)
    if bits & _TELLS or may_tell(attributes):
        return bits & ~_TELLS, first, tell(attributes).alone
    return bits, first, 0


def blocks(html: str) -> list[Block]:
    """The blocks of a page that have text, in order: what a reader of the page sees, as far as the page says it.

    Blocks inside `<noscript>` are left out unless they hold more than half of the text: some forums are rendered by
    scripts and put their posts there for crawlers. Where more than half of the text is said to be hidden, a script
    will show it, and nothing counts as hidden.
    """
    html = composed(unmarked(html))
    sheet = Sheet()
    reader = _BlockReader(html, sheet)
    found = reader.read()
    if reader.late:
        reader = _BlockReader(html, sheet, whole=True)
        found = reader.read()
    found = _without_noscript(found)
    if reader.hidden > sum(len(block.text) for block in found):
        found = _without_noscript(_BlockReader(html, None).read())
    return found


def _without_noscript(found: list[Block]) -> list[Block]:
    spare = [bool(block.marks & _SPARE) for block in found]
    spared = sum(len(block.text) for block, without in zip(found, spare) if without)
    if 0 < spared <= sum(len(block.text) for block in found) / 2:
        return [block for block, without in zip(found, spare) if not without]
    return found


class _BlockReader:
    """The state of one pass over a page: the open elements, and the block that is being read.

    `sheet` gets the page's own rules unless it has the `whole` of them; without one nothing counts as hidden. After
    `read`, `hidden` is the number of hidden characters; `late`: rules came too late for an element before them.
    """

    def __init__(self, html: str, sheet: Sheet | None, whole: bool = False) -> None:
        self.html = html
        self.sheet = sheet
        self.whole = whole
        self.hidden = 0
        self.late = False
        self.copies = Copies()
        self.stands: set[int] = set()  # of the pieces, those whose white space is text
        self.found: list[Block] = []
        self.names: list[str] = []
        self.levels = [_ROOT]  # the root, then a level for each of `names`
        self.pieces: list[str] = []
        self.start: tuple[_Level, int, int, bool] | None = None  # level, near and depth of the current block; soft
        self.links = 0
        self.hard = True  # something other than `<br>` has ended a block since the last text
        self.cell = self.in_row = self.is_marked = False
        self.last_formula = ""
        self.code_end = self.line_end = -1
        self.scripts = "math/tex" in html

    def read(self) -> list[Block]:
        html, names, levels = self.html, self.names, self.levels
        sheet, copies = self.sheet, self.copies
        paths: dict[tuple[int, str, str], int] = {}
        position = containers = 0
        made = tuple.__new__  # half the time of `_Level(...)`
        for tag in scan(html, _SKIPPED):
            name, closing, begun, content, end = tag
            if begun > position:
                self.add_text(html[position:begun])
            position = end
            if name in _SKIPPED or name == "img":
                if name in SHOWN_RAW:
                    self.add_raw(tag)
                elif name == "style" and sheet is not None and not self.whole and not levels[-1].marks & _SPARE:
                    self.late |= sheet.read(html, tag)
                elif formula := self.formula_of(tag):
                    self.add_formula(formula)
                continue
            opened = nest(names, tag)
            state = levels[-1].state
            if len(levels) > len(names) + (not opened):
                del levels[len(names) + (not opened) :]
            outer = levels[-1]
            if name in _BREAKS and not (state and state & outer.state & _OUT):
                if self.start is None and not self.pieces:  # nothing to end: most tags that break lines
                    self.broken_by(name, closing)
                else:
                    self.break_at(tag)
            if copies.level and copies.level > len(levels):
                copies.close(len(self.found), len(self.pieces))
            if not opened:
                continue
            # a tag shorter than ` id=x` has no names; those of the body are about the whole page
            if content - begun > len(name) + 6 and name != "body" and name != "html":
                longest = begun + _TAG_CHARACTERS
                attributes = html[begun + len(name) + 1 : content if content < longest else longest]
                own, first, said = _kinds(attributes)
            else:
                attributes, own, first, said = "", 0, "", 0
            container = outer.container
            if name in _CONTAINERS:
                containers += 1
                container = containers
            frame = outer.frame
            if own & _HINT or name in outline.NAMED or frame.code is not None:
                own &= _HINT - 1
                frame = self.frame_of(tag, frame, attributes)
            path = paths.setdefault((outer.path, name, first), len(paths) + 1)
            marks = outer.marks | _TAG_BITS.get(name, 0) | own << _KIND_SHIFT
            if sheet and attributes and (said or (sheet.words and sheet.may_say(attributes))):
                said = tell(attributes).under(sheet)
            if name in TELLING:
                said = told_by_name(name, said, attributes)
            state = outer.state
            if said:
                state = inherit(state, said if sheet is not None else said & ~_HIDDEN)
                if said & COPY and not copies.level and not state & _OUT:
                    copies.open(len(levels) + 1, len(self.found), len(self.pieces))
            levels.append(made(_Level, (name, marks, own, container, path, frame, state)))
        if position < len(html):
            self.add_text(html[position:])
        self.end_block()
        return copies.dropped(self.found)

    def begin(self) -> None:
        levels = self.levels
        near = levels[-1].own | levels[-2 if len(levels) > 1 else -1].own
        self.start = (levels[-1], near, len(self.names), not self.hard)
        self.hard = False

    def add_text(self, raw: str) -> None:
        level = self.levels[-1]
        frame, state = level.frame, level.state
        if state & _OUT:
            if state & _HIDDEN:
                self.hidden += len(raw.strip())
            return
        if frame.dropped or (frame.gutter and is_numbers(raw)):
            return
        if frame.code is not None and not frame.code.ended:
            if level.tag in _ROWS_OF_TABLE and raw.isspace():
                return
            if frame.code.loose:
                raw = _SPACES.sub(" ", raw)
                raw = raw.lstrip(" ") if self.pieces and self.pieces[-1][-1:] in ("\n", LINE_START) else raw
        elif state & _STANDS:
            self.stands.add(len(self.pieces))
            raw = lines_kept(raw) if state & LINES else raw
        elif raw.isspace():
            if self.pieces:
                self.pieces.append("\n" if "\n" in raw else " ")
            return
        if self.start is None and not raw.isspace():
            self.begin()
        if level.marks & _LINK:
            self.links += len(raw)
        if frame.author and frame.post is not None:
            frame.post.hear(raw, frame.author)
        if frame.kind == outline.INLINE:
            self.is_marked = True
            raw = CODE + raw + CODE_END
        self.pieces.append(raw)

    def add_raw(self, tag: Tag) -> None:
        """The text of an element of SHOWN_RAW, as a block of its own."""
        level = self.levels[-1]
        if level.state & _OUT or level.frame.dropped:
            return
        self.end_block()
        self.begin()
        attributes = self.html[tag.start : min(tag.content, tag.start + _TAG_CHARACTERS)]
        if self.start is not None and (tag.name == "xmp" or is_code_box(attributes)):
            frame = outline.code_root(level.frame, attributes, pre=True)
            self.start = (level._replace(frame=frame), *self.start[1:])
        self.stands.add(0)
        self.pieces.append(raw_text(self.html, tag))
        self.end_block()

    def add_formula(self, formula: Formula) -> None:
        """A formula, unless it is the one just before it in another form, or its place is code."""
        frame = self.levels[-1].frame
        if (frame.dropped and not frame.formulas) or frame.code is not None or self.levels[-1].state & _OUT:
            return
        outline.count_formula(frame)
        if self.pieces and self.last_formula == formula.tex and self.pieces[-1].strip() in ("", formula.marked()):
            return
        if self.start is None:
            self.begin()
        self.is_marked = True
        self.last_formula = formula.tex
        self.pieces.append(formula.marked())

    def formula_of(self, tag: Tag) -> Formula | None:
        """The formula that an element without readable content holds: MathML, a script of MathJax, an image."""
        if tag.name == "img":
            return formulas.of_image(self.html[tag.start : tag.content])
        if tag.name in _MATH:
            content = self.html[tag.content : tag.end].rpartition("</")[0]
            return formulas.of_mathml(self.html[tag.start : tag.content], content)
        if tag.name == "script" and self.scripts:
            content = self.html[tag.content : tag.end].rpartition("</")[0]
            return formulas.of_script(self.html[tag.start : tag.content], content)
        return None

    def frame_of(self, tag: Tag, outer: Frame, attributes: str) -> Frame:
        if tag.name == "code" and outer.code is None and self.has_lines(tag):
            frame = outline.code_root(outer, attributes)
            frame.loose = True
            return frame
        frame = open_frame(outer, tag.name, attributes)
        if frame is outer and attributes and formulas.is_rendered(attributes):
            return self.rendered(outer, attributes)
        return frame

    def has_lines(self, tag: Tag) -> bool:
        """Whether a `code` element is cut into lines by `<br>`. Linear: no part of the page is searched twice."""
        if self.code_end < tag.content:
            end = self.html.find("</code", tag.content)
            self.code_end = end if end >= 0 else len(self.html)
            self.line_end = self.html.find("<br", tag.content, self.code_end)
        return tag.content <= self.line_end

    def rendered(self, outer: Frame, attributes: str) -> Frame:
        """The frame of an element that shows a formula as pieces of text: what it says in another form is kept."""
        if self.scripts:
            return outline.dropped(outer)
        if formula := formulas.of_attributes(attributes):
            self.add_formula(formula)
            return outline.dropped(outer)
        return outline.without_text(outer)

    def break_at(self, tag: Tag) -> None:
        """A tag that breaks lines ends the block; inside code, the line."""
        name = tag.name
        code = self.levels[-1].frame.code
        if code is not None and not code.ended and self.start is not None and self.start[0].frame.code is code:
            if name in outline.NO_CODE and not tag.closing:
                self.end_block()
                code.ended = True
            elif name == "br":
                self.pieces.append("\n")
            elif name == "tr":
                self.pieces.append("" if tag.closing else ROW_START)
            elif name not in _CELLS:
                self.pieces.append(LINE_START)
            return
        self.end_block()
        self.broken_by(name, tag.closing)

    def broken_by(self, name: str, closing: bool) -> None:
        if name != "br":
            self.hard = True
        if name in _CELLS:
            self.cell = self.in_row and not closing
            self.in_row = True
        else:
            self.cell = self.in_row = False

    def end_block(self) -> None:
        """Appends the block of the pieces so far, if they have text."""
        if self.start is not None:
            level, near, depth, soft = self.start
            if self.copies.waiting:
                self.pieces = self.copies.cleared(self.pieces, len(self.found))
            marked = self.text_of(level)
            text = " ".join(unmarked(marked).split()) if self.is_marked else marked
            if text:
                links = min(self.links, len(text))
                place = level.marks, near, level.container, level.path, depth, level.tag, self.cell
                frame = level.frame
                if frame.code is not None and frame.code.ended and frame.code.parent is not None:
                    frame = frame.code.parent
                self.found.append(Block(text, links, *place, frame, marked, soft))
        self.start = None
        self.pieces.clear()
        self.stands.clear()
        self.links = 0
        self.is_marked = False

    def text_of(self, level: _Level) -> str:
        """The text of the pieces so far, which begin in `level`."""
        pieces, stands = self.pieces, self.stands
        if level.frame.code is not None and not level.frame.code.ended:
            return code_text(without_invisible(characters("".join(pieces))))
        if not stands:
            return flowing(characters("".join(pieces)))
        if len(stands) < len(pieces):
            pieces = [piece if number in stands else one_blank(piece) for number, piece in enumerate(pieces)]
            pieces[0] = pieces[0] if 0 in stands else pieces[0].lstrip()
        return standing(characters("".join(pieces)))
