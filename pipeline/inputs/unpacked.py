"""Files of text as their unpacked bytes in UTF-8, by their first bytes and not by their names."""

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, BinaryIO, NamedTuple

from infra.errors import UsageError
from pipeline.inputs.remote_file import open_file
from pipeline.warc.file_bytes import open_bytes
from pipeline.warc.records import CRC, DEFLATE, LZ4, XZ, ZEROS, ZSTD
from pipeline.warc.stream import ByteSource
from pipeline.warc.unpacking import is_packed, source_of

_HEAD_BYTES = 512
_PART_BYTES = 2**20
# The longest mark first: that of UTF-32 begins as that of UTF-16.
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# JSON without a mark: two of its first characters are ASCII, and the first begins a value (RFC 4627, 3).
_BARE_WIDE = re.compile(rb"(?:([{\[\s]\0[^\0]\0)|(\0[{\[\s]\0[^\0]))")
# What is not read as text, by its first bytes.
_FOREIGN = (
    (b"PAR1", "Parquet: give it a name that ends in .parquet"),
    (b"PK\x03\x04", "a ZIP archive: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x1f\x9d", "what compress writes (.Z): unpack it"),
    (b"\x02\x21\x4c\x18", "LZ4 in its old format: unpack it"),
    (b"\xff\x06\0\0sNaPpY", "Snappy: unpack it"),
    (b"\x5d\0\0", "LZMA in its old format: unpack it"),
)
_TAR = slice(257, 262), b"ustar"

# Where unpacked bytes are missing, and why: a position in what there is of them, and a reason of `warc/records.py`.
Break = tuple[int, str]
# Broken data unpack to wrong bytes for a while before that shows: one checksum follows a whole member or frame.
_MAKE_DOUBT = frozenset({CRC, DEFLATE, LZ4, XZ, ZSTD})


class Doubt(NamedTuple):
    """`[start, end)` of the unpacked bytes: what a damaged member, frame or stream gave, of which some may be wrong."""

    start: int
    end: int
    reason: str


class Unpacked(io.RawIOBase):
    """Parts of bytes as a file that is read from its start. `breaks`: where they are broken, and `doubts`: what may be
    wrong, as far as was read."""

    def __init__(
        self,
        parts: Iterable[bytes],
        source: ByteSource | None,
        breaks: list[Break] | None,
        doubts: list[Doubt] | None,
        held: ExitStack,
    ) -> None:
        self._parts = iter(parts)
        self._source = source
        self._breaks = breaks
        self._doubts = doubts
        self._sound = 0  # the end of what agrees with its checksum, if it has one
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
        source = self._source
        if source is None:
            return
        reason, source.problem = source.problem, None
        if self._doubts is not None and reason in _MAKE_DOUBT and not source.checked and self._sound < self._end:
            self._doubts.append(Doubt(self._sound, self._end, reason))
        if reason or source.boundary or source.checked:
            self._sound = self._end
        source.boundary = False
        if not reason:
            return
        if reason == ZEROS:  # padding, as tapes have it
            return
        if self._breaks is None:
            raise OSError(f"its compressed data are damaged or cut ({reason})")
        if not self._breaks or self._breaks[-1][0] != self._end:  # what follows a fault is no other
            self._breaks.append((self._end, reason))

    def close(self) -> None:
        self._held.close()
        super().close()


def open_lines(path: str, breaks: list[Break] | None = None, doubts: list[Doubt] | None = None) -> BinaryIO:
    """Opens a file of text, unpacked.

    Where its compressed data are damaged, what follows is read on, and the place is added to `breaks`; without such a
    list that raises OSError. `doubts` gets what such data may have made wrong. UsageError for a file that is compressed
    twice, is an archive of files or is compressed in a way that is not read.
    """
    file = open_file(path)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if what := _foreign(head):
        file.close()
        raise UsageError(f"{path} is {what}")
    if _wide(head):
        return _buffered(_as_utf8(iter(lambda: file.read(_PART_BYTES), b"")), None, None, None, file)
    if not is_packed(head):
        return file
    file.close()
    held = ExitStack()
    source = source_of(held.enter_context(open_bytes(path)))
    assert source is not None
    lines = _buffered(_as_utf8(source.parts()), source, breaks, doubts, held)
    try:
        again = lines.peek(_HEAD_BYTES)
    except OSError:
        lines.close()
        raise
    if is_packed(again):
        lines.close()
        raise UsageError(f"{path} is compressed twice: unpack it once")
    if what := _foreign(again):
        lines.close()
        raise UsageError(f"{path}, unpacked, is {what}")
    return lines


def _foreign(head: bytes) -> str | None:
    """What a file that begins so is, and what to do, if its text cannot be read."""
    if head[_TAR[0]] == _TAR[1]:
        return "a tar archive: unpack it"
    return next((what for magic, what in _FOREIGN if head.startswith(magic)), None)


def _wide(head: bytes) -> str | None:
    """The encoding of a file that begins so, if that is UTF-16 or UTF-32."""
    if found := _BARE_WIDE.match(head):
        return "utf-16-le" if found[1] else "utf-16-be"
    return next((name for mark, name in _WIDE if head.startswith(mark)), None)


def doubts_of(path: str) -> tuple[Doubt, ...]:
    """What damaged data may have made wrong in a file."""
    doubts: list[Doubt] = []
    with open_lines(path, [], doubts) as file:
        while file.read(_PART_BYTES):
            pass
    return tuple(doubts)


def _buffered(
    parts: Iterable[bytes],
    source: ByteSource | None,
    breaks: list[Break] | None,
    doubts: list[Doubt] | None,
    held: AbstractContextManager[Any],
) -> io.BufferedReader:
    stack = ExitStack()
    stack.enter_context(held)
    return io.BufferedReader(Unpacked(parts, source, breaks, doubts, stack), _PART_BYTES)


def _as_utf8(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts, one for each, from UTF-16 or UTF-32 if the beginning says so."""
    decoder: codecs.IncrementalDecoder | None = None
    begun = False
    for part in parts:
        if not begun and part:
            begun = True
            wide = _wide(part)
            decoder = codecs.getincrementaldecoder(wide)("replace") if wide else None
        yield part if decoder is None else decoder.decode(part).encode("utf-8", "replace")
