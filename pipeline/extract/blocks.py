"""A page as a list of blocks: the pieces of text between tags that break lines, and the place of each in the page.

One pass over the tags, without a parser; linear in the length of the page. What a block records is in `block.py`.
"""

import re
from typing import Final, NamedTuple

from pipeline.extract.block import TOP, Block
from pipeline.extract.block_kinds import (
    CELLS,
    HINT,
    IS_BREAK,
    IS_CONTAINER,
    IS_EMPTY,
    IS_FORMED,
    IS_NAMELESS,
    IS_SKIPPED,
    IS_TELLING,
    KIND_SHIFT,
    MATH,
    MAY_REPEAT,
    MESSAGE,
    SKIPPED,
    SPARE,
    TAG_SHIFT,
    TAGS,
    TRAITS,
    named,
)
from pipeline.extract.block_runs import Item, runs_of
from pipeline.extract.block_text import text_of
from pipeline.extract.copies import Copies
from pipeline.extract.inline import emoji_of, raised
from pipeline.extract.markup import ENDED_BY, SHOWN_RAW, Tag, end_element, end_tag_of, raw_text, scan
from pipeline.extract.page_data import DataTexts
from pipeline.extract.shadow import composed
from pipeline.extract.structure import formulas, outline, posts
from pipeline.extract.structure.code import is_code_box, is_line, is_numbers
from pipeline.extract.structure.formulas import Formula
from pipeline.extract.structure.marks import CODE, CODE_END, LINE_START, ROW_START, unmarked
from pipeline.extract.structure.outline import Frame, open_frame
from pipeline.extract.text import lines_kept
from pipeline.extract.visibility import (
    ASIDE,
    COPY,
    GONE,
    LINES,
    SPACES,
    Sheet,
    inherit,
    tell,
    told_by_name,
)
from pipeline.extract.visibility import UNSEEN as INVISIBLE

# Of the state of a place (`visibility.py`): what is no text of the page, and where white space is text.
_HIDDEN: Final = GONE | INVISIBLE
_OUT: Final = _HIDDEN | ASIDE
_STANDS: Final = SPACES | LINES
_ROWS_OF_TABLE: Final = frozenset({"table", "tbody", "thead", "tfoot", "tr"})
_LINK: Final = 1 << TAGS.index("a")

_SPACES = re.compile(r"[ \t\n\r\f]+")
_TAG_CHARACTERS: Final = 2000


class _Level(NamedTuple):
    """An open element; fields as in Block, `own` are the bits of its own kinds, `state` is what it shows, `item` the
    number of the nearest element that may be one of several made alike."""

    tag: str
    marks: int
    own: int
    container: int
    path: int
    frame: Frame
    state: int
    item: int


_Fields = tuple[str, int, int, int, int, Frame, int, int]

# What a page of frames shows to those who have none.
_NO_FRAMES: Final = re.compile(r"<noframes[^>]*+>((?:[^<]++|<(?!/noframes))*+)", re.IGNORECASE)
# What can show a reader what a page hides at first.
_SCRIPTED: Final = re.compile(r"<script|\son[a-z]{3,20}\s*+=|javascript:", re.IGNORECASE)
# A page that shows less is not meant to be shown so, with scripts or without.
_MIN_SHOWN: Final = 20
_ROOT: Final = _Level("", 0, 0, 0, 0, TOP, 0, 0)


def blocks(html: str) -> list[Block]:
    """The blocks of a page that have text, in order: what a reader of the page sees, as far as the page says it.

    Blocks inside `<noscript>` are left out unless they hold more than half of the text: some forums are rendered by
    scripts and put their posts there for crawlers. Those of `<noframes>` are all that a page of frames has. Where more
    than half of the text is said to be hidden, and the page has scripts, these will show it, and nothing counts as
    hidden; nor where nothing would be left.
    """
    html = composed(unmarked(html))
    sheet = Sheet()
    reader = _BlockReader(html, sheet)
    found = reader.read()
    if reader.late:
        reader = _BlockReader(html, sheet, whole=True)
        found = reader.read()
    found = _without_noscript(found)
    shown = sum(len(block.text) for block in found)
    if reader.hidden > shown and (shown < _MIN_SHOWN or _SCRIPTED.search(html)):
        found = _without_noscript(_BlockReader(html, None).read())
    if not found and (spare := _NO_FRAMES.search(html)) is not None:
        found = _BlockReader(spare[1], None).read()
    return found


def _without_noscript(found: list[Block]) -> list[Block]:
    spare = [bool(block.marks & SPARE) for block in found]
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
        self.hard = True  # a blank line, or something other than `<br>`, has ended a block since the last text
        self.broken = True  # something has broken the line since the last text
        self.cell = self.in_row = self.is_marked = False
        self.last_formula = ""
        self.code_end = self.line_end = -1
        self.scripts = "math/tex" in html
        self.paths: dict[tuple[int, str, str], int] = {}
        self.containers = 0
        self.items: list[Item] = []
        self.data: list[str] = []

    def read(self) -> list[Block]:
        html, names, levels, pieces, copies = self.html, self.names, self.levels, self.pieces, self.copies
        position = 0
        traits_of, add_text, open_, ended_by = TRAITS.get, self.add_text, self.open, ENDED_BY.get
        for name, closing, begun, content, end in scan(html, SKIPPED, tuple):
            if begun > position:
                raw = html[position:begun]
                # white space between tags is most of what there is
                if pieces or not raw.isspace() or levels[-1].state or levels[-1].frame.code is not None:
                    add_text(raw)
            position = end
            traits = traits_of(name, 0)
            if traits & IS_SKIPPED:
                self.skip(Tag(name, closing, begun, content, end))
                continue
            state = levels[-1].state
            opened = False
            if traits & IS_EMPTY:
                pass
            elif not closing:
                opened = True
                while names and name in ended_by(names[-1], ()):
                    names.pop()
                    levels.pop()
                names.append(name)
            elif names and names[-1] == name:
                names.pop()
                levels.pop()
            else:
                end_element(names, name)
                del levels[len(names) + 1 :]
            if traits & IS_BREAK and not (state and state & levels[-1].state & _OUT):
                if self.start is None and not pieces:  # nothing to end: most tags that break lines
                    self.broken_by(name, closing)
                else:
                    self.break_at(name, closing)
            if copies.level and copies.level > len(levels):
                copies.close(len(self.found), len(pieces))
            if opened:
                open_(name, begun, content, traits)
        if position < len(html):
            self.add_text(html[position:])
        self.end_block()
        return self.placed(copies.dropped(self.found))

    def placed(self, found: list[Block]) -> list[Block]:
        """The blocks with the numbers of their runs in place of those of their items, and what the page's data tell."""
        runs = runs_of(self.items)
        if self.data and (texts := DataTexts(self.data)):
            is_told = texts.is_told
            return [tuple.__new__(Block, (*block[:-2], runs[block.run], is_told(block.text))) for block in found]
        return [
            tuple.__new__(Block, (*block[:-2], runs[block.run], False)) if runs[block.run] != block.run else block
            for block in found
        ]

    def open(self, name: str, begun: int, content: int, traits: int) -> None:
        """The start tag, `html[begun:content]`, of an element that is neither skipped nor empty."""
        levels = self.levels
        # one step for all, and of a tuple proper: half the time of a field after the other
        fields: _Fields = tuple(levels[-1])  # type: ignore[assignment]
        _, marks, _, container, path, frame, state, item = fields
        around = container
        own, first, said = 0, "", 0
        attributes = ""
        # a shorter tag than ` id=x` has no names
        if content - begun > len(name) + 6 and not traits & IS_NAMELESS:
            longest = begun + _TAG_CHARACTERS
            attributes = self.html[begun + len(name) + 1 : content if content < longest else longest]
            own, first, said = named(attributes)
        if traits & IS_CONTAINER:
            self.containers = container = self.containers + 1
        if own & HINT or traits & IS_FORMED or frame.code is not None:
            frame = self.frame_of(name, content, frame, attributes)
            if frame.code is not None and "display" in attributes and self.start is not None and is_line(attributes):
                self.pieces.append(LINE_START)
            if own & HINT:
                own &= HINT - 1
                frame = outline.in_talk(frame, posts.role(attributes))
        if not traits and "-" in name and name.endswith(posts.OWN_ELEMENTS):
            role = posts.role_of_own(name, attributes)
            if role.family:
                frame = outline.in_talk(frame, role)
                own |= MESSAGE
        paths = self.paths
        path = paths.setdefault((path, name, first), len(paths) + 1)
        if traits & MAY_REPEAT:
            self.items.append((item, (around, path)))
            item = len(self.items)
        marks = marks | traits >> TAG_SHIFT | own << KIND_SHIFT
        sheet = self.sheet
        if sheet and attributes and (said or (sheet.words and sheet.may_say(attributes))):
            said = tell(attributes).under(sheet, name)
        if traits & IS_TELLING:
            said = told_by_name(name, said, attributes)
        if said:
            state = inherit(state, said if sheet is not None else said & ~_HIDDEN)
            if said & COPY and not self.copies.level and not state & _OUT:
                self.copies.open(len(levels) + 1, len(self.found), len(self.pieces))
        # half the time of `_Level(...)`
        levels.append(tuple.__new__(_Level, (name, marks, own, container, path, frame, state, item)))

    def skip(self, tag: Tag) -> None:
        """An element whose content is not read as markup, or an image."""
        if tag.name in SHOWN_RAW:
            self.add_raw(tag)
        elif tag.name == "style" and self.sheet is not None and not self.whole:
            if not self.levels[-1].marks & SPARE:
                self.late |= self.sheet.read(self.html, tag)
        elif formula := self.formula_of(tag):
            self.add_formula(formula)
        elif tag.name == "img" and (emoji := emoji_of(self.html[tag.start : tag.content])):
            self.add_text(emoji)
        elif tag.name == "script" and "ld+json" in self.html[tag.start : tag.content]:
            self.data.append(self.html[tag.content : max(tag.content, end_tag_of(self.html, tag))])

    def begin(self) -> None:
        levels = self.levels
        near = levels[-1].own | levels[-2 if len(levels) > 1 else -1].own
        self.start = (levels[-1], near, len(self.names), not self.hard)
        self.hard = self.broken = False

    def add_text(self, raw: str) -> None:
        level = self.levels[-1]
        frame, state = level.frame, level.state
        if state & _OUT:
            if state & _HIDDEN:
                self.hidden += len(raw.strip())
            return
        if frame.dropped or (frame.gutter and is_numbers(raw)):
            return
        if level.marks & SPARE and raw.lstrip().startswith("&lt;"):
            return  # what a browser that runs scripts has saved: the content as text, for those that run none
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
        if level.tag == "sup":
            raw = raised(raw)
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
        self.hard = True
        self.begin()
        attributes = self.html[tag.start : min(tag.content, tag.start + _TAG_CHARACTERS)]
        if self.start is not None and (tag.name == "xmp" or is_code_box(attributes)):
            frame = outline.code_root(level.frame, attributes, pre=True)
            self.start = (level._replace(frame=frame), *self.start[1:])
        self.stands.add(0)
        self.pieces.append(raw_text(self.html, tag))
        self.end_block()
        self.hard = True

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
        if tag.name in MATH:
            content = self.html[tag.content : tag.end].rpartition("</")[0]
            return formulas.of_mathml(self.html[tag.start : tag.content], content)
        if tag.name == "script" and self.scripts:
            content = self.html[tag.content : tag.end].rpartition("</")[0]
            return formulas.of_script(self.html[tag.start : tag.content], content)
        return None

    def frame_of(self, name: str, content: int, outer: Frame, attributes: str) -> Frame:
        if name == "code" and outer.code is None and self.has_lines(content):
            frame = outline.code_root(outer, attributes)
            frame.loose = True
            return frame
        frame = open_frame(outer, name, attributes)
        if frame is outer and attributes and formulas.is_rendered(attributes):
            return self.rendered(outer, attributes)
        return frame

    def has_lines(self, content: int) -> bool:
        """Whether a `code` element is cut into lines by `<br>`. Linear: no part of the page is searched twice."""
        if self.code_end < content:
            end = self.html.find("</code", content)
            self.code_end = end if end >= 0 else len(self.html)
            self.line_end = self.html.find("<br", content, self.code_end)
        return content <= self.line_end

    def rendered(self, outer: Frame, attributes: str) -> Frame:
        """The frame of an element that shows a formula as pieces of text: what it says in another form is kept."""
        if self.scripts:
            return outline.dropped(outer)
        if formula := formulas.of_attributes(attributes):
            self.add_formula(formula)
            return outline.dropped(outer)
        return outline.without_text(outer)

    def break_at(self, name: str, closing: bool) -> None:
        """A tag that breaks lines ends the block; inside code, the line."""
        code = self.levels[-1].frame.code
        if code is not None and not code.ended and self.start is not None and self.start[0].frame.code is code:
            if name in outline.NO_CODE and not closing:
                self.end_block()
                code.ended = True
            elif name == "br":
                self.pieces.append("\n")
            elif name == "tr":
                self.pieces.append("" if closing else ROW_START)
            elif name not in CELLS:
                self.pieces.append(LINE_START)
            return
        self.end_block()
        self.broken_by(name, closing)

    def broken_by(self, name: str, closing: bool) -> None:
        if name != "br" or self.broken:
            self.hard = True
        self.broken = True
        if name in CELLS:
            self.cell = self.in_row and not closing
            self.in_row = True
        else:
            self.cell = self.in_row = False

    def end_block(self) -> None:
        """Appends the block of the pieces so far, if they have text."""
        if self.start is not None:
            level, near, depth, soft = self.start
            if self.copies.waiting:
                self.pieces[:] = self.copies.cleared(self.pieces, len(self.found))
            code = level.frame.code
            marked = text_of(self.pieces, self.stands, code is not None and not code.ended)
            text = " ".join(unmarked(marked).split()) if self.is_marked else marked
            if text:
                links = min(self.links, len(text))
                place = level.marks, near, level.container, level.path, depth, level.tag, self.cell
                frame = level.frame
                if frame.code is not None and frame.code.ended and frame.code.parent is not None:
                    frame = frame.code.parent
                self.found.append(Block(text, links, *place, frame, marked, soft, level.item))
            else:  # a line of blanks
                self.hard, self.broken = not soft, True
        self.start = None
        self.pieces.clear()
        self.stands.clear()
        self.links = 0
        self.is_marked = False
