"""Answers that no honest server gives end in one line, in bounded time."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from infra.errors import RefineryError
from infra.http import client
from infra.http.budget import serve_budget
from infra.http.client import retry_after
from infra.http.limits import HttpLimits
from infra.http.ranges import fetch, open_ranges

QUICK = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.05, patience=0.3, stall=0.3)
TEN = b"0123456789"
NINES = b"9" * 5000
HOSTILE = {
    "a time beyond all": b"HTTP/1.1 503 x\r\nRetry-After: " + NINES[:400] + b"\r\nContent-Length: 0\r\n\r\n",
    "a size beyond all": b"HTTP/1.1 206 x\r\nContent-Range: bytes 0-9/" + NINES + b"\r\n\r\n" + TEN,
    "a redirect to nowhere": b"HTTP/1.1 302 x\r\nLocation: http://[::1/x\r\nContent-Length: 0\r\n\r\n",
}


@contextmanager
def answering(answer: bytes, then: bytes = b"") -> Iterator[str]:
    """A server that gives `answer` to all, and then `then` again and again; its address."""
    ended = threading.Event()

    def give(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(2**16)
            connection.sendall(answer)
            while then and not ended.wait(0.02):
                connection.sendall(then)

    def take() -> None:
        while not ended.is_set():
            with suppress(OSError):
                threading.Thread(target=give, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=take, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/a.warc.gz"
        finally:
            ended.set()


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_headers_that_are_no_headers(answer: bytes) -> None:
    with answering(answer) as url, serve_budget(QUICK):
        for reads in (lambda: open_ranges(url).read(0, 10), lambda: fetch(url)):
            with pytest.raises(RefineryError):
                reads()


def test_the_end_of_an_answer_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "DRAIN_SECONDS", 0.05)
    busy = b"HTTP/1.1 503 x\r\nContent-Length: 250000\r\n\r\n"
    with answering(busy, then=b"x") as url, serve_budget(QUICK), pytest.raises(RefineryError, match="503"):
        fetch(url)


@pytest.mark.parametrize(
    ("value", "found"),
    [("12", 12), (" 0 ", 0), (None, None), ("", None), ("-1", None), ("1e3", None), ("²", None), ("9" * 19, 1e9)],
)
def test_seconds_in_headers(value: str | None, found: float | None) -> None:
    assert retry_after(value) == found
