"""The kept blocks of a page as text: plain, or light Markdown with fenced code, pipe tables, lists, headings, formulas.

Nothing in the text itself is escaped, and emphasis, links and quotes get no marks: the text is read by models and by
filters, not by a renderer.
"""

import re
from collections.abc import Sequence
from typing import Final

from pipeline.extract.block import Block
from pipeline.extract.structure import outline, posts
from pipeline.extract.structure.code import fence, is_prose
from pipeline.extract.structure.formulas import mark_delimited
from pipeline.extract.structure.marks import (
    CODE,
    CODE_END,
    code_characters,
    formula_characters,
    inline_markdown,
    is_formula,
    is_inline_code,
    one_line_markdown,
    split_displays,
)
from pipeline.extract.structure.outline import Frame
from pipeline.extract.structure.tables import HtmlTable, pipe_table
from pipeline.extract.text import Shares, tidy, tidy_markdown

# An item of more text, or of more blocks, is a section of a page that is built as a list.
_ITEM_CHARACTERS: Final = 1_500
_ITEM_BLOCKS: Final = 6
_HEADING_CHARACTERS: Final = 200
_CODE = re.compile(f"({CODE}[^{CODE_END}]*{CODE_END})")
_DELIMITED: Final = ("\\[", "\\(", "\\begin{", "$$", "[tex]")
_STATEMENT = re.compile(r"\S\s+\S|[(=;/]")
# Kinds of frames at which a search outwards ends.
_CELL_OR_TABLE: Final = (outline.CELL, outline.TABLE)
_ITEM_OR_CELL: Final = (outline.ITEM, outline.CELL)
_ENDS_OF_HEADING: Final = (outline.HEADING, outline.CELL, outline.ITEM, outline.CODE)
# Blocks of one cell: more are a layout.
_CELL_BLOCKS: Final = 6


def fill_tables(page: Sequence[Block]) -> None:
    """Tells every table of a page what its cells hold, so that `HtmlTable.is_data` can be asked. Once for each page."""
    blocks_of: dict[int, int] = {}
    for block in page:
        if block.frame.table is None:  # most blocks
            continue
        table, cell = _table(block), _cell(block)
        if table is None or cell is None:
            continue
        table.sizes[cell.value] = table.sizes.get(cell.value, 0) + len(block.text)  # type: ignore[index, arg-type]
        number = blocks_of[id(cell)] = blocks_of.get(id(cell), 0) + 1
        if number == _CELL_BLOCKS or _heading(block) or (block.frame.code is not None and "\n" in block.text):
            table.broken += 1


def data_table(block: Block) -> Frame | None:
    """The table of data that a block belongs to."""
    table = _table(block)
    return block.frame.table if table is not None and table.is_data else None


def wholes(page: Sequence[Block]) -> list[int]:
    """For each block the number of what is kept or dropped as one: the blocks of a table of data, else the block."""
    numbers: list[int] = []
    known: dict[int, int] = {}
    for place, block in enumerate(page):
        table = data_table(block) if block.frame.table is not None else None
        numbers.append(place if table is None else known.setdefault(id(table), place))
    return numbers


def is_formed(block: Block) -> bool:
    """Whether a block is code, or a formula and nothing else, between delimiters of the text perhaps."""
    if block.frame.code is not None:
        return True
    marked = block.marked
    if marked[:1] in "\\$[" and marked.startswith(_DELIMITED):
        marked = _marked(block)
    return is_formula(marked)


def plain(page: Sequence[Block], keep: Sequence[bool]) -> str:
    """The text of the kept blocks, a line for each; neighbouring cells of a table's row share a line."""
    parts: list[str] = []
    last = -2
    for number, (block, kept) in enumerate(zip(page, keep, strict=True)):
        if kept:
            parts += [" " if block.cell and last == number - 1 else "\n", block.text]
            last = number
    return tidy("".join(parts))


def shares(page: Sequence[Block], keep: Sequence[bool]) -> Shares:
    """The shares of code, tables and formulas in the kept blocks."""
    total = code = table = formula = 0
    for block, kept in zip(page, keep, strict=True):
        if not kept:
            continue
        total += len(block.text)
        if _is_code(block):
            code += len(block.text)
            continue
        marked = _marked(block)
        if marked is not block.text:
            formula += formula_characters(marked)
            code += code_characters(marked)
        if block.frame.table is not None and data_table(block) is not None:
            table += len(block.text)
    return Shares(*(round(min(part / total, 1.0), 4) for part in (code, table, formula))) if total else Shares()


def markdown(page: Sequence[Block], keep: Sequence[bool]) -> str:
    """The kept blocks as light Markdown, tidied."""
    kept = [(number, block) for number, (block, is_kept) in enumerate(zip(page, keep, strict=True)) if is_kept]
    talk = posts.conversation(block.frame.post for _, block in kept if not _in_data(block))
    writer = _Writer(_listed([block for _, block in kept]), talk)
    for number, block in kept:
        writer.write(number, block)
    return writer.finish()


class _Writer:
    """Writes blocks one after another; `real` are the items of lists that get markers, `talk` the posts whose authors
    are named."""

    def __init__(self, real: set[int], talk: set[int]) -> None:
        self.parts: list[str] = []
        self.real = real
        self.talk = talk
        self.post: posts.Post | None = None
        self.begins = False  # nothing of the post has been written but its author
        self.begun: set[int] = set()
        self.last = -2
        self.before: Frame | None = None  # the table of the block before
        self.in_list = False
        self.code_lines: list[str] = []
        self.heading: Frame | None = None
        self.table: Frame | None = None
        self.cells: list[tuple[int, int, str]] = []

    def write(self, number: int, block: Block) -> None:
        table = data_table(block) if block.frame.table is not None else None
        if table is not self.table:
            self.end_table()
        if self.talk:
            post = posts.speaker(block.frame.post) if table is None else None
            self.announce(post if post is not None and id(post) in self.talk else None)
            if self.begins and self.post is not None:
                if posts.is_name_alone(block.text, self.post.name):
                    return
                block = _said(block, self.post.name)
                self.begins = False
        is_code_line = table is None and _is_code_line(block)
        if not is_code_line:
            self.end_code()
        cell = _cell(block) if table is not None else None
        if cell is not None:
            self.table = table
            assert isinstance(cell.value, tuple)
            self.cells.append((*cell.value, one_line_markdown(_marked(block)).replace("\n", " ")))
        elif is_code_line:
            self.write_code_line(block)
        elif _is_code(block):
            self.add("\n\n", fence(block.text, block.frame.code.language if block.frame.code else ""), False)
        else:
            self.write_text(number, block)
        self.last, self.before = number, block.frame.table

    def announce(self, post: posts.Post | None) -> None:
        """The author's name on a line of its own, where a post begins or goes on."""
        if post is not None and post is not self.post:
            self.end_code()
            self.add("\n\n", posts.line(post.name), False)
            self.post, self.begins, self.heading, self.last = post, True, None, -2

    def write_text(self, number: int, block: Block) -> None:
        heading = _heading(block)
        if heading is not None and len(block.text) <= _HEADING_CHARACTERS:
            text = one_line_markdown(_marked(block)).rstrip("¶# \ue600").replace("\n", " ")
            if heading is self.heading:
                self.add(" ", text, False)
            elif text:
                self.add("\n\n", f"{'#' * int(str(heading.value))} {text}", False)
            self.heading = heading
            return
        self.heading = None
        between = "\n" if block.soft else "\n\n"
        if block.cell and self.last == number - 1 and block.frame.table is self.before:
            between = "\n\n" if self.parts[-1].endswith("\n$$") else " "  # the number of an equation stays beside it
        items = self.items_of(block)
        if items:
            self.write_item(items, block, between)
        else:
            if block.frame.code is not None:  # a letter, a poem: its lines
                self.add(between, block.text, False)
            else:
                self.add(between, _paragraphs(block), False)

    def write_code_line(self, block: Block) -> None:
        """A paragraph that is inline code and nothing else; the next line of code if a `<br>` parts it from another."""
        if not block.soft:
            self.end_code()
        self.code_lines.append(block.text)

    def end_code(self) -> None:
        if self.code_lines:
            self.add("\n\n", fence("\n".join(self.code_lines), ""), False)
            self.code_lines = []

    def items_of(self, block: Block) -> list[Frame]:
        """The items of lists around a block, outermost first."""
        found: list[Frame] = []
        frame: Frame | None = block.frame
        while frame is not None and frame.kind != outline.CELL:
            if frame.kind == outline.POST and id(frame.post) in self.talk:
                break  # a list of posts is no list
            if frame.kind == outline.ITEM and id(frame) in self.real:
                found.append(frame)
            frame = frame.parent
        return found[::-1]

    def write_item(self, items: Sequence[Frame], block: Block, between: str) -> None:
        indent = "".join(" " * len(str(item.value)) for item in items[:-1] if id(item) in self.begun)
        item = items[-1]
        text = _paragraphs(block)
        if id(item) in self.begun:
            indent += " " * len(str(item.value))
            first = "" if between == " " else indent
        else:
            self.begun.add(id(item))
            first = f"{indent}{item.value}"
            indent += " " * len(str(item.value))
            between = "\n" if self.in_list else "\n\n"
        self.add(between, first + text.replace("\n", "\n" + indent).replace(f"\n{indent}\n", "\n\n"), True)

    def add(self, between: str, text: str, in_list: bool) -> None:
        self.parts += [between, text]
        self.in_list = in_list

    def end_table(self) -> None:
        if self.table is not None:
            text = pipe_table(self.cells)
            if text:
                self.add("\n\n", text, False)
        self.table = None
        self.cells = []

    def finish(self) -> str:
        self.end_table()
        self.end_code()
        return tidy_markdown("".join(self.parts))


def _in_data(block: Block) -> bool:
    return block.frame.table is not None and data_table(block) is not None


def _said(block: Block, name: str) -> Block:
    text = posts.without_name(block.text, name)
    return block if text is block.text else block._replace(text=text, marked=posts.without_name(block.marked, name))


def _paragraphs(block: Block) -> str:
    """The text of a block; formulas that stand on lines of their own are paragraphs."""
    marked = _marked(block)
    if marked is block.text:
        return marked
    pieces = split_displays(inline_markdown(marked))
    return "\n\n".join(f"$$\n{piece}\n$$" if display else piece for piece, display in pieces)


def _marked(block: Block) -> str:
    """The text with marks; formulas between delimiters of the text itself are marked too."""
    if block.frame.code is not None or (
        "\\" not in block.marked and "tex]" not in block.marked and "$$" not in block.marked
    ):
        return block.marked if block.marked != block.text else block.text
    pieces = _CODE.split(block.marked) if CODE in block.marked else [block.marked]
    found = "".join(piece if number % 2 else mark_delimited(piece) for number, piece in enumerate(pieces))
    return found if found != block.text else block.text


def _is_code(block: Block) -> bool:
    code = block.frame.code
    return code is not None and (bool(code.language) or not is_prose(block.text))


def _is_code_line(block: Block) -> bool:
    """Whether a paragraph is inline code alone: several words, or signs, as a statement has; and no term of a list."""
    if not is_inline_code(block.marked) or "`" in block.text or not _STATEMENT.search(block.text):
        return False
    frame: Frame | None = block.frame
    while frame is not None:
        if frame.kind in (outline.ITEM, outline.CELL, outline.HEADING, outline.TERM, outline.CAPTION):
            return False
        frame = frame.parent
    return True


def _listed(kept: Sequence[Block]) -> set[int]:
    """The items of lists that read as items, by their identity: short, without headings."""
    blocks: dict[int, int] = {}
    characters: dict[int, int] = {}
    for block in kept:
        frame: Frame | None = block.frame
        heading = False
        while frame is not None and frame.kind not in _ITEM_OR_CELL:
            heading = heading or frame.kind == outline.HEADING
            frame = frame.parent
        if frame is not None and frame.kind == outline.ITEM:
            blocks[id(frame)] = blocks.get(id(frame), 0) + (_ITEM_BLOCKS + 1 if heading else 1)
            characters[id(frame)] = characters.get(id(frame), 0) + len(block.text)
    return {item for item, number in blocks.items() if number <= _ITEM_BLOCKS and characters[item] <= _ITEM_CHARACTERS}


def _table(block: Block) -> HtmlTable | None:
    frame = block.frame.table
    return frame.value if frame is not None and isinstance(frame.value, HtmlTable) else None


def _cell(block: Block) -> Frame | None:
    """The cell of the nearest table around a block."""
    frame: Frame | None = block.frame
    while frame is not None and frame.kind not in _CELL_OR_TABLE:
        frame = frame.parent
    return frame if frame is not None and frame.kind == outline.CELL else None


def _heading(block: Block) -> Frame | None:
    frame: Frame | None = block.frame
    while frame is not None and frame.kind not in _ENDS_OF_HEADING:
        frame = frame.parent
    return frame if frame is not None and frame.kind == outline.HEADING else None
