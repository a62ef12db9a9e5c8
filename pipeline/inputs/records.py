"""The RECORDS row of a page: its locator and what its headers say."""

import hashlib
import re
from base64 import b32encode
from typing import Any

from pipeline.extract.robots import directives
from pipeline.inputs.names import snapshot_of
from pipeline.warc.file_bytes import FileBytes
from pipeline.warc.http import HttpMessage, record_message
from pipeline.warc.records import PARTIAL, RawRecord, Split
from pipeline.warc.splits import first_header

# The bytes of a body that are read for the headers and the kind of page.
HEAD_BYTES = 4096
_PART_OF = re.compile(rb"^isPartOf:[ \t]*([^\r\n]{1,200})", re.IGNORECASE | re.MULTILINE)


def dump_of(name: str, file: FileBytes) -> str:
    """The crawl that an archive is of: by its name, else as its first record declares it; empty if neither does."""
    if snapshot := snapshot_of(name):
        return snapshot
    declared = _PART_OF.search(first_header(file))
    return declared[1].decode("utf-8", "replace").strip() if declared else ""


def record_row(split: Split, record: RawRecord, message: HttpMessage, kind: str, dump: str) -> dict[str, Any]:
    """Makes the RECORDS row of a page. `message` may have only the head of the body; `dump`: see `dump_of`."""
    robots = directives(value for name, value in message.headers if name.lower() == "x-robots-tag")
    return {
        "id": record.record_id or record_id(split.name, record.offset),
        "dump": dump,
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
        "truncated": record.truncated or (PARTIAL if message.is_partial else None),
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
