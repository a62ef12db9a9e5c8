"""A file behind http(s) read by ranges: sequentially in a few requests, or at any place, resumed where it was cut.

Every answer is checked: it has the range that was asked for, of a file of the same size and the same version (its
strong ETag, else its date). A file that changes while it is read is an error, since offsets in the old one mean nothing
in the new one.
"""

import re
import time
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from infra.addresses import shown
from infra.errors import UsageError, WorkError
from infra.http.budget import Budget, budget
from infra.http.client import HeadRefused, Patience, TryAgain, finish, pay, request

# A range that is read to its end while reading goes on is followed by one eight times as long: a file of 1 GiB is
# seven requests, and a slow reader holds no connection for hours. Up to a bound all is one range, if it is no longer.
GROWTH, LONGEST_RANGE = 8, 2**28
# Bytes between two reads that are skipped by reading them, not by a new request.
SKIPPED_BYTES = 2**20
CHUNK = 2**18
# Bytes are paid for so many at a time, so that the budget is asked rarely.
PAID_BYTES = 2**20
# Of a range that is left before its end, what may be under way, so that it is paid for: what the buffers of both ends
# hold of one connection (Linux: 6 MiB of the receiver, 4 MiB of the sender by default).
UNDER_WAY_BYTES = 10 * 2**20
# Below this speed over `stall` seconds a connection is left.
LEAST_BYTES_PER_SECOND = 1024
# So many bytes must come before failures are forgotten: a server that gives one byte a request has not recovered.
PROGRESS_BYTES = 2**16
# Where there is no ETag, so many answers in turn with another date are those of a file that has changed; fewer are of a
# server whose copies have dates of their own.
OTHER_DATES = 3
# By the budget of a run, the addresses that ranges have come from in this process, so many at most: that an answer is
# the whole file then may pass.
_GAVE_RANGES: "WeakKeyDictionary[Budget, set[str]]" = WeakKeyDictionary()
_GAVE_RANGES_KEPT = 10_000
# RFC 9110, 14.4: the unit is of any case, and the size may be left out.
CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(?:(\d{1,18})|\*)$", re.ASCII | re.IGNORECASE)
CONTENT_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


class Fetched(NamedTuple):
    """`version`: its strong ETag, else its date, else nothing."""

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
    """The strong ETag, else the date of the last change, else nothing. A weak one may change without the bytes, and
    stay when they change (RFC 9110, 8.8.1)."""
    tag = str(response.headers.get("ETag") or "")
    return tag if is_tag(tag) else str(response.headers.get("Last-Modified") or "")


def is_tag(version: str) -> bool:
    """Whether a version is a strong ETag. Some servers leave out the quotes; no date is one word."""
    return bool(version) and not version.startswith("W/") and " " not in version


def _gave_ranges() -> set[str]:
    return _GAVE_RANGES.setdefault(budget(), set())


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
        self._bound = 0
        self._other_dates = 0
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
        """The strong ETag, else the date of the last change; empty where the server tells neither."""
        if self._size is None:
            self._ask_size()
        return self._version

    def bound(self, stop: int) -> None:
        """Declares that the bytes before `stop` are read, and those behind it hardly: what is asked for from a place
        before it is all up to it, in one range, and nothing beyond it but for what a read itself wants."""
        self._bound = stop

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
                self._leave(under_way=False)
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
        self._leave()
        stop = self._range_end(position, length)
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

    def _range_end(self, position: int, length: int) -> int:
        """Where the range ends that is asked for from `position`."""
        goes_on = position == self._at and self._at > 0
        if position < self._bound:
            self._range = max(self._ahead, length)
            stop = max(position + length, min(self._bound, position + LONGEST_RANGE))
        else:
            self._range = min(LONGEST_RANGE, self._range * GROWTH) if goes_on and self._range else self._ahead
            self._range = max(self._range, length)
            stop = position + self._range
        return stop if self._size is None else min(stop, self._size)

    def _checked(self, response: Any, position: int) -> tuple[int, int]:
        """[start, stop) of the answer's bytes in the file."""
        if response.status == 412:
            raise self._changed()
        if response.status == 200:
            if self.url in _gave_ranges():
                raise TryAgain("the whole file in place of a range")
            raise UsageError(
                f"{shown(self.url)}: the server does not give ranges of files: fetch the file, and name its path"
            )
        found = CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        if found is None:
            raise TryAgain("an answer without a range")
        size = int(found[3]) if found[3] else self._size_apart()
        self._same(size, version_of(response))
        if response.status == 416 or found[1] is None:
            if position < size:
                raise TryAgain("a range refused that the file has")
            return position, position
        begins, ends = int(found[1]), int(found[2]) + 1
        length = length_of(response)
        if begins != position or ends <= begins or ends > size or (length is not None and length != ends - begins):
            raise TryAgain(f"another range than was asked for ({begins}-{ends - 1}, {length} bytes)")
        if len(gave := _gave_ranges()) < _GAVE_RANGES_KEPT:
            gave.add(self.url)
        return begins, ends

    def _size_apart(self) -> int:
        """The size, where an answer does not tell it."""
        if self._size is None:
            try:
                self._ask_head()
            except HeadRefused:
                raise self._no_size() from None
        assert self._size is not None
        return self._size

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
            raise self._no_size()
        self._same(length, version_of(response))

    def _ask_first_byte(self) -> None:
        response = request("GET", self.url, {"Range": "bytes=0-0"})
        try:
            self._checked(response, 0)
        finally:
            finish(response)

    def _same(self, size: int, version: str) -> None:
        """Of what is told of both, each is as it was: sizes, strong ETags, dates. A tag and a date tell nothing of each
        other."""
        told = self._version and version and is_tag(self._version) == is_tag(version)
        other = bool(told) and self._version != version
        if other and not is_tag(version) and self._size == size and self._other_dates < OTHER_DATES - 1:
            self._other_dates += 1
            raise TryAgain(f"another date ({version[:40]})")
        if other or self._size not in (None, size):
            raise self._changed()
        self._other_dates = 0
        self._size, self._version = size, self._version or version

    def _no_size(self) -> UsageError:
        return UsageError(
            f"{shown(self.url)}: the server does not tell the file's size: fetch the file, and name its path"
        )

    def _changed(self) -> WorkError:
        return WorkError(f"{shown(self.url)}: the file has changed since it was first read: what was made of it "
                         "belongs to the old one; begin with another --out")  # fmt: skip

    def _leave(self, under_way: bool = True) -> None:
        """`under_way`: what was asked for and is left unread was sent, as far as a server sends ahead."""
        if self._response is not None:
            self._owed += min(self._stop - self._at, UNDER_WAY_BYTES) if under_way else 0
            finish(self._response)
            self._response = None


def open_ranges(url: str, ahead: int = 2**20, size: int | None = None, version: str = "") -> HttpFile:
    """The file at an http(s) address. Nothing is asked before its size, its version or its bytes are."""
    return HttpFile(url, ahead, size, version)
