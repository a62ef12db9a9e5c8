"""Reads rejected rows again at their locators: records from their archives, documents from their files.

A record read again is the row that `ingest` made of it, by the same code; a document of a Parquet or JSONL file is the
row at that row number or byte offset. Both are sources like any other, so every stage can follow.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.addresses import lacks_query
from infra.dataset import schema as schemas
from infra.dataset.manifest import InputRef
from infra.dataset.reader import BATCH_ROWS
from infra.engines.task import Output
from infra.errors import UsageError, WorkError
from infra.hashing import sha256_json
from infra.http.client import AddressNotFound
from infra.ledger import Reject, batch, ledger_batch, ledger_rows
from pipeline.inputs.columns import Columns
from pipeline.inputs.documents import DocumentFilePart, open_documents
from pipeline.inputs.inputs import FileSource
from pipeline.inputs.kinds import DOCUMENTS, URL_LIST
from pipeline.inputs.places import is_there, known_place, query_is_missing
from pipeline.inputs.records import HEAD_BYTES, dump_of, record_id, record_row
from pipeline.warc.file_bytes import open_bytes
from pipeline.warc.http import record_message
from pipeline.warc.pages import PAGE_KINDS, page_kind
from pipeline.warc.reader import Locator, NoRecord, RecordReader
from pipeline.warc.splits import whole

PLACE = ("file_path", "warc_offset", "warc_length", "member_record")
# Records in one partition: a constant, so that the result does not depend on the number of workers.
PART_RECORDS = 4096
STEP = "readmit"


def is_document_file(name: str) -> bool:
    """Whether a `file_path` names a file of documents, whose offsets are rows or bytes of text."""
    return name.lower().endswith((*DOCUMENTS, *URL_LIST))


def place_of(name: str, places: Mapping[str, str]) -> str:
    """The path of a file that was read, among `places`. UsageError if it is not there any more."""
    place = known_place(name, places)
    if place is not None and lacks_query(place):
        raise query_is_missing(name, place)
    if place is None or not is_there(place):
        what = "file" if is_document_file(name) else "archive"
        raise UsageError(f"the {what} {name!r} is not where it was read: give its folder with --source ROOT")
    return place


def by_file(lines: pa.Table) -> dict[str, list[Locator]]:
    """Groups ledger rows by file: the distinct (offset, length, member's record) of each, in order."""
    distinct = lines.select(PLACE).group_by(list(PLACE)).aggregate([])
    ordered = distinct.take(pc.sort_indices(distinct, sort_keys=[(name, "ascending") for name in PLACE]))
    found: dict[str, list[Locator]] = {}
    before: tuple[Any, Any] | None = None
    for name, offset, length, member in zip(*(ordered[column].to_pylist() for column in PLACE), strict=True):
        if (name, offset) != before:  # the key; lengths differ only if a range is damaged twice
            found.setdefault(name, []).append((offset, length or 0, member or 0))
        before = (name, offset)
    return found


def documents_in(lines: pa.Table | pa.RecordBatch) -> int:
    """The number of distinct documents of these ledger rows; the rows of one document must be adjacent."""
    keys = list(zip(lines["file_path"].to_pylist(), lines["warc_offset"].to_pylist(), strict=True))
    return sum(key != before for key, before in zip(keys, [None, *keys], strict=False))


@dataclass(frozen=True)
class RecordsPart:
    """Some records of one archive."""

    path: str
    name: str
    version: str
    locators: tuple[Locator, ...] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.name, self.version, self.locators])


@dataclass(frozen=True)
class Reread(FileSource):
    """Rows of files by locator. `origin`: the datasets whose ledgers list them."""

    locators: Mapping[str, Sequence[Locator]]
    origin: tuple[InputRef, ...]

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return (*self.origin, *(file.ref for file in self.files))


@dataclass(frozen=True)
class RereadRecords(Reread):
    """Records of archives, in parts of a fixed number of records."""

    def parts(self) -> list[RecordsPart]:
        return [
            RecordsPart(file.path, file.name, file.version, tuple(chosen[start : start + PART_RECORDS]))
            for file in self.files
            for chosen in [self.locators[file.name]]
            for start in range(0, len(chosen), PART_RECORDS)
        ]


@dataclass(frozen=True)
class RereadTask:
    """Makes the RECORDS rows of a part as `ingest` does; a range without a record is rejected again."""

    recipe: str

    @property
    def fingerprint(self) -> str:
        return f"{STEP}:{self.recipe}"

    @property
    def schema(self) -> pa.Schema:
        return schemas.RECORDS

    def __call__(self, part: RecordsPart) -> Iterator[Output]:
        with open_bytes(part.path, ahead=2**16) as file:
            dump = dump_of(part.name, file)
        counts = {"in": 0, "rejected": 0}
        with RecordReader(part.path) as reader:
            for start in range(0, len(part.locators), BATCH_ROWS):
                rows, ledger = [], []
                locators = part.locators[start : start + BATCH_ROWS]
                reader.expect(locators)
                for locator in locators:
                    row, reject = reread_record(reader, part, dump, locator)
                    counts["in"] += 1
                    if reject is None:
                        rows.append(row)
                    else:
                        counts["rejected"] += 1
                        ledger += ledger_rows(row, [reject], self.recipe)
                yield Output(batch(rows, self.schema), ledger_batch(ledger))
        yield Output(None, None, counts | {"step/0/pages/docs": counts["in"] - counts["rejected"]})


def reread_record(
    reader: RecordReader, part: RecordsPart, dump: str, locator: Locator
) -> tuple[dict[str, Any], Reject | None]:
    """The RECORDS row at a locator; or the locator alone, and why it is not a page."""
    offset, length, member = locator
    bare = {"id": record_id(part.name, offset), "file_path": part.name, "warc_offset": offset,
            "warc_length": length, "member_record": member}  # fmt: skip
    try:
        record = reader.read(offset, length, member)
    except AddressNotFound as error:
        raise WorkError(f"{error}: say where it is now with --source") from None
    except NoRecord:
        return bare, Reject(STEP, "no_record", float(length), None)
    message = record_message(record, HEAD_BYTES)
    kind = page_kind(record, message)
    if kind not in PAGE_KINDS:
        return bare, Reject(STEP, "no_page", float(length), None)
    return record_row(whole(part.path, part.name), record, message, kind, dump), None


@dataclass(frozen=True)
class ChosenDocuments:
    """The rows of a document file at some offsets; `rejects` likewise."""

    part: DocumentFilePart
    offsets: tuple[int, ...] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.part.fingerprint, self.offsets])

    def schema(self) -> pa.Schema:
        return self.part.schema()

    @property
    def rejects(self) -> list[tuple[dict[str, Any], Reject]]:
        wanted = set(self.offsets)
        return [pair for pair in self.part.rejects if pair[0]["warc_offset"] in wanted]

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        wanted = pa.array(self.offsets, pa.int64())
        for documents in self.part.batches():
            chosen = documents.filter(pc.is_in(documents["warc_offset"], wanted))
            if chosen.num_rows:
                yield chosen.select(columns) if columns else chosen


@dataclass(frozen=True)
class RereadDocuments(Reread):
    """Documents of files by offset."""

    columns: Columns = field(default_factory=Columns)

    def parts(self) -> list[ChosenDocuments]:
        return self._parts

    @cached_property
    def _parts(self) -> list[ChosenDocuments]:
        return [
            ChosenDocuments(part, tuple(offset for offset, _, _ in self.locators[part.name]))
            for part in open_documents(self.files, self.columns).parts()
        ]
