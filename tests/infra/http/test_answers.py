"""What servers and what stands before them answer beside the plain 206: it is passed over where the bytes are sound."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from urllib.parse import quote, unquote

import pytest

from infra.errors import UsageError, WorkError
from infra.http.budget import serve_budget
from infra.http.limits import Answer, HttpLimits
from infra.http.ranges import UNDER_WAY_BYTES, fetch, open_ranges
from tests.commoncrawl.server import NoRanges, Refusal, StandIn, serve

CONTENT = random.Random(8).randbytes(2**20)
QUICK = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.02, patience=20, stall=20)
DATE = "Wed, 21 Oct 2015 07:28:0{} GMT"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with serve(tmp_path) as running, serve_budget(QUICK):
        yield running


def read_all(url: str, step: int = 2**18) -> bytes:
    with open_ranges(url, ahead=step) as file:
        return b"".join(file.read(place, step) for place in range(0, len(CONTENT), step))


@pytest.mark.parametrize("status", [501, 505, 507, 521, 523, 525, 530, 599])
def test_every_5xx_is_tried_again(server: StandIn, status: int) -> None:
    server.fault("a.bin", Refusal(status), times=2, skip=1)
    assert read_all(f"{server.url}/a.bin") == CONTENT
    server.fault("a.bin", Refusal(status), times=1)
    assert fetch(f"{server.url}/a.bin").content == CONTENT
    assert len(server.asked(status=status)) == 3


def test_the_whole_file_in_place_of_a_range_passes_once_there_were_ranges(server: StandIn) -> None:
    url = f"{server.url}/a.bin"
    server.fault("a.bin", NoRanges(), times=2, skip=1)
    assert read_all(url) == CONTENT
    server.fault("a.bin", NoRanges())
    with serve_budget(HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.02, patience=0.1)):
        with open_ranges(url) as file, pytest.raises(UsageError, match="does not give ranges"):
            file.read(0, 1)
        server.mend()
        with open_ranges(url, ahead=1) as file:
            file.read(0, 1)
            server.fault("a.bin", NoRanges())
            with pytest.raises(WorkError, match=r"whole file in place of a range, for .* tries"):
                file.read(2**19, 1)


def test_up_to_a_bound_all_is_one_range_and_nothing_is_asked_beyond(server: StandIn) -> None:
    """Behind it reading goes on as ever, by eight times what was read at a time."""
    with open_ranges(f"{server.url}/a.bin", ahead=1) as file:
        file.bound(600_000)
        found = b"".join(file.read(place, 100_000) for place in range(150_000, 600_000, 100_000))
        assert found == CONTENT[150_000:650_000]
        assert file.read(650_000, 10) == CONTENT[650_000:650_010]
    assert [(one.start, one.stop) for one in server.since(0)] == [
        (150_000, 600_000),
        (600_000, len(CONTENT)),
    ]


def test_what_was_asked_for_and_is_left_is_paid_for(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as it may be under way."""
    large = Path(server.folder / "large.bin")
    large.write_bytes(bytes(2 * UNDER_WAY_BYTES))
    for name, paid in (("a.bin", len(CONTENT)), ("large.bin", 10 + UNDER_WAY_BYTES)):
        sizes: list[int] = []
        with serve_budget(QUICK) as budget:
            take = budget.take

            def taken(requests: int, size: int) -> Answer:
                sizes.append(size)  # noqa: B023
                return take(requests, size)  # noqa: B023

            monkeypatch.setattr(budget, "take", taken)
            with open_ranges(f"{server.url}/{name}", ahead=large.stat().st_size) as file:
                file.read(0, 10)
        assert sum(sizes) == paid


class Odd(BaseHTTPRequestHandler):
    """Answers of the kind that the path names."""

    protocol_version = "HTTP/1.1"
    numbers: Iterator[int]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(None)

    def do_GET(self) -> None:
        self.answer(self.headers.get("Range"))

    def answer(self, ranged: str | None) -> None:
        kind, number = unquote(self.path).strip("/"), next(self.numbers)
        start, stop = (int(each) for each in ranged[6:].split("-")) if ranged else (0, len(CONTENT))
        part = CONTENT[start : stop + 1]
        if kind == "early":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        if kind == "hints for ever":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(part)))
        unit, size = ("Bytes" if kind == "case" else "bytes"), ("*" if kind == "star" else len(CONTENT))
        self.send_header("Content-Range", f"{unit} {start}-{start + len(part) - 1}/{size}")
        if kind.startswith("weak"):
            self.send_header("ETag", f'W/"{number}"')
        if kind in ("weak, dated", "dates", "new date"):
            other = {"dates": number % 2, "new date": min(number, 1)}.get(kind, 0)
            self.send_header("Last-Modified", DATE.format(other))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(part)


@contextmanager
def odd(kind: str) -> Iterator[str]:
    handler = type("Counted", (Odd,), {"numbers": count()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        with serve_budget(QUICK):
            yield f"http://127.0.0.1:{server.server_port}/{quote(kind)}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("kind", ["early", "case", "star", "weak", "weak, dated", "dates", "none"])
def test_answers_of_another_form_are_the_file(kind: str) -> None:
    with odd(kind) as url:
        assert read_all(url) == CONTENT
        with open_ranges(url) as file:
            dated = kind in ("weak, dated", "dates")
            assert file.size == len(CONTENT) and file.version[:10] == (DATE[:10] if dated else "")


def test_a_date_that_stays_another_is_of_another_file() -> None:
    with odd("new date") as url, pytest.raises(WorkError, match="has changed"):
        read_all(url)


def test_hints_without_an_end_are_no_answer() -> None:
    limits = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.02, patience=0.1)
    with odd("hints for ever") as url, serve_budget(limits), pytest.raises(WorkError, match="no answer"):
        fetch(url)
