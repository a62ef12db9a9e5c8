"""JSON documents as the elements of an array, or as objects that are indented over several lines.

An element that cannot be read costs itself alone, as far as can be told where the next one begins.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from pipeline.inputs.json_lines import DAMAGE, MAX_LINE_BYTES, NOT_JSON, TOO_LONG, JsonLine, lines_of, values_in
from pipeline.inputs.unpacked import Break, Doubt, open_lines

# So often an element without an end is looked through to the end of the file.
MAX_ENDLESS: Final = 16
# An element that is longer than this is not followed to its end.
MAX_ELEMENT_BYTES: Final = 2**30
_PART_BYTES: Final = 2**20
_HEAD_BYTES: Final = 2**16
# The beginning of such a file: an array of objects, or an object whose first line is its brace.
_ELEMENTS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\[\s*(?:\{|\]?\s*\Z)|\{[ \t]*\r?\n)")
_BETWEEN = re.compile(rb"(?:[\s,\[\]\x00\x1e]|\xef\xbb\xbf)*+")
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[{}\[\]]', re.DOTALL)
_FIRST_NAME = re.compile(rb'\{\s*("[^"\\]{0,200}")')


def read_lines(path: str, plain: bool = False, doubts: list[Doubt] | None = None) -> Iterator[JsonLine]:
    """The values of a file of JSON, in whichever form. `plain`: of a list of addresses. `doubts` gets what damaged data
    may have made wrong, as far as was read."""
    breaks: list[Break] = []
    with open_lines(path, breaks, doubts) as file:
        head: bytes = file.peek(_HEAD_BYTES) if not plain else b""  # type: ignore[attr-defined]
        yield from elements_of(file, breaks) if _ELEMENTS.match(head) else lines_of(file, breaks, plain)


class _Window:
    """What of a file is in memory, from `start` on; it is read from `at` on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.start = self.at = 0
        self.data = b""

    def more(self) -> bool:
        """Reads on, as much again as there is left, so that all that is searched anew takes linear time."""
        left = self.data[self.at :]
        part = self._file.read(max(_PART_BYTES, len(left)))
        self.start, self.at, self.data = self.start + self.at, 0, left + part
        return bool(part)

    @property
    def place(self) -> int:
        """In the text."""
        return self.start + self.at


def elements_of(file: BinaryIO, breaks: list[Break]) -> Iterator[JsonLine]:
    """The values of an array, or of objects one after another."""
    window = _Window(file)
    name: bytes | None = None  # the first of an element
    endless = 0
    while True:
        _skip_between(window)
        if window.at == len(window.data):
            break
        size = _element_size(window)
        element = window.data[window.at : window.at + (size or 0)]
        values = list(values_in(element, window.place)) if 0 < len(element) <= MAX_LINE_BYTES else []
        if len(values) == 1 and not values[0].fault:
            if name is None and (found := _FIRST_NAME.match(element)):
                name = found[1]
            yield from _before(breaks, window.place + 1)
            yield values[0]
        else:
            endless += size is None
            if endless > MAX_ENDLESS:  # the rest is none
                yield from _lost(breaks, window.place, len(window.data) - window.at, NOT_JSON)
                return
            if len(element) <= MAX_LINE_BYTES:
                size = _broken_size(window, size, name)
            size = size or 0
            yield from _lost(breaks, window.place, size, TOO_LONG if size > MAX_LINE_BYTES else NOT_JSON)
        window.at += size or 0
    yield from _before(breaks, window.place + 1)


def _skip_between(window: _Window) -> None:
    while True:
        found = _BETWEEN.match(window.data, window.at)
        window.at = found.end() if found else window.at
        if window.at < len(window.data) or not window.more():
            return


def _element_size(window: _Window) -> int | None:
    """The size of the object that is next; None if there is none, or it has no end."""
    if not window.data.startswith(b"{", window.at):
        return None
    depth = passed = 0
    while True:
        for found in _TOKEN.finditer(window.data, window.at + passed):
            token = found[0]
            if token[:1] == b'"' and not found[1]:
                break  # the string goes on in what was not read yet
            depth += (token in b"{[") - (token in b"}]")
            passed = found.end() - window.at
            if not depth:
                return passed
        else:
            passed = len(window.data) - window.at
        if passed > MAX_ELEMENT_BYTES or not window.more():
            return None


def _broken_size(window: _Window, size: int | None, name: bytes | None) -> int:
    """The size of a broken element: up to where the next may begin. A missing quotation mark or brace makes it seem to
    go on through those that follow."""
    boundary = re.compile(rb"(?:\}\s*,?|,|\n)\s*(?=\{" + (rb"\s*" + re.escape(name) if name else b"") + rb")")
    while True:
        stop = len(window.data) if size is None else window.at + size
        found = boundary.search(window.data, window.at + 1, stop)
        if found:
            return found.end() - window.at
        if size is not None:
            return size
        if len(window.data) - window.at > MAX_ELEMENT_BYTES or not window.more():
            return len(window.data) - window.at


def _before(breaks: list[Break], position: int) -> Iterator[JsonLine]:
    """The byte before a break is not the beginning of a value."""
    while breaks and breaks[0][0] < position:
        yield JsonLine(max(0, breaks[0][0] - 1), 0, None, DAMAGE + breaks.pop(0)[1])


def _lost(breaks: list[Break], start: int, size: int, fault: str) -> Iterator[JsonLine]:
    """A broken element; if data are missing inside it, that is the fault."""
    yield from _before(breaks, start)
    while breaks and breaks[0][0] <= start + size:
        fault = DAMAGE + breaks.pop(0)[1]
    yield JsonLine(start, size, None, fault)
