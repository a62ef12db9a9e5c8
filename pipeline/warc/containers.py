"""Files as bytes by position, and the gzip members in them: inflates a member, finds the next one after damage.

The file name is not used; `splits.py` detects the container from the bytes.
"""

import hashlib
import importlib
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from infra.errors import UsageError
from pipeline.warc.ranged import RangedFile, open_remote
from pipeline.warc.records import CRC, CUT, DEFLATE, MEMBER_BYTES, TOO_LARGE
from pipeline.warc.walk import filling, starts_record

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
_PEEK_BYTES = 2**14  # compressed bytes that show whether a member begins with a record
_WBITS_GZIP = 31
_HASH_BYTES = 2**22
# Expected ranges of a remote file with no more than this between them are fetched as one, up to this size.
NEAR_BYTES, JOINED_BYTES = 2**19, 16 * 2**20


class FileBytes:
    """A Window on a file, through one block of read-ahead. Close it, or use `open_bytes`.

    `version`: what tells this state of the file from another; see `pipeline/inputs/versions.py`.
    """

    def __init__(self, size: int, version: str, ahead: int) -> None:
        self.size = size
        self.version = version
        self._watcher: Callable[[int, bytes], None] | None = None
        self._ahead = ahead
        self._start = 0
        self._block = b""

    def read(self, start: int, stop: int) -> bytes:
        at = start - self._start
        if at < 0 or stop > self._start + len(self._block):
            stop = min(stop, self.size)
            if stop <= start:
                return b""
            self._block = self.fetch(start, self._block_end(start, stop))
            self._start, at = start, 0
            if self._watcher:
                self._watcher(start, self._block)
        return self._block[at : at + stop - start]

    def watch(self, watcher: Callable[[int, bytes], None]) -> None:
        """Hands each block that is read, and the present one, to `watcher`, with its position."""
        self._watcher = watcher
        watcher(self._start, self._block)

    def expect(self, spans: Iterable[tuple[int, int]]) -> None:
        """Declares what will be read next, as (start, stop) in order: of a remote file these bytes are then fetched,
        and no others; what is near to each other at once."""

    def _block_end(self, start: int, stop: int) -> int:
        return max(stop, start + self._ahead)

    def fetch(self, start: int, stop: int) -> bytes:
        """All of these bytes that the file has, past the block of read-ahead."""
        raise NotImplementedError

    def reaches(self, position: int) -> bool:
        return position <= self.size

    def forget(self, position: int) -> None:
        pass

    def close(self) -> None:
        raise NotImplementedError


class LocalBytes(FileBytes):
    """A file of this machine."""

    def __init__(self, path: str, ahead: int) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        stat = os.fstat(self._descriptor)
        super().__init__(stat.st_size, file_version(stat), ahead)

    def fetch(self, start: int, stop: int) -> bytes:
        """One system call returns at most 2 GiB."""
        parts: list[bytes] = []
        while start < stop and (part := os.pread(self._descriptor, stop - start, start)):
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        os.close(self._descriptor)


class RemoteBytes(FileBytes):
    """A file at an address, read by ranges. What is read in order is one stream below."""

    def __init__(self, ranged: RangedFile, ahead: int) -> None:
        super().__init__(ranged.size, f"size:{ranged.size} etag:{ranged.version}", ahead)
        self._ranged = ranged
        self._expected: list[tuple[int, int]] = []

    def expect(self, spans: Iterable[tuple[int, int]]) -> None:
        joined: list[tuple[int, int]] = []
        for start, stop in spans:
            if joined and start - joined[-1][1] <= NEAR_BYTES and stop - joined[-1][0] <= JOINED_BYTES:
                joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
            else:
                joined.append((start, stop))
        self._expected = joined

    def read(self, start: int, stop: int) -> bytes:
        """Inside what is expected nothing beyond it is read."""
        return super().read(start, min(stop, self._span_end(start) or stop))

    def _block_end(self, start: int, stop: int) -> int:
        return self._span_end(start) or super()._block_end(start, stop)

    def _span_end(self, position: int) -> int | None:
        return next((stop for start, stop in self._expected if start <= position < stop), None)

    def fetch(self, start: int, stop: int) -> bytes:
        return self._ranged.read(start, min(stop, self.size) - start)

    def close(self) -> None:
        self._ranged.close()


class RangeDigest:
    """The sha256 of `[start, stop)` of a file, taken from the blocks as they are read; what they leave out is read for
    it."""

    def __init__(self, file: FileBytes, start: int, stop: int) -> None:
        self._file, self._at, self._stop = file, start, stop
        self._sha256 = hashlib.sha256()
        file.watch(self.see)

    def see(self, start: int, block: bytes) -> None:
        """Takes a block of the file that was read at `start`."""
        self._fill(min(start, self._stop))
        end = min(start + len(block), self._stop)
        if self._at < end:
            with memoryview(block) as view:
                self._sha256.update(view[self._at - start : end - start])
            self._at = end

    def _fill(self, stop: int) -> None:
        while self._at < stop and (part := self._file.fetch(self._at, min(self._at + _HASH_BYTES, stop))):
            self._sha256.update(part)
            self._at += len(part)

    def hexdigest(self) -> str:
        self._fill(self._stop)
        return self._sha256.hexdigest()


def file_version(stat: os.stat_result) -> str:
    """The version of a file of this machine without reading it."""
    return f"size:{stat.st_size} mtime:{stat.st_mtime_ns}"


@contextmanager
def open_bytes(path: str, ahead: int = 2**20) -> Iterator[FileBytes]:
    """Opens a file, or what an address has. Raises UsageError if `path` cannot be opened as a file."""
    file: FileBytes
    if "://" in path:
        file = RemoteBytes(open_remote(path), ahead)
    else:
        if not Path(path).is_file():
            raise UsageError(f"no such file: {path}: check --input")
        try:
            file = LocalBytes(path, ahead)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
    try:
        yield file
    finally:
        file.close()


class Member(NamedTuple):
    """`end`: its end in the file, or its start if the end is unknown; `problem`: why there is no `data`."""

    end: int
    data: bytes
    problem: str


class Segment(NamedTuple):
    """`[start, end)` of a file: a gzip member with `data` inflated from it, or, with a `reason`, a damaged range."""

    start: int
    end: int
    data: bytes
    reason: str


def walk_members(file: FileBytes, start: int, stop: int, keep: bool = True) -> Iterator[Segment]:
    """Yields the segments that begin in `[start, stop)`; they tile it, except that the last member may end after
    `stop`.

    After a broken member, or bytes that are not a member, the walk resumes at the next member that begins with a
    record. Members stored in the payload of a broken member are then taken for members of the file.
    """
    position = start
    while position < stop:
        member = inflate_member(file, position, keep) if is_magic(file, position) else Member(position, b"", "")
        end = member.end
        if end == position:
            end = find_member(file, position + 1, stop) or stop
            member = member._replace(
                problem=member.problem or filling(file.read(position, position + _PEEK_BYTES), end - position)
            )
        yield Segment(position, end, member.data, member.problem)
        position = end


def is_magic(file: FileBytes, position: int) -> bool:
    return _MAGIC.match(file.read(position, position + 4)) is not None


def inflate_member(file: FileBytes, start: int, keep: bool = True) -> Member:
    """Inflates the gzip member at `start`; with `keep` False only to find its end.

    A member of more than MEMBER_BYTES is skipped without being held in memory.
    """
    try:
        return _inflate(file, start, keep, _FAST.decompressobj(_WBITS_GZIP))
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
            return Member(start, b"", TOO_LARGE if held > MEMBER_BYTES else CUT)
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
    if end is not None and (end >= file.size or is_magic(file, end)) and not _ran_on(file, start, end, data):
        return Member(end, b"", CRC)
    return Member(start, b"", DEFLATE)


def _ran_on(file: FileBytes, start: int, end: int, data: bytes) -> bool:
    """Whether the end of the member at `start` cannot be `end`: a broken member may inflate on through the members
    after it and stop where one of them stops. Then sound members are found in between whose bytes are not in the `data`
    it inflates to (for an archive stored as the member's payload they are)."""
    position = start + 1
    payload = 0
    while (candidate := find_member(file, position, end)) is not None:
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


def begins_record(file: FileBytes, position: int) -> bool:
    """Whether a gzip member at `position` inflates to data that begin with a record's header."""
    inflater = zlib.decompressobj(_WBITS_GZIP)
    try:
        return starts_record(inflater.decompress(file.read(position, position + _PEEK_BYTES), 2 * _PEEK_BYTES))
    except zlib.error:
        return False


def find_member(file: FileBytes, start: int, stop: int) -> int | None:
    """The first member in `[start, stop)` that begins with a record; None if there is none."""
    for candidate in magics(file, start, stop):
        if begins_record(file, candidate):
            return candidate
    return None


def magics(file: FileBytes, start: int, stop: int) -> Iterator[int]:
    """Yields the positions in `[start, stop)` that have the magic of a gzip member."""
    while start < stop:
        data = file.read(start, min(start + _SEARCH_BYTES, stop) + 3)
        for match in _MAGIC.finditer(data):
            yield start + match.start()
        start += _SEARCH_BYTES
