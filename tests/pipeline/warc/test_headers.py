"""Headers of WARC and ARC records in the odd forms found in archives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.dates import normalise_date
from pipeline.warc.arc import find_arc_header, parse_arc_header
from pipeline.warc.walk import Buffer, walk
from pipeline.warc.warc import clean_url, parse_warc_header


@pytest.mark.parametrize(
    ("given_date", "expected"),
    [
        ("2020-05-25T10:10:10Z", "2020-05-25T10:10:10Z"),
        (" 2014-02-10T00:00:01.000000002Z ", "2014-02-10T00:00:01Z"),
        ("2014-02-10 00:00:01", "2014-02-10T00:00:01Z"),
        ("2014-02-10T23:30:00-0100", "2014-02-11T00:30:00Z"),
        ("2014-02-10T00:30:00+01:00", "2014-02-09T23:30:00Z"),
        ("2019-08-15T01:02", "2019-08-15T01:02:00Z"),
        ("2014-01", "2014-01-01T00:00:00Z"),
        ("2014", "2014-01-01T00:00:00Z"),
        ("20080430204825", "2008-04-30T20:48:25Z"),
        ("200804302048", "2008-04-30T20:48:00Z"),
        ("20080430", "2008-04-30T00:00:00Z"),
        ("20080430204825123", "2008-04-30T20:48:25Z"),
        ("2009-03-67T15:35:34-0700", "2009-03-08T22:35:34Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("1700000000", "2023-11-14T22:13:20Z"),
        ("1611231512.25", "2021-01-21T12:18:32Z"),
        ("1611231512345", "2021-01-21T12:18:32Z"),
        ("1999123112", "1999-12-31T12:00:00Z"),
        ("blue monday", None),
        ("2014-13-01T00:00:00Z", None),
        ("2014-02-30T00:00:00Z", None),
        ("0000-01-01", None),
        ("9999-12-31T23:59:59-0100", None),
        ("-", None),
        ("", None),
        (None, None),
    ],
)
def test_dates(given_date: str | None, expected: str | None) -> None:
    assert normalise_date(given_date) == expected


@settings(max_examples=50)
@given(st.text(alphabet="0123456789-:TZ+. ", max_size=30))
def test_any_date_is_one_form_or_none(text: str) -> None:
    found = normalise_date(text)
    assert found is None or (len(found) == 20 and normalise_date(found) == found)


def test_a_warc_header_with_everything_odd() -> None:
    header = parse_warc_header(
        b"WARC/0.18 \nwarc-type: Response\nWARC-Target-URI: < http://a.test/x y >\n"
        b"WARC-Date: 2009-03-67T15:35:34-0700\n"
        b"Content-Length: -1\nContent-Length: 12\nX-Raw: \xff\xfe\nX-Folded: a\n\tb\nWARC-Record-ID: <urn:uuid:1>\n"
        b"no field\nWARC-Truncated: time\nWARC-Payload-Digest: sha1:X\n\nblock"
    )
    assert header is not None
    assert (header.type, header.url, header.length) == ("response", "http://a.test/x%20y", 12)
    assert (header.date, header.record_id) == ("2009-03-08T22:35:34Z", "<urn:uuid:1>")
    assert (header.truncated, header.payload_digest) == ("time", "sha1:X")
    assert ("X-Raw", "\u00ff\u00fe") in header.fields
    assert ("X-Folded", "a b") in header.fields


@pytest.mark.parametrize("follows", [b"HTTP/1.1 200 OK\r\n\r\nx", b"<html>x"])
def test_a_missing_blank_line_before_the_block(follows: bytes) -> None:
    head = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n" % len(follows)
    (piece,) = walk(Buffer(head + follows + b"\r\n\r\n"))
    assert (piece.block_start, piece.block_end) == (len(head), len(head) + len(follows))


def test_missing_blank_lines_between_records() -> None:
    record = b"WARC/1.1\r\nWARC-Type: metadata\r\nContent-Length: 5\r\n\r\nwords"
    assert [piece.start for piece in walk(Buffer(record * 3))] == [0, len(record), 2 * len(record)]


def test_a_header_cut_into_by_the_next_record() -> None:
    record = b"WARC/1.1\r\nWARC-Type: metadata\r\nWARC-Target-URI: http://b/\r\nContent-Length: 5\r\n\r\nwords\r\n\r\n"
    for cut in range(25, len(record) - 13):
        pieces = list(walk(Buffer(record.replace(b"http://b/", b"http://a/")[:cut] + record)))
        urls = [piece.header.url for piece in pieces if piece.header is not None]
        assert urls[-1] == "http://b/", cut
        assert pieces[-1].start == cut
    named = record.replace(b"Content-Length", b"Format: WARC/1.0\r\nContent-Length")
    assert [piece.end for piece in walk(Buffer(named))] == [len(named)]


def test_urls() -> None:
    assert clean_url("<http://a/>") == "http://a/"
    assert clean_url("<>") is None
    assert clean_url(None) is None


@pytest.mark.parametrize(
    ("line", "url", "length", "fields"),
    [
        (b"http://a/ 1.2.3.4 20080430204825 text/html 12\n", "http://a/", 12, 5),
        (b"http://a/x y 1.2.3.4 20080430204825 text/html 12\r\n", "http://a/x%20y", 12, 5),
        (b"http://a/ 1.2.3.4 20080430204825 text/html; charset=x 12\n", "http://a/", 12, 5),
        (b"http://a/ 1.2.3.4 20080430204825 text/html 200 - - 12345678 x.arc.gz 12\n", "http://a/", 12, 10),
        (b"http://a/ 1.2.3.4 20080430204825 text/html -5\n", "http://a/", None, 5),
        (b"dns:a.test 1.2.3.4 20080430204825 text/dns 56\n", "dns:a.test", 56, 5),
        (b"filedesc:// - - - 76\r\n", "filedesc://", 76, 5),
        (b"filedesc://x a.b.c.d blue_monday gif\\image one\r\n", "filedesc://x", None, 5),
    ],
)
def test_arc_lines(line: bytes, url: str, length: int | None, fields: int) -> None:
    header = parse_arc_header(line + b"block")
    assert header is not None
    assert (header.url, header.length, header.size, len(header.fields)) == (url, length, len(line), fields)
    assert header.type == ("warcinfo" if url.startswith("filedesc") else "response")


def test_lines_that_are_not_arc() -> None:
    for line in (b"http://a/ is a page\n", b"Content-Type: text/html 1 2 3\n", b"http://a/ 1.2.3.4 20080430204825 x 1"):
        assert parse_arc_header(line) is None


def test_an_arc_line_is_found_behind_junk_without_a_newline() -> None:
    line = b"http://a/?u=http://b/ 1.2.3.4 20080430204825 text/html 12\n"
    junk = b"some http words\n\x00\x01junk"
    assert find_arc_header(junk + line, 1000) == len(junk)
    assert find_arc_header(junk + line, 5) is None
