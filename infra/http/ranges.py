"""A file behind http(s) read by ranges: sequentially in a few requests, or at any place, resumed where it was cut.

Every answer is checked: it has the range that was asked for, of a file of the same size and the same version (its
ETag, else its date). A file that changes while it is read is an error, since offsets in the old one mean nothing in the
new one.
"""

import re
import time
from typing import Any, NamedTuple

from infra.addresses import shown
from infra.errors import UsageError, WorkError
from infra.http.budget import budget
from infra.http.client import HeadRefused, Patience, TryAgain, finish, pay, request

# A range that is read to its end while reading goes on is followed by one eight times as long: a file of 1 GiB is
# seven requests, and a slow reader holds no connection for hours.
GROWTH, LONGEST_RANGE = 8, 2**28
# Bytes between two reads that are skipped by reading them, not by a new request.
SKIPPED_BYTES = 2**20
CHUNK = 2**18
# Bytes are paid for so many at a time, so that the budget is asked rarely.
PAID_BYTES = 2**20
# Below this speed over `stall` seconds a connection is left.
LEAST_BYTES_PER_SECOND = 1024
# So many bytes must come before failures are forgotten: a server that gives one byte a request has not recovered.
PROGRESS_BYTES = 2**16
CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18})$", re.ASCII)
CONTENT_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


class Fetched(NamedTuple):
    """`version`: its ETag, else its date, else nothing."""

    content: bytes
    version: str


def fetch(url: str, most: int = 2**28, stops: bool = True) -> Fetched:
    """A whole file of at most `most` bytes, for listings and the like. `stops` and errors as of `request`."""
    patience = Patience(url)
    while True:
        try:
            response = request("GET", url, stops=stops)
            expected = length_of(response)
            content = _body(response, most + 1)
            if len(content) > most:
                raise WorkError(f"{shown(url)}: more than {most:,} bytes, where a list was expected")
            if response.status != 200 or (expected is not None and expected != len(content)):
                raise TryAgain(f"the answer is cut: {len(content)} of {expected} bytes")
            return Fetched(content, version_of(response))
        except TryAgain as failure:
            patience.wait(failure)


def _body(response: Any, most: int) -> bytes:
    parts = []
    pace = Pace(budget().limits.stall)
    try:
        while most > 0 and (part := pace.read(response, min(most, CHUNK))):
            parts.append(part)
            most -= len(part)
    finally:
        finish(response)
    pay(0, sum(map(len, parts)))
    return b"".join(parts)


class Pace:
    """Reads of one answer, left when too little comes."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._waited, self._came = 0.0, 0

    def read(self, response: Any, most: int) -> bytes:
        """What comes next of the body, at most `most` bytes; nothing at its end. TryAgain where the connection is cut,
        stalls or trickles."""
        from urllib3 import exceptions

        began = time.monotonic()
        try:
            data: bytes = response.read1(most, decode_content=False) or b""
        except (exceptions.HTTPError, OSError) as error:
            slow = isinstance(error, exceptions.ReadTimeoutError)
            raise TryAgain("nothing comes" if slow else f"cut ({type(error).__name__})") from None
        self._waited += time.monotonic() - began
        self._came += len(data)
        if self._waited >= self._stall:
            if self._came < self._stall * LEAST_BYTES_PER_SECOND:
                raise TryAgain(f"only {self._came} bytes in {self._waited:.0f} s")
            self._waited, self._came = 0.0, 0
        return data


def length_of(response: Any) -> int | None:
    """The Content-Length; None where there is none, or it is no length."""
    found = CONTENT_LENGTH.fullmatch(response.headers.get("Content-Length", ""))
    return int(found[0]) if found else None


def version_of(response: Any) -> str:
    return str(response.headers.get("ETag") or response.headers.get("Last-Modified") or "")


class HttpFile:
    """A file at an address. Not for several threads at once. Close it, or use it in `with`.

    `ahead`: bytes of the first range from a place where reading begins. `size`, `version`: where they are known; other
    ones are an error.
    """

    def __init__(self, url: str, ahead: int = 2**20, size: int | None = None, version: str = "") -> None:
        self.url = url
        self._ahead = max(1, ahead)
        self._size, self._version = size, version
        self._patience = Patience(url)
        self._response: Any = None
        self._pace = Pace(budget().limits.stall)
        self._at = self._stop = 0  # of the answer that is being read: the next byte, the end of its range
        self._range = 0  # the length of its range
        self._last_at, self._last = 0, b""
        self._owed = self._came = 0

    def __enter__(self) -> "HttpFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        if self._size is None:
            self._ask_size()
        assert self._size is not None
        return self._size

    @property
    def version(self) -> str:
        """The ETag, else the date of the last change; empty where the server tells neither."""
        if self._size is None:
            self._ask_size()
        return self._version

    def read(self, start: int, length: int) -> bytes:
        """The `length` bytes at `start`, fewer only at the file's end. WorkError for a file that has changed or that
        the server does not give in the end; AddressNotFound where there is none."""
        stop = start + length if self._size is None else min(start + length, self._size)
        parts, position = [], start
        if self._last_at <= position < self._last_at + len(self._last):  # read-ahead above us asks for some bytes twice
            parts.append(self._last[position - self._last_at : stop - self._last_at])
            position += len(parts[0])
        while position < stop:
            try:
                part = self._next(position, stop - position)
            except TryAgain as failure:
                self._leave()
                self._range //= GROWTH  # what goes on after a failure asks for no more than before
                self._patience.wait(failure)
                continue
            if self._size is not None:
                stop = min(stop, self._size)
            parts.append(part)
            position += len(part)
        self._last_at, self._last = start, parts[0] if len(parts) == 1 else b"".join(parts)
        self._patience.clear()
        return self._last

    def close(self) -> None:
        self._leave()
        self._last = b""
        if self._owed:
            owed, self._owed = self._owed, 0
            pay(0, owed)

    def _next(self, position: int, length: int) -> bytes:
        """Some of the bytes at `position`, none only at the file's end."""
        if self._response is None or not self._at <= position <= min(self._at + SKIPPED_BYTES, self._stop - 1):
            self._open(position, length)
            if self._response is None:
                return b""
        while self._at < position:
            self._take(min(CHUNK, position - self._at))
        return self._take(min(CHUNK, length))

    def _take(self, most: int) -> bytes:
        data = self._pace.read(self._response, min(most, self._stop - self._at))
        if not data:
            raise TryAgain(f"cut {self._stop - self._at:,} bytes before the end")
        self._at += len(data)
        self._owed += len(data)
        self._came += len(data)
        if self._came >= PROGRESS_BYTES:
            self._came = 0
            self._patience.clear()
        if self._at == self._stop:
            finish(self._response)
            self._response = None
        if self._owed >= PAID_BYTES:
            owed, self._owed = self._owed, 0
            pay(0, owed)
        return data

    def _open(self, position: int, length: int) -> None:
        """Asks for a range from `position`. Nothing is open afterwards if the file ends before it."""
        goes_on = position == self._at and self._at > 0
        self._leave()
        self._range = min(LONGEST_RANGE, self._range * GROWTH) if goes_on and self._range else self._ahead
        self._range = max(self._range, length)
        stop = position + self._range
        if self._size is not None:
            stop = min(stop, self._size)
        headers = {"Range": f"bytes={position}-{stop - 1}"}
        if self._version.startswith('"'):  # a strong tag
            headers["If-Match"] = self._version
        response = request("GET", self.url, headers)
        try:
            begins, ends = self._checked(response, position)
        except BaseException:
            response.close()
            raise
        if begins == ends:
            finish(response)
            if not self._version:
                self._ask_size()  # an answer that there is no such range need not tell the version
            return
        self._response, self._at, self._stop = response, begins, ends
        self._pace = Pace(budget().limits.stall)

    def _checked(self, response: Any, position: int) -> tuple[int, int]:
        """[start, stop) of the answer's bytes in the file."""
        if response.status == 412:
            raise self._changed()
        if response.status == 200:
            raise UsageError(
                f"{shown(self.url)}: the server does not give ranges of files: fetch the file, and name its path"
            )
        found = CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        if found is None:
            raise TryAgain("an answer without a range")
        size = int(found[3])
        self._same(size, version_of(response))
        if response.status == 416 or found[1] is None:
            if position < size:
                raise TryAgain("a range refused that the file has")
            return position, position
        begins, ends = int(found[1]), int(found[2]) + 1
        length = length_of(response)
        if begins != position or ends <= begins or ends > size or (length is not None and length != ends - begins):
            raise TryAgain(f"another range than was asked for ({begins}-{ends - 1}, {length} bytes)")
        return begins, ends

    def _ask_size(self) -> None:
        """By HEAD; where that is refused, as for an address that is signed for GET, by the first byte of the file."""
        ask = self._ask_head
        while True:
            try:
                ask()
                self._patience.clear()
                return
            except HeadRefused:
                ask = self._ask_first_byte
            except TryAgain as failure:
                self._patience.wait(failure)

    def _ask_head(self) -> None:
        response = request("HEAD", self.url)
        length = length_of(response)
        finish(response)
        if length is None:
            raise UsageError(
                f"{shown(self.url)}: the server does not tell the file's size: fetch the file, and name its path"
            )
        self._same(length, version_of(response))

    def _ask_first_byte(self) -> None:
        response = request("GET", self.url, {"Range": "bytes=0-0"})
        try:
            self._checked(response, 0)
        finally:
            finish(response)

    def _same(self, size: int, version: str) -> None:
        if (self._size not in (None, size)) or (self._version and version and self._version != version):
            raise self._changed()
        self._size, self._version = size, self._version or version

    def _changed(self) -> WorkError:
        return WorkError(f"{shown(self.url)}: the file has changed since it was first read: what was made of it "
                         "belongs to the old one; begin with another --out")  # fmt: skip

    def _leave(self) -> None:
        if self._response is not None:
            finish(self._response)
            self._response = None


def open_ranges(url: str, ahead: int = 2**20, size: int | None = None, version: str = "") -> HttpFile:
    """The file at an http(s) address. Nothing is asked before its size, its version or its bytes are."""
    return HttpFile(url, ahead, size, version)
