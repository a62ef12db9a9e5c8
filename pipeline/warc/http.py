"""Parses the HTTP message in a record's block: status, headers and the decoded body.

The message is the last response in the block: interim ones (100 Continue), and that of a proxy to CONNECT (200
Connection established), may precede it. The status line is read in every spelling that servers and crawlers write.
Crawlers often store bodies already dechunked or decompressed under the headers as they were sent. So the bytes decide,
not the headers: a declared coding that the bytes do not confirm is not decoded. What was decoded before an error is
kept. Each finding is a string in `problems`.
"""

import re
from dataclasses import dataclass, field, replace

from pipeline.warc import mhtml
from pipeline.warc.codings import (
    BAD_CHUNK,
    BROKEN,
    CHECKSUM,
    CUT_CHUNK,
    NOT_APPLIED,
    NOT_CHUNKED,
    TOO_LARGE,
    UNCLAIMED,
    dechunk,
    decode_body,
    shows_chunks,
    shows_compression,
    shows_zlib,
)
from pipeline.warc.fields import Fields, first_values, read_fields
from pipeline.warc.records import BLOCK_BYTES, RawRecord

# Values of `HttpMessage.problems`, with those of codings.py.
NO_HEADER = "http/no-header"  # HTTP/0.9: the block is the body
NO_STATUS = "http/no-status"  # header fields without a status line
BAD_FIELD = "http/bad-field"  # lines in the header that are not fields, or no blank line after it
UNENDED = "http/unended-header"  # the block ends inside the header
SHORT_BODY = "http/short-body"  # the body is shorter than its Content-Length, by more than a line end

# What stands where the grammar has `HTTP/1.1 200`: any case, no version or one that is no number, other spaces, quotes;
# `ICY` and `h2` of other protocols; the code alone, before a field.
_STATUS = re.compile(
    rb"(?:\xef\xbb\xbf)?\s{0,64}(?:"
    rb"(?i:(?:HTTPS?|ICY|SPDY)(?:[ \t]{0,8}/[ \t]{0,8}|(?=[\d \t\xa0]))[^\s:<\xa0]{0,32}|h[23])[ \t\xa0:]{1,16}[\"'+]?"
    rb"|(?=\d{3}[ \t][^\r\n]{0,128}\r?\n[A-Za-z-]{1,64}:))"
    rb"(\d{3,9})(?!\d)[^\r\n]{0,8192}(?:\r{0,2}\n|\Z)"
)
_NO_CODE = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,64}(?i:HTTP)/[^\s:<]{0,32}(?:[ \t][^\r\n]{0,8192})?\r{0,2}\n")
_CGI_STATUS = re.compile(r"\s{0,8}([1-9]\d\d)(?!\d)")
_FIELD = re.compile(rb"[!#-'*+.0-9A-Z^_`a-z|~-]{1,128}[ \t]{0,8}:[^\r\n]{0,8192}\r?\n")
_CHARSET = re.compile(r"charset\s{0,8}=\s{0,8}[\"']?\s{0,8}([^\s;\"',]{1,64})", re.IGNORECASE)
_RANGE = re.compile(r"\s{0,8}bytes[\s=:]{1,8}(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)
_STOPS = (b"<",)
# Codings are separated by commas; some write a blank or a slash.
_CODING_ENDS = re.compile(r"[\s/]+")
_MOST_HEAD = 1 << 16
_INTERIM = 32  # responses that may precede the final one
UNCLAIMED_CHUNKS = "http/unclaimed-chunks"  # chunked, but not declared
_MOST_UNCLAIMED = 3  # so often at most is a body compressed beyond what it declares
# Those after which the body is not, or may not be, whole.
CUT_BODIES = (UNENDED, CUT_CHUNK, BAD_CHUNK, BROKEN, CHECKSUM, TOO_LARGE, SHORT_BODY)


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

    def codings(self, name: str) -> list[str]:
        """The codings in the headers `name`, in order, lower case, without parameters and quotes."""
        values = (value.partition(";")[0] for value in self.header_list(name))
        return [word.strip("\"'") for value in values for word in _CODING_ENDS.split(value) if word]

    @property
    def media_type(self) -> str:
        """Content-Type without parameters and quotes, lower case; empty if missing."""
        return (self.header("content-type") or "").partition(";")[0].partition(",")[0].strip(" \t\"'").lower()

    @property
    def is_text(self) -> bool:
        """Whether the header does not say that the body is something else than text."""
        media = self.media_type
        return not media or media.startswith("text/") or "html" in media

    @property
    def charset_label(self) -> str | None:
        """The charset declared by Content-Type, unchanged; of several such fields the first that has one."""
        values = (value for name, value in self.headers if name.lower() == "content-type")
        return next((found[1] for value in values if (found := _CHARSET.search(value))), None)

    @property
    def is_partial(self) -> bool:
        """Whether it is a range of what was asked for (206) and not all of it."""
        if self.status != 206:
            return False
        found = _RANGE.match(self.header("content-range") or "")
        return found is None or int(found[1]) != 0 or found[3] != str(int(found[2]) + 1)

    @property
    def cut(self) -> str | None:
        """The problem for which the body may not be whole; None if there is none."""
        return next((problem for problem in self.problems if problem in CUT_BODIES), None)


def record_message(record: RawRecord, max_body: int = BLOCK_BYTES) -> HttpMessage:
    """Returns the message of any record: HTTP, or else the block as a body of the record's own content type."""
    media = (record.content_type or "").lower()
    is_http = media.startswith(("application/http", "message/http")) or record.block[:5] == b"HTTP/"
    is_http = is_http or (record.type == "response" and _STATUS.match(record.block) is not None)
    if is_http or (record.format == "arc" and record.type == "response" and not media.startswith("text/dns")):
        message = parse_http(record.block, max_body)
        if record.format == "arc" and message.header("content-type") is None and record.content_type:
            message.headers.append(("Content-Type", record.content_type))
        return _page_of(message)
    headers = [("Content-Type", record.content_type)] if record.content_type else []
    problems = (TOO_LARGE,) if len(record.block) > max_body else ()
    return _page_of(HttpMessage(None, headers, record.block[:max_body], problems))


def _page_of(message: HttpMessage) -> HttpMessage:
    """The message, of a web archive of one page that page's: its type and its body."""
    if message.media_type not in mhtml.TYPES:
        return message
    page = mhtml.root_part(message.header("content-type") or "", message.body)
    if page is None:
        return message
    headers = [(name, value) for name, value in message.headers if name.lower() != "content-type"]
    return replace(message, headers=[*headers, ("Content-Type", page.content_type)], body=page.body)


def parse_http(block: bytes, max_body: int = BLOCK_BYTES) -> HttpMessage:
    """Parses a response. Never raises; the body has at most `max_body` bytes, all decoding included."""
    status, headers, start, problems = _head(block)
    message = HttpMessage(status, headers, b"")
    body = block[start:]
    transfer = message.codings("transfer-encoding")
    if "chunked" not in transfer and message.is_text and shows_chunks(body):
        transfer.append("chunked")
        problems.append(UNCLAIMED_CHUNKS)
    for number in range(min(transfer.count("chunked"), 2)):
        body, problem = dechunk(body)
        if problem and not (number and problem == NOT_CHUNKED):
            problems.append(problem)
    if transfer.count("chunked") == 1 and message.is_text and shows_chunks(body):  # chunked by a script, and in transit
        body, _ = dechunk(body)
        problems.append(UNCLAIMED_CHUNKS)
    codings = message.codings("content-encoding") + [coding for coding in transfer if coding != "chunked"]
    if not transfer and not codings and len(body) + 2 < _declared_length(message):
        problems.append(SHORT_BODY)
    if not codings and message.is_text and (shows_compression(body) or shows_zlib(body)):
        codings = ["deflate"]  # or another: the bytes decide
        problems.append(UNCLAIMED)
    body, found = decode_body(body, codings, max_body)
    for _ in range(_MOST_UNCLAIMED if message.is_text and codings and NOT_APPLIED not in found else 0):
        if not shows_compression(body):
            break
        body, again = decode_body(body, ["gzip"], max_body)  # compressed by the server and again in transit
        found += [UNCLAIMED, *again]
    return HttpMessage(status, headers, body, tuple(dict.fromkeys(problems + found)))


def _declared_length(message: HttpMessage) -> int:
    """The Content-Length of an answer that has a body; 0 without one."""
    length = message.header("content-length") if message.status is None or message.status // 100 == 2 else None
    return int(length) if length and len(length) < 16 and length.isascii() and length.isdigit() else 0


def _head(block: bytes) -> tuple[int | None, list[tuple[str, str]], int, list[str]]:
    """Returns status, headers, the position of the body, problems."""
    # lines that end in a carriage return alone: an empty one before the first line feed
    feed = block.find(b"\n", 0, _MOST_HEAD + 1)
    end = block.find(b"\r\r", 0, feed - 1 if feed > 0 else _MOST_HEAD) if block[:5].upper() == b"HTTP/" else -1
    if end >= 0:
        status, pairs, _, problems = _head(block[:end].replace(b"\r", b"\n") + b"\n\n")
        return status, pairs, end + 2, problems
    found = _STATUS.match(block) or _NO_CODE.match(block)
    if not found and not _FIELD.match(block):
        return None, [], 0, [NO_HEADER]
    fields = read_fields(block, found.end() if found else 0, _STOPS)
    for _ in range(_INTERIM if found else 0):
        assert found is not None
        start = found.end()
        following = _STATUS.match(block, start) if block[start : start + 4].lower() == b"http" else None
        if following is None:  # it has a header
            body = block[fields.end : fields.end + 1]
            following = _STATUS.match(block, fields.end) if body != b"<" else None
            if following is None or not _precedes(found, fields):
                break
        found, fields = following, read_fields(block, following.end(), _STOPS)
    status = int(found[1]) if found and found.re is _STATUS else _cgi_status(fields)
    problems = [NO_STATUS] if status is None else []
    if not fields.clean:
        problems.append(BAD_FIELD)
    if not fields.complete:
        problems.append(UNENDED)
    return status, fields.pairs, fields.end, problems


def _precedes(found: "re.Match[bytes]", fields: Fields) -> bool:
    """Whether a response before another is not the one that was asked for: an interim one, that of a proxy to CONNECT,
    or one without a body, as before a repeated request. A page may begin with a status line as its text."""
    if found.re is _STATUS and (100 <= int(found[1]) < 200 or b"established" in found[0].lower()):
        return True
    values = first_values(fields.pairs)
    length = values.get("content-length", "0")
    return length.strip("0") == "" and "transfer-encoding" not in values and "content-type" not in values


def _cgi_status(fields: Fields) -> int | None:
    """The status that a script told its server, in a header without a status line."""
    told = _CGI_STATUS.match(first_values(fields.pairs).get("status", ""))
    return int(told[1]) if told else None
