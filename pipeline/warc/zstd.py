"""The Zstandard frames of a file (`.warc.zst`), each of which begins with a record, and their dictionary.

The dictionary is in a skippable frame with the magic 0x184D2A5D at the file's beginning, as it is or compressed itself
("Zstandard Compressed WARC Files", IIPC, 2021). Other skippable frames are passed over; their bytes are accounted for
by the record before them, or the first.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import zstandard

from pipeline.warc.file_bytes import FileBytes
from pipeline.warc.members import Member, MemberFormat, find_magics
from pipeline.warc.records import CRC, CUT, DICTIONARY, MEMBER_BYTES, TOO_LARGE, WINDOW, ZSTD
from pipeline.warc.zstd_frames import MAX_WINDOW, ZSTD_MAGIC, frame_at, is_frame, is_skippable, skippable_end

DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"
_DICTIONARY_BYTES = 128 * 2**20  # the largest dictionary that is read
_READ_BYTES = 2**18
_MAGIC = re.compile(re.escape(ZSTD_MAGIC))
_PEEK_BYTES = 2**18  # more than a block takes
_SHOWN_BYTES = 2**15


def read_dictionary(file: FileBytes) -> bytes:
    """The dictionary of a file, from the skippable frames that it begins with; empty if it has none."""
    position = 0
    while is_skippable(head := file.read(position, position + 4)):
        end = skippable_end(file.read, position, file.size)
        if end is None or end - position > _DICTIONARY_BYTES:
            return b""
        if head == DICTIONARY_FRAME:
            return _unpacked(file.read(position + 8, end))
        position = end
    return b""


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(ZSTD_MAGIC):
        return content
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(content) as reader:
            return reader.read(_DICTIONARY_BYTES)
    except zstandard.ZstdError:
        return b""


def decompressor(dictionary: bytes) -> Any:
    try:
        kept = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        return zstandard.ZstdDecompressor(dict_data=kept, max_window_size=MAX_WINDOW)
    except zstandard.ZstdError:  # the dictionary is damaged: the frames that need it will say so
        return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)


def reason_of(error: "zstandard.ZstdError") -> str:
    """Why a frame could not be decoded; the library tells it in words alone."""
    said = str(error).lower()
    for word, reason in (("checksum", CRC), ("dictionary", DICTIONARY), ("memory", WINDOW)):
        if word in said:
            return reason
    return ZSTD


class ZstdMembers(MemberFormat):
    """The frames of one file."""

    def __init__(self, file: FileBytes) -> None:
        self._file = file

    @cached_property
    def _decompressor(self) -> Any:
        return decompressor(read_dictionary(self._file))

    def starts(self, file: FileBytes, position: int) -> bool:
        return is_frame(file.read(position, position + 4))

    def inflate(self, file: FileBytes, start: int, keep: bool = True) -> Member:
        """A frame that is not decoded ends where its structure says if there is another, or the end of the file."""
        if is_skippable(file.read(start, start + 4)):
            end = skippable_end(file.read, start, file.size)
            return Member(start, b"", CUT) if end is None else Member(end, b"", "")
        found = frame_at(file.read, start)
        if found.end is None:
            if not found.cut or not keep:
                return Member(start, b"", CUT if found.cut else ZSTD)
            rest = file.read(start, min(file.size, start + MEMBER_BYTES))
            return Member(start, self._decoded(rest)[0], CUT)
        followed = found.end >= file.size or is_frame(file.read(found.end, found.end + 4))
        if followed and not keep:
            return Member(found.end, b"", "")
        data, problem = self._decoded(file.read(start, found.end))
        if problem == TOO_LARGE or not problem:
            return Member(found.end, data, problem)
        return Member(found.end if followed else start, b"", problem)

    def _decoded(self, frame: bytes) -> tuple[bytes, str]:
        parts: list[bytes] = []
        held = 0
        with self._decompressor.stream_reader(frame) as reader:
            try:
                while part := reader.read(_READ_BYTES):
                    held += len(part)
                    if held > MEMBER_BYTES:
                        return b"", TOO_LARGE
                    parts.append(part)
            except zstandard.ZstdError as error:
                return b"".join(parts), reason_of(error)
        return b"".join(parts), ""

    def shown(self, file: FileBytes, position: int) -> bytes:
        if is_skippable(file.read(position, position + 4)):
            return b""
        with self._decompressor.stream_reader(file.read(position, position + _PEEK_BYTES)) as reader:
            try:
                return bytes(reader.read(_SHOWN_BYTES))
            except zstandard.ZstdError:
                return b""

    def has_contents(self, file: FileBytes, position: int) -> bool:
        return not self.starts(file, position) or bool(self.shown(file, position))

    def magics(self, file: FileBytes, start: int, stop: int) -> Iterator[int]:
        return find_magics(_MAGIC, file, start, stop)
