"""The unpacked bytes of a file by its first bytes: gzip, Zstandard, LZ4, bzip2, xz. Streams, members and frames follow
each other; after broken data unpacking goes on at the next that unpacks."""

import lzma
import re
from collections.abc import Iterator
from typing import Any

import zstandard

from pipeline.warc.bzip2 import BZIP2_START, Bzip2Source
from pipeline.warc.file_bytes import FileBytes
from pipeline.warc.members import find_magics
from pipeline.warc.records import CRC, CUT, WINDOW, XZ
from pipeline.warc.stream import LZ4_MAGIC, ByteSource, GzipSource, InflatedWindow, Lz4Source
from pipeline.warc.walk import filling
from pipeline.warc.zstd import decompressor, read_dictionary, reason_of
from pipeline.warc.zstd_frames import MAX_WINDOW, ZSTD_MAGIC, frame_at, is_frame, is_skippable, skippable_end

_GZIP_MAGIC = b"\x1f\x8b"
_XZ_MAGIC = b"\xfd7zXZ\0"
# Packed bytes of one step: a step unpacks to some 80 MiB at most, of Zstandard's blocks of one repeated byte.
_FEED_BYTES = 2**11
_PART_BYTES = 2**20
_LOOK_BYTES = 2**15
_PROOF_BYTES = 2**10  # what is found after damage is accepted when it unpacks to this much, or to its end


class SourceOfUnits(ByteSource):
    """A file as units that are unpacked one after another: frames, or streams. `_starts`, `_candidates` and `_unit` say
    what they are."""

    def __init__(self, file: FileBytes) -> None:
        self.position = 0
        self._file = file

    def parts(self) -> Iterator[bytes]:
        size = self._file.size
        while self.position < size:
            start = self.position
            if self._starts(start):
                yield from self._unit(start)
                if not self.problem or self.position >= size:
                    continue
            found = self._resume(max(start + 1, self.position))
            self.problem = self.problem or filling(self._file.read(start, start + _LOOK_BYTES), found - start)
            self.position = found
            yield b""

    def _resume(self, start: int) -> int:
        """The position of the next unit that unpacks, at or after `start`; the end of the file if there is none."""
        if start >= self._file.size or self._starts(start):
            return min(start, self._file.size)
        for candidate in self._candidates(start):
            if self._proves(candidate):
                return candidate
        return self._file.size

    def _starts(self, position: int) -> bool:
        raise NotImplementedError

    def _candidates(self, start: int) -> Iterator[int]:
        raise NotImplementedError

    def _proves(self, position: int) -> bool:
        raise NotImplementedError

    def _unit(self, start: int) -> Iterator[bytes]:
        """Unpacks one unit, and sets `position` to its end, or `problem`; then `position` is where to go on."""
        raise NotImplementedError


class ZstdSource(SourceOfUnits):
    """Zstandard frames, with the file's dictionary; skippable ones have no contents."""

    def __init__(self, file: FileBytes) -> None:
        super().__init__(file)
        self._decompressor = decompressor(read_dictionary(file))

    def _starts(self, position: int) -> bool:
        return is_frame(self._file.read(position, position + 4))

    def _candidates(self, start: int) -> Iterator[int]:
        return find_magics(re.compile(re.escape(ZSTD_MAGIC)), self._file, start, self._file.size)

    def _proves(self, position: int) -> bool:
        with self._decompressor.stream_reader(self._file.read(position, position + 2**18)) as reader:
            try:
                return bool(reader.read(_PROOF_BYTES))
            except zstandard.ZstdError:
                return False

    def _unit(self, start: int) -> Iterator[bytes]:
        file = self._file
        if is_skippable(file.read(start, start + 4)):
            end = skippable_end(file.read, start, file.size)
            self.position, self.problem = (file.size, CUT) if end is None else (end, None)
            return
        inflater = self._decompressor.decompressobj()
        while not inflater.eof:
            data = file.read(self.position, self.position + _FEED_BYTES)
            if not data:
                self.problem = CUT
                return
            try:
                part = inflater.decompress(data)
            except zstandard.ZstdError as error:
                self.problem = reason_of(error)
                self.position = self._behind(start) or self.position
                return
            self.position += len(data) - len(inflater.unused_data)
            self.boundary = inflater.eof
            yield part

    def _behind(self, start: int) -> int | None:
        """The end of a broken frame, if its structure is sound."""
        end = frame_at(self._file.read, start).end
        sound = end is not None and (end >= self._file.size or self._starts(end))
        return end if sound else None


class XzSource(SourceOfUnits):
    """xz streams, also with padding between them."""

    def _starts(self, position: int) -> bool:
        return self._file.read(position, position + len(_XZ_MAGIC)) == _XZ_MAGIC

    def _candidates(self, start: int) -> Iterator[int]:
        return find_magics(re.compile(re.escape(_XZ_MAGIC)), self._file, start, self._file.size)

    def _proves(self, position: int) -> bool:
        inflater = _open_xz()
        try:
            return bool(inflater.decompress(self._file.read(position, position + 2**18), _PROOF_BYTES)) or inflater.eof
        except (EOFError, ValueError, lzma.LZMAError):
            return False

    def _unit(self, start: int) -> Iterator[bytes]:
        inflater = _open_xz()
        while not inflater.eof:
            data = self._file.read(self.position, self.position + _LOOK_BYTES) if inflater.needs_input else b""
            if inflater.needs_input and not data:
                self.problem = CUT
                return
            try:
                part = inflater.decompress(data, _PART_BYTES)
            except (EOFError, ValueError, lzma.LZMAError) as error:
                self.problem = self._reason(str(error).lower())
                self.position = max(self.position, start + 1)
                return
            self.position += len(data) - (len(inflater.unused_data) if inflater.eof else 0)
            self.boundary = inflater.eof
            yield part
        padding = self._file.read(self.position, self.position + _LOOK_BYTES)
        while padding and not padding.strip(b"\0"):
            self.position += len(padding)
            padding = self._file.read(self.position, self.position + _LOOK_BYTES)
        self.position += len(padding) - len(padding.lstrip(b"\0"))

    def _reason(self, said: str) -> str:
        return WINDOW if "memory" in said else CRC if "crc" in said else XZ


def _open_xz() -> Any:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_WINDOW)


def is_packed(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a compression that is known."""
    return head.startswith((_GZIP_MAGIC, LZ4_MAGIC, _XZ_MAGIC)) or is_frame(head) or bool(BZIP2_START.match(head))


def source_of(file: FileBytes) -> ByteSource | None:
    """The unpacked bytes of `file`; None if its first bytes are not those of a compression that is known."""
    head = file.read(0, 16)
    position = 0
    while is_skippable(head) and (end := skippable_end(file.read, position, file.size)) is not None:
        position, head = end, file.read(end, end + 16)
    if head.startswith(LZ4_MAGIC):
        return Lz4Source(file, position)
    if is_frame(head) or position:
        return ZstdSource(file)
    if head.startswith(_GZIP_MAGIC):
        return GzipSource(file)
    if BZIP2_START.match(head):
        return Bzip2Source(file)
    if head.startswith(_XZ_MAGIC):
        return XzSource(file)
    return None


def open_stream(file: FileBytes) -> InflatedWindow:
    """Opens the unpacked bytes of `file`: gzip if its first bytes do not say otherwise."""
    return InflatedWindow(source_of(file) or GzipSource(file))
