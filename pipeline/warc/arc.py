"""ARC record headers, versions 1 and 2: one line of fields before each block.

Version 1: `URL IP-address Archive-date Content-type Archive-length`; version 2 puts `Result-code Checksum Location
Offset Filename` before the length (Internet Archive, "Arc File Format", 1996). URLs may contain spaces, so a line is
parsed from its right end; each line shows its own version, so no state is carried over from the file's first record.
"""

import re

from filters.dates import normalise_date
from pipeline.warc.fields import decode
from pipeline.warc.warc import RecordHeader, clean_url, parse_length

LINE_BYTES = 2**14  # a longer line is not a header

_FIELDS = ("IP-address", "Archive-date", "Content-type")
_MORE = ("Result-code", "Checksum", "Location", "Offset", "Filename")  # of version 2
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{1,19}:")
_ADDRESS = re.compile(rb"[0-9A-Fa-f.:]{3,45}|-")
_DATE = re.compile(rb"\d{8,17}")
# A search starts with what is rare in other text, the date and the rest of its line, and ends at a scheme before it.
_ANCHOR = re.compile(rb" \d{14} [^\r\n]{1,512}\r?\n")
_KNOWN_SCHEME = re.compile(rb"(?:filedesc|https?|ftps?|dns|whois|gopher|news|nntp|mailto|rtsp|mms):", re.IGNORECASE)


def parse_arc_header(data: bytes) -> RecordHeader | None:
    """Parses the header line at the start of `data`; None if there is none."""
    if not _SCHEME.match(data):
        return None
    newline = data.find(b"\n", 0, LINE_BYTES)
    if newline < 0:
        return None
    tokens = data[:newline].rstrip(b"\r ").split(b" ")
    if tokens[0].startswith(b"filedesc:") and len(tokens) == 5:
        return _header("warcinfo", tokens[0], tokens[1:], newline + 1)
    at = _date_position(tokens)
    if at is None:
        return None
    kind = "warcinfo" if tokens[0].startswith(b"filedesc:") else "response"
    return _header(kind, b" ".join(tokens[: at - 1]), tokens[at - 1 :], newline + 1)


def _date_position(tokens: list[bytes]) -> int | None:
    """The index of the date: a version 2 line has seven fields after it, a version 1 line two, or more when the content
    type contains spaces; before it come a URL and an IP address."""
    count = len(tokens)
    places: list[int] = [count - 8, *range(count - 3, max(count - 12, 1), -1)]
    for at in places:
        if at >= 2 and _DATE.fullmatch(tokens[at]) and _ADDRESS.fullmatch(tokens[at - 1]):
            return at
    return None


def _header(kind: str, url: bytes, rest: list[bytes], size: int) -> RecordHeader:
    """`rest`: the tokens after the URL: address, date, content type ..., length."""
    names: tuple[str, ...] = _FIELDS
    if len(rest) == 9:
        names = _FIELDS + _MORE
    else:
        rest = [rest[0], rest[1], b" ".join(rest[2:-1]), rest[-1]]
    texts = [decode(token) for token in rest]
    return RecordHeader(
        format="arc",
        type=kind,
        fields=[("URL", decode(url)), *zip(names, texts[:-1]), ("Archive-length", texts[-1])],
        size=size,
        length=parse_length(texts[-1]),
        record_id=None,
        url=clean_url(decode(url)),
        date=normalise_date(texts[1]),
        content_type=texts[2] if texts[2] not in ("", "-") else None,
        truncated=None,
        payload_digest=None,
    )


def find_arc_header(data: bytes, stop: int) -> int | None:
    """The position of the first plausible header line in `data[:stop]`.

    If junk without a newline precedes it, the line begins at the first known scheme.
    """
    for anchor in _ANCHOR.finditer(data, 0, stop + LINE_BYTES + 1024):
        line = data.rfind(b"\n", 0, anchor.start()) + 1
        line = max(line, anchor.start() - LINE_BYTES)
        if line >= stop:
            return None
        start: int | None = line
        if not _SCHEME.match(data, line):
            scheme = _KNOWN_SCHEME.search(data, line, anchor.start())
            start = scheme.start() if scheme else None
        if start is not None and start < stop and parse_arc_header(data[start : anchor.end()]):
            return start
    return None
