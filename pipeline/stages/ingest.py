"""`ingest`: archives, by splits, to records: a locator and what the headers say, no bodies.

A damaged range becomes a ledger row like any rejected record, and every byte of a split is accounted for.
"""

import hashlib
import re
from base64 import b32encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.manifest import InputRef
from infra.dataset.reader import BATCH_ROWS
from infra.engines.task import Output
from pipeline.inputs.inputs import InputFile
from pipeline.job.rows import batch, ledger_batch, ledger_rows
from pipeline.steps.interpreter import Reject
from pipeline.warc.http import HttpMessage, record_message
from pipeline.warc.pages import PAGE_KINDS, is_page, page_kind
from pipeline.warc.reader import read_split
from pipeline.warc.records import PLAIN, Beyond, Damage, RawRecord, Split
from pipeline.warc.splits import plan_splits

STEP = "ingest"
HEAD_BYTES = 4096
DUMP = re.compile(r"CC-MAIN-\d{4}(?:-\d{2}){1,2}")


@dataclass(frozen=True)
class ArchivePart:
    """One split of one archive; its fingerprint is the file's content and the range, never the place."""

    split: Split
    sha256: str

    @property
    def fingerprint(self) -> str:
        s = self.split
        return f"{self.sha256}:{s.name}:{s.start}-{s.end}:{s.container}:{s.cap}"


@dataclass(frozen=True)
class Archives:
    """Archive files as a source of splits. `limit`: only so many pages, counted in the order of the splits."""

    files: tuple[InputFile, ...]
    limit: int | None = None
    exact: bool = False

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(file.ref for file in self.files)

    def places(self) -> dict[str, str]:
        return {file.name: file.path for file in self.files}

    def parts(self) -> Sequence[ArchivePart]:
        return self._parts

    @cached_property
    def _parts(self) -> list[ArchivePart]:
        parts = [
            ArchivePart(split, file.sha256)
            for file in self.files
            for split in plan_splits(file.path, file.name, exact=self.exact) or [empty_split(file)]
        ]
        return parts if self.limit is None else capped(parts, self.limit)


def empty_split(file: InputFile) -> Split:
    """An empty file is one empty piece: it holds no record, and everything about it is known."""
    return Split(file.path, file.name, 0, 0, PLAIN)


def capped(parts: Sequence[ArchivePart], limit: int) -> list[ArchivePart]:
    """The first parts that hold `limit` pages, the last of them with a cap. Counts by reading, in order."""
    chosen = []
    for part in parts:
        if limit <= 0:
            break
        chosen.append(ArchivePart(replace(part.split, cap=limit), part.sha256))
        pages = (event for event in read_split(part.split) if isinstance(event, RawRecord) and is_page(event))
        limit -= sum(1 for _ in islice(pages, limit))
    return chosen


@dataclass(frozen=True)
class IngestTask:
    """Records of one split. Pages go on; other records are counted by the reason they were skipped for."""

    recipe: str

    @property
    def fingerprint(self) -> str:
        return f"ingest:{self.recipe}"

    @property
    def schema(self) -> pa.Schema:
        return schemas.RECORDS

    def __call__(self, part: ArchivePart) -> Iterator[Output]:
        split = part.split
        rows: list[dict[str, Any]] = []
        damaged: list[dict[str, Any]] = []
        counts: dict[str, int] = {"bytes/file": split.end - split.start, "in": 0, "rejected": 0}

        def count(name: str, number: int = 1) -> None:
            counts[name] = counts.get(name, 0) + number

        damaged_at = None
        pages = 0
        for event in read_split(split):
            if isinstance(event, Beyond):
                count("bytes/beyond_limit", event.length)
                continue
            count("bytes/damaged" if isinstance(event, Damage) else "bytes/members", event.file_bytes)
            if isinstance(event, Damage):
                # two faults at one place are one ruined range
                count("rejected", int(event.offset != damaged_at))
                count("in", int(event.offset != damaged_at))
                damaged_at = event.offset
                damaged += self._damage(split, event)
                continue
            count("in")
            count(f"type/{event.type}")
            message = record_message(event, HEAD_BYTES)
            kind = page_kind(event, message)
            if kind not in PAGE_KINDS:
                count(f"skipped/{kind}")
                continue
            pages += 1
            rows.append(record_row(split, event, message, kind))
            if len(rows) == BATCH_ROWS:
                yield Output(batch(rows, self.schema), ledger_batch(damaged))
                rows, damaged = [], []
        counts["step/0/pages/docs"] = pages
        yield Output(batch(rows, self.schema), ledger_batch(damaged), counts)

    def _damage(self, split: Split, damage: Damage) -> list[dict[str, Any]]:
        row = {
            "id": record_id(split.name, damage.offset),
            "file_path": split.name,
            "warc_offset": damage.offset,
            "warc_length": damage.length,
            "member_record": 0,
        }
        return ledger_rows(row, [Reject(STEP, f"damage/{damage.reason}", float(damage.length), None)], self.recipe)


def record_row(split: Split, record: RawRecord, message: HttpMessage, kind: str) -> dict[str, Any]:
    """What RECORDS say of a page. `message` may hold the head of the body only."""
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
    """A digest as WARC-Payload-Digest writes it."""
    return "sha1:" + b32encode(hashlib.sha1(body).digest()).decode()


def record_id(file_path: str, offset: int) -> str:
    """The id of a record that brings none: a hash of its key."""
    return "sha1:" + hashlib.sha1(f"{file_path}\0{offset}".encode()).hexdigest()
