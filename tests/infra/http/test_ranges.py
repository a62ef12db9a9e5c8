"""A remote file is the file, whatever the server does in between; what cannot be mended is one line."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from infra.errors import RefineryError, UsageError, WorkError
from infra.http.budget import serve_budget
from infra.http.client import AddressNotFound
from infra.http.limits import HttpLimits
from infra.http.ranges import fetch, open_ranges
from tests.commoncrawl.server import (
    Act,
    Changed,
    Cut,
    NoHead,
    NoRanges,
    OtherRange,
    Redirect,
    Refusal,
    Stall,
    StandIn,
    Trickle,
    WrongLength,
    serve,
)

CONTENT = random.Random(7).randbytes(3 * 2**20 + 17)
QUICK = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.05, patience=5, stall=0.3)
SOFT: dict[str, Act] = {
    "503": Refusal(503),
    "429 with seconds": Refusal(429, "0"),
    "503 with a date": Refusal(503, "Wed, 21 Oct 2015 07:28:00 GMT"),
    "500": Refusal(500),
    "cut": Cut(after=100_000),
    "cut at once": Cut(after=0),
    "longer than said": WrongLength(by=-5),
    "shorter than said": WrongLength(by=5),
    "stalls": Stall(after=50_000, seconds=0.6),
    "trickles": Trickle(after=70_000, seconds=0.01),
    "another range": OtherRange(by=3),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    (tmp_path / "empty").write_bytes(b"")
    with serve(tmp_path) as running, serve_budget(QUICK):
        yield running


def test_any_place_in_any_order(server: StandIn) -> None:
    chance = random.Random(1)
    with open_ranges(f"{server.url}/a.bin", ahead=1000) as file:
        for _ in range(60):
            start, length = chance.randrange(len(CONTENT) + 10), chance.choice([1, 10, 5000, 100_000])
            assert file.read(start, length) == CONTENT[start : start + length]
        assert file.size == len(CONTENT)
        assert file.version.startswith('"')


def test_reading_on_takes_few_requests_and_small_steps_back_none(server: StandIn) -> None:
    with open_ranges(f"{server.url}/a.bin", ahead=2**16) as file:
        position = 0
        while part := file.read(position, 100_000):
            assert part == CONTENT[position : position + 100_000]
            position += len(part) if len(part) < 100_000 else 90_000
    assert position == len(CONTENT)
    assert len(server.log) == 3
    assert sum(one.sent for one in server.log) <= 1.5 * len(CONTENT)


def test_an_empty_file_has_a_version_whatever_is_asked_first(server: StandIn) -> None:
    with open_ranges(f"{server.url}/empty") as file, open_ranges(f"{server.url}/empty") as other:
        assert file.read(0, 100) == b""
        assert file.size == 0
        assert file.version == other.version != ""


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_server_that_refuses_head_is_asked_for_a_byte(server: StandIn, status: int) -> None:
    with open_ranges(f"{server.url}/a.bin") as file:
        known = file.size, file.version
    server.fault("*", NoHead(status))
    with open_ranges(f"{server.url}/a.bin") as file, open_ranges(f"{server.url}/empty") as empty:
        assert (file.size, file.version, empty.size) == (*known, 0)
        assert file.read(10, 20) == CONTENT[10:30]
    asked = [(one.method, one.status, one.start, one.stop) for one in server.asked("a.bin")]
    assert asked[1:3] == [("HEAD", status, None, None), ("GET", 206, 0, 1)] and len(asked) == 4


def test_a_refusal_of_head_alone_stops_no_run_and_one_of_the_file_does(server: StandIn) -> None:
    server.fault("a.bin", NoHead(403))
    server.fault("empty", Refusal(403))
    with open_ranges(f"{server.url}/a.bin") as file:
        assert file.size == len(CONTENT)
    with pytest.raises(WorkError, match="refuses"), open_ranges(f"{server.url}/empty") as file:
        _ = file.size
    with pytest.raises(WorkError, match="nothing more is asked"), open_ranges(f"{server.url}/a.bin") as file:
        file.read(0, 1)


@pytest.mark.parametrize("name", SOFT)
def test_what_passes_is_mended(server: StandIn, name: str) -> None:
    server.fault("a.bin", SOFT[name], times=3)
    with open_ranges(f"{server.url}/a.bin") as file:
        found = b"".join(file.read(place, 2**18) for place in range(0, len(CONTENT), 2**18))
    assert found == CONTENT
    assert 3 <= len(server.log) <= 9
    if name in ("cut", "stalls", "trickles"):  # goes on in the middle
        assert sum(one.sent for one in server.log) <= 1.2 * len(CONTENT)


# That a whole file is longer than the server says, nobody but its reader can know.
@pytest.mark.parametrize("name", [name for name in SOFT if name != "longer than said"])
def test_a_whole_file_is_mended_too(server: StandIn, name: str) -> None:
    server.fault("a.bin", SOFT[name], times=2)
    fetched = fetch(f"{server.url}/a.bin")
    assert fetched.content == CONTENT
    assert fetched.version.startswith('"')


def test_a_file_that_changes_is_an_error(server: StandIn) -> None:
    with open_ranges(f"{server.url}/a.bin", ahead=1000) as file:
        file.read(0, 1000)
        version = file.version
        server.fault("a.bin", Changed())
        with pytest.raises(WorkError, match="has changed"):
            file.read(100_000, 5)
    with open_ranges(f"{server.url}/a.bin", version=version) as file, pytest.raises(WorkError, match="has changed"):
        file.read(0, 1)
    server.mend()
    with open_ranges(f"{server.url}/a.bin", version=version) as file:
        assert file.read(5, 3) == CONTENT[5:8]
    with open_ranges(f"{server.url}/a.bin", size=12) as file, pytest.raises(WorkError, match="has changed"):
        file.read(0, 1)


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (Refusal(404), AddressNotFound, "no such file"),
        (Refusal(401), WorkError, "answers 401"),
        (NoRanges(), UsageError, "does not give ranges"),
        (Redirect("ftp://127.0.0.1/a.bin"), WorkError, "within one scheme"),
        (Redirect("file:///etc/passwd"), WorkError, "within one scheme"),
        (Redirect("http://[x"), WorkError, "within one scheme"),
        (Redirect("/a.bin"), WorkError, "more than 5 redirects"),
        (Refusal(503, "9" * 400), WorkError, "asks to wait 1000000000 s"),
        (Refusal(503, "86400"), WorkError, "asks to wait 86400 s"),
        (
            Refusal(503, format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True)),
            WorkError,
            "asks to wait 1",
        ),
    ],
)
def test_what_is_final_is_told_at_once(server: StandIn, act: Act, kind: type[RefineryError], words: str) -> None:
    server.fault("a.bin", act)
    with open_ranges(f"{server.url}/a.bin") as file, pytest.raises(kind, match=words):
        file.read(0, 1)
    assert len(server.log) <= 6


def test_a_redirect_within_the_scheme_is_followed(server: StandIn) -> None:
    server.fault("other.bin", Redirect("/a.bin"))
    with open_ranges(f"{server.url}/other.bin") as file:
        assert file.read(3, 4) == CONTENT[3:7]


def test_a_refusal_stops_the_whole_run(server: StandIn) -> None:
    server.fault("a.bin", Refusal(403), times=1)
    with pytest.raises(WorkError, match=r"403.*--requests-per-second"):
        fetch(f"{server.url}/a.bin")
    with pytest.raises(WorkError, match="403"):
        fetch(f"{server.url}/empty")
    assert len(server.log) == 1


def test_patience_ends(server: StandIn) -> None:
    server.fault("a.bin", Refusal(503))
    with serve_budget(HttpLimits(requests_per_second=100, first_wait=0.01, longest_wait=0.02, patience=0.1)):
        began = time.monotonic()
        with pytest.raises(WorkError, match=r"503, for .* tries: run the same command again"):
            fetch(f"{server.url}/a.bin")
        assert time.monotonic() - began < 2


def test_nothing_is_asked_of_other_schemes() -> None:
    for url in ("file:///etc/passwd", "ftp://host/x", "http:///x", "http://[x/a.warc.gz", "http://host:99999/x"):
        with pytest.raises(UsageError, match="no http or https address"):
            fetch(url)
    with pytest.raises(UsageError, match=r"cannot be asked"):
        fetch("http://a..b/x")


@pytest.mark.parametrize("url", ["http://user:word@127.0.0.1:1/x", "https://word@[x/a", "ftp://user:word@host/x"])
def test_a_password_in_an_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as error:
        fetch(url)
    assert "word@" not in str(error.value)


def test_what_one_file_waits_for_is_told(server: StandIn) -> None:
    said: list[str] = []
    server.fault("a.bin", Refusal(500), times=4)
    with serve_budget(QUICK, said.append):
        fetch(f"{server.url}/a.bin")
    assert said == ["waiting 1 s: 127.0.0.1: the server fails (500)"]


class Lengths(BaseHTTPRequestHandler):
    """Answers with the lengths that a path names."""

    def do_GET(self) -> None:
        length, _, ranged = self.path.strip("/").partition("/")
        self.send_response(206)
        self.send_header("Content-Length", length)
        self.send_header("Content-Range", f"bytes {ranged}")
        self.end_headers()
        self.wfile.write(b"abcde")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("length", "ranged", "words"),
    [("abc", "0-4/5", ""), ("5", "0-4/" + "9" * 5000, "without a range"), ("9" * 5000, "0-4/5", "")],
)
def test_lengths_that_are_none(length: str, ranged: str, words: str) -> None:
    limits = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.01, patience=0.05)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lengths)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        with serve_budget(limits), open_ranges(f"http://127.0.0.1:{server.server_port}/{length}/{ranged}") as file:
            if words:
                with pytest.raises(WorkError, match=words):
                    file.read(0, 5)
            else:
                assert file.read(0, 5) == b"abcde"
    finally:
        server.shutdown()
        server.server_close()


def test_who_asks_says_so(server: StandIn) -> None:
    fetch(f"{server.url}/a.bin")
    assert server.log[0].agent.startswith("refinery")
