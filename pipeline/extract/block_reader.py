"""The reader of a page's blocks: one pass over the tags, without a parser; linear in the length of the page.

Most tags are ordinary in an ordinary place: `read_tags` deals with them itself, and hands the rest to `take`, which
reads any tag anywhere.
"""

from functools import cached_property
from typing import Any, Final

from pipeline.extract.block import Block
from pipeline.extract.block_kinds import (
    HINT,
    IS_CONTAINER,
    IS_FORMED,
    IS_SKIPPED,
    IS_TELLING,
    KIND_SHIFT,
    MATH,
    MAY_REPEAT,
    MESSAGE,
    SKIPPED,
    SPARE,
    TRAITS,
)
from pipeline.extract.block_runs import runs_of
from pipeline.extract.block_tags import (
    END,
    FORMED,
    IMAGE,
    KNOWN,
    NOTHING,
    PLAINLY,
    START,
    TagFacts,
    facts_of,
    is_token,
)
from pipeline.extract.element_ends import MATCH_LEVELS
from pipeline.extract.inline import emoji_of
from pipeline.extract.markup import SHOWN_RAW, Tag, end_element, end_tag_of, raw_text, stretches
from pipeline.extract.open_block import HIDDEN, LINK, OUT, OpenBlock, Row
from pipeline.extract.page_data import DataTexts
from pipeline.extract.structure import formulas, outline, posts
from pipeline.extract.structure.code import is_code_box, is_line
from pipeline.extract.structure.formulas import Formula
from pipeline.extract.structure.marks import LINE_START
from pipeline.extract.structure.outline import Frame, open_frame
from pipeline.extract.visibility import COPY, Sheet, inherit, tell, told_by_name

_TAG_CHARACTERS: Final = 2000
# Elements whose form depends on what comes after their start tags.
_PLACED: Final = frozenset({"code"})
_made: Final[Any] = tuple.__new__  # half the time of `Block(...)`


class BlockReader(OpenBlock):
    """The state of one pass over a page.

    `sheet` gets the page's own rules unless it has the `whole` of them; without one nothing counts as hidden. After
    `read`, `hidden` is the number of hidden characters; `late`: rules came too late for an element before them.
    """

    def __init__(self, html: str, sheet: Sheet | None, whole: bool = False) -> None:
        super().__init__()
        self.html = html
        self.sheet = sheet
        self.whole = whole
        self.late = False
        self.code_end = self.line_end = -1
        self.paths: dict[tuple[int, str, str], int] = {}
        self.containers = 0
        self.outer: list[int] = []  # of each item the number, from 1, of the item around it; 0 for none
        self.alike: list[tuple[int, int]] = []  # and its container and path
        self.data: list[str] = []

    def read(self) -> list[Block]:
        for cut, tag in stretches(self.html, SKIPPED, _PLACED):
            text = cut.pop()
            if cut:
                self.read_tags(cut)
            if text:
                self.add_text(text)
            if tag is None:
                break
            if TRAITS.get(tag.name, 0) & IS_SKIPPED:
                self.skip(tag)
            elif tag.name:
                written = self.html[tag.start : tag.content]
                self.take(KNOWN.get(written) or facts_of(written), written, tag.content)
        self.end_block()
        return self.placed(self.copies.dropped(self.found))

    def read_tags(self, cut: list[str]) -> None:
        """A stretch of the page, text and tags by turns."""
        levels, pieces, paths, sheet, copies = self.levels, self.pieces, self.paths, self.sheet, self.copies
        outer, alike = self.outer, self.alike
        words = sheet.words if sheet is not None else ()
        known = KNOWN.get
        element, marks, _, container, path, frame, state, item, is_ordinary = levels[-1]
        turns = iter(cut)
        for text, tag in zip(turns, turns, strict=True):
            if text:
                if state or not is_ordinary or frame.code is not None:
                    self.add_text(text)
                elif not text.isspace():
                    if self.start is None:
                        self.begin()
                    if marks & LINK:
                        self.links += len(text)
                    pieces.append(text)
                elif pieces:
                    pieces.append("\n" if "\n" in text else " ")
            facts = known(tag) or facts_of(tag)
            does, name, breaks, ends, traits, bits, own, first, _, inside = facts
            if does == NOTHING:
                continue
            is_end = does == END
            if (
                element == name and not copies.level and (not breaks or frame.code is None)
                if is_end
                else START <= does <= FORMED
                and (frame.code is None or (does == START and not breaks and (not inside or is_token(inside))))
                and element not in ends
                and not (words and inside and sheet and sheet.may_say(inside))
            ):
                if is_end:
                    levels.pop()
                if breaks and not (state and state & levels[-1][6] & OUT):
                    if self.start is not None or pieces:
                        self.end_block()
                    if breaks == PLAINLY:
                        self.hard = self.broken = True
                        self.cell = self.in_row = False
                    else:
                        self.broken_by(name, is_end)
                if not is_end:
                    around = container
                    if traits & IS_CONTAINER:
                        self.containers = container = self.containers + 1
                    if does == FORMED:
                        frame = open_frame(frame, name, inside)
                        is_ordinary = is_ordinary and _is_ordinary(frame)
                    path = paths.setdefault((path, name, first), len(paths) + 1)
                    if traits & MAY_REPEAT:
                        outer.append(item)
                        alike.append((around, path))
                        item = len(outer)
                    marks |= bits
                    element = name
                    levels.append((name, marks, own, container, path, frame, state, item, is_ordinary))
                    continue
            else:
                self.take(facts, tag, -1)
            element, marks, _, container, path, frame, state, item, is_ordinary = levels[-1]

    def take(self, facts: TagFacts, tag: str, content: int) -> None:
        """Any tag but those of what is skipped, anywhere. `content`: where it ends, if it is one of _PLACED."""
        does, name, breaks, ends = facts[:4]
        levels, copies = self.levels, self.copies
        state = levels[-1][6]
        if does == IMAGE:
            self.add_image(tag)
            return
        if does >= START:
            while levels[-1][0] in ends:
                levels.pop()
        elif does == END:
            if levels[-1][0] == name:
                levels.pop()
            else:
                self.end_outer(name)
        if breaks and not (state and state & levels[-1][6] & OUT):
            self.break_at(name, does == END)
        if copies.level and copies.level > len(levels):
            copies.close(len(self.found), len(self.pieces))
        if does >= START:
            self.opening = 1
            self.open(facts, content)
            self.opening = 0

    def end_outer(self, name: str) -> None:
        """The end tag of an element that is not the innermost one."""
        names = [level[0] for level in self.levels[-MATCH_LEVELS:]]
        count = len(names)
        end_element(names, name)
        if len(names) < count:
            del self.levels[len(names) - count :]

    def placed(self, rows: list[Row]) -> list[Block]:
        """The blocks, with the numbers of their runs in place of those of their items, and what the data tell."""
        runs = runs_of(self.outer, self.alike)
        if self.data and (texts := DataTexts(self.data)):
            is_told = texts.is_told
            return [_made(Block, row[:-1] + (runs[row[-1]], is_told(row[0]))) for row in rows]  # noqa: RUF005 (half the time)
        return [_made(Block, row[:-1] + (runs[row[-1]], False)) for row in rows]  # noqa: RUF005

    def open(self, facts: TagFacts, content: int) -> None:
        """The start tag of an element that is neither skipped nor empty."""
        _, name, _, _, traits, bits, own, first, said, inside = facts
        levels, sheet, paths = self.levels, self.sheet, self.paths
        _, marks, _, container, path, frame, state, item, _ = levels[-1]
        around = container
        if traits & IS_CONTAINER:
            self.containers = container = self.containers + 1
        if own & HINT or traits & IS_FORMED or frame.code is not None:
            frame = self.framed(name, content, frame, own, inside)
            own &= HINT - 1
        if not traits and "-" in name and name.endswith(posts.OWN_ELEMENTS):
            role = posts.role_of_own(name, inside)
            if role.family:
                frame = outline.in_talk(frame, role)
                own |= MESSAGE
                bits |= MESSAGE << KIND_SHIFT
        path = paths.setdefault((path, name, first), len(paths) + 1)
        if traits & MAY_REPEAT:
            self.outer.append(item)
            self.alike.append((around, path))
            item = len(self.outer)
        marks |= bits
        if sheet and inside and (said or (sheet.words and sheet.may_say(inside))):
            said = tell(inside).under(sheet, name)
        if traits & IS_TELLING:
            said = told_by_name(name, said, inside)
        if said:
            state = inherit(state, said if sheet is not None else said & ~HIDDEN)
            if said & COPY and not self.copies.level and not state & OUT:
                self.copies.open(len(levels) + 1, len(self.found), len(self.pieces))
        is_ordinary = not marks & SPARE and name != "sup" and _is_ordinary(frame)
        levels.append((name, marks, own, container, path, frame, state, item, is_ordinary))

    def framed(self, name: str, content: int, outer: Frame, own: int, inside: str) -> Frame:
        """The frame of an element that may have one of its own: by its name, by its own kinds, in code."""
        frame = self.frame_of(name, content, outer, inside)
        if frame.code is not None and "display" in inside and self.start is not None and is_line(inside):
            self.pieces.append(LINE_START)
        return outline.in_talk(frame, posts.role(inside)) if own & HINT else frame

    def skip(self, tag: Tag) -> None:
        """An element whose content is not read as markup, or an image."""
        if tag.name in SHOWN_RAW:
            self.add_raw(tag)
        elif tag.name == "style" and self.sheet is not None and not self.whole:
            if not self.levels[-1][1] & SPARE:
                self.late |= self.sheet.read(self.html, tag)
        elif tag.name == "img":
            self.add_image(self.html[tag.start : tag.content])
        elif formula := self.formula_of(tag):
            self.add_formula(formula)
        elif tag.name == "script" and "ld+json" in self.html[tag.start : tag.content]:
            self.data.append(self.html[tag.content : max(tag.content, end_tag_of(self.html, tag))])

    def add_image(self, tag: str) -> None:
        if formula := formulas.of_image(tag):
            self.add_formula(formula)
        elif emoji := emoji_of(tag):
            self.add_text(emoji)

    def add_raw(self, tag: Tag) -> None:
        """The text of an element of SHOWN_RAW, as a block of its own."""
        level = self.levels[-1]
        frame = level[5]
        if level[6] & OUT or frame.dropped:
            return
        self.end_block()
        self.hard = True
        self.begin()
        attributes = self.html[tag.start : min(tag.content, tag.start + _TAG_CHARACTERS)]
        if self.start is not None and (tag.name == "xmp" or is_code_box(attributes)):
            frame = outline.code_root(frame, attributes, pre=True)
            self.start = ((*level[:5], frame, *level[6:]), *self.start[1:])
        self.stands.add(0)
        self.pieces.append(raw_text(self.html, tag))
        self.end_block()
        self.hard = True

    def formula_of(self, tag: Tag) -> Formula | None:
        """The formula that an element without readable content holds: MathML, a script of MathJax."""
        if tag.name in MATH:
            content = self.html[tag.content : tag.end].rpartition("</")[0]
            return formulas.of_mathml(self.html[tag.start : tag.content], content)
        if tag.name == "script":
            written = self.html[tag.start : tag.content]
            if "math/" in written.lower() and self.scripts:
                return formulas.of_script(written, self.html[tag.content : tag.end].rpartition("</")[0])
        return None

    @cached_property
    def scripts(self) -> bool:
        """Whether scripts hold formulas. Most pages need not be searched for that."""
        return "math/tex" in self.html

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


def _is_ordinary(frame: Frame) -> bool:
    """Whether text in a frame is text as it stands, unless the frame is in code."""
    return not (frame.dropped or frame.gutter or frame.author or frame.kind == outline.INLINE)
