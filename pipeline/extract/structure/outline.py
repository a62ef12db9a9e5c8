"""The elements around a piece of text that give it a form: code, tables and their cells, lists, headings, formulas.

A frame is such an element, and knows the one around it. The scan for tags (`pipeline/extract/blocks.py`) opens them;
each block keeps the innermost, from which `markdown.py` finds its form.
"""

import re
from typing import Final

from pipeline.extract.structure import code, posts
from pipeline.extract.structure.tables import HtmlTable

# Elements within more frames than this get none of their own.
MAX_DEPTH: Final = 40

ROOT, CODE, LANGUAGE, LIST, ITEM, HEADING, TABLE, CELL, CAPTION, FORMULA, INLINE, TERM, POST, OTHER = range(14)
_AROUND_ITEM: Final = (LIST, CELL, TABLE)
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
# Elements that open a frame whatever their attributes are.
NAMED: Final = frozenset(
    {*_HEADINGS, "table", "caption", "tr", "td", "th", "ul", "ol", "menu", "dir", "li", "pre", "listing", "xmp", "code",
     "tt", "annotation", "annotation-xml", "button", "dt"}
)  # fmt: skip
# What begins inside `pre` only where an end tag is missing, or where it lays out a page.
NO_CODE: Final = frozenset(
    {*_HEADINGS, "form", "article", "section", "nav", "footer", "header", "aside", "main", "fieldset", "body", "hr"}
)
# Elements that are no gutter whatever their names are: the code of a listing with numbers says so too.
_NO_GUTTER: Final = frozenset({"code", "pre", "ol", "ul", "li", "table", "tbody", "tr"})
# The number that an item of a list gives itself.
_OWN_NUMBER: Final = re.compile(r"(?<![\w-])value\s*=\s*[\"']?\s*(\d{1,6})(?!\d)", re.I | re.A)
# Words of class names, see `pipeline/extract/blocks.py`.
FORMULA_HINTS: Final = frozenset({"katex", "mathjax", "mjx", "mjxc", "tex", "latex", "math", "mwe"})
OTHER_HINTS: Final = frozenset({"editsection", "headerlink", "anchorjs", "heading"})
_HEADING_ROLE: Final = re.compile(r"(?<![\w-])role\s*=\s*[\"']?heading(?![\w-])", re.I)
_LEVEL: Final = re.compile(r"(?<![\w-])aria-level\s*=\s*[\"']?\s*([1-6])(?!\d)", re.I)


class Frame:
    """`value`: the level of a heading, the first number of an ordered list (0: not ordered), the marker of an item, the
    row and column of a cell. `count`: items of a list, formulas of a renderer's element. `dropped`: its text is shown
    by something else, or by nothing; `formulas`: but formulas in it count. `ended`: code that is none after all;
    `loose`: code whose white space is no text. `code`, `table`: the nearest such frame, itself included.
    `post`: the nearest post; `author`: its author is in here, the higher the surer (`posts.py`)."""

    __slots__ = (
        "author", "code", "count", "depth", "dropped", "ended", "formulas", "gutter", "kind", "language", "loose",
        "parent", "post", "table", "value",
    )  # fmt: skip

    def __init__(self, kind: int, parent: "Frame | None") -> None:
        self.kind = kind
        self.parent = parent
        self.value: int | str | tuple[int, int] | HtmlTable = 0
        self.count = 0
        self.ended = self.loose = False
        self.language = ""
        if parent is None:
            self.depth = 0
            self.code: Frame | None = None
            self.table: Frame | None = None
            self.post: posts.Post | None = None
            self.author = 0
            self.dropped = self.formulas = self.gutter = False
        else:
            self.depth = parent.depth + 1
            self.code = None if parent.code is not None and parent.code.ended else parent.code
            self.table = parent.table
            self.post = parent.post
            self.author = parent.author
            self.dropped = parent.dropped
            self.formulas = parent.formulas
            self.gutter = parent.gutter


def open_frame(outer: Frame, name: str, attributes: str) -> Frame:
    """The frame of an element that opens inside `outer`; `outer` itself if it gives no form."""
    if outer.depth >= MAX_DEPTH:
        return outer
    if outer.code is not None and not outer.code.ended:
        return _in_code(outer, name, attributes)
    match name:  # the most frequent first
        case "li":
            return _item(outer, attributes)
        case "td" | "th":
            return _cell(outer, name, attributes)
        case "tr":
            if outer.table is not None:
                _of(outer.table).start_row()
            return outer
        case "ul" | "ol" | "menu" | "dir":
            frame = Frame(LIST, outer)
            frame.value = _first_number(attributes) if name == "ol" else 0
            return frame
        case "table":
            return _table(outer, attributes)
        case "pre" | "listing" | "xmp":
            return code_root(outer, attributes, pre=True)
        case "caption":
            if outer.table is not None:
                _of(outer.table).captioned = True
            return Frame(CAPTION, outer)
        case "dt":
            return Frame(TERM, outer)
        case "code" | "tt":
            return Frame(INLINE, outer)
        case "annotation" | "annotation-xml":
            return dropped(outer)
        case "button":
            return outer
    if name in _HEADINGS:
        frame = Frame(HEADING, outer)
        frame.value = _HEADINGS[name]
        return frame
    return _by_class(outer, attributes)


def may_be_code(name: str, attributes: str) -> bool:
    """Whether an element may be code, or its table, where no code is around it."""
    match name:
        case "table":
            return code.is_code_table(attributes)
        case "td" | "th":
            return code.is_gutter(attributes)
    return code.is_root(name)


def is_formed_by_class(attributes: str) -> bool:
    """Whether an element that has no form by its name has one by its attributes."""
    return (
        "mw-editsection" in attributes
        or "crayon-plain" in attributes
        or "crayon-toolbar" in attributes
        or "katex" in attributes
        or "heading" in attributes
        or code.is_gutter(attributes)
        or code.is_code_box(attributes)
        or bool(code.language_of(attributes))
    )


def in_talk(outer: Frame, role: posts.Role) -> Frame:
    """The frame of an element that is a post, or the author of one; else `outer`."""
    if outer.code is not None or outer.depth >= MAX_DEPTH:
        return outer
    if role.family:
        frame = Frame(POST, outer)
        frame.post = posts.Post(role, outer.post)
        frame.author = 0
    elif role.author > outer.author and outer.post is not None:
        frame = Frame(OTHER, outer)
        frame.author = role.author
    else:
        return outer
    return frame


def _by_class(outer: Frame, attributes: str) -> Frame:
    if "mw-editsection" in attributes or "crayon-plain" in attributes or "crayon-toolbar" in attributes:
        return dropped(outer)
    if "katex" in attributes:
        if "katex-html" in attributes:
            return dropped(outer) if formulas_in(outer) else outer
        return Frame(FORMULA, outer)
    if "heading" in attributes and _HEADING_ROLE.search(attributes):
        frame = Frame(HEADING, outer)
        told = _LEVEL.search(attributes)
        frame.value = int(told[1]) if told else 2  # as ARIA has it
        return frame
    if code.is_gutter(attributes):
        frame = Frame(OTHER, outer)
        frame.gutter = True
        return frame
    if code.is_code_box(attributes):
        return code_root(outer, attributes)
    language = code.language_of(attributes)
    if language:
        frame = Frame(LANGUAGE, outer)
        frame.language = language
        return frame
    return outer


def _in_code(outer: Frame, name: str, attributes: str) -> Frame:
    root = outer.code
    assert root is not None
    if name in ("button", "thead") or (attributes and code.is_tool(attributes)):
        return dropped(outer)
    if name == "th" or (attributes and name not in _NO_GUTTER and code.is_gutter(attributes)):
        frame = Frame(OTHER, outer)
        frame.gutter = True
        return frame
    if not root.language and attributes and name in ("code", "pre", "span", "div"):
        root.language = code.language_of(attributes, pre=name in ("pre", "code") or "lang=" in attributes)
    return outer


def code_root(outer: Frame, attributes: str, pre: bool = False) -> Frame:
    """The frame of an element that holds lines of code; its language is told by itself, or by an element around it."""
    frame = Frame(CODE, outer)
    _make_code(frame, code.language_of(attributes, pre))
    return frame


def _make_code(frame: Frame, language: str) -> None:
    around = frame.parent
    while around is not None and not language and frame.depth - around.depth <= 3:
        language = around.language
        around = around.parent
    frame.code = frame
    frame.language = language


def _table(outer: Frame, attributes: str) -> Frame:
    if outer.table is not None:
        _of(outer.table).nested += 1
    is_code = attributes and code.is_code_table(attributes)
    frame = code_root(outer, attributes) if is_code else Frame(TABLE, outer)
    frame.value = HtmlTable(attributes, code=frame.kind == CODE)
    frame.table = frame
    return frame


def _cell(outer: Frame, name: str, attributes: str) -> Frame:
    if outer.table is None:
        return outer
    table = _of(outer.table)
    frame = Frame(CELL, outer)
    frame.value = table.start_cell(attributes, name == "th")
    if attributes and code.is_gutter(attributes):
        table.code = frame.gutter = True
        if table.row == 0 and outer is outer.table and outer.code is None:
            _make_code(outer, "")  # a table of lines, whatever its names are
            frame.code = outer
    return frame


def _item(outer: Frame, attributes: str) -> Frame:
    around: Frame | None = outer
    while around is not None and around.kind not in _AROUND_ITEM:
        around = around.parent
    frame = Frame(ITEM, outer)
    if around is not None and around.kind == LIST:
        if around.value and (told := _OWN_NUMBER.search(attributes)):
            around.count = int(told[1]) - int(str(around.value))
        frame.value = f"{int(str(around.value)) + around.count}. " if around.value else "- "
        around.count += 1
    else:
        frame.value = "- "
    return frame


def without_text(outer: Frame) -> Frame:
    """The frame of an element whose formulas count, but not its text."""
    frame = Frame(OTHER, outer)
    frame.dropped = True
    frame.formulas = True
    return frame


def dropped(outer: Frame) -> Frame:
    """The frame of an element that is shown by something else, or by nothing."""
    frame = Frame(OTHER, outer)
    frame.dropped = True
    frame.formulas = False
    return frame


def _of(table: Frame) -> HtmlTable:
    assert isinstance(table.value, HtmlTable)
    return table.value


def _first_number(attributes: str) -> int:
    """The number of the first item of an ordered list, 1 unless `start` says another."""
    _, told, rest = attributes.lower().partition("start=")
    digits = rest.lstrip("\"' ")[:6] if told else ""
    number = ""
    for sign in digits:
        if not sign.isdecimal() or not sign.isascii():
            break
        number += sign
    return int(number or 1) or 1


def formulas_in(frame: Frame) -> int:
    """How many formulas the nearest element of a renderer around holds so far."""
    around: Frame | None = frame
    while around is not None:
        if around.kind == FORMULA and around.count:
            return around.count
        around = around.parent
    return 0


def count_formula(frame: Frame) -> None:
    """Counts a formula in every renderer's element around it."""
    around: Frame | None = frame
    while around is not None:
        if around.kind == FORMULA:
            around.count += 1
        around = around.parent
