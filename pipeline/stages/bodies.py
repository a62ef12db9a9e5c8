"""The bodies of records: each is read again at its locator, and must be the one that was ingested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from infra.addresses import shown
from infra.dataset.manifest import MANIFEST
from infra.dataset.reader import Dataset
from infra.errors import WorkError
from infra.storage import place
from pipeline.extract import xhtml
from pipeline.inputs.places import known_place
from pipeline.inputs.records import record_id, sha1_digest
from pipeline.inputs.reread import place_of
from pipeline.inputs.versions import is_other
from pipeline.warc.http import HttpMessage, record_message
from pipeline.warc.reader import Locator, RecordReader
from pipeline.warc.records import RawRecord


class BodyReader:
    """Reads the bodies of records, one archive open at a time: records must come in the order of their archive.

    `places`: where the archives are, by `file_path` (`pipeline/inputs/places.py`). `ingested`: the dataset of their
    records, which says in which state they were and where.
    """

    def __init__(self, places: Mapping[str, str], ingested: Dataset | None = None) -> None:
        self.places = places
        self.ingested = Ingested() if ingested is None else Ingested.of(ingested)
        self._path = ""
        self._name = ""
        self._reader: RecordReader | None = None
        self._next: Sequence[Mapping[str, Any]] = ()

    def read(self, row: Mapping[str, Any]) -> bytes:
        """Returns the body of the record in `row`, HTTP codings decoded, XHTML that was served as XML as HTML. Raises
        WorkError if the archive, or the record, is not the one that was ingested."""
        return self.message(row).body

    def message(self, row: Mapping[str, Any]) -> HttpMessage:
        """Returns the whole message likewise."""
        opened = self._reader is None or self._name != row["file_path"]
        if self._reader is None or opened:
            self.close()
            self._path = place_of(row["file_path"], self.places)
            self._reader = RecordReader(self._path).__enter__()
            self._name = row["file_path"]
            self._reader.expect(locators(self._next, self._name))
        record = self._reader.read(row["warc_offset"], row["warc_length"], row["member_record"])
        message = record_message(record)
        if not is_same(record, message, row) or (
            opened and self.ingested.differs(self._name, self._path, self._reader.version)
        ):
            raise WorkError(
                f"{shown(self._path)} is not the archive {self._name!r} that was ingested, or has changed since: "
                "ingest it again, or give its folder with --source ROOT"
            )
        return replace(message, body=xhtml.as_html(message.body)) if message.media_type in xhtml.TYPES else message

    def expect(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Declares which records will be read next, so that those of a remote archive come in few ranges."""
        self._next = rows
        if self._reader is not None:
            self._reader.expect(locators(rows, self._name))

    def close(self) -> None:
        if self._reader is not None:
            self._reader.__exit__(None, None, None)
            self._reader = None


@dataclass(frozen=True)
class Ingested:
    """The archives of a dataset of records as they were: their versions, and where they were, by name."""

    versions: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(dataset: Dataset) -> "Ingested":
        """Nothing is known of a dataset that is being made in the same pass: its archives were just read."""
        try:
            stat = (dataset.folder / MANIFEST).stat()
        except FileNotFoundError:
            return Ingested()
        return _ingested(str(dataset.folder), (stat.st_size, stat.st_mtime_ns))

    def differs(self, name: str, path: str, now: str) -> bool:
        """Whether the file at `path`, in the state `now`, is another than the one of this name."""
        version = self.versions.get(name)
        if version is None:
            return False
        before = known_place(name, self.places)
        return is_other(path, now, version, moved=before is None or shown(before) != shown(path))


@lru_cache(maxsize=4)
def _ingested(folder: str, stamp: tuple[int, int]) -> Ingested:
    del stamp  # part of the key
    dataset = Dataset(place(folder))
    return Ingested({ref.name: ref.sha256 for ref in dataset.manifest.inputs}, dataset.places())


def is_same(record: RawRecord, message: HttpMessage, row: Mapping[str, Any]) -> bool:
    """Whether a record that is read again is the one of the row: by its id, and the digest of its payload."""
    ident = record.record_id or record_id(row["file_path"], row["warc_offset"])
    return bool(ident == row["id"] and (record.payload_digest or sha1_digest(message.body)) == row["content_digest"])


def locators(rows: Sequence[Mapping[str, Any]], name: str) -> list[Locator]:
    """The locators of the rows that are records of the archive `name`."""
    return [(row["warc_offset"], row["warc_length"], row["member_record"]) for row in rows if row["file_path"] == name]


def dataset_of(part: Any) -> Dataset:
    """The dataset that a part, cut after some rows or not, is a shard of."""
    while hasattr(part, "part"):
        part = part.part
    return Dataset(place(part.folder))
