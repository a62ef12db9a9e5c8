"""Files of compressed members, each of which begins with a record: walks them, and finds the next one after damage.

What a member is, of gzip or Zstandard, is a `MemberFormat`; the file's name is not used (`splits.py` detects the
container from the bytes).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from pipeline.warc.file_bytes import FileBytes
from pipeline.warc.records import CUT
from pipeline.warc.walk import filling, starts_record

# Compressed bytes that show whether a member begins with a record, and inflated ones that are looked at.
PEEK_BYTES = 2**14
_SEARCH_BYTES = 2**18
# Mostly the next member is where the search begins, or near.
_FIRST_SEARCH_BYTES = 2**14


class Member(NamedTuple):
    """`end`: its end in the file, or its start if the end is unknown; `problem`: why there is no `data`, or, with CUT,
    why they are not all."""

    end: int
    data: bytes
    problem: str


class Segment(NamedTuple):
    """`[start, end)` of a file: a member with `data` inflated from it, or, with a `reason`, a damaged range; with both,
    a member that the end of the file cuts."""

    start: int
    end: int
    data: bytes
    reason: str


class MemberFormat(Protocol):
    def starts(self, file: FileBytes, position: int) -> bool:
        """Whether a member has its magic there."""
        ...

    def inflate(self, file: FileBytes, start: int, keep: bool = True) -> Member:
        """Inflates the member at `start`; with `keep` False only to find its end. A member of more than MEMBER_BYTES is
        not held in memory."""
        ...

    def shown(self, file: FileBytes, position: int) -> bytes:
        """What the first bytes of a member at `position` inflate to; nothing if there is none."""
        ...

    def has_contents(self, file: FileBytes, position: int) -> bool:
        """False for a member that is padding."""
        ...

    def magics(self, file: FileBytes, start: int, stop: int) -> Iterator[int]:
        """Yields the positions in `[start, stop)` that have the magic of a member with contents."""
        ...


def walk_members(members: MemberFormat, file: FileBytes, start: int, stop: int, keep: bool = True) -> Iterator[Segment]:
    """Yields the segments that begin in `[start, stop)`; they tile it, except that the last member may end after
    `stop`.

    After a broken member, or bytes that are not a member, the walk resumes at the next member that begins with a
    record. Members stored in the payload of a broken member are then taken for members of the file.
    """
    position = start
    while position < stop:
        member = members.inflate(file, position, keep) if members.starts(file, position) else Member(position, b"", "")
        end = member.end
        data, reason = member.data, member.problem
        if end == position:
            found = find_member(members, file, position + 1, stop)
            end = found or stop
            reason = reason or filling(file.read(position, position + PEEK_BYTES), end - position)
            if not (reason == CUT and found is None and stop >= file.size and starts_record(data[:PEEK_BYTES])):
                data = b""
        yield Segment(position, end, data, reason)
        position = end


def begins_record(members: MemberFormat, file: FileBytes, position: int) -> bool:
    """Whether a member at `position` inflates to data that begin with a record's header."""
    return starts_record(members.shown(file, position))


def find_member(members: MemberFormat, file: FileBytes, start: int, stop: int) -> int | None:
    """The first member in `[start, stop)` that begins with a record; None if there is none."""
    for candidate in members.magics(file, start, stop):
        if begins_record(members, file, candidate):
            return candidate
    return None


def find_magics(magic: "re.Pattern[bytes]", file: FileBytes, start: int, stop: int) -> Iterator[int]:
    """Yields the positions in `[start, stop)` at which a magic of four bytes is."""
    size = _FIRST_SEARCH_BYTES
    while start < stop:
        data = file.read(start, min(start + size, stop) + 3)
        for match in magic.finditer(data):
            yield start + match.start()
        start += size
        size = min(2 * size, _SEARCH_BYTES)
