"""Marks inside the text of a block: where inline code and formulas begin and end.

A mark is a control character, which no text holds: `unmarked` takes them out of a page before it is read, and character
references give none. Text without marks is plain text; `markdown.py` writes them as Markdown does.
"""

import re
from typing import Final

CODE, CODE_END = "\x01", "\x02"
FORMULA, FORMULA_END = "\x03", "\x04"
DISPLAY, DISPLAY_END = "\x05", "\x06"
# Of code alone: the text goes on at the beginning of a line, and a row of a table of lines begins.
LINE_START, ROW_START = "\x0e", "\x0f"
ALL: Final = CODE + CODE_END + FORMULA + FORMULA_END + DISPLAY + DISPLAY_END + LINE_START + ROW_START

_NONE: Final = dict.fromkeys(map(ord, ALL))
_DOUBLED = re.compile(f"{CODE_END}( ?){CODE}")
_INLINE = re.compile(f"{CODE}([^{CODE_END}]*){CODE_END}|{FORMULA}([^{FORMULA_END}]*){FORMULA_END}")
_DISPLAY = re.compile(f" *{DISPLAY}([^{DISPLAY_END}]*){DISPLAY_END} *")
_ONLY_FORMULA = re.compile(
    f"(?:{FORMULA}[^{FORMULA_END}]*{FORMULA_END}|{DISPLAY}[^{DISPLAY_END}]*{DISPLAY_END}|[\\s.,;:()0-9])*"
)
_TICKS = re.compile(r"`+")


def unmarked(text: str) -> str:
    """The text without characters that are marks here; nearly all texts have none."""
    return text.translate(_NONE) if any(mark in text for mark in ALL) else text


def inline_markdown(text: str) -> str:
    """The marked text of one block with inline code in backticks and formulas in `$…$`.

    Formulas on lines of their own are still marked; `split_displays` takes them out.
    """
    return _INLINE.sub(lambda found: _inline(*found.groups()), _DOUBLED.sub(r"\1", text))


def one_line_markdown(text: str) -> str:
    """The same for text that must stay on one line: a cell, a heading."""
    return _DISPLAY.sub(lambda found: f" ${found[1].strip()}$ ", inline_markdown(text)).strip()


def split_displays(text: str) -> list[tuple[str, bool]]:
    """Text and formulas on lines of their own (True) by turns; empty pieces are left out."""
    pieces = [(piece.strip(), number % 2 == 1) for number, piece in enumerate(_DISPLAY.split(text))]
    return [piece for piece in pieces if piece[0]]


def is_formula(text: str) -> bool:
    """Whether a marked text is one formula and nothing else, but for a full stop or a number in brackets."""
    return text[:1] in (FORMULA, DISPLAY) and bool(_ONLY_FORMULA.fullmatch(text))


def is_inline_code(text: str) -> bool:
    """Whether a marked text is inline code and nothing else."""
    return text[:1] == CODE and text[-1:] == CODE_END and not _DOUBLED.sub("", text[1:-1]).count(CODE)


def formula_characters(text: str) -> int:
    """How many characters of a marked text are formulas."""
    return sum(len(found[2]) for found in _INLINE.finditer(text) if found[2]) + sum(map(len, _DISPLAY.findall(text)))


def code_characters(text: str) -> int:
    """How many characters of a marked text are inline code."""
    return sum(len(found[1].strip()) for found in _INLINE.finditer(text) if found[1])


def _inline(code: str | None, formula: str | None) -> str:
    if formula is not None:
        return f"${formula.strip()}$" if formula.strip() else ""
    assert code is not None
    inner = code.strip()
    if not inner:
        return code
    before, after = code[: len(code) - len(code.lstrip())], code[len(code.rstrip()) :]
    longest = max(map(len, _TICKS.findall(inner)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest and (inner[0] == "`" or inner[-1] == "`") else ""
    return f"{before}{fence}{space}{inner}{space}{fence}{after}"
