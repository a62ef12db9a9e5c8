"""HTTP messages from hostile blocks, and which records are pages."""

import gzip
import random
import zlib
from collections.abc import Callable
from functools import partial

import brotli
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.warc.http import HttpMessage, parse_http, record_message
from pipeline.warc.pages import PAGE_KINDS, SKIP_REASONS, UNREADABLE, is_page, page_kind
from pipeline.warc.records import RawRecord

HTML = b"<!DOCTYPE html><html><body>" + b"<p>some words of a page</p>" * 40 + b"</body></html>"
# Without the time of day: the same parameters, and so the same names of tests, in each process that collects them.
packed = partial(gzip.compress, mtime=0)
checked = zstandard.ZstdCompressor(write_checksum=True).compress
RAW_DEFLATE = zlib.compressobj(wbits=-15)
RAW = RAW_DEFLATE.compress(HTML) + RAW_DEFLATE.flush()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": packed,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
CHUNKED = b"100\r\n%s\r\n%x;ext=1\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (HTML[:256], len(HTML) - 256, HTML[256:])


def message(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    lines = [status, "Content-Type: text/html; charset=utf-8", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("head", "status", "problems"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1 200\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1 200 OK\nA: b\n\n", 200, ()),
        (b"HTTP/2 404 \r\nA: b\r\n\r\n", 404, ()),
        (b"HTTP 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"ICY 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"\r\nHTTP/1.0 301 Moved\r\nA: b\r\n\r\n", 301, ()),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"http/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"Http/1.0  404\tNot Found\r\nA: b\r\n\r\n", 404, ()),
        (b"HTTP/1.1\t200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP / 1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1,1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.x 200OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1: 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/-1.-1 500 x\r\nA: b\r\n\r\n", 500, ()),
        (b'HTTP/1.1 "200" OK\r\nA: b\r\n\r\n', 200, ()),
        (b"HTTP/1.1\xa0200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1 200 OK\r\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1 200 OK\rA: b\r\r", 200, ()),
        (b"http/1.0 404 x\rA: b\r\r", 404, ()),
        (b"HTTPS/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"h2 200\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/2+quic/46 200\r\nA: b\r\n\r\n", 200, ()),
        (b"icy 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"\xef\xbb\xbfHTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1 OK\r\nA: b\r\n\r\n", None, ("http/no-status",)),
        (b"HTTP/1.1 2000 OK\r\nA: b\r\n\r\n", 2000, ()),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 9 + b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1 103 Early\r\nContent-Type: x\r\nLink: y\r\n\r\nHTTP/2 200\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1 100 Continue\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.0 200 Connection established\r\n\r\nHTTP/1.1 404 x\r\nA: b\r\n\r\n", 404, ()),
        (b"http/1.1 200 connection Established\r\nContent-Type: x\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1 200 OK\r\nProxy-Agent: x\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\nHTTP/1.0 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, ()),
        (b"A: b\r\n\r\n", None, ("http/no-status",)),
        (b"HTTP/1.1 200 OK\r\nA: b\r\nnot a field\r\n\r\n", 200, ("http/bad-field",)),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n", 200, ("http/bad-field",)),
    ],
)
def test_heads(head: bytes, status: int | None, problems: tuple[str, ...]) -> None:
    parsed = parse_http(head + HTML)
    assert (parsed.status, parsed.headers, parsed.body, parsed.problems) == (status, [("A", "b")], HTML, problems)


def test_a_page_may_begin_like_a_response() -> None:
    text = b"HTTP/1.1 404 Not Found\r\n\r\nis what a server says."
    for header in (b"Content-Type: text/plain", b"Content-Length: 47", b"Transfer-Encoding: identity"):
        parsed = parse_http(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" + text)
        assert (parsed.status, parsed.body) == (200, text)


@pytest.mark.parametrize(("told", "status"), [("404 Not Found", 404), ("200", 200), ("OK", None)])
def test_the_status_of_a_script(told: str, status: int | None) -> None:
    assert parse_http(b"Status: " + told.encode() + b"\r\n\r\n" + HTML).status == status


@pytest.mark.parametrize(
    ("status", "ranges", "partial"),
    [
        (206, "bytes 0-99/200", True),
        (206, "bytes 0-199/200", False),
        (206, "bytes 100-199/200", True),
        (206, "bytes 0-199/*", True),
        (206, "Bytes=0-199/200", False),
        (206, "nonsense", True),
        (206, "", True),
        (200, "bytes 0-99/200", False),
        (200, "", False),
    ],
)
def test_partial_answers(status: int, ranges: str, partial: bool) -> None:
    assert parse_http(message(HTML, f"Content-Range: {ranges}", status=f"HTTP/1.1 {status} x")).is_partial == partial


def test_no_head_at_all() -> None:
    assert parse_http(HTML) == HttpMessage(None, [], HTML, ("http/no-header",))
    assert parse_http(b"") == HttpMessage(None, [], b"", ("http/no-header",))
    assert parse_http(b"HTTP/1.1 200 OK\r\nA: b").problems == ("http/unended-header",)


def test_fields() -> None:
    parsed = parse_http(
        b"HTTP/1.1 200 OK\r\nX-Name: caf\xc3\xa9\r\nx-name: caf\xe9\r\nFolded: a\r\n  b\r\n"
        b'content-TYPE: Text/HTML ;charset = "GB2312"; x=y\r\n\r\n'
    )
    assert parsed.headers[:3] == [("X-Name", "caf\u00e9"), ("x-name", "caf\u00e9"), ("Folded", "a b")]
    assert parsed.header("CONTENT-type") == 'Text/HTML ;charset = "GB2312"; x=y'
    assert (parsed.media_type, parsed.charset_label) == ("text/html", "GB2312")
    assert parse_http(b"HTTP/1.1 200 OK\r\n\r\n").charset_label is None
    twice = parse_http(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: text/html;charset=big5\r\n\r\n")
    assert (twice.media_type, twice.charset_label) == ("text/html", "big5")


@pytest.mark.parametrize(
    ("coding", "body", "problems"),
    [
        ("gzip", packed(HTML), ()),
        ("x-gzip", packed(HTML[:300]) + packed(HTML[300:]), ()),
        ("deflate", zlib.compress(HTML), ()),
        ("deflate", RAW, ()),
        ("deflate", packed(HTML), ()),
        ("br", brotli.compress(HTML), ()),
        ("zstd", zstandard.compress(HTML), ()),
        ("identity", HTML, ()),
        ("gzip, br", brotli.compress(packed(HTML)), ()),
        ("gzip", HTML, ("coding/not-applied",)),
        ("deflate", HTML, ("coding/not-applied",)),
        ("br", HTML, ("coding/not-applied",)),
        ("zstd", HTML, ("coding/not-applied",)),
        ("compress", HTML, ("coding/unknown",)),
        ("gzip", packed(packed(HTML)), ("coding/unclaimed",)),
        ("gzip", packed(HTML)[:-8] + b"wrongsum", ("coding/checksum",)),
        ("gzip", packed(HTML[:9])[:-1] + b"\1" + packed(HTML[9:]), ("coding/checksum",)),
        ("gzip", packed(HTML)[:-8], ()),
        ("GZIP", packed(HTML), ()),
        ('"gzip"', packed(HTML), ()),
        ("gzip;q=1.0", packed(HTML), ()),
        ("gzip", packed(HTML) + b"\r\n trailing junk", ()),
        ("gzip", packed(HTML) + bytes(500), ()),
        ("gzip", zlib.compress(HTML), ()),
        ("gzip", RAW, ()),
        ("gzip", brotli.compress(HTML), ()),
        ("br", packed(HTML), ()),
        ("zstd", packed(HTML), ()),
        ("gzip", zstandard.compress(HTML), ()),
        ("zstd", zstandard.compress(HTML[:300]) + zstandard.compress(HTML[300:]), ()),
        ("zstd", zstandard.compress(HTML) + b"trailing junk", ()),
        ("zstd", b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstandard.compress(HTML), ()),
        ("deflate", zlib.compress(HTML)[:-4], ()),
        ("x-deflate", RAW + b"\r\n", ()),
        ("gzip, gzip", packed(packed(HTML)), ()),
        ("deflate, gzip, br, zstd", zstandard.compress(brotli.compress(packed(zlib.compress(HTML)))), ()),
        ("gzip, br", packed(HTML), ("coding/not-applied",)),
        ("none", HTML, ()),
        ("UTF-8", HTML, ()),
        ("gzip", b"\r\n" + packed(HTML), ()),
        ("gzip", b"\xef\xbb\xbf   " + packed(HTML), ()),
        ("br", b"\n" + brotli.compress(HTML), ()),
        ("deflate", b"\r\n" + zlib.compress(HTML), ()),
        ("zstd", b"\r\n" + zstandard.compress(HTML), ()),
        ("br", brotli.compress(HTML) + b"\r\n0\r\n", ()),
        ("br", brotli.compress(HTML) + bytes(20_000), ()),
        ("br", brotli.compress(HTML[:300]) + brotli.compress(HTML[300:]), ()),
        ("brotli", brotli.compress(HTML), ()),
        ("zstandard", zstandard.compress(HTML), ()),
        ("zlib", zlib.compress(HTML), ()),
        ("gzip br", brotli.compress(packed(HTML)), ()),
        ("gzip/deflate", packed(HTML), ("coding/not-applied",)),
        ("gzip; a b", packed(HTML), ()),
        ("aws-chunked, gzip", packed(HTML), ()),
        ("deflate", zlib.compress(HTML)[:-4] + b"abcd", ("coding/checksum",)),
        ("zstd", checked(HTML)[:-4] + b"abcd", ("coding/checksum",)),
        ("zstd", zstandard.compress(HTML[:9]) + checked(HTML[9:])[:-4] + b"abcd", ("coding/checksum",)),
        ("gzip", packed(packed(packed(HTML))), ("coding/unclaimed",)),
        ("gzip", packed(HTML) + packed(HTML)[:7], ("coding/broken",)),
        ("gzip", packed(HTML) + b"\x1f", ("coding/broken",)),
    ],
)
def test_codings(coding: str, body: bytes, problems: tuple[str, ...]) -> None:
    parsed = parse_http(message(body, f"Content-Encoding: {coding}"))
    assert (parsed.body, parsed.problems) == (HTML, problems)


@pytest.mark.parametrize("body", [packed(HTML), zlib.compress(HTML), zlib.compress(HTML, 1), zstandard.compress(HTML)])
def test_a_coding_that_is_not_declared(body: bytes) -> None:
    parsed = parse_http(message(body))
    assert (parsed.body, parsed.problems) == (HTML, ("coding/unclaimed",))


@pytest.mark.parametrize("size", range(1, 10))
def test_the_beginning_of_a_gzip_header_is_no_text(size: int) -> None:
    parsed = parse_http(message(packed(HTML)[:size], "Content-Encoding: gzip"))
    assert (parsed.body, parsed.problems) == (b"", ("coding/broken",))


def test_text_that_begins_like_zlib_is_text() -> None:
    text = b"x^2 + y^2 = z^2, and more of it"
    assert parse_http(message(text)).body == text


def test_archives_are_not_unpacked() -> None:
    archive = packed(HTML)
    assert parse_http(b"HTTP/1.1 200 OK\r\nContent-Type: application/gzip\r\n\r\n" + archive).body == archive


@pytest.mark.parametrize("coding", [*COMPRESS, "raw deflate"])
@pytest.mark.parametrize("size", [0, 1, 2**14 - 1, 2**14, 2**14 + 1, 32_752, 32_753, 2**17, 2**20 + 7, 2**22])
@pytest.mark.parametrize("compressible", [True, False])
def test_bodies_of_any_size_come_out_whole(coding: str, size: int, compressible: bool) -> None:
    text = (HTML * (size // len(HTML) + 1))[:size] if compressible else random.Random(size).randbytes(size)
    if coding == "raw deflate":
        deflater = zlib.compressobj(wbits=-15)
        body = deflater.compress(text) + deflater.flush()
    else:
        body = COMPRESS[coding](text) if coding != "br" else brotli.compress(text, quality=5)
    parsed = parse_http(message(body, f"Content-Encoding: {coding.removeprefix('raw ')}"))
    assert (len(parsed.body), parsed.problems) == (size, ())
    assert parsed.body == text


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_the_decoded_part_of_a_broken_body_is_kept(coding: str) -> None:
    text = b"".join(b"%x " % (i * 7919 % 65536) for i in range(20000))
    body = COMPRESS[coding](text)
    parsed = parse_http(message(body[: len(body) // 2], f"Content-Encoding: {coding}"))
    assert parsed.problems == ("coding/broken",)
    assert parsed.cut == "coding/broken"
    if coding != "zstd":  # a frame decodes by blocks of 128 KiB
        assert len(parsed.body) > len(text) // 4
    assert text.startswith(parsed.body)


@pytest.mark.parametrize(
    ("coding", "body", "problems"),
    [
        ("chunked", CHUNKED, ()),
        ("chunked", CHUNKED.replace(b"\r\n", b"\n"), ()),
        ("chunked", HTML, ("http/not-chunked",)),
        ("chunked", CHUNKED[: -len(b"0\r\nTrailer: x\r\n\r\n")], ("http/cut-chunk",)),
        ("gzip, chunked", CHUNKED, ("coding/not-applied",)),
        ("Chunked", CHUNKED, ()),
        ("chunked, chunked", CHUNKED, ()),
        ("chunked, chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(CHUNKED), CHUNKED), ()),
        ("chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(CHUNKED), CHUNKED), ("http/unclaimed-chunks",)),
        ("chunked", b"  0x%x  \r\n%s\r\n0\r\n\r\n" % (len(HTML), HTML), ()),
        ("chunked", b'%X;name="a value"\r\n%s\r\n0\r\n\r\n' % (len(HTML), HTML), ()),
        ("chunked", b"%040x\r\n%s\r\n0000\r\n\r\n" % (len(HTML), HTML), ()),
        ("chunked", b"%x\r\n%s0\r\n\r\n" % (len(HTML), HTML), ()),
        ("chunked", b"%x\r\n%s\r\n\r\n\r\n0\r\n" % (len(HTML), HTML), ()),
        ("chunked", b"%x\r\r\n%s\r\r\n0\r\n" % (len(HTML), HTML), ()),
        ("chunked", b"%x\r\n%s\r\n0\r\n\r\nGARBAGE" % (len(HTML), HTML), ()),
        ("chunked", b"\r\n" + CHUNKED, ()),
        ("chunked", b"\xef\xbb\xbf" + CHUNKED, ()),
        ("chunked;q=1", CHUNKED, ()),
        ("'chunked'", CHUNKED, ()),
        ("identity", CHUNKED, ("http/unclaimed-chunks",)),
        ("", CHUNKED, ("http/unclaimed-chunks",)),
        (
            "",
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed(HTML)), packed(HTML)),
            ("http/unclaimed-chunks", "coding/unclaimed"),
        ),
        ("chunked", b"%x\r\n%s" % (2**20, HTML), ("http/cut-chunk",)),
        ("chunked", b"%x\r\n%s" % (len(HTML) + 1, HTML), ("http/cut-chunk",)),
    ],
)
def test_chunks(coding: str, body: bytes, problems: tuple[str, ...]) -> None:
    parsed = parse_http(message(body, f"Transfer-Encoding: {coding}"))
    assert (parsed.body, parsed.problems) == (HTML, problems)


def test_a_wrong_chunk_size_loses_no_text() -> None:
    parsed = parse_http(message(CHUNKED.replace(b"100\r\n", b"0f0\r\n", 1), "Transfer-Encoding: chunked"))
    assert parsed.problems == ("http/bad-chunk",)
    assert parsed.body.startswith(HTML[:256])
    assert HTML[256:] in parsed.body


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*COMPRESS, "raw deflate", "gzip, br", "zstd, gzip", "chunked"]),
    st.integers(0, 30_000),
    st.floats(0, 1),
)
@example("chunked", 1390, 0.7380225235573069)  # in the middle of a chunk's size
def test_a_cut_body_is_whole_or_marked(coding: str, size: int, kept: float) -> None:
    text = b"<html>" + b"".join(b"%x " % (i * 7919**3 % 2**40) for i in range(size // 10))
    body = text
    for each in coding.split(", "):
        if each == "raw deflate":
            deflater = zlib.compressobj(wbits=-15)
            body = deflater.compress(body) + deflater.flush()
        elif each == "chunked":
            chunks = (body[start : start + 777] for start in range(0, len(body), 777))
            body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        else:
            body = COMPRESS[each](body)
    body = body[: 400 + int(kept * len(body))]  # of a few bytes nothing is known
    name = "Transfer" if coding == "chunked" else "Content"
    parsed = parse_http(message(body, f"{name}-Encoding: {coding.removeprefix('raw ')}"))
    assert parsed.body == text or (parsed.cut and text.startswith(parsed.body[:-1]))


def test_a_text_whose_first_line_looks_like_a_size_is_kept() -> None:
    text = b"2020\r\nwas the year."
    assert parse_http(message(text, "Transfer-Encoding: chunked")).body == text


@pytest.mark.parametrize("coding", [*COMPRESS])
def test_other_bytes_under_a_label_stay_as_they_are(coding: str) -> None:
    for seed in range(40):
        body = b"\x89PNG\r\n\x1a\n" + random.Random(seed).randbytes(3000)
        parsed = parse_http(message(body, f"Content-Encoding: {coding}"))
        assert parsed.body == body or "coding/broken" in parsed.problems


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_bombs_are_bounded(coding: str) -> None:
    zeros = bytes(20 * 2**20)
    parsed = parse_http(message(COMPRESS[coding](zeros), f"Content-Encoding: {coding}"), max_body=10_000)
    assert (len(parsed.body), parsed.problems) == (10_000, ("body/too-large",))
    exact = parse_http(message(COMPRESS[coding](HTML), f"Content-Encoding: {coding}"), max_body=len(HTML))
    assert (exact.body, exact.problems) == (HTML, ())


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([*(compress(HTML) for compress in COMPRESS.values()), RAW, CHUNKED]),
    st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, deflate", "br, br"]),
    st.sampled_from(["chunked", "gzip, chunked", "identity"]),
    st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=8)), max_size=3),
    st.integers(0, 3000),
)  # fmt: skip
def test_any_block_parses(
    body: bytes, coding: str, transfer: str, edits: list[tuple[int, bytes]], max_body: int
) -> None:
    block = message(body, f"Content-Encoding: {coding}", f"Transfer-Encoding: {transfer}")
    for at, junk in edits:
        block = block[:at] + junk + block[at:]
    parsed = parse_http(block, max_body)
    assert len(parsed.body) <= max_body
    for name, value in parsed.headers:
        (name + value).encode()


def record(block: bytes, kind: str = "response", content_type: str | None = "application/http") -> RawRecord:
    size = len(block)
    return RawRecord(0, size, 0, size, "warc", kind, [], None, None, None, content_type, block, None, None)


def typed(content_type: str | None, body: bytes, status: str = "200 OK") -> bytes:
    line = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"HTTP/1.1 {status}\r\n{line}\r\n".encode() + body


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (record(typed("text/html", HTML)), "html"),
        (record(typed("application/xhtml+xml; charset=x", HTML)), "html"),
        (record(typed("TEXT/HTML", b"no tags at all")), "html"),
        (record(typed(None, b"\xef\xbb\xbf \n<!-- a --><?xml version='1.0'?>\n<HTML>")), "html"),
        (record(typed("text/plain", HTML)), "html"),
        (record(typed("application/octet-stream", HTML)), "html"),
        (record(typed("application/xml", b"<?xml version='1.0'?><html xmlns='x'>")), "html"),
        (record(typed("application/xml", b"<?xml version='1.0'?><urlset>")), "media/xml"),
        (record(HTML), "html"),
        (record(HTML, content_type="message/http"), "html"),
        (record(b"http/1.1 200 ok\r\n\r\n" + HTML, content_type="text/plain"), "html"),
        (record(typed("text/html", HTML, "206 Partial")), "html"),
        (record(b"\x00\x01\x02" * 40), "http/no-header"),
        (record(b"\x89PNG and no header"), "http/no-header"),
        (record(b"words without a header"), "http/no-header"),
        (record(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "http/no-header"),
        (record(b"A: b\r\n\r\nwords"), "http/no-status"),
        (record(b"HTTP/1.1 OK\r\nA: b\r\n\r\nwords"), "http/no-status"),
        (record(b"HTTP/1.1 OK\r\nContent-Type: text/html\r\n\r\nwords"), "html"),
        (record(b"HTTP/1.1 200 OK\r\nContent-Type: text/h"), "http/unended-header"),
        (record(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"), "body/empty"),
        (record(b"HTTP/1.1 304 Not Modified\r\nA: b"), "status/3xx"),
        (record(b"HTTP/1.1 100 Continue\r\n\r\n"), "status/1xx"),
        (record(b""), "http/no-header"),
        (record(b"\r\n\r\n"), "http/no-header"),
        (record(typed("'text/html'", HTML)), "html"),
        (record(typed('"text/html"; charset=utf-8', HTML)), "html"),
        (record(b"HTTP/1.1 2000 OK\r\nContent-Type: text/html\r\n\r\n" + HTML), "status/other"),
        (record(typed("html", b"words")), "html"),
        (record(typed("text/html", b" " * 5000 + HTML)), "html"),
        (record(typed("text/plain", b"words")), "media/text"),
        (record(typed("text/htm", HTML)), "html"),
        (record(typed("application/html", HTML)), "html"),
        (record(typed("texthtml", HTML)), "html"),
        (record(typed("*/*", HTML)), "html"),
        (record(typed("charset=utf-8", HTML)), "html"),
        (record(typed("text/x-server-parsed-html", HTML)), "html"),
        (record(typed("text/markdown", HTML)), "media/text"),
        (record(typed("text/x-unknown", b"words")), "media/text"),
        (record(typed("application/atom+xml", HTML)), "media/feed"),
        (record(typed(None, HTML.decode().encode("utf-16"))), "html"),
        (record(typed(None, HTML.decode().encode("utf-16-be"))), "html"),
        (record(typed(None, b" \r\n\xef\xbb\xbf" + HTML)), "html"),
        (record(typed(None, b"<CENTER>words")), "html"),
        (record(typed(None, b"<frameset cols=20,80>")), "html"),
        (record(typed(None, b"<h2>words</h2>")), "html"),
        (record(typed(None, b"<article><p>words")), "html"),
        (record(typed("text/xml", b"<article><p>words")), "media/xml"),
        (record(typed(None, b"<?xml version='1.0'?><article>")), "media/other"),
        (record(typed(None, b"\xff\xfe\x00\x01\x02")), "media/other"),
        (record(typed("image/png", b"\x89PNG")), "media/image"),
        (record(typed("text/html", b"%PDF-1.4 ...")), "media/pdf"),
        (record(typed("application/pdf", b"x")), "media/pdf"),
        (record(typed("application/vnd.ms-excel", b"x")), "media/office"),
        (record(typed("application/ld+json", b"{}")), "media/json"),
        (record(typed("application/x-shockwave-flash", b"x")), "media/other"),
        (record(typed("text/html", HTML, "404 Not Found")), "status/4xx"),
        (record(typed("text/html", HTML, "302 Found")), "status/3xx"),
        (record(typed("text/html", HTML, "503 x")), "status/5xx"),
        (record(typed("text/html", HTML, "999 x")), "status/other"),
        (record(typed("text/html", b"", "204 x")), "status/204"),
        (record(typed("text/html", b"\r\n")), "body/empty"),
        (record(HTML, "resource", "text/html"), "html"),
        (record(b"\x89PNG", "resource", "image/png"), "media/image"),
        (record(b"words of a page", "conversion", "text/plain"), "text"),
        (record(b"{}", "metadata", "application/json"), "type/metadata"),
        (record(typed("text/html", HTML), "revisit"), "type/revisit"),
        (record(b"x", "monkeys"), "type/unknown"),
        (record(b"20080430\nwww.a.test. 5 IN A 1.2.3.4", "response", "text/dns"), "media/dns"),
    ],
)
def test_page_kinds(raw: RawRecord, kind: str) -> None:
    found = page_kind(raw, record_message(raw))
    assert found == kind == page_kind(raw, record_message(raw, 4096))
    assert found in PAGE_KINDS + SKIP_REASONS + UNREADABLE
    assert is_page(raw) == (kind in PAGE_KINDS)


def test_a_body_of_very_many_empty_members() -> None:
    """Each is read in its place: to cut the body at each took time that grew with its square, hours for 64 MiB."""
    assert parse_http(message(packed(b"") * 50_000 + packed(HTML), "Content-Encoding: gzip")).body == HTML
