"""A stand-in for Common Crawl: an HTTP server on loopback over a folder, with ranges, ETags, and scripted faults.

It answers as the real one does: ranges (206, 416), `If-Match` (412), `HEAD`, and a listing of the bucket in S3's XML.
Every answer is in `log`, with its time. A `Fault` changes the answers to the paths that match its pattern:

    with serve(folder) as server:
        server.fault("*.warc.gz", Cut(after=1000), times=3)
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

CHUNK = 2**16
EVER = 10**9


class Answered(NamedTuple):
    """A line of the log. `start`, `stop`: the range that was asked for; `sent`: bytes of the body."""

    at: float
    method: str
    path: str
    start: int | None
    stop: int | None
    status: int
    sent: int
    agent: str


@dataclass(frozen=True)
class Refusal:
    """A status without the file: 503, 429, 403, 404, 500. `retry_after`: seconds, or an HTTP date."""

    status: int
    retry_after: str | None = None


@dataclass(frozen=True)
class Cut:
    """The connection ends after so many bytes of the body."""

    after: int


@dataclass(frozen=True)
class WrongLength:
    """The Content-Length is off by so many bytes; with fewer the body ends there."""

    by: int


@dataclass(frozen=True)
class Trickle:
    """After so many bytes of the body the others come one by one, with a pause between."""

    after: int
    seconds: float = 0.05


@dataclass(frozen=True)
class Stall:
    """After so many bytes of the body nothing comes for so long; then the connection ends."""

    after: int
    seconds: float


@dataclass(frozen=True)
class Flipped:
    """A bit of the byte at this place of the file is another."""

    place: int


@dataclass(frozen=True)
class Changed:
    """The file is another one: its bytes are reversed, with an ETag of their own."""


@dataclass(frozen=True)
class Redirect:
    """302 to this address."""

    to: str


@dataclass(frozen=True)
class NoRanges:
    """The whole file, with 200, whatever range is asked for."""


@dataclass(frozen=True)
class OtherRange:
    """A range that begins so many bytes later than the one asked for."""

    by: int


@dataclass(frozen=True)
class Signed:
    """403 unless the address ends in this query."""

    query: str


@dataclass(frozen=True)
class NoHead:
    """This status for HEAD, as 405 of a server that serves GET alone, or 403 of an address that is signed for it."""

    status: int


Act = (
    Signed
    | NoHead
    | Refusal
    | Cut
    | WrongLength
    | Trickle
    | Stall
    | Flipped
    | Changed
    | Redirect
    | NoRanges
    | OtherRange
)


@dataclass
class Fault:
    """What happens to the next `times` answers to paths that match, after the first `skip` of them."""

    pattern: str
    act: Act
    times: int
    skip: int


class StandIn:
    """The running server: `url`, `log`, and `fault` to script what goes wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[Answered] = []
        self._faults: list[Fault] = []
        self._lock = Lock()
        self._ended = Condition()
        self._under_way = 0
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"stand_in": self}))
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def fault(self, pattern: str, act: Act, times: int = EVER, skip: int = 0) -> None:
        """`pattern`: of the path without its first slash, as `crawl-data/*/warc.paths.gz`."""
        with self._lock:
            self._faults.append(Fault(pattern, act, times, skip))

    def mend(self) -> None:
        """No fault from now on."""
        with self._lock:
            self._faults.clear()

    def next_fault(self, path: str) -> Act | None:
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fnmatchcase(path, fault.pattern):
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault.act
        return None

    def note(self, answered: Answered) -> int:
        """Its number in the log: it is there before the client has the answer."""
        with self._lock:
            self.log.append(answered)
            return len(self.log) - 1

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A request is being answered, up to its line in the log."""
        with self._ended:
            self._under_way += 1
        try:
            yield
        finally:
            with self._ended:
                self._under_way -= 1
                self._ended.notify_all()

    def since(self, at: float) -> list[Answered]:
        """The requests that came at this time or later, when all of them are answered."""
        with self._ended:
            self._ended.wait_for(lambda: not self._under_way, timeout=10)
        return [line for line in self.asked() if line.at >= at]

    def asked(self, pattern: str = "*", status: int | None = None) -> list[Answered]:
        """The answers to paths that match, those of one status where it is given."""
        with self._lock:
            log = list(self.log)
        return [one for one in log if fnmatchcase(one.path, pattern) and status in (None, one.status)]

    def most_in_a_second(self, pattern: str = "*") -> int:
        """The most requests that came within any second."""
        times = sorted(one.at for one in self.asked(pattern))
        most = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= 1:
                first += 1
            most = max(most, last - first + 1)
        return most


class Handler(BaseHTTPRequestHandler):
    """One connection: keep-alive, and no line on stderr."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    stand_in: StandIn

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        self._at = time.time()
        split = urlsplit(self.path)
        self._name = unquote(split.path).lstrip("/")
        self._range: tuple[int | None, int | None] = (None, None)
        with self.stand_in.answering(), suppress(BrokenPipeError, ConnectionResetError):
            query = parse_qs(split.query)
            act = self.stand_in.next_fault(self._name or "?list")
            if isinstance(act, Refusal):
                self._refuse(act.status, {} if act.retry_after is None else {"Retry-After": act.retry_after})
            elif isinstance(act, NoHead) and not body:
                self._refuse(act.status)
            elif isinstance(act, Signed) and split.query != act.query:
                self._refuse(403)
            elif isinstance(act, Redirect):
                self._refuse(302, {"Location": act.to})
            elif not self._name and "list-type" in query:
                self._list(query)
            elif not self._path().is_file():
                self._refuse(404)
            else:
                self._file(body, act)

    def _path(self) -> Path:
        return self.stand_in.folder / self._name

    def _file(self, body: bool, act: Act | None) -> None:
        content = self._path().read_bytes()
        if isinstance(act, Changed):
            content = content[::-1]
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        if isinstance(act, Flipped):
            content = content[: act.place] + bytes([content[act.place] ^ 1]) + content[act.place + 1 :]
        if self.headers.get("If-Match", etag) != etag:
            self._refuse(412)
            return
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        wanted = None if isinstance(act, NoRanges) else ranged(self.headers.get("Range"), len(content))
        status, part = 200, content
        if wanted is not None:
            start, stop = wanted
            if start >= len(content):
                self._refuse(416, {"Content-Range": f"bytes */{len(content)}"})
                return
            if isinstance(act, OtherRange):
                start += act.by
            self._range = (start, stop)
            status, part = 206, content[start:stop]
            headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        length = len(part)
        if isinstance(act, WrongLength):
            length = max(0, length + act.by)
            part = part[:length]
        headers["Content-Length"] = str(length)
        number = self._note(status, 0)
        self._head(status, headers)
        if body:
            self.stand_in.log[number] = self.stand_in.log[number]._replace(sent=self._send(part, act))
        if isinstance(act, Cut | Stall | WrongLength | Trickle):
            self.close_connection = True

    def _send(self, part: bytes, act: Act | None) -> int:
        whole = part[: act.after] if isinstance(act, Cut | Stall | Trickle) else part
        sent = 0
        with suppress(BrokenPipeError, ConnectionResetError):
            for place in range(0, len(whole), CHUNK):
                self.wfile.write(whole[place : place + CHUNK])
                sent += len(whole[place : place + CHUNK])
            self.wfile.flush()
            if isinstance(act, Stall):
                time.sleep(act.seconds)
            if isinstance(act, Trickle):
                for place in range(len(whole), len(part)):
                    time.sleep(act.seconds)
                    self.wfile.write(part[place : place + 1])
                    self.wfile.flush()
                    sent += 1
        return sent

    def _list(self, query: dict[str, list[str]]) -> None:
        """S3's ListObjectsV2, three keys a page so that a client has to go on."""
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        names = sorted(path.relative_to(self.stand_in.folder).as_posix() for path in files_of(self.stand_in.folder))
        left = [name for name in names if name.startswith(prefix) and name > after]
        page, more = left[:3], len(left) > 3
        keys = "".join(f"<Contents><Key>{escape(name)}</Key></Contents>" for name in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{keys}{token}</ListBucketResult>"
        ).encode()
        self._note(200, len(text))
        self._head(200, {"Content-Type": "application/xml", "Content-Length": str(len(text))})
        self.wfile.write(text)

    def _refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
        self._note(status, 0)
        self._head(status, {"Content-Length": "0", **(headers or {})})

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _note(self, status: int, sent: int) -> int:
        start, stop = self._range
        agent = self.headers.get("User-Agent", "")
        answered = Answered(self._at, self.command, self._name or self.path, start, stop, status, sent, agent)
        return self.stand_in.note(answered)


def ranged(header: str | None, size: int) -> tuple[int, int] | None:
    """[start, stop) of `bytes=a-b`, `bytes=a-` or `bytes=-n`; None without the header."""
    if header is None:
        return None
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def files_of(folder: Path) -> Sequence[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@contextmanager
def serve(folder: Path) -> Iterator[StandIn]:
    """A server over `folder` until the block ends."""
    server = StandIn(folder)
    thread = Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
