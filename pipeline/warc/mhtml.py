"""The page in a web archive of one page (MHTML, RFC 2557): the part of a `multipart/related` message that is HTML.

Browsers save such files (`.mht`, `.mhtml`), and sites serve them. Pictures and styles are the other parts.
"""

import binascii
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.warc.fields import first_values, read_fields

TYPES: Final = frozenset({"multipart/related", "message/rfc822", "application/x-mimearchive"})
# The root stands first; what follows so many parts is not searched.
_MOST_PARTS: Final = 64
_BOUNDARY = re.compile(r"boundary\s{0,8}=\s{0,8}(?:\"([^\"]{1,200})\"|([^\s;\",]{1,200}))", re.IGNORECASE)
_START = re.compile(r"start\s{0,8}=\s{0,8}[\"']?(<[^>]{1,300}>)", re.IGNORECASE)
_HTML: Final = ("text/html", "application/xhtml+xml")
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


class RootPart(NamedTuple):
    """The page: its Content-Type as it stands, and its bytes, transfer encoding decoded."""

    content_type: str
    body: bytes


def root_part(content_type: str, body: bytes) -> RootPart | None:
    """The page in a body of this Content-Type; None if there is none. Linear; never raises."""
    start = _START.search(content_type)
    boundary = _BOUNDARY.search(content_type)
    if boundary is None or body.find(b"--" + _value(boundary)) < 0:  # the message has a header of its own
        own = first_values(read_fields(body[: 1 << 16], 0, (b"--",)).pairs).get("content-type", "")
        start, boundary = _START.search(own), _BOUNDARY.search(own)
        if boundary is None or not own.lower().startswith("multipart/related"):
            return None  # a letter, perhaps
    pages: list[tuple[dict[str, str], bytes]] = []
    for part in _parts(body, b"--" + _value(boundary)):
        fields = read_fields(part[: 1 << 16], 0, (b"<",))
        values = first_values(fields.pairs)
        if values.get("content-type", "").partition(";")[0].strip().lower() in _HTML:
            pages.append((values, part[fields.end :]))
            if start is None or values.get("content-id", "") == start[1]:
                return _decoded(*pages[-1])
    return _decoded(*pages[0]) if pages else None


def _value(boundary: re.Match[str]) -> bytes:
    return (boundary[1] or boundary[2]).encode("utf-8", "replace")


def _parts(body: bytes, line: bytes) -> Iterator[bytes]:
    """The parts between the lines of a boundary; the last may lack its end."""
    at = 0 if body.startswith(line) else body.find(b"\n" + line) + 1
    if at == 0 and not body.startswith(line):
        return
    for _ in range(_MOST_PARTS):
        begin = body.find(b"\n", at + len(line)) + 1
        if not begin or body.startswith(b"--", at + len(line)):
            return
        end = body.find(b"\n" + line, begin - 1)
        yield body[begin : end if end >= 0 else len(body)].removesuffix(b"\r")
        if end < 0:
            return
        at = end + 1


def _decoded(values: dict[str, str], body: bytes) -> RootPart:
    coding = values.get("content-transfer-encoding", "").strip().lower()
    if coding == "quoted-printable":
        body = binascii.a2b_qp(body)
    elif coding == "base64":
        digits = _NO_BASE64.sub(b"", body.partition(b"=")[0])
        body = binascii.a2b_base64(digits[: len(digits) - (len(digits) % 4 == 1)] + b"==")
    return RootPart(values.get("content-type", ""), body)
