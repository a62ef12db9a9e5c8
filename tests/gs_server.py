"""A stand-in for Google Cloud Storage on loopback: its XML API as the store's library speaks it.

Objects in memory with their generations, conditions on these, ranges, listings, copies, uploads in parts.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Bucket:
    """`objects`: key → (content, generation). `uploads`: id → (key, parts)."""

    objects: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    generations: Iterator[int] = field(default_factory=lambda: count(1))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", headers.get("length") or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def asked(self) -> tuple[str, dict[str, list[str]]]:
        split = urlsplit(self.path)
        _, _, key = unquote(split.path).lstrip("/").partition("/")
        return key, parse_qs(split.query, keep_blank_values=True)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def put(self, key: str, content: bytes) -> None:
        wanted = self.headers.get("x-goog-if-generation-match")
        with self.bucket.lock:
            there = self.bucket.objects.get(key, (b"", 0))[1]
            if wanted is not None and int(wanted) != there:
                self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            generation = next(self.bucket.generations)
            self.bucket.objects[key] = content, generation
        self.answer(200, ETag=etag(content), x_goog_generation=str(generation))

    def do_PUT(self) -> None:
        key, query = self.asked()
        content = self.body()
        if "uploadId" in query:
            self.bucket.uploads[query["uploadId"][0]][1][int(query["partNumber"][0])] = content
            self.answer(200, ETag=etag(content))
            return
        if source := self.headers.get("x-goog-copy-source"):
            name = unquote(source).lstrip("/").partition("/")[2]
            if name not in self.bucket.objects:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                return
            content = self.bucket.objects[name][0]
        self.put(key, content)
        return

    def do_POST(self) -> None:
        key, query = self.asked()
        self.body()
        if "uploads" in query:
            name = f"upload-{next(self.bucket.generations)}"
            self.bucket.uploads[name] = key, {}
            found = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            self.answer(200, found.encode())
            return
        if "uploadId" in query:
            if query["uploadId"][0] not in self.bucket.uploads:
                self.answer(404, b"<Error><Code>NoSuchUpload</Code></Error>")
                return
            _, parts = self.bucket.uploads.pop(query["uploadId"][0])
            content = b"".join(parts[number] for number in sorted(parts))
            generation = next(self.bucket.generations)
            self.bucket.objects[key] = content, generation
            done = f"<CompleteMultipartUploadResult><ETag>{etag(content)}</ETag></CompleteMultipartUploadResult>"
            self.answer(200, done.encode(), x_goog_generation=str(generation))
            return
        self.answer(400)
        return

    def do_DELETE(self) -> None:
        key, query = self.asked()
        if "uploadId" in query:
            self.bucket.uploads.pop(query["uploadId"][0], None)
            self.answer(204)
            return
        gone = self.bucket.objects.pop(key, None)
        self.answer(204 if gone else 404)

    def do_GET(self) -> None:
        key, query = self.asked()
        if not key:
            self.listing(query)
            return
        if key not in self.bucket.objects:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        content, generation = self.bucket.objects[key]
        headers = {
            "ETag": etag(content),
            "x_goog_generation": str(generation),
            "Last_Modified": formatdate(usegmt=True),
        }
        wanted = self.headers.get("If-Match")
        if wanted and wanted != etag(content):
            self.answer(412)
            return
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        if not found:
            self.answer(200, content, **headers)
            return
        first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
        if first >= len(content):
            self.answer(416)
            return
        headers["Content_Range"] = f"bytes {first}-{last}/{len(content)}"
        self.answer(206, content[first : last + 1], **headers)

    do_HEAD = do_GET

    def listing(self, query: dict[str, list[str]]) -> None:
        asked = {name: values[0] for name, values in query.items()}
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        after = max(asked.get("continuation-token", ""), asked.get("start-after", ""))
        found: dict[str, str] = {}  # the element of an object or a folder, by its name
        last = ""
        for key in sorted(key for key in self.bucket.objects if key.startswith(prefix) and key > after):
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key[len(prefix) :], "", "")
            if len(found) == int(asked.get("max-keys", "1000")) and prefix + head + cut not in found:
                break
            element = f"<CommonPrefixes><Prefix>{escape(prefix + head + cut)}</Prefix></CommonPrefixes>"
            found[prefix + head + cut] = element if cut else self.contents(key)
            last = key
        else:
            last = ""
        more = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if last else ""
        self.answer(200, f"<ListBucketResult>{''.join(found.values())}{more}</ListBucketResult>".encode())

    def contents(self, key: str) -> str:
        content, _ = self.bucket.objects[key]
        facts = f"<Size>{len(content)}</Size><ETag>{escape(etag(content))}</ETag>"
        return (
            f"<Contents><Key>{escape(key)}</Key>{facts}<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        )


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


@contextmanager
def gs_server() -> Iterator[tuple[dict[str, str], Bucket]]:
    """What the environment of those that use it needs, and the one bucket that all names stand for."""
    bucket = Bucket()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"bucket": bucket}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    account = {"gcs_base_url": f"http://127.0.0.1:{server.server_port}", "disable_oauth": True}
    account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    try:
        yield {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}, bucket
    finally:
        server.shutdown()
