"""Joins records that were written in segments (WARC/1.1, section 8): a first record with WARC-Segment-Number 1, and
continuations that name it, further on in the file.

They are looked for in the records that follow, up to SEARCH_BYTES of them; what is not there, or in another file,
leaves the record cut, and marked. Continuations themselves are no pages, joined or not.
"""

from collections.abc import Callable, Iterator

from pipeline.warc.records import BLOCK_BYTES, SEGMENT, RawRecord

SEARCH_BYTES = 256 * 2**20  # of the blocks of records; those of continuations are in memory
_JOINED = ("response", "resource", "conversion")
_TOTAL = "warc-segment-total-length"  # of the last segment

# The records of a file from one of them on.
ReadOn = Callable[[RawRecord], Iterator[RawRecord]]


def is_first_segment(record: RawRecord) -> bool:
    """Whether a record is the first segment of several."""
    return record.segment == 1 and record.type in _JOINED and _field(record, _TOTAL) is None


class Continuations:
    """The continuations of a file, by the record that they continue. They are read once, as far ahead as is asked for;
    what is found for a record depends on nothing but what follows it."""

    def __init__(self, read_on: ReadOn) -> None:
        self._read_on = read_on
        self._records: Iterator[RawRecord] = iter(())
        self._passed: dict[int, int] = {}  # by the offset of each first segment: bytes of blocks before it
        self._bytes = self._forgot = 0
        self._found: dict[str, list[tuple[int, RawRecord]]] = {}

    def join(self, record: RawRecord) -> None:
        """Adds the other segments to the block of a first one, up to BLOCK_BYTES; `truncated` becomes SEGMENT if they
        are not all there."""
        if record.offset not in self._passed:
            self._records = self._read_on(record)
            self._passed, self._bytes, self._forgot, self._found = {record.offset: 0}, 0, 0, {}
        since = self._passed[record.offset]
        self._forget(since)
        segments = self._segments(_bare(record.record_id), since)
        parts = [record.block, *(segment.block for segment in segments)]
        size = sum(map(len, parts))
        whole = bool(segments) and _field(segments[-1], _TOTAL) == str(size)
        record.block = b"".join(parts)[:BLOCK_BYTES]
        cut = "length" if size > BLOCK_BYTES else segments[-1].truncated if whole else SEGMENT
        record.truncated = record.truncated or cut

    def _segments(self, origin: str, since: int) -> list[RawRecord]:
        """The segments after the first as far as they follow each other."""
        found: list[RawRecord] = []
        numbered: dict[int | None, RawRecord] = {}
        for at, each in self._found.get(origin, []):
            if at > since:
                numbered.setdefault(each.segment, each)
        while True:
            while (following := numbered.get(len(found) + 2)) is not None:
                found.append(following)
                if _field(following, _TOTAL) is not None:
                    return found
            if self._bytes - since > SEARCH_BYTES or (record := next(self._records, None)) is None:
                return found
            if self._take(record) == origin != "":
                numbered.setdefault(record.segment, record)

    def _take(self, record: RawRecord) -> str:
        """Adds a record that follows; returns the id of the one that it continues, or nothing."""
        if record.segment == 1:
            self._passed[record.offset] = self._bytes
        self._bytes += len(record.block)
        origin = _bare(_field(record, "warc-segment-origin-id"))
        if record.segment and record.segment > 1 and origin:
            self._found.setdefault(origin, []).append((self._bytes, record))
            return origin
        return ""

    def _forget(self, since: int) -> None:
        """Drops what precedes the record that is joined now: it is not asked for again. Not each time, as that would
        take quadratic time."""
        if since - self._forgot < SEARCH_BYTES // 4:
            return
        self._forgot = since
        kept = {origin: [pair for pair in pairs if pair[0] > since] for origin, pairs in self._found.items()}
        self._found = {origin: pairs for origin, pairs in kept.items() if pairs}
        self._passed = {offset: at for offset, at in self._passed.items() if at >= since}


def _bare(record_id: str | None) -> str:
    """An id without the angle brackets that some writers leave out."""
    return (record_id or "").strip("<> ")


def _field(record: RawRecord, name: str) -> str | None:
    return next((value.strip() for key, value in record.headers if key.lower() == name and value.strip()), None)
