"""The block of a page that is being read: the pieces of its text so far, and what ends it; the blocks before it."""

import re
from typing import Final

from pipeline.extract.block import TOP
from pipeline.extract.block_kinds import CELLS, SPARE, TAGS
from pipeline.extract.block_text import text_of
from pipeline.extract.copies import Copies
from pipeline.extract.inline import raised
from pipeline.extract.references import characters
from pipeline.extract.structure import outline
from pipeline.extract.structure.code import is_numbers
from pipeline.extract.structure.formulas import Formula
from pipeline.extract.structure.marks import CODE, CODE_END, LINE_START, ROW_START, unmarked
from pipeline.extract.structure.outline import Frame
from pipeline.extract.text import flowing, lines_kept
from pipeline.extract.visibility import ASIDE, GONE, LINES, SPACES
from pipeline.extract.visibility import UNSEEN as INVISIBLE

# Of the state of a place (`visibility.py`): what is no text of the page, and where white space is text.
HIDDEN: Final = GONE | INVISIBLE
OUT: Final = HIDDEN | ASIDE
_STANDS: Final = SPACES | LINES
_ROWS_OF_TABLE: Final = frozenset({"table", "tbody", "thead", "tfoot", "tr"})
LINK: Final = 1 << TAGS.index("a")
_SPACES = re.compile(r"[ \t\n\r\f]+")

# An open element: its tag, marks, the bits of its own kinds, container, path and frame as in Block, what it shows (its
# state), the number of the nearest element that may be one of several made alike, and whether it is ordinary: its text
# is text as it stands, unless it is in code or `state` says more. A tuple proper: half the time of a named one.
Level = tuple[str, int, int, int, int, Frame, int, int, bool]
# The fields of a Block to `soft`, and the number of the item around it.
Row = tuple[str, int, int, int, int, int, int, str, bool, Frame, str, bool, int]
_ROOT: Final[Level] = ("", 0, 0, 0, 0, TOP, 0, 0, True)


class OpenBlock:
    """`levels` are the root and the open elements; `hidden`: how many characters were."""

    def __init__(self) -> None:
        self.hidden = 0
        self.copies = Copies()
        self.stands: set[int] = set()  # of the pieces, those whose white space is text
        self.found: list[Row] = []
        self.levels = [_ROOT]
        self.opening = 0  # 1 while an element is being opened that has no level yet
        self.pieces: list[str] = []
        self.start: tuple[Level, int, int, bool] | None = None  # level, near and depth of the current block; soft
        self.links = 0
        self.hard = True  # a blank line, or something other than `<br>`, has ended a block since the last text
        self.broken = True  # something has broken the line since the last text
        self.cell = self.in_row = self.is_marked = False
        self.last_formula = ""

    def begin(self) -> None:
        levels = self.levels
        near = levels[-1][2] | levels[-2 if len(levels) > 1 else -1][2]
        self.start = (levels[-1], near, len(levels) - 1 + self.opening, not self.hard)
        self.hard = self.broken = False

    def add_text(self, raw: str) -> None:
        name, marks, _, _, _, frame, state, _, _ = self.levels[-1]
        if state & OUT:
            if state & HIDDEN:
                self.hidden += len(raw.strip())
            return
        if frame.dropped or (frame.gutter and is_numbers(raw)):
            return
        if marks & SPARE and raw.lstrip().startswith("&lt;"):
            return  # what a browser that runs scripts has saved: the content as text, for those that run none
        if frame.code is not None and not frame.code.ended:
            if name in _ROWS_OF_TABLE and raw.isspace():
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
        if marks & LINK:
            self.links += len(raw)
        if frame.author and frame.post is not None:
            frame.post.hear(raw, frame.author)
        if name == "sup":
            raw = raised(raw)
        if frame.kind == outline.INLINE:
            self.is_marked = True
            raw = CODE + raw + CODE_END
        self.pieces.append(raw)

    def add_formula(self, formula: Formula) -> None:
        """A formula, unless it is the one just before it in another form, or its place is code."""
        _, _, _, _, _, frame, state, _, _ = self.levels[-1]
        if (frame.dropped and not frame.formulas) or frame.code is not None or state & OUT:
            return
        outline.count_formula(frame)
        if self.pieces and self.last_formula == formula.tex and self.pieces[-1].strip() in ("", formula.marked()):
            return
        if self.start is None:
            self.begin()
        self.is_marked = True
        self.last_formula = formula.tex
        self.pieces.append(formula.marked())

    def break_at(self, name: str, closing: bool) -> None:
        """A tag that breaks lines ends the block; inside code, the line."""
        code = self.levels[-1][5].code
        if code is not None and not code.ended and self.start is not None and self.start[0][5].code is code:
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
        if self.start is not None or self.pieces:
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
        pieces = self.pieces
        if self.start is not None:
            level, near, depth, soft = self.start
            if self.copies.waiting:
                pieces[:] = self.copies.cleared(pieces, len(self.found))
            name, marks, _, container, path, frame, _, item, _ = level
            code = frame.code
            if code is None and not self.stands:  # most blocks
                raw = "".join(pieces)
                raw = characters(raw) if "&" in raw else raw
                marked = " ".join(raw.split()) if raw.isascii() else flowing(raw)
            else:
                marked = text_of(pieces, self.stands, code is not None and not code.ended)
            text = " ".join(unmarked(marked).split()) if self.is_marked else marked
            if text:
                links = min(self.links, len(text)) if self.links else 0
                if code is not None and code.ended and code.parent is not None:
                    frame = code.parent
                # fmt: off
                self.found.append((
                    text, links, marks, near, container, path, depth, name, self.cell, frame, marked, soft, item,
                ))
                # fmt: on
            else:  # a line of blanks
                self.hard, self.broken = not soft, True
        self.start = None
        pieces.clear()
        self.stands.clear()
        self.links = 0
        self.is_marked = False
