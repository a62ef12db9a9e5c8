"""`ingest`: archives, by splits, to records: a locator and what the headers say, no bodies.

A damaged range becomes a ledger row like any rejected record, and every byte of a split is accounted for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.reader import BATCH_ROWS
from infra.engines.task import Output
from infra.ledger import Reject, batch, ledger_batch, ledger_rows
from pipeline.inputs.archives import ArchivePart
from pipeline.inputs.records import HEAD_BYTES, record_id, record_row
from pipeline.warc.http import record_message
from pipeline.warc.pages import PAGE_KINDS, page_kind
from pipeline.warc.reader import read_split
from pipeline.warc.records import Beyond, Damage, Split

STEP = "ingest"


@dataclass(frozen=True)
class IngestTask:
    """Makes the records of one split. Pages are kept; other records are counted by the reason they are skipped."""

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
                # two faults at one offset are one damaged range
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
