"""The RECORDS row of a page: its locator and what its headers say."""

import hashlib
import re
from base64 import b32encode
from typing import Any

from pipeline.warc.http import HttpMessage, record_message
from pipeline.warc.records import RawRecord, Split

# The bytes of a body that are read for the headers and the kind of page.
HEAD_BYTES = 4096
DUMP = re.compile(r"CC-MAIN-\d{4}(?:-\d{2}){1,2}")


def record_row(split: Split, record: RawRecord, message: HttpMessage, kind: str) -> dict[str, Any]:
    """Makes the RECORDS row of a page. `message` may have only the head of the body."""
    robots = " ".join(value for name, value in message.headers if name.lower() == "x-robots-tag").lower()
    dump = DUMP.search(split.name)
    return {
        "id": record.record_id or record_id(split.name, record.offset),
        "dump": dump.group() if dump else "",
        "url": record.url,
        "date": record.date,
        "file_path": split.name,
        "warc_offset": record.offset,
        "warc_length": record.length,
        "member_record": record.member_record,
        "type": record.type,
        "page": kind,
        "status": message.status,
        "media_type": message.media_type or None,
        "charset_header": message.charset_label,
        "content_digest": record.payload_digest or sha1_digest(record_message(record).body),
        "truncated": record.truncated,
        "noindex": "noindex" in robots,
        "noai": "noai" in robots,
        "copies": 1,
        "snapshots": 1,
    }


def sha1_digest(body: bytes) -> str:
    """The SHA-1 of a body in the form of WARC-Payload-Digest."""
    return "sha1:" + b32encode(hashlib.sha1(body).digest()).decode()


def record_id(file_path: str, offset: int) -> str:
    """The id of a record without a WARC-Record-ID: a hash of its key."""
    return "sha1:" + hashlib.sha1(f"{file_path}\0{offset}".encode()).hexdigest()
