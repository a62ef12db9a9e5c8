"""The gzip members of a file (`members.py`): inflates one, and tells a wrong checksum from broken data."""

import importlib
import re
import zlib
from collections.abc import Iterator
from typing import Any

from pipeline.warc.file_bytes import FileBytes
from pipeline.warc.members import PEEK_BYTES, Member, MemberFormat, find_magics, find_member
from pipeline.warc.records import CRC, CUT, DEFLATE, MEMBER_BYTES, TOO_LARGE

# ISA-L inflates more than twice as fast as zlib. What it cannot read is read by zlib, so that the result is the same.
try:
    _FAST: Any = importlib.import_module("isal.isal_zlib")
except ImportError:
    _FAST = zlib
# Magic, deflate, and no reserved flag.
_MAGIC = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")
_FEED_BYTES = 2**15  # input of one inflate call, so that it returns at most 33 MiB
_SKIM_BYTES = 4 * 2**30  # inflated bytes of an oversized member that are discarded in search of its end
_SEARCH_BYTES = 2**18
_WBITS_GZIP = 31


class GzipMembers(MemberFormat):
    """The members of a gzip file (RFC 1952)."""

    def starts(self, file: FileBytes, position: int) -> bool:
        return _MAGIC.match(file.read(position, position + 4)) is not None

    def inflate(self, file: FileBytes, start: int, keep: bool = True) -> Member:
        return _inflated(file, start, keep)

    def shown(self, file: FileBytes, position: int) -> bytes:
        inflater = zlib.decompressobj(_WBITS_GZIP)
        try:
            return inflater.decompress(file.read(position, position + PEEK_BYTES), 2 * PEEK_BYTES)
        except zlib.error:
            return b""

    def has_contents(self, file: FileBytes, position: int) -> bool:  # noqa: ARG002 (one as a file may begin with)
        return True

    def magics(self, file: FileBytes, start: int, stop: int) -> Iterator[int]:
        return find_magics(_MAGIC, file, start, stop)


GZIP_MEMBERS = GzipMembers()


def _inflated(file: FileBytes, start: int, keep: bool) -> Member:
    try:
        member = _inflate(file, start, keep, _FAST.decompressobj(_WBITS_GZIP))
        if not member.problem or not member.data or _FAST is zlib:
            return member
    except (zlib.error, _FAST.error):
        if _FAST is zlib:
            return _broken(file, start)
    try:
        return _inflate(file, start, keep, zlib.decompressobj(_WBITS_GZIP))
    except zlib.error:
        return _broken(file, start)


def _inflate(file: FileBytes, start: int, keep: bool, inflater: "zlib._Decompress") -> Member:
    parts: list[bytes] = []
    held = 0
    position = start
    while not inflater.eof:
        if held > _SKIM_BYTES or not (data := file.read(position, position + _FEED_BYTES)):
            return Member(start, b"".join(parts), TOO_LARGE if held > MEMBER_BYTES else CUT)
        part = inflater.decompress(data)
        position += len(data)
        held += len(part)
        if held > MEMBER_BYTES:
            parts.clear()
        elif keep:
            parts.append(part)
    end = position - len(inflater.unused_data)
    if held > MEMBER_BYTES:
        return Member(end, b"", TOO_LARGE)
    return Member(end, parts[0] if len(parts) == 1 else b"".join(parts), "")


def _broken(file: FileBytes, start: int) -> Member:
    """Distinguishes a wrong checksum after sound data (end known) from broken data, by inflating without the check."""
    end, data = _without_check(file, start)
    if end is not None and (end >= file.size or GZIP_MEMBERS.starts(file, end)) and not _ran_on(file, start, end, data):
        return Member(end, b"", CRC)
    return Member(start, b"", DEFLATE)


def _ran_on(file: FileBytes, start: int, end: int, data: bytes) -> bool:
    """Whether the end of the member at `start` cannot be `end`: a broken member may inflate on through the members
    after it and stop where one of them stops. Then sound members are found in between whose bytes are not in the `data`
    it inflates to (for an archive stored as the member's payload they are)."""
    position = start + 1
    payload = 0
    while (candidate := find_member(GZIP_MEMBERS, file, position, end)) is not None:
        following = _sound_end(file, candidate)
        if following is not None:
            payload = data.find(file.read(candidate, min(candidate + 64, following)), payload)
            if payload < 0:
                return True
        position = following or candidate + 1
    return False


def _sound_end(file: FileBytes, start: int) -> int | None:
    """The end of the member at `start`; None if there is none or it is broken."""
    try:
        member = _inflate(file, start, False, zlib.decompressobj(_WBITS_GZIP))
    except zlib.error:
        return None
    return member.end if member.end > start else None


def _without_check(file: FileBytes, start: int) -> tuple[int | None, bytes]:
    """The end of the member at `start` by its deflate data, ignoring the checksum, and what they inflate to (empty
    above MEMBER_BYTES); None if the deflate data have no end."""
    header = gzip_header_bytes(file.read(start, start + _SEARCH_BYTES))
    if header is None:
        return None, b""
    try:
        member = _inflate(file, start + header, True, zlib.decompressobj(-zlib.MAX_WBITS))
    except zlib.error:
        return None, b""
    end = member.end + 8
    return (end if start + header < member.end and end <= file.size else None), member.data


def gzip_header_bytes(data: bytes) -> int | None:
    """The length of the gzip header at the start of `data` (RFC 1952); None if there is none, or it is incomplete."""
    if len(data) < 10 or not _MAGIC.match(data):
        return None
    flags = data[3]
    position = 10
    if flags & 4:
        position += 2 + int.from_bytes(data[position : position + 2], "little")
    for flag in (8, 16):  # a name, a comment
        if flags & flag:
            end = data.find(b"\0", position)
            if end < 0:
                return None
            position = end + 1
    position += 2 if flags & 2 else 0
    return position if position <= len(data) else None
