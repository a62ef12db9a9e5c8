"""Records in segments: joined when the rest is in the file, else marked; never half a record as a whole one."""

import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard

from pipeline.warc import segments
from pipeline.warc.reader import RecordReader
from pipeline.warc.records import RawRecord
from tests.pipeline.warc.test_reader import contained, http_page, make_records, read_all, warc_record, written

PAGE = http_page("the keeper wrote every evening " * 60)
CONTAINERS = ("plain", "gzip", "stream", "zstd")


def segment(number: int, block: bytes, of: int = 900, total: int | None = None, kind: str = "") -> bytes:
    first = number == 1
    lines = [
        "WARC/1.1",
        f"WARC-Type: {kind or ('response' if first else 'continuation')}",
        f"WARC-Target-URI: http://site.test/{of}",
        "WARC-Date: 2020-05-25T10:10:10Z",
        f"WARC-Record-ID: <urn:uuid:{of if first else of * 1000 + number:032d}>",
        f"WARC-Segment-Number: {number}",
        *([] if first else [f"WARC-Segment-Origin-ID: <urn:uuid:{of:032d}>"]),
        *([f"WARC-Segment-Total-Length: {total}"] if total is not None else []),
        *(["Content-Type: application/http; msgtype=response"] if first else []),
        f"Content-Length: {len(block)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def cut(page: bytes, count: int, of: int = 900, total: int | None = -1) -> list[bytes]:
    """A page in `count` segments."""
    size = -(-len(page) // count)
    total = len(page) if total == -1 else total
    parts = [page[start : start + size] for start in range(0, len(page), size)]
    return [segment(number, part, of, total if number == len(parts) else None) for number, part in enumerate(parts, 1)]


def bare(raw: bytes) -> bytes:
    """A segment whose id of the first has no angle brackets."""
    return re.sub(rb"(Origin-ID: )<([^>]*)>", rb"\1\2", raw)


def packed(raw: Sequence[bytes], container: str) -> bytes:
    return b"".join(map(zstandard.compress, raw)) if container == "zstd" else contained([*raw], container)


def joined(path: Path, size: int = 2**20, url: str = "http://site.test/900") -> tuple[bytes, str | None]:
    """The block and mark of the record at `url`, which reads alike at its locator."""
    records = [event for event in read_all(path, size) if isinstance(event, RawRecord)]
    (found,) = [record for record in records if record.url == url and record.type != "continuation"]
    with RecordReader(str(path)) as reader:
        for record in (found, records[0], found):
            again = reader.read(record.offset, record.length, record.member_record)
            assert (again.block, again.truncated) == (record.block, record.truncated)
    return found.block, found.truncated


OTHERS = make_records(6)
A, B, C = cut(PAGE, 3)
D, E, F = cut(PAGE * 2, 3, of=901)
CASES: dict[str, tuple[list[bytes], bytes, str | None]] = {
    "one after another": ([A, B, C], PAGE, None),
    "two": (cut(PAGE, 2), PAGE, None),
    "many": (cut(PAGE, 40), PAGE, None),
    "others between": ([OTHERS[0], A, OTHERS[1], B, OTHERS[2], C, OTHERS[3]], PAGE, None),
    "out of order": ([A, C, OTHERS[0], B], PAGE, None),
    "two records interleaved": ([A, D, B, E, C, F], PAGE, None),
    "repeated": ([A, B, B, C], PAGE, None),
    "the header alone first": ([segment(1, PAGE[:60]), segment(2, PAGE[60:], total=len(PAGE))], PAGE, None),
    "nothing in the last": ([*cut(PAGE, 3, total=None), segment(4, b"", total=len(PAGE))], PAGE, None),
    "ids without brackets": ([A, bare(B), bare(C)], PAGE, None),
    "only the first": ([A, OTHERS[0]], PAGE[: -(-len(PAGE) // 3)], "segment"),
    "the middle is missing": ([A, OTHERS[0], C], PAGE[: -(-len(PAGE) // 3)], "segment"),
    "the last is missing": ([A, B, OTHERS[0]], PAGE[: 2 * -(-len(PAGE) // 3)], "segment"),
    "the rest comes before": ([B, C, A], PAGE[: -(-len(PAGE) // 3)], "segment"),
    "no total": (cut(PAGE, 2, total=None), PAGE, "segment"),
    "a wrong total": (cut(PAGE, 2, total=7), PAGE, "segment"),
    "all in one": ([segment(1, PAGE, total=len(PAGE))], PAGE, None),
}  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("case", CASES)
def test_segments(tmp_path: Path, case: str, container: str) -> None:
    raw, block, truncated = CASES[case]
    path = written(tmp_path, packed([OTHERS[4], *raw, OTHERS[5]], container))
    assert joined(path) == (block, truncated)
    if container != "stream":
        assert joined(path, size=700) == (block, truncated), "the rest is in another split"


def test_a_resource_is_joined_and_a_video_is_not(tmp_path: Path) -> None:
    text = b"<html><body>" + b"words " * 100
    first, last = cut(text, 2)
    first = first.replace(b"application/http; msgtype=response", b"text/html").replace(b": response", b": resource")
    assert joined(written(tmp_path, first + last)) == (text, None)
    video = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n" + bytes(500)
    path = written(tmp_path, b"".join(cut(video, 2)))
    assert next(len(event.block) for event in read_all(path) if isinstance(event, RawRecord)) < len(video)


def test_what_is_far_away_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEARCH_BYTES", 20_000)
    near, far = make_records(5), make_records(60)
    assert joined(written(tmp_path, b"".join(map(gzip.compress, [A, *near, B, C])))) == (PAGE, None)
    assert joined(written(tmp_path, b"".join(map(gzip.compress, [A, *far, B, C]))))[1] == "segment"
    mixed = [OTHERS[0], *cut(PAGE, 3, of=901), *far, A, *near, B, C]
    assert joined(written(tmp_path, b"".join(map(gzip.compress, mixed)))) == (PAGE, None)


def test_a_joined_record_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "BLOCK_BYTES", 1000)
    assert joined(written(tmp_path, A + B + C)) == (PAGE[:1000], "length")


def test_the_mark_of_the_last_segment_is_kept(tmp_path: Path) -> None:
    last = C.replace(b"WARC-Segment-Number", b"WARC-Truncated: time\r\nWARC-Segment-Number")
    assert joined(written(tmp_path, A + B + last)) == (PAGE, "time")


def test_a_record_of_one_segment_is_read_as_it_is(tmp_path: Path) -> None:
    assert joined(written(tmp_path, warc_record(900, PAGE))) == (PAGE, None)
