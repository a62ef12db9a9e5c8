"""Archives that have each page of others several times: pages in any number, for figures with few fixed costs.

A copy has an address of its own, and a comment of its own at the end of its body, so that no payload is a copy of
another. Its body is stored as it is without transfer and content coding; the first of each page is the page itself. A
record has the digest of its payload, as in archives of Common Crawl.
"""

import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.inputs.records import sha1_digest
from pipeline.warc.http import HttpMessage, record_message
from pipeline.warc.reader import read_split
from pipeline.warc.records import RawRecord
from pipeline.warc.splits import whole

# Headers that are about the bytes of a body, which change.
_OF_BYTES = frozenset({"content-length", "content-encoding", "transfer-encoding", "content-md5"})
_LEVEL = 6  # of gzip, as most archives have it


def write_copies(archives: Sequence[Path], copies_of: Callable[[str, RawRecord], int], folder: Path) -> None:
    """Writes each archive to `folder`, by its name, with every page as often as `copies_of` says of the archive's name
    and the page, a gzip member for each."""
    for path in archives:
        name = f"{path.name.removesuffix('.gz').removesuffix('.warc')}.warc.gz"
        with (folder / name).open("wb") as file:
            for event in read_split(whole(str(path), path.name)):
                if isinstance(event, RawRecord) and event.type == "response":
                    copies = _copies(event, copies_of(path.name, event))
                    file.writelines(gzip.compress(each, _LEVEL, mtime=0) for each in copies)


def _copies(record: RawRecord, copies: int) -> Iterator[bytes]:
    message = record_message(record)
    for number in range(copies):
        body = message.body + _comment(message.body, number) if number else message.body
        yield _record(record, message, body, number)


def _comment(body: bytes, number: int) -> bytes:
    """In the width of the characters of the body."""
    comment = f"<!-- copy {number} -->"
    if not body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return comment.encode()
    return comment.encode("utf-16-le" if body[0] == 0xFF else "utf-16-be")


def _record(record: RawRecord, message: HttpMessage, body: bytes, number: int) -> bytes:
    fields = [(name, value) for name, value in message.headers if name.lower() not in _OF_BYTES]
    fields.append(("Content-Length", str(len(body))))
    block = b"".join([_lines(f"HTTP/1.1 {message.status or 200} OK", fields), body])
    known = [
        ("WARC-Type", "response"),
        ("WARC-Target-URI", _address(record.url or "", number)),
        ("WARC-Date", record.date or "2024-01-01T00:00:00Z"),
        ("WARC-Payload-Digest", sha1_digest(body)),
        ("Content-Type", "application/http; msgtype=response"),
        ("Content-Length", str(len(block))),
    ]
    return b"".join([_lines("WARC/1.0", known), block, b"\r\n\r\n"])


def _address(url: str, number: int) -> str:
    """An address of the same host and path, which rules on addresses judge alike."""
    if not number:
        return url
    before, _, fragment = url.partition("#")
    return f"{before}{'&' if urlsplit(before).query else '?'}n={number}{'#' if fragment else ''}{fragment}"


def _lines(first: str, fields: Sequence[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")
