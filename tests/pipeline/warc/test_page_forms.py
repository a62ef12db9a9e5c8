"""Pages that are served as XML, or within a web archive of one page."""

import base64
import quopri
import time
from pathlib import Path

import pytest

from pipeline.extract.extractors.all_text import AllTextOptions, all_text
from pipeline.extract.xhtml import as_html
from pipeline.inputs.records import HEAD_BYTES, record_row
from pipeline.stages.bodies import BodyReader
from pipeline.warc.http import record_message
from pipeline.warc.mhtml import root_part
from pipeline.warc.pages import page_kind
from pipeline.warc.reader import read_split
from pipeline.warc.records import RawRecord
from pipeline.warc.splits import whole

PAGE = "<html><head><title>Mill</title></head><body><p>The mill = old, caf\u00e9.</p></body></html>"


def text(body: bytes) -> str:
    return all_text(body.decode(), "", AllTextOptions(title=False)).text


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("<head><script src='a.js'/><title/></head><p>one</p>", "one"),
        ("<SCRIPT src='a/>b.js' /><p>one</p>", "one"),
        ("<style/><textarea/><iframe src='x'/><noscript/><template/><p>one</p>", "one"),
        ("<p>a<div/>b</p>", "a\nb"),
        ("<p>a <![CDATA[<b> & c]]> d</p>", "a <b> & c d"),
        ("<p/>a<br/>b<hr/>", "a\nb"),
        ("<!-- <script/> --><?x y?><p>one</p><i/>", "one"),
        ("<script>//<![CDATA[\nif (a) b('<x/>');\n//]]></script><p>one</p><title/><p>two</p>", "one\ntwo"),
        ("<p>a <a id='x'/>b</p>", "a b"),
        ("<p>one</p><![CDATA[two", "one"),
        ("<p>one</p><title/><p>two <b", "one\ntwo"),
    ],
)
def test_xhtml_is_read_as_xml(body: str, wanted: str) -> None:
    found = as_html(body.encode())
    assert text(found) == wanted
    assert as_html(found) == found


def test_an_anchor_without_content_links_nothing() -> None:
    assert as_html(b"<a name='top'/>words") == b"<a name='top'></a>words"


@pytest.mark.parametrize(
    "body",
    [
        b"<p>a<br/>b<img src='x'/></p>",
        b"plain / words",
        "<title/>".encode("utf-16"),
        "<title/>漢".encode("iso-2022-jp"),
        b"",
    ],
)
def test_other_bodies_stay(body: bytes) -> None:
    assert as_html(body) == body


def multipart(
    page: bytes, coding: str, before: bytes = b"", first: bytes = b"", end: bytes = b"\r\n--b=1--\r\n"
) -> bytes:
    part = (
        b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: " + coding.encode() + b"\r\n\r\n" + page
    )
    image = b"\r\n--b=1\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8="
    return before + first + b"--b=1\r\n" + part + image + end


RELATED = 'multipart/related; type="text/html"; boundary="b=1"'
OWN = b'From: <Saved by Blink>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n\tboundary="b=1"\r\n\r\n\r\n'
PACKED = {
    "quoted-printable": quopri.encodestring(PAGE.encode()),
    "base64": base64.encodebytes(PAGE.encode()),
    "8bit": PAGE.encode(),
}


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize(
    ("kind", "before"), [(RELATED, b""), (RELATED, OWN), ("message/rfc822", OWN), ("multipart/related", OWN)]
)
def test_the_page_of_a_web_archive(coding: str, kind: str, before: bytes) -> None:
    found = root_part(kind, multipart(PACKED[coding], coding, before))
    assert found is not None and found.body.decode().strip() == PAGE and "utf-8" in found.content_type


def test_the_part_that_is_named_is_the_page() -> None:
    frame = b"--b=1\r\nContent-Type: text/html\r\nContent-ID: <frame>\r\n\r\n<p>advertisement\r\n"
    root = PACKED["8bit"].join((b"--b=1\r\nContent-Type: text/html\r\nContent-ID: <root>\r\n\r\n", b"\r\n--b=1--"))
    found = root_part(RELATED + "; start='<root>'", frame + root)
    assert found is not None and found.body.decode() == PAGE
    other = root_part(RELATED + "; start='<lost>'", frame + root)
    assert other is not None and b"advertisement" in other.body


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/related", b"words"),
        (RELATED, b""),
        (RELATED, b"--b=1"),
        (RELATED, b"--b=1--"),
        (RELATED, b"--b=1\r\nContent-Type: image/png\r\n\r\nx\r\n--b=1--"),
        ("multipart/related; boundary=", b"--\r\n"),
        ("message/rfc822", multipart(b"<p>a letter", "8bit", OWN.replace(b"related", b"alternative"))),
        ("multipart/related; boundary=\u00e9", b"\xff" * 100),
    ],
)
def test_other_messages_have_none(kind: str, body: bytes) -> None:
    assert root_part(kind, body) is None


def test_what_is_cut_is_read_as_far_as_it_goes() -> None:
    for coding, packed in PACKED.items():
        for cut in range(1, 40):
            found = root_part(RELATED, multipart(packed[:-cut], coding, end=b"")[: -len(b"aGVsbG8=")])
            assert found is not None and found.body.startswith(b"<html>")


def warc(path: Path, *responses: tuple[str, bytes]) -> Path:
    with path.open("wb") as file:
        for number, (kind, body) in enumerate(responses):
            block = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + body
            head = (
                "WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
                f"WARC-Target-URI: http://a.test/{number}\r\nContent-Length: {len(block)}\r\n\r\n"
            )
            file.write(head.encode() + block + b"\r\n\r\n")
    return path


def test_both_are_pages_of_an_archive(tmp_path: Path) -> None:
    xhtml = b"<html xmlns='http://www.w3.org/1999/xhtml'><head><script src='a'/></head><body>" + b"<p>words</p>" * 500
    packed = base64.encodebytes((PAGE + "<p>words</p>" * 600).encode())
    path = warc(
        tmp_path / "a.warc",
        ("application/xhtml+xml", xhtml),
        ("text/html", xhtml),
        (RELATED, multipart(packed, "base64", OWN)),
        ("message/rfc822", b"Subject: a letter\r\n\r\nwords"),
    )
    rows, kinds = [], []
    split = whole(str(path), path.name)
    for record in read_split(split):
        assert isinstance(record, RawRecord)
        message = record_message(record, HEAD_BYTES)
        kinds.append(page_kind(record, message))
        rows.append(record_row(split, record, message, kinds[-1], ""))
    assert kinds == ["html", "html", "html", "media/other"]
    reader = BodyReader({path.name: str(path)})
    found = [text(reader.read(row)).count("words") for row in rows[:3]]
    reader.close()
    assert found == [500, 0, 600]
    assert (rows[2]["media_type"], rows[2]["charset_header"]) == ("text/html", "utf-8")


@pytest.mark.parametrize(
    "body",
    [
        b"<title/>" * 200_000,
        b"<![CDATA[" * 200_000,
        b"<title/>" + b"<!--" * 300_000,
        b"<title/>" + b"<a x='" * 200_000,
        b"<script>" * 200_000 + b"<title/>",
        b"<a" + b"/" * 1_000_000,
        b"--b=1\r\n" * 200_000,
        b"--b=1\r\nA: b\r\n\r\n" * 100_000,
    ],
)
def test_time_is_linear(body: bytes) -> None:
    started = time.process_time()
    as_html(body)
    root_part(RELATED, body)
    assert time.process_time() - started < 3
