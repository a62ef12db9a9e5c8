"""Cuts a file into splits, and detects its container.

Splits are cut at multiples of a constant size and moved forward to the next record, so that they depend on the file
alone. A gzip member that begins with a record's header may be part of the payload of an outer record, since stored
deflate blocks contain an inner archive byte for byte. But such a block has at most 65,535 bytes before the next block
header, so a longer chain of sound members cannot be a payload; where there is no such chain, the file is walked.
"""

from collections.abc import Iterator

from infra.addresses import shown
from infra.errors import WorkError
from infra.http.address import SCHEMES
from pipeline.warc.containers import GZIP_MEMBERS
from pipeline.warc.file_bytes import FileBytes, open_bytes
from pipeline.warc.members import MemberFormat, Segment, begins_record, find_member, walk_members
from pipeline.warc.records import GZIP, PLAIN, SPLIT_BYTES, STREAM, TO_END, ZSTD_FRAMES, Split
from pipeline.warc.stream import LZ4_MAGIC, ByteSource, GzipSource, InflatedWindow
from pipeline.warc.unpacking import ZstdSource, is_packed, open_stream, source_of
from pipeline.warc.walk import starts_record, walk
from pipeline.warc.warc import WARC_START, parse_warc_header
from pipeline.warc.zstd import ZstdMembers
from pipeline.warc.zstd_frames import is_frame

_STORED_BLOCK = 65_535  # RFC 1951, section 3.2.4
_SNIFF_BYTES = 4 * 2**20  # inflated bytes from which the container of a gzip file is detected
_SNIFF_MEMBERS = 3
_READ_AHEAD = 2**16
# Of a remote file so many bytes are asked for at once, to detect the container and to prove a start.
_LOOK_BYTES = 2**18


def whole(path: str, name: str) -> Split:
    """A file as one split, without looking at it."""
    return Split(path, name, 0, TO_END, "")


def plan_splits(path: str, name: str, size: int = SPLIT_BYTES, exact: bool = False) -> list[Split]:
    """Returns the splits of the file at `path`, in order; they tile it. An empty file has none.

    `exact`: walk every member instead of trusting chains; needed after a SplitOverrun. Plain files are always
    walked (by declared lengths, a seek a record); a stream is one split whatever its size.
    Raises UsageError when the file cannot be opened.
    """
    assert size > 0
    with open_bytes(path, _READ_AHEAD) as file:
        file.bound(_LOOK_BYTES)
        container = container_of(file, path)
        if container == STREAM:
            starts = [0]
        elif container == GZIP:
            starts = _member_starts(GZIP_MEMBERS, file, size, exact)
        elif container == ZSTD_FRAMES:  # to walk them takes no decoding
            starts = _member_starts(ZstdMembers(file), file, size, exact=True)
        else:
            starts = _plain_starts(file, size)
        ends = [*starts[1:], file.size]
        return [Split(path, name, start, end, container) for start, end in zip(starts, ends) if start < end]


def _plain_starts(file: FileBytes, size: int) -> list[int]:
    starts = [0]
    boundary = size
    for piece in walk(file):
        if piece.start >= boundary:
            starts.append(piece.start)
            boundary = (piece.start // size + 1) * size
    return starts


def _member_starts(members: MemberFormat, file: FileBytes, size: int, exact: bool) -> list[int]:
    starts = [0]
    boundary = size
    while boundary < file.size:
        start = None if exact else _proved_start(file, boundary)
        if start is None:
            file.bound(0)
            walked = walk_members(members, file, starts[-1], file.size, keep=False)
            start = _next_start(members, file, boundary, walked)
        starts.append(start)
        boundary = (start // size + 1) * size
    return starts


def _next_start(members: MemberFormat, file: FileBytes, boundary: int, walked: Iterator[Segment]) -> int:
    """The first segment at or after `boundary`: one with contents, behind one with contents. Padding, such as a
    dictionary, is accounted for by a record of its own split."""
    before = False
    for segment in walked:
        if segment.start >= boundary and before and members.has_contents(file, segment.start):
            return segment.start
        before = before or members.has_contents(file, segment.start)
    return file.size


def _proved_start(file: FileBytes, boundary: int) -> int | None:
    """The first gzip member at or after `boundary` if it cannot be in a payload; `file.size` if there is no member."""
    file.bound(boundary + _LOOK_BYTES)
    start = find_member(GZIP_MEMBERS, file, boundary, file.size)
    if start is None:
        return file.size
    position = start
    while position - start <= _STORED_BLOCK and position < file.size:
        file.bound(max(boundary, position) + _LOOK_BYTES)
        if not GZIP_MEMBERS.starts(file, position):
            return None
        member = GZIP_MEMBERS.inflate(file, position, keep=False)
        if member.problem:
            return None
        position = member.end
    return start


class NoArchive(WorkError):
    """What an http server gives is no archive. `version`: the state of the file."""

    def __init__(self, message: str, version: str = "") -> None:
        super().__init__(message)
        self.version = version


def container_of(file: FileBytes, path: str) -> str:
    """The container of the file at `path`, from its beginning. NoArchive where an http server gives something that no
    archive begins with, such as a page to log in: that is a fault of the source, which passes. A file that is here is
    what it is: damage, which is counted."""
    if path.partition("://")[0].lower() in SCHEMES:
        head = file.read(0, _READ_AHEAD)
        if head and not starts_record(head) and not is_packed(head):
            raise NoArchive(
                f"{shown(path)}: the server gives no archive: the file begins with {head[:24]!r}: it may be elsewhere, "
                "or need a login; run the same command again when the source has it, or, if it is damaged there, fetch "
                "it and give its path",
                file.version,
            )
    return sniff(file)


def sniff(file: FileBytes) -> str:
    """Detects the container of `file` by its bytes. A file without any record is PLAIN, and all damage."""
    head = file.read(0, _READ_AHEAD)
    if starts_record(head):
        return PLAIN
    if begins_record(GZIP_MEMBERS, file, 0):
        return _kind(GzipSource(file), GZIP)
    if head.startswith(LZ4_MAGIC) or is_frame(head):
        source = source_of(file)
        return _kind(source, ZSTD_FRAMES) if isinstance(source, ZstdSource) else STREAM
    found = {PLAIN: next((piece.start for piece in walk(file) if piece.header is not None), None)}
    for kind, members in ((GZIP, GZIP_MEMBERS), (ZSTD_FRAMES, ZstdMembers(file))):
        found[kind] = find_member(members, file, 0, file.size)
    start, kind = min(((start, kind) for kind, start in found.items() if start is not None), default=(0, PLAIN))
    return _kind(GzipSource(file, start), GZIP) if kind == GZIP else kind


def first_header(file: FileBytes) -> bytes:
    """The block of the first record of a file, if that describes the file (`warcinfo`), up to 64 KiB; else nothing."""
    head = file.read(0, _READ_AHEAD)
    if head.startswith(LZ4_MAGIC) or is_frame(head) or GZIP_MEMBERS.starts(file, 0):
        head = open_stream(file).read(0, _READ_AHEAD)
    if not WARC_START.match(head):
        return b""
    header = parse_warc_header(head)
    if header is None or header.type != "warcinfo":
        return b""
    return head[header.size : header.size + (header.length or 0)]


def _kind(source: ByteSource, members: str) -> str:
    """`members` if, among the first members, they end where records do; STREAM if one member is the whole file, or
    members end inside records."""
    window = InflatedWindow(source)
    passed = 0  # members that ended so far
    most = 0  # the most records of one member so far
    in_member = 0  # records so far in the member that has not ended yet
    for piece in walk(window):
        if window.breaks and window.breaks[0][0] < piece.end:
            return STREAM if in_member > 1 else members
        in_member += 1
        most = max(most, in_member)
        for boundary in window.boundaries[passed:]:
            if boundary > piece.end:
                break
            if piece.start < boundary < piece.block_end:
                return STREAM
            passed += 1
            in_member = 0
        if passed == _SNIFF_MEMBERS:
            return members
        if piece.end > _SNIFF_BYTES and in_member != 1:
            return STREAM if in_member else members
    return STREAM if passed < 2 and most > 1 else members
