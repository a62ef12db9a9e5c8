"""Reads splits into raw records, with every byte accounted for, and single records at their locators.

One code path reads everything: a gzip member is inflated, walked and yielded before the next is read, so damage costs
that member alone. No content of a file raises an error here.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from infra.addresses import shown
from infra.errors import WorkError
from pipeline.warc.containers import GZIP_MEMBERS
from pipeline.warc.file_bytes import MARGIN_BYTES, FileBytes, RangeDigest, open_bytes
from pipeline.warc.http import record_message
from pipeline.warc.members import MemberFormat, walk_members
from pipeline.warc.pages import is_page, page_kind
from pipeline.warc.records import (
    CROWDED,
    CUT,
    EMPTY,
    GZIP,
    PLAIN,
    SHORT,
    STREAM,
    TO_END,
    ZSTD_FRAMES,
    Beyond,
    Damage,
    Event,
    RawRecord,
    Split,
    SplitOverrun,
)
from pipeline.warc.segments import Continuations, is_first_segment
from pipeline.warc.splits import container_of, sniff
from pipeline.warc.stream import InflatedWindow
from pipeline.warc.unpacking import open_stream
from pipeline.warc.walk import Buffer, Piece, Window, walk
from pipeline.warc.zstd import ZstdMembers

# Offset, length, number in the member.
Locator = tuple[int, int, int]


@dataclass(frozen=True)
class OpenSplit:
    """A split whose file is open. `split`: with its end and container, where these were left to be found."""

    file: FileBytes
    split: Split

    def events(self) -> Iterator[Event]:
        """As `read_split`."""
        events = _joined(self._events(), Continuations(partial(read_on, self.file, self.split.container)))
        yield from events if self.split.cap is None else _capped(events, self.split)

    def _events(self) -> Iterator[Event]:
        container = self.split.container
        if container == STREAM:
            return _stream(open_stream(self.file), self.split)
        if container == PLAIN:
            return _plain(self.file, self.split)
        events = _members(members_of(self.file, container), self.file, self.split)
        return _absorb(events, container == ZSTD_FRAMES, self.split.end)

    def digest(self) -> RangeDigest:
        """The sha256 of the split's bytes, which comes with the reading of the events."""
        return RangeDigest(self.file, self.split.start, self.split.end)


@contextmanager
def open_split(split: Split) -> Iterator[OpenSplit]:
    """Opens the file of a split. UsageError when it cannot be opened."""
    with open_bytes(split.path) as file:
        if split.end != TO_END:
            file.bound(split.end + MARGIN_BYTES)
        container = split.container or container_of(file, split.path)  # first: of a remote file this brings the size
        end = file.size if split.end == TO_END else split.end
        yield OpenSplit(file, replace(split, end=end, container=container))


def read_split(split: Split) -> Iterator[Event]:
    """Yields the records of `split` in order, its damaged ranges, and, once its cap is reached, the rest as Beyond.

    The events account for each byte of the split exactly once (`Event.file_bytes`). Raises SplitOverrun when the split
    does not end between records, UsageError when the file cannot be opened.
    """
    with open_split(split) as opened:
        yield from opened.events()


def _capped(events: Iterator[Event], split: Split) -> Iterator[Event]:
    """Stops after `split.cap` pages; further records of the last page's member are left out with the rest."""
    pages = 0
    done = 0
    after = split.start
    for event in events if split.cap else ():
        yield event
        done += event.file_bytes
        after = event.offset + event.length
        pages += isinstance(event, RawRecord) and is_page(event)
        if pages == split.cap:
            break
    if done < split.end - split.start:
        yield Beyond(after if split.container == STREAM else split.start + done, split.end - split.start - done)


# ---- records in segments


def read_on(file: FileBytes, container: str, record: RawRecord) -> Iterator[RawRecord]:
    """The records of a file from one of them on."""
    file.expect(())
    if container in (GZIP, ZSTD_FRAMES):
        for segment in walk_members(members_of(file, container), file, record.offset - record.member_record, file.size):
            events = _records_of_member(segment.data, segment.start, segment.end - segment.start)
            yield from (event for event in events if isinstance(event, RawRecord))
        return
    window: Window = file
    if container == STREAM:
        window = open_stream(file)
        window.skip_to(record.offset)
    for piece in walk(window, record.offset):
        if piece.header is not None:
            yield _raw_record(piece, window, piece.start, piece.end - piece.start, 0, 0)


def _joined(events: Iterator[Event], continuations: Continuations) -> Iterator[Event]:
    for event in events:
        if isinstance(event, RawRecord) and event.segment == 1:
            _join(event, continuations)
        yield event


def _join(record: RawRecord, continuations: Continuations) -> None:
    """Puts together what is a page, or may be one, as far as its first segment tells."""
    if is_first_segment(record) and not page_kind(record, record_message(record)).startswith(("media/", "status/")):
        continuations.join(record)


# ---- a record in a member


def members_of(file: FileBytes, container: str) -> MemberFormat:
    return ZstdMembers(file) if container == ZSTD_FRAMES else GZIP_MEMBERS


class _Padding(Damage):
    """A member without contents: its bytes are accounted for by the record before it."""


def _members(members: MemberFormat, file: FileBytes, split: Split) -> Iterator[Event]:
    for segment in walk_members(members, file, split.start, split.end):
        length = segment.end - segment.start
        if segment.end > split.end:
            raise SplitOverrun(split, segment.end)
        if segment.reason and not segment.data:
            yield Damage(segment.start, length, segment.reason)
            continue
        number = 0
        for event in _records_of_member(segment.data, segment.start, length):
            yield event
            number += isinstance(event, RawRecord)
        if segment.reason:  # the file ends inside the member: what it has of a record is one
            yield Damage(segment.start + number, 0 if number else length, segment.reason)


def _records_of_member(data: bytes, start: int, length: int) -> Iterator[Event]:
    """Yields the records in one member's contents; the first event accounts for the member's bytes."""
    if not data[:64].strip(b"\r\n") and not data.strip(b"\r\n"):
        yield _Padding(start, length, EMPTY)
        return
    window = Buffer(data)
    owed = length
    number = 0
    for piece in walk(window):
        if piece.header is None:
            yield Damage(start + number, owed, piece.reason)
        elif number >= length:
            yield Damage(start + length, owed, CROWDED)
            return
        else:
            yield _raw_record(piece, window, start + number, length, number, owed)
            number += 1
        owed = 0


def _absorb(events: Iterator[Event], leading: bool, stop: int) -> Iterator[Event]:
    """Adds the bytes of padding to the record before it; without one, padding is damage. `leading`: padding before the
    first event, such as a dictionary, is sound, and belongs to that event."""
    held: Event | None = None
    first: int | None = None
    for event in events:
        if isinstance(event, _Padding):
            if isinstance(held, RawRecord):
                held.file_bytes += event.length
                continue
            if leading and held is None:
                first = event.offset if first is None else first
                continue
            event = Damage(event.offset, event.length, EMPTY)
        if held is not None:
            yield held
        elif first is not None:
            _prepend(event, first)
        held = event
    if held is None and first is not None:
        held = Damage(first, stop - first, EMPTY)
    if held is not None:
        yield held


def _prepend(event: Event, first: int) -> None:
    """Has an event account for the bytes from `first` on, too."""
    if isinstance(event, RawRecord):
        event.file_bytes += event.offset - event.member_record - first
    else:
        event.length += event.offset - first
        event.offset = first


# ---- plain files and streams


def _plain(file: FileBytes, split: Split) -> Iterator[Event]:
    for piece in walk(file, split.start):
        if piece.start >= split.end:
            return
        if piece.end > split.end:
            raise SplitOverrun(split, piece.end)
        length = piece.end - piece.start
        if piece.header is None:
            yield Damage(piece.start, length, piece.reason)
        else:
            yield _raw_record(piece, file, piece.start, length, 0, length)
        if piece.end == split.end:  # to see what follows takes the next record
            return


def _stream(window: InflatedWindow, split: Split) -> Iterator[Event]:
    """Yields records by inflated positions; each accounts for the bytes of the file that were read up to its end.

    A record with a break inside is damaged; a break between records, or the end of the file inside the last, is an
    event of its own.
    """
    accounted = split.start
    broken = 0
    for piece in walk(window):
        taken = window.source.position - accounted
        accounted += taken
        reason = piece.reason
        while broken < len(window.breaks) and window.breaks[broken][0] <= piece.end:
            position, why = window.breaks[broken]
            broken += 1
            if position < piece.end or (piece.truncated == SHORT and why != CUT):
                reason = why
            else:
                yield Damage(piece.end, 0, why)
        if reason:
            yield Damage(piece.start, taken, reason)
        else:
            yield _raw_record(piece, window, piece.start, piece.end - piece.start, 0, taken)
    rest = split.end - accounted
    for position, why in window.breaks[broken:]:
        yield Damage(position, rest, why)
        rest = 0
    if rest:
        yield Damage(0, rest, EMPTY)


# ---- one record by its locator


class NoRecord(WorkError):
    """The file is there, and has no such record at that place."""


class RecordReader:
    """Reads records of one file at their locators, fastest in ascending order: a STREAM is inflated once, forward.

    Use as a context manager. `read` raises WorkError if the bytes at a locator are not that record.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._container = ""
        self._file: FileBytes | None = None
        self._window: InflatedWindow | None = None
        self._members: MemberFormat | None = None
        self._continuations: Continuations | None = None
        self._at = 0

    def __enter__(self) -> "RecordReader":
        self._stack = ExitStack()
        self._file = self._stack.enter_context(open_bytes(self._path))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        self._file = self._window = None

    @property
    def version(self) -> str:
        """The state of the file: its size, with its time or ETag. Of a remote one it is known once something was
        read."""
        assert self._file is not None, "used outside its with block"
        return self._file.version

    def expect(self, locators: Iterable[Locator]) -> None:
        """Declares which records will be read next, in order, so that those of a remote file come in few ranges. Of a
        STREAM, whose offsets are not those of the file, nothing is declared."""
        assert self._file is not None, "used outside its with block"
        if self._container != STREAM:
            self._file.expect((offset - number, offset - number + length) for offset, length, number in locators)

    def read(self, offset: int, length: int, member_record: int = 0) -> RawRecord:
        assert self._file is not None, "used outside its with block"
        if self._container != STREAM and not self._file.expects(offset - member_record):
            self.expect([(offset, length, member_record)])
        found = self._record(self._file, offset, length, member_record)
        if found is None:
            raise NoRecord(
                f"{shown(self._path)}: no record of {length} bytes at offset {offset}: this is not the file that was "
                "ingested, or it has changed since; ingest it again"
            )
        if found.segment == 1:
            self._continuations = self._continuations or Continuations(partial(read_on, self._file, self._container))
            _join(found, self._continuations)
        return found

    def _record(self, file: FileBytes, offset: int, length: int, number: int) -> RawRecord | None:
        """The container shows in the first record that is read: no other kind of file has a member, or a record, of
        exactly this length there. Only where there is neither the beginning of the file is looked at."""
        kinds = (self._container,) if self._container else (GZIP, ZSTD_FRAMES, PLAIN)
        for kind in kinds:
            found = self._record_in(kind, file, offset, length, number)
            if found is not None:
                self._container = kind
                return found
        if self._container:
            return None
        file.expect(())
        self._container = sniff(file)
        return self._record_in(self._container, file, offset, length, number)

    def _record_in(self, kind: str, file: FileBytes, offset: int, length: int, number: int) -> RawRecord | None:
        if kind == STREAM:
            return self._from_stream(file, offset, length)
        if kind in (GZIP, ZSTD_FRAMES):
            self._members = self._members or members_of(file, kind)
            found = _from_member(self._members, file, offset, length, number)
            self._members = self._members if found else None
            return found
        window = Buffer(file.read(offset, offset + length))
        piece = next(walk(window), None)
        whole = piece is not None and piece.header is not None and piece.end == length
        return _raw_record(piece, window, offset, length, 0, length) if piece and whole else None

    def _from_stream(self, file: FileBytes, offset: int, length: int) -> RawRecord | None:
        if self._window is None or offset < self._at:
            self._window = open_stream(file)
        self._window.skip_to(offset)
        self._at = offset
        piece = next(walk(self._window, offset), None)
        if piece is None or piece.header is None or piece.end != offset + length:
            return None
        return _raw_record(piece, self._window, offset, length, 0, 0)


def _from_member(members: MemberFormat, file: FileBytes, offset: int, length: int, number: int) -> RawRecord | None:
    start = offset - number
    if start < 0 or not members.starts(file, start):
        return None
    member = members.inflate(file, start)
    end = file.size if member.problem == CUT else member.end
    if (member.problem and member.problem != CUT) or end - start != length:
        return None
    records = (event for event in _records_of_member(member.data, start, length) if isinstance(event, RawRecord))
    return next(islice(records, number, None), None)


def _raw_record(piece: Piece, window: Window, offset: int, length: int, number: int, accounts: int) -> RawRecord:
    header = piece.header
    assert header is not None
    return RawRecord(
        offset=offset,
        length=length,
        member_record=number,
        file_bytes=accounts,
        format=header.format,
        type=header.type,
        headers=header.fields,
        record_id=header.record_id,
        url=header.url,
        date=header.date,
        content_type=header.content_type,
        block=window.read(piece.block_start, piece.block_end),
        truncated=piece.truncated,
        payload_digest=header.payload_digest,
        segment=header.segment,
    )
