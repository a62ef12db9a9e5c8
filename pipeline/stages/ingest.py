"""`ingest`: archives, by splits, to records: a locator and what the headers say, no bodies.

A damaged range, and a response that cannot be parsed, become ledger rows like any rejected record, and every byte of a
split is accounted for. Where the inputs are not named by their sha256, it is taken of the bytes as they are read, and
written to `inputs.parquet`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.addresses import shown
from infra.dataset import schema as schemas
from infra.dataset.batches import receipts_in
from infra.dataset.files import FileRef
from infra.dataset.reader import BATCH_ROWS
from infra.dataset.receipts import Totals
from infra.engines.task import Output
from infra.errors import WorkError
from infra.hashing import sha256_file
from infra.ledger import Reject, batch, ledger_batch, ledger_rows
from infra.storage import commit_file, readable, temporary_name
from pipeline.inputs.archives import ArchivePart
from pipeline.inputs.records import HEAD_BYTES, dump_of, record_id, record_row
from pipeline.inputs.versions import check_still
from pipeline.stages.counts import EMPTY_FILES
from pipeline.warc.http import record_message
from pipeline.warc.pages import PAGE_KINDS, UNREADABLE, page_kind
from pipeline.warc.reader import OpenSplit, open_split
from pipeline.warc.records import Beyond, Damage, RawRecord, Split
from pipeline.warc.splits import NoArchive

STEP = "ingest"
# Beside the shards: what the parts were read from.
READ = "inputs.parquet"
_READ = pa.schema(
    [
        ("name", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("version", pa.string()),
        ("sha256", pa.string()),
    ]
)


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
        try:
            yield from self._outputs(part)
        except NoArchive as error:
            check_unchanged(part, error.version)
            check_still(part.split.path, part.seen, error.version)
            raise

    def _outputs(self, part: ArchivePart) -> Iterator[Output]:
        with open_split(part.split) as opened:
            check_unchanged(part, opened.file.version)
            dump = dump_of(part.split.name, opened.file)
            digest = None if part.named_by_content or part.split.cap is not None else opened.digest()
            yield from self._records(opened, dump)
            check_still(part.split.path, part.seen, opened.file.version)
            if digest:
                split = opened.split
                read = {"name": split.name, "start": split.start, "end": split.end, "version": opened.file.version}
                yield Output(notes={**read, "sha256": digest.hexdigest()})

    def _records(self, opened: OpenSplit, dump: str) -> Iterator[Output]:
        split = opened.split
        rows: list[dict[str, Any]] = []
        damaged: list[dict[str, Any]] = []
        counts: dict[str, int] = {"bytes/file": split.end - split.start, "in": 0, "rejected": 0}

        def count(name: str, number: int = 1) -> None:
            counts[name] = counts.get(name, 0) + number

        if split.end == split.start:
            count(EMPTY_FILES)
        damaged_at = None
        pages = 0
        for event in opened.events():
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
            if kind in UNREADABLE:
                count("rejected")
                damaged += self._unreadable(split, event, kind)
                continue
            if kind not in PAGE_KINDS:
                count(f"skipped/{kind}")
                continue
            pages += 1
            rows.append(record_row(split, event, message, kind, dump))
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

    def _unreadable(self, split: Split, record: RawRecord, kind: str) -> list[dict[str, Any]]:
        """A response that cannot be parsed as HTTP; the value is the size of its block."""
        row = {
            "id": record.record_id or record_id(split.name, record.offset),
            "url": record.url,
            "file_path": split.name,
            "warc_offset": record.offset,
            "warc_length": record.length,
            "member_record": record.member_record,
        }
        return ledger_rows(row, [Reject(STEP, kind, float(len(record.block)), None)], self.recipe)


def check_unchanged(part: ArchivePart, version: str) -> None:
    """WorkError if the archive is not in the state that the run began with."""
    if part.version.startswith("size:") and version != part.version:
        raise WorkError(f"{shown(part.split.path)} has changed since the run began: run the same command again")


def write_read(folder: Path, totals: Totals) -> tuple[dict[str, Any], list[FileRef]]:
    """At the commit, `inputs.parquet`: a row for each part with the range that was read, its sha256, and the state of
    the file then. Nothing where the manifest names the inputs by their sha256."""
    if not totals.notes:
        return {}, []
    final = folder / READ
    temporary = temporary_name(final)
    pq.write_table(pa.Table.from_pylist(totals.notes, _READ), temporary, compression="zstd")
    made = FileRef(READ, temporary.stat().st_size, sha256_file(temporary))
    commit_file(temporary, final)
    return {}, [made]


def states_read(folder: Path) -> set[tuple[str, str]]:
    """The name of each file, and the state in which it was read, of what is finished of a dataset of records."""
    table = folder / READ
    if table.is_file():
        columns = pq.read_table(readable(table), columns=["name", "version"]).to_pydict()
        return set(zip(columns["name"], columns["version"], strict=True))
    notes = (note for receipt in receipts_in(folder) for note in receipt.get("notes", ()))
    return {(note["name"], note["version"]) for note in notes}
