"""Parses WARC record headers (0.17, 0.18, 1.0, 1.1), and finds where one begins.

Also defines the `RecordHeader` that the ARC parser shares. A header needs a version line and one field; everything else
may be missing, repeated, folded or in any charset, as in real files.
"""

import re
from dataclasses import dataclass

from filters.dates import normalise_date
from pipeline.warc.fields import first_values, read_fields

# A plausible header: a version line, then the name of a field. Where a header is expected, lower case is accepted too;
# a search, which must be fast, does not accept it.
_VERSION = rb"/\d{1,2}\.\d{1,3}[ \t]{0,64}\r?\n[!#-'*+.0-9A-Z^_`a-z|~-]{1,128}[ \t]{0,64}:"
WARC_START = re.compile(rb"(?i:WARC)" + _VERSION)
WARC_FOUND = re.compile(rb"WARC" + _VERSION)
# Lines that cannot be fields: the block or the next record begins without a blank line.
_STOPS = (b"HTTP/", b"WARC/", b"<")
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """`size`: bytes from the start of the header to the block; `length`: the block's declared length, None if it
    is missing or absurd (negative, not a number, beyond 64 bits)."""

    format: str
    type: str
    fields: list[tuple[str, str]]
    size: int
    length: int | None
    record_id: str | None
    url: str | None
    date: str | None
    content_type: str | None
    truncated: str | None
    payload_digest: str | None
    segment: int | None = None


def parse_warc_header(data: bytes) -> RecordHeader | None:
    """Parses the header at the start of `data` (see `WARC_START`); None if it does not end in `data`."""
    fields = read_fields(data, data.index(b"\n") + 1, _STOPS)
    if not fields.complete:
        return None
    values = first_values(fields.pairs)
    return RecordHeader(
        format="warc",
        type=values.get("warc-type", "unknown").lower(),
        fields=fields.pairs,
        size=fields.end,
        length=declared_length(fields.pairs),
        record_id=values.get("warc-record-id"),
        url=clean_url(values.get("warc-target-uri")),
        date=normalise_date(values.get("warc-date")),
        content_type=values.get("content-type"),
        truncated=values.get("warc-truncated"),
        payload_digest=values.get("warc-payload-digest"),
        segment=parse_length(values.get("warc-segment-number", "")),
    )


def header_within(data: bytes, header: RecordHeader) -> int | None:
    """The position at which the header of another record begins inside `header`, which then belongs to a cut record.

    A field may have `WARC/1.0` as its value; so what follows must be a header with a type and a length, and the
    version must be where no value begins, or a type must precede it too.
    """
    found = WARC_FOUND.search(data, data.index(b"\n"), header.size + 2**10)
    if not found or found.start() >= header.size:
        return None
    within = parse_warc_header(data[found.start() :])
    if within is None or within.type == "unknown" or within.length is None:
        return None
    before = data[: found.start()]
    return found.start() if before[-1:] not in b" \t:" or b"\nwarc-type:" in before.lower() else None


def declared_length(pairs: list[tuple[str, str]]) -> int | None:
    """The first Content-Length that is a possible number of bytes of a file."""
    for name, value in pairs:
        if name.lower() == "content-length" and (length := parse_length(value)) is not None:
            return length
    return None


def parse_length(value: str) -> int | None:
    if not (value.isascii() and value.isdigit() and len(value) <= 19):
        return None
    length = int(value)
    return length if length <= _MAX_INT64 else None


def clean_url(url: str | None) -> str | None:
    """Removes the angle brackets that WARC/1.0's grammar puts round URIs, and percent-encodes spaces."""
    if url is None:
        return None
    url = url.strip()
    if url.startswith("<") and url.endswith(">"):
        url = url[1:-1].strip()
    return url.replace(" ", "%20") or None
