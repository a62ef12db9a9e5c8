"""The unpacked bytes of bzip2 streams, block by block: a block is given when its checksum agrees, and one that is
damaged costs itself alone, as with `bzip2recover`.

Blocks begin at any bit, with 48 bits that are searched for after damage; each is then unpacked as a stream of its own.
"""

import bz2
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.warc.file_bytes import FileBytes
from pipeline.warc.records import BZIP2, CUT
from pipeline.warc.stream import ByteSource
from pipeline.warc.walk import filling

BZIP2_START: Final = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_BLOCK, _END = 0x314159265359, 0x177245385090
_MAGIC_BITS, _CRC_BITS = 48, 32
# The library gives no byte of a block before it has the last one. So what a step returns are whole blocks, compared
# with their checksums; a step this small holds the ends of few, each of which unpacks to 45 MB at most.
_STEP_BYTES: Final = 64
_READ_BYTES: Final = 2**15
_SEARCH_BYTES: Final = 2**20


class _Mark(NamedTuple):
    """Where a block begins, or a stream ends, in bits from the beginning of the file."""

    bit: int
    ends: bool


class Bzip2Source(ByteSource):
    """bzip2 streams one after another, with padding between them perhaps."""

    checked = True

    def __init__(self, file: FileBytes) -> None:
        self.position = 0
        self._file = file

    def parts(self) -> Iterator[bytes]:
        while self.position < self._file.size:
            start = self.position
            if BZIP2_START.match(self._file.read(start, start + 10)):
                yield from self._stream()
                continue
            found = self._next_start(start)
            if head := self._file.read(start, min(found, start + _READ_BYTES)).strip(b"\0"):
                self.problem = filling(head, found - start)
            self.position = found
            yield b""

    def _next_start(self, start: int) -> int:
        while start < self._file.size:
            if found := BZIP2_START.search(self._file.read(start, start + _READ_BYTES + 9)):
                return start + found.start()
            start += _READ_BYTES
        return self._file.size

    def _stream(self) -> Iterator[bytes]:
        inflater = bz2.BZ2Decompressor()
        passed = self.position, self.position  # the step that gave the last block
        while not inflater.eof:
            data = self._file.read(self.position, self.position + _READ_BYTES)
            if not data:
                self.problem = CUT
                yield b""
                return
            for at in range(0, len(data), _STEP_BYTES):
                step = data[at : at + _STEP_BYTES]
                try:
                    part = _step(inflater, step)
                except OSError:
                    self.problem = BZIP2
                    yield b""
                    yield from self._blocks(*passed)
                    return
                self.position += len(step) - len(inflater.unused_data)
                if part:
                    passed = self.position - len(step), self.position
                    yield part
                if inflater.eof:
                    break
        self.boundary = True
        yield b""

    def _blocks(self, start: int, stop: int) -> Iterator[bytes]:
        """The blocks that begin at or after `start` and end after `stop`, to the end of their stream."""
        begun: int | None = None
        for mark in self._marks(start):
            if begun is not None and mark.bit > stop * 8:
                if part := _block(self._bits(begun, mark.bit)):
                    yield part
                else:
                    self.problem = BZIP2
                    yield b""
            begun = mark.bit
            if mark.ends:
                self.position = (mark.bit + _MAGIC_BITS + _CRC_BITS + 7) // 8
                self.boundary = True
                yield b""
                return
        self.position = self._file.size
        self.problem = CUT
        yield b""

    def _marks(self, start: int) -> Iterator[_Mark]:
        while start < self._file.size:
            # a mark that begins in the last byte ends six bytes later
            data = self._file.read(start, start + _SEARCH_BYTES + 6)
            for bit, ends in sorted({*_found(data, _BLOCK, False), *_found(data, _END, True)}):
                if bit < _SEARCH_BYTES * 8:
                    yield _Mark(start * 8 + bit, ends)
            start += _SEARCH_BYTES

    def _bits(self, start: int, stop: int) -> bytes:
        """A block as a stream of its own."""
        first, last = start // 8, (stop + 7) // 8
        size = stop - start
        block = int.from_bytes(self._file.read(first, last)) >> (last * 8 - stop) & ((1 << size) - 1)
        crc = block >> (size - _MAGIC_BITS - _CRC_BITS) & 0xFFFFFFFF
        whole = ((block << _MAGIC_BITS | _END) << _CRC_BITS) | crc
        size += _MAGIC_BITS + _CRC_BITS
        return b"BZh9" + (whole << -size % 8).to_bytes((size + 7) // 8)


def _found(data: bytes, magic: int, ends: bool) -> Iterator[tuple[int, bool]]:
    """The bits of `data` at which `magic` begins."""
    for shift in range(8):
        shifted = (magic << (8 - shift)).to_bytes(7)
        whole = shifted[1:6]
        at = data.find(whole)
        while at >= 0:
            around = data[at - 1 : at + 6] if at else b""
            if (
                len(around) >= 6
                and int.from_bytes(around.ljust(7, b"\0")) >> (8 - shift) & (1 << _MAGIC_BITS) - 1 == magic
            ):
                yield (at - 1) * 8 + shift, ends
            at = data.find(whole, at + 1)


def _step(inflater: bz2.BZ2Decompressor, data: bytes) -> bytes:
    """The blocks that end in `data`, whole: of one that ends with it, the library keeps some for the next calls."""
    part = inflater.decompress(data)
    while part and not inflater.eof and (more := inflater.decompress(b"")):
        part += more
    return part


def _block(stream: bytes) -> bytes:
    """What the first block unpacks to; nothing if it is damaged."""
    inflater = bz2.BZ2Decompressor()
    for at in range(0, len(stream), _STEP_BYTES):
        try:
            if part := _step(inflater, stream[at : at + _STEP_BYTES]):
                return part
        except OSError:
            break
    return b""
