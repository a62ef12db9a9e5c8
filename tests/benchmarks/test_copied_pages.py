"""Archives of copies: each page so many times, at addresses of their own, with bodies that differ and read alike."""

import gzip
from pathlib import Path

from benchmarks.copied_pages import write_copies
from pipeline.extract.charset import decode
from pipeline.inputs.records import sha1_digest
from pipeline.warc.http import record_message
from pipeline.warc.reader import read_split
from pipeline.warc.records import RawRecord
from pipeline.warc.splits import whole

PAGE = "<html><body><p>Über alles</p></body></html>"


def _response(url: str, body: bytes, head: str) -> bytes:
    block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{head}\r\n".encode() + body
    fields = f"WARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-02-03T04:05:06Z\r\n"
    head = (
        f"WARC/1.0\r\n{fields}Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def test_each_page_so_many_times(tmp_path: Path) -> None:
    pages = [
        _response("http://a.example/x?y=1#z", gzip.compress(PAGE.encode()), "Content-Encoding: gzip\r\n"),
        _response("http://b.example/", ("\ufeff" + PAGE).encode("utf-16-le"), ""),
    ]
    (tmp_path / "in.warc").write_bytes(b"".join(pages))
    out = tmp_path / "out"
    out.mkdir()
    write_copies([tmp_path / "in.warc"], lambda name, page: 3 if name == "in.warc" else 0, out)

    found = [each for each in read_split(whole(str(out / "in.warc.gz"), "in")) if isinstance(each, RawRecord)]
    assert [each.url for each in found] == [
        *("http://a.example/x?y=1#z", "http://a.example/x?y=1&n=1#z", "http://a.example/x?y=1&n=2#z"),
        *("http://b.example/", "http://b.example/?n=1", "http://b.example/?n=2"),
    ]
    messages = [record_message(each) for each in found]
    assert len({message.body for message in messages}) == 6
    texts = [decode(message.body, message.charset_label).text for message in messages]
    assert texts == [PAGE, f"{PAGE}<!-- copy 1 -->", f"{PAGE}<!-- copy 2 -->"] * 2
    assert not any(message.problems for message in messages)
    assert {each.date for each in found} == {"2024-02-03T04:05:06Z"}
    assert [each.payload_digest for each in found] == [sha1_digest(message.body) for message in messages]


def test_a_page_may_have_more_copies_than_another(tmp_path: Path) -> None:
    pages = [_response(f"http://{host}.example/", f"<p>{host}</p>".encode(), "") for host in "ab"]
    (tmp_path / "in.warc").write_bytes(b"".join(pages))
    out = tmp_path / "out"
    out.mkdir()
    write_copies([tmp_path / "in.warc"], lambda _, page: 1 if page.offset == 0 else 2, out)
    found = [each.url for each in read_split(whole(str(out / "in.warc.gz"), "in")) if isinstance(each, RawRecord)]
    assert found == ["http://a.example/", "http://b.example/", "http://b.example/?n=1"]
