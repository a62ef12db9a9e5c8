"""HTTP messages from hostile blocks, and which records are pages."""

import gzip
import random
import zlib
from collections.abc import Callable
from functools import partial

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.warc.http import HttpMessage, parse_http, record_message
from pipeline.warc.pages import PAGE_KINDS, SKIP_REASONS, is_page, page_kind
from pipeline.warc.records import RawRecord

HTML = b"<!DOCTYPE html><html><body>" + b"<p>some words of a page</p>" * 40 + b"</body></html>"
# Without the time of day: the same parameters, and so the same names of tests, in each process that collects them.
packed = partial(gzip.compress, mtime=0)
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
        (b"A: b\r\n\r\n", None, ("http/no-status",)),
        (b"HTTP/1.1 200 OK\r\nA: b\r\nnot a field\r\n\r\n", 200, ("http/bad-field",)),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n", 200, ("http/bad-field",)),
    ],
)
def test_heads(head: bytes, status: int | None, problems: tuple[str, ...]) -> None:
    parsed = parse_http(head + HTML)
    assert (parsed.status, parsed.headers, parsed.body, parsed.problems) == (status, [("A", "b")], HTML, problems)


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
        ("gzip", packed(HTML)[:-8] + b"wrongsum", ()),
    ],
)
def test_codings(coding: str, body: bytes, problems: tuple[str, ...]) -> None:
    parsed = parse_http(message(body, f"Content-Encoding: {coding}"))
    assert (parsed.body, parsed.problems) == (HTML, problems)


def test_a_coding_that_is_not_declared() -> None:
    parsed = parse_http(message(packed(HTML)))
    assert (parsed.body, parsed.problems) == (HTML, ("coding/unclaimed",))
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
    if coding != "zstd":  # a frame decodes by blocks of 128 KiB
        assert parsed.problems == ("coding/broken",)
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
        (record(typed("html", b"words")), "html"),
        (record(typed("text/html", b" " * 5000 + HTML)), "html"),
        (record(typed("text/plain", b"words")), "media/text"),
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
    assert found == kind
    assert found in PAGE_KINDS + SKIP_REASONS
    assert is_page(raw) == (kind in PAGE_KINDS)


def test_a_body_of_very_many_empty_members() -> None:
    """Each is read in its place: to cut the body at each took time that grew with its square, hours for 64 MiB."""
    assert parse_http(message(packed(b"") * 50_000 + packed(HTML), "Content-Encoding: gzip")).body == HTML
