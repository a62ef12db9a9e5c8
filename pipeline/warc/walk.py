"""Splits bytes into records by their declared lengths, and resynchronises where those are wrong.

The walk has no state but its position, so it gives the same pieces from any piece's start onwards: the reading of
splits, of one record at its locator, and of a whole file agree.

A declared length is trusted if another header, or the end, follows the block. Otherwise the record ends where the next
plausible header begins; if that is after the declared end and a blank line follows there, the length was right and the
bytes in between are junk. So a wrong length, a lost header or a cut block costs no neighbouring record.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.warc.arc import LINE_BYTES, find_arc_header, parse_arc_header
from pipeline.warc.fields import HEADER_BYTES
from pipeline.warc.records import BLOCK_BYTES, CUT, EMPTY, HEADER, JUNK, SHORT, TOO_LARGE, ZEROS
from pipeline.warc.warc import WARC_FOUND, WARC_START, RecordHeader, header_within, parse_warc_header

_HEAD_BYTES = 2**13  # nearly every header fits
_SEARCH_BYTES = 2**18
_OVERLAP = LINE_BYTES + 1024  # more than the bytes by which a header is recognised
_BREAKS = b"\r\n"
_BOM = b"\xef\xbb\xbf"


class Window(Protocol):
    """Bytes by position."""

    def read(self, start: int, stop: int) -> bytes:
        """The bytes of `[start, stop)`; fewer only if the end comes first."""
        ...

    def reaches(self, position: int) -> bool:
        """Whether `position` is at or before the end, and readable."""
        ...

    def forget(self, position: int) -> None:
        """Declares that nothing before `position` will be read again."""
        ...


class Buffer:
    """A Window on bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]

    def reaches(self, position: int) -> bool:
        return position <= len(self.data)

    def forget(self, position: int) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Piece:
    """`[start, end)`: a record with the separators after it, its block at `[block_start, block_end)`; or, with
    `header` None, a range without a record, for `reason`."""

    start: int
    end: int
    header: RecordHeader | None = None
    block_start: int = 0
    block_end: int = 0
    truncated: str | None = None
    reason: str = ""


def walk(window: Window, start: int = 0) -> Iterator[Piece]:
    """Yields the pieces from `start` to the end of `window`; they tile it."""
    position = start
    while (piece := _piece_at(window, position)) is not None:
        yield piece
        position = piece.end
        window.forget(position)


def starts_record(data: bytes) -> bool:
    """Whether `data` begins with a plausible header, after line breaks and a byte order mark."""
    data = _after_breaks(data)
    return WARC_START.match(data) is not None or parse_arc_header(data) is not None


def _after_breaks(data: bytes) -> bytes:
    return data.lstrip(_BREAKS).removeprefix(_BOM).lstrip(_BREAKS)


def _piece_at(window: Window, start: int) -> Piece | None:
    position = _skip_breaks(window, start)
    head = window.read(position, position + _HEAD_BYTES)
    if not head:
        return Piece(start, position, reason=EMPTY) if position > start else None
    if head.startswith(_BOM):
        position += len(_BOM)
        head = head[len(_BOM) :]
    if WARC_START.match(head):
        header = parse_warc_header(head)
        if header is None:
            head = window.read(position, position + HEADER_BYTES)
            header = parse_warc_header(head)
        if header is None:
            reason = HEADER if len(head) == HEADER_BYTES else CUT
            return Piece(start, _find_header(window, position + 1, start), reason=reason)
        within = header_within(head, header)
        if within is not None:
            return Piece(start, position + within, reason=CUT)
    else:
        if len(head) == _HEAD_BYTES and b"\n" not in head:
            head = window.read(position, position + LINE_BYTES)
        header = parse_arc_header(head)
        if header is None:
            end = _find_header(window, position + 1, start)
            return Piece(start, end, reason=filling(head, end - position))
    return _record(window, start, position + header.size, header)


def filling(head: bytes, length: int) -> str:
    """The reason for a range of `length` bytes without a record, by `head`, its first bytes: ZEROS or JUNK."""
    return JUNK if head[:length].strip(b"\0") else ZEROS


def _record(window: Window, start: int, block_start: int, header: RecordHeader) -> Piece:
    declared_end = block_start + header.length if header.length is not None else None
    after = None
    if declared_end is not None and window.reaches(declared_end):
        after = _skip_breaks(window, declared_end)
        head = window.read(after, after + _HEAD_BYTES)
        if not head or starts_record(head):
            return _bounded(start, after, header, block_start, declared_end)
    found = _find_header(window, block_start, start)
    if declared_end is not None and after is not None and declared_end < after <= found:
        return _bounded(start, after, header, block_start, declared_end)
    cut = declared_end is not None and declared_end > found
    block_end = found - _separator(window, block_start, found)
    return _bounded(start, found, header, block_start, block_end, SHORT if cut else None)


def _bounded(
    start: int, end: int, header: RecordHeader, block_start: int, block_end: int, truncated: str | None = None
) -> Piece:
    if block_end - block_start > BLOCK_BYTES:
        return Piece(start, end, reason=TOO_LARGE)
    return Piece(start, end, header, block_start, block_end, header.truncated or truncated)


def _skip_breaks(window: Window, position: int) -> int:
    """The position after the line breaks at `position`."""
    while True:
        size = 64
        data = window.read(position, position + size)
        rest = data.lstrip(_BREAKS)
        position += len(data) - len(rest)
        if rest or len(data) < size:
            return position


def _separator(window: Window, block_start: int, end: int) -> int:
    """The number of bytes before `end` that are the blank line that ends a record."""
    tail = window.read(max(block_start, end - 4), end)
    for separator in (b"\r\n\r\n", b"\n\n", b"\r\n", b"\n"):
        if tail.endswith(separator):
            return len(separator)
    return 0


def _find_header(window: Window, position: int, start: int) -> int:
    """The position of the next plausible header at or after `position`, or the end of `window`.

    Once the search is farther from `start` than the longest block, earlier bytes are forgotten.
    """
    size = _HEAD_BYTES  # at first, since the next header is mostly near
    while True:
        data = window.read(position, position + size + _OVERLAP)
        last = len(data) < size + _OVERLAP
        stop = len(data) if last else size
        warc = WARC_FOUND.search(data)
        stop = min(stop, warc.start()) if warc else stop
        arc = find_arc_header(data, stop)
        if arc is not None:
            return position + arc
        if last or stop < size:
            return position + stop
        position += size
        size = _SEARCH_BYTES
        if position - start > BLOCK_BYTES + HEADER_BYTES:
            window.forget(position - 4)  # the separator before the header is still read
