"""Files of text as their unpacked bytes in UTF-8, by their first bytes and not by their names."""

import codecs
import io
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, BinaryIO

from infra.errors import UsageError
from infra.storage import place
from pipeline.warc.file_bytes import open_bytes
from pipeline.warc.records import ZEROS
from pipeline.warc.stream import ByteSource
from pipeline.warc.unpacking import is_packed, source_of

_HEAD_BYTES = 16
_PART_BYTES = 2**20
# The longest mark first: that of UTF-32 begins as that of UTF-16.
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Where unpacked bytes are missing, and why: a position in what there is of them, and a reason of `warc/records.py`.
Break = tuple[int, str]


class Unpacked(io.RawIOBase):
    """Parts of bytes as a file that is read from its start. `breaks`: where they are broken, as far as was read."""

    def __init__(
        self, parts: Iterable[bytes], source: ByteSource | None, breaks: list[Break] | None, held: ExitStack
    ) -> None:
        self._parts = iter(parts)
        self._source = source
        self._breaks = breaks
        self._held = held
        self._part = memoryview(b"")
        self._end = 0  # of what was unpacked

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._part:
            part = next(self._parts, None)
            self._end += len(part or b"")
            self._note()
            if part is None:
                return 0
            self._part = memoryview(part)
        size = min(len(buffer), len(self._part))
        buffer[:size] = self._part[:size]
        self._part = self._part[size:]
        return size

    def _note(self) -> None:
        if self._source is None or not self._source.problem:
            return
        reason, self._source.problem = self._source.problem, None
        if reason == ZEROS:  # padding, as tapes have it
            return
        if self._breaks is None:
            raise OSError(f"its compressed data are damaged or cut ({reason})")
        if not self._breaks or self._breaks[-1][0] != self._end:  # what follows a fault is no other
            self._breaks.append((self._end, reason))

    def close(self) -> None:
        self._held.close()
        super().close()


def open_lines(path: str, breaks: list[Break] | None = None) -> BinaryIO:
    """Opens a file of text, unpacked.

    Where its compressed data are damaged, what follows is read on, and the place is added to `breaks`; without such a
    list that raises OSError. UsageError for a file that is compressed twice.
    """
    file: BinaryIO = place(path).open("rb")
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head.startswith(tuple(mark for mark, _ in _WIDE)):
        return _buffered(_as_utf8(iter(lambda: file.read(_PART_BYTES), b"")), None, None, file)
    if not is_packed(head):
        return file
    file.close()
    held = ExitStack()
    source = source_of(held.enter_context(open_bytes(path)))
    assert source is not None
    lines = _buffered(_as_utf8(source.parts()), source, breaks, held)
    try:
        again = lines.peek(_HEAD_BYTES)
    except OSError:
        lines.close()
        raise
    if is_packed(again):
        lines.close()
        raise UsageError(f"{path} is compressed twice: unpack it once")
    return lines


def _buffered(
    parts: Iterable[bytes], source: ByteSource | None, breaks: list[Break] | None, held: AbstractContextManager[Any]
) -> io.BufferedReader:
    stack = ExitStack()
    stack.enter_context(held)
    return io.BufferedReader(Unpacked(parts, source, breaks, stack), _PART_BYTES)


def _as_utf8(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts, one for each, from UTF-16 or UTF-32 if a byte order mark at the beginning says so."""
    decoder: codecs.IncrementalDecoder | None = None
    begun = False
    for part in parts:
        if not begun and part:
            begun = True
            wide = next((name for mark, name in _WIDE if part.startswith(mark)), None)
            decoder = codecs.getincrementaldecoder(wide)("replace") if wide else None
        yield part if decoder is None else decoder.decode(part).encode("utf-8", "replace")
