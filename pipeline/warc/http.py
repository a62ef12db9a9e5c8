"""Parses the HTTP message in a record's block: status, headers and the decoded body.

Crawlers often store bodies already dechunked or decompressed under the headers as they were sent. So the bytes decide,
not the headers: a declared coding that the bytes do not confirm is not decoded. What was decoded before an error is
kept. Each finding is a string in `problems`.
"""

import re
from dataclasses import dataclass, field

from pipeline.warc.codings import NOT_APPLIED, TOO_LARGE, UNCLAIMED, dechunk, decode_body, shows_compression
from pipeline.warc.fields import read_fields
from pipeline.warc.records import BLOCK_BYTES, RawRecord

# Values of `HttpMessage.problems`, with those of codings.py.
NO_HEADER = "http/no-header"  # HTTP/0.9: the block is the body
NO_STATUS = "http/no-status"  # header fields without a status line
BAD_FIELD = "http/bad-field"  # lines in the header that are not fields, or no blank line after it
UNENDED = "http/unended-header"  # the block ends inside the header

_STATUS = re.compile(rb"\s{0,8}(?:HTTP|ICY)/?[\d.]{0,8}[ \t]{1,8}(\d{3})(?!\d)[^\r\n]{0,8192}(?:\r?\n|\Z)")
_FIELD = re.compile(rb"[!#-'*+.0-9A-Z^_`a-z|~-]{1,128}[ \t]{0,8}:[^\r\n]{0,8192}\r?\n")
_CHARSET = re.compile(r"charset\s{0,8}=\s{0,8}[\"']?\s{0,8}([^\s;\"',]{1,64})", re.IGNORECASE)
_STOPS = (b"<",)
_INTERIM = 4  # interim responses (100 Continue) that may precede the final one


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """`status`: None without a status line. `headers`: unchanged. `body`: transfer and content codings decoded."""

    status: int | None
    headers: list[tuple[str, str]]
    body: bytes
    problems: tuple[str, ...] = field(default=())

    def header(self, name: str) -> str | None:
        """Returns the first non-empty value of the header `name`, in any case."""
        name = name.lower()
        return next((value for key, value in self.headers if value and key.lower() == name), None)

    def header_list(self, name: str) -> list[str]:
        """Returns all comma-separated values of the headers `name`, in order, lower case."""
        name = name.lower()
        values = (value for key, value in self.headers if key.lower() == name)
        return [token.strip().lower() for value in values for token in value.split(",") if token.strip()]

    @property
    def media_type(self) -> str:
        """Content-Type without parameters, lower case; empty if missing."""
        return (self.header("content-type") or "").partition(";")[0].partition(",")[0].strip().lower()

    @property
    def charset_label(self) -> str | None:
        """The charset declared by Content-Type, unchanged."""
        found = _CHARSET.search(self.header("content-type") or "")
        return found[1] if found else None


def record_message(record: RawRecord, max_body: int = BLOCK_BYTES) -> HttpMessage:
    """Returns the message of any record: HTTP, or else the block as a body of the record's own content type."""
    media = (record.content_type or "").lower()
    is_http = media.startswith("application/http") or record.block[:5] == b"HTTP/"
    if is_http or (record.format == "arc" and record.type == "response" and not media.startswith("text/dns")):
        message = parse_http(record.block, max_body)
        if record.format == "arc" and message.header("content-type") is None and record.content_type:
            message.headers.append(("Content-Type", record.content_type))
        return message
    headers = [("Content-Type", record.content_type)] if record.content_type else []
    problems = (TOO_LARGE,) if len(record.block) > max_body else ()
    return HttpMessage(None, headers, record.block[:max_body], problems)


def parse_http(block: bytes, max_body: int = BLOCK_BYTES) -> HttpMessage:
    """Parses a response. Never raises; the body has at most `max_body` bytes, all decoding included."""
    status, headers, start, problems = _head(block)
    message = HttpMessage(status, headers, b"")
    body = block[start:]
    transfer = message.header_list("transfer-encoding")
    if "chunked" in transfer:
        body, problem = dechunk(body)
        problems += [problem] if problem else []
    codings = message.header_list("content-encoding") + [coding for coding in transfer if coding != "chunked"]
    media = message.media_type
    compressible = not media or media.startswith("text/") or "html" in media
    if not codings and compressible and shows_compression(body):
        codings = ["gzip"]
        problems.append(UNCLAIMED)
    body, found = decode_body(body, codings, max_body)
    if compressible and codings and NOT_APPLIED not in found and shows_compression(body):
        body, again = decode_body(body, ["gzip"], max_body)  # compressed by the server and again in transit
        found += [UNCLAIMED, *again]
    return HttpMessage(status, headers, body, tuple(dict.fromkeys(problems + found)))


def _head(block: bytes) -> tuple[int | None, list[tuple[str, str]], int, list[str]]:
    """Returns status, headers, the position of the body, problems."""
    status: int | None = None
    position = 0
    for _ in range(_INTERIM):
        found = _STATUS.match(block, position)
        if not found:
            break
        status = int(found[1])
        fields = read_fields(block, found.end(), _STOPS)
        position = fields.end
        if status // 100 != 1:
            break
    if status is None:
        if not _FIELD.match(block):
            return None, [], 0, [NO_HEADER]
        fields = read_fields(block, 0, _STOPS)
    problems = [NO_STATUS] if status is None else []
    if not fields.clean:
        problems.append(BAD_FIELD)
    if not fields.complete:
        problems.append(UNENDED)
    return status, fields.pairs, fields.end, problems
