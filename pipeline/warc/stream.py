"""A compressed stream that contains a whole file, as a Window on its inflated bytes; gzip and LZ4 (`unpacking.py` has
the others).

For archives compressed as one (`gzip file.warc`, LZ4 frames) or cut into members at places other than record ends.
Positions are those of the inflated bytes, which can only be reached from the start: reading goes forward, in bounded
memory. After broken data the stream resumes at the next gzip member that inflates; what was inflated before the break
is kept, and the positions of the breaks are recorded. Limit: broken data may inflate for a while before an error, and
the one checksum follows all records, so in a broken stream the records just before a break may be wrong.
"""

import io
import zlib
from collections.abc import Iterator
from typing import Protocol

from pipeline.warc.containers import GZIP_MEMBERS
from pipeline.warc.fields import HEADER_BYTES
from pipeline.warc.file_bytes import FileBytes
from pipeline.warc.records import BLOCK_BYTES, CRC, CUT, DEFLATE, LZ4
from pipeline.warc.walk import filling

LZ4_MAGIC = b"\x04\x22\x4d\x18"
_FEED_BYTES = 2**15
_LOOK_BYTES = BLOCK_BYTES + HEADER_BYTES  # how far past the first kept byte one may read
_PROOF_BYTES = 2**10  # a member after damage is accepted when it inflates to this much, or to its end


class ByteSource(Protocol):
    """Inflated bytes in order. `position`: bytes of the file consumed for them; `problem`: why the last part ended
    early; `boundary`: whether a member, frame or stream ended with it; `checked`: whether every part was compared with
    a checksum before it is given."""

    position: int = 0
    problem: str | None = None
    boundary: bool = False
    checked: bool = False

    def parts(self) -> Iterator[bytes]: ...


class InflatedWindow:
    """A Window on the bytes of a ByteSource. `breaks`: (position, reason) of the damage so far; `boundaries`: positions
    at which gzip members ended. Bytes before a `forget` must not be read again."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.breaks: list[tuple[int, str]] = []
        self.boundaries: list[int] = []
        self._parts = source.parts()
        self._start = 0
        self._data = bytearray()
        self._ended = False

    def read(self, start: int, stop: int) -> bytes:
        assert start >= self._start, "these bytes were forgotten"
        self._fill(stop)
        with memoryview(self._data) as view:
            return bytes(view[start - self._start : stop - self._start])

    def reaches(self, position: int) -> bool:
        if position > self._start + _LOOK_BYTES:
            return False
        self._fill(position)
        return position <= self._start + len(self._data)

    def forget(self, position: int) -> None:
        del self._data[: position - self._start]
        self._start = position

    def skip_to(self, position: int) -> None:
        """Forgets all before `position`, inflating in pieces what was not inflated yet."""
        while not self._ended and self._start + len(self._data) < position:
            self._start += len(self._data)
            self._data.clear()
            self._fill(self._start + 1)
        gone = min(position - self._start, len(self._data))
        del self._data[:gone]
        self._start += gone

    def _fill(self, stop: int) -> None:
        while not self._ended and self._start + len(self._data) < stop:
            part = next(self._parts, None)
            if part is None:
                self._ended = True
            else:
                self._data += part
            at = self._start + len(self._data)
            if self.source.problem:
                if not self.breaks or self.breaks[-1][0] != at:
                    self.breaks.append((at, self.source.problem))
                self.source.problem = None
            if self.source.boundary:
                self.boundaries.append(at)
                self.source.boundary = False


class GzipSource(ByteSource):
    """The gzip members of `file` from `start` on, one after another."""

    def __init__(self, file: FileBytes, start: int = 0) -> None:
        self.position = start
        self._file = file

    def parts(self) -> Iterator[bytes]:
        while self.position < self._file.size:
            start = self._resume(self.position)
            if start == self.position:
                yield from self._member()
            else:
                self.problem = filling(
                    self._file.read(self.position, self.position + _FEED_BYTES), start - self.position
                )
                self.position = start
                yield b""

    def _member(self) -> Iterator[bytes]:
        """Inflates one member, and sets `position` to its end, or `problem`."""
        inflater = zlib.decompressobj(31)
        while not inflater.eof:
            data = self._file.read(self.position, self.position + _FEED_BYTES)
            if not data:
                self.problem = CUT
                break
            spare = inflater.copy()
            try:
                part = inflater.decompress(data)
            except zlib.error as error:
                part, used = salvage(spare, data)
                self.position += used
                self.problem = CRC if _is_checksum(error) else DEFLATE
                self.boundary = self.problem == CRC
                yield part
                return
            self.position += len(data) - len(inflater.unused_data)
            self.boundary = inflater.eof
            yield part

    def _resume(self, start: int) -> int:
        """The position of the next member that inflates, at or after `start`; the end of the file if there is none."""
        for candidate in GZIP_MEMBERS.magics(self._file, start, self._file.size):
            inflater = zlib.decompressobj(31)
            try:
                shown = inflater.decompress(self._file.read(candidate, candidate + _FEED_BYTES), _PROOF_BYTES)
            except zlib.error as error:
                if candidate == start and _is_checksum(error):
                    return candidate
                continue
            if inflater.eof or len(shown) == _PROOF_BYTES or candidate == start:
                return candidate
        return self._file.size


def _is_checksum(error: zlib.error) -> bool:
    return "data check" in str(error) or "length check" in str(error)


def salvage(inflater: "zlib._Decompress", data: bytes) -> tuple[bytes, int]:
    """What `data` inflates to before the error, and the number of bytes consumed; halves the step on each error."""
    out: list[bytes] = []
    used = 0
    step = len(data)
    while step and used < len(data):
        spare = inflater.copy()
        try:
            out.append(inflater.decompress(data[used : used + step]))
            used += step
        except zlib.error:
            inflater = spare
            step //= 2
    return b"".join(out), min(used + 1, len(data))


class Lz4Source(ByteSource):
    """LZ4 frames from `start` on, decoded by FastWARC."""

    def __init__(self, file: FileBytes, start: int = 0) -> None:
        self._file = file
        self._start = start

    def parts(self) -> Iterator[bytes]:
        from fastwarc.stream_io import Lz4Reader

        forward = _Forward(self._file, self._start)
        reader = Lz4Reader(forward)
        try:
            while part := reader.read(_FEED_BYTES):
                self.position = forward.tell()
                yield part
        except OSError:
            self.problem = LZ4
            yield b""
        self.position = self._file.size


class _Forward(io.RawIOBase):
    """A file as an object that is read from a position on."""

    def __init__(self, file: FileBytes, start: int) -> None:
        self._file = file
        self._position = start

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        stop = self._file.size if size < 0 else self._position + size
        data = self._file.read(self._position, stop)
        self._position += len(data)
        return data
