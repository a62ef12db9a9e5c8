"""Lines that fit a terminal: wrapped at its width, in the cells that characters take, without what would steer it."""

import re
from collections.abc import Iterator

from rich.cells import cell_len, chop_cells

# Control characters but the line end and the tab, and those that turn the direction of what follows: a page's text or
# address must not move the cursor, clear the screen or reorder a line.
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
LEAST_WIDTH = 20
# Larger ones are not counts.
MAX_WHOLE = 1e12


def printable(text: str) -> str:
    return STEERING.sub("\ufffd", text).replace("\t", " ")


def fitted(text: str, width: int) -> str:
    """The lines of `text`, each wrapped at `width` cells; what is wrapped is indented by two more than its line."""
    return "\n".join(part for line in text.split("\n") for part in wrapped(line, width))


def wrapped(line: str, width: int, hanging: int = 2) -> Iterator[str]:
    """One line as several of at most `width` cells, broken at spaces, and inside a word only if it is too long."""
    width = max(width, LEAST_WIDTH)
    if cell_len(line) <= width:
        yield line
        return
    body = line.lstrip(" ")
    indent = line[: len(line) - len(body)][: width // 2]
    further = indent + " " * hanging
    current, empty = indent, True
    for word in body.split(" "):
        longer = f"{current}{word}" if empty else f"{current} {word}"
        if cell_len(longer) <= width:
            current, empty = longer, False
            continue
        if not empty:
            yield current.rstrip(" ")
            current = further
        pieces = chop_cells(word, width - cell_len(current)) or [""]
        for piece in pieces[:-1]:
            yield current + piece
            current = further
        current, empty = current + pieces[-1], False
    yield current.rstrip(" ")


def number(value: float) -> str:
    """Four digits, but a whole number in full."""
    return f"{value:,.0f}" if value == round(value, 0) and abs(value) < MAX_WHOLE else f"{value:.4g}"


def excerpt(text: str, most: int) -> str:
    """The first `most` characters in one line: each run of white space is one space."""
    whole = " ".join(text[: 4 * most].split())
    return whole if len(text) <= 4 * most and len(whole) <= most else f"{whole[:most].rstrip()} …"
