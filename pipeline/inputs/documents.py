"""Documents from other tools as a source: Parquet or JSONL (plain, gzip, zstd) with at least a `text`.

They skip extraction. The key is (file name, row number) for Parquet and (file name, byte offset in the unpacked text)
for JSONL. A line that is not a document becomes a ledger row and does not stop the job.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from infra.dataset import schema as schemas
from infra.dataset.reader import BATCH_ROWS
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.ledger import LOCATOR, Reject
from mixers.pretokens import count as count_tokens
from pipeline.inputs.inputs import FileSource, InputFile
from pipeline.inputs.records import record_id

MAX_LINE_BYTES = 64 * 2**20
STRINGS = ("id", "dump", "url", "date", "language", "content_digest", "title", "source", "domain")


@dataclass
class DocumentFilePart:
    """One file of documents, read in fixed batches. `rejects`: the rows so far that are not documents."""

    path: str
    name: str
    sha256: str
    default_source: str
    rejects: list[tuple[dict[str, Any], Reject]] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.name, self.sha256, self.default_source])

    def schema(self) -> pa.Schema:
        return schemas.documents(())

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        self.rejects.clear()
        rows: list[dict[str, Any]] = []
        reader = self._parquet if self.name.lower().endswith(".parquet") else self._json_lines
        for offset, length, value in reader():
            row = self._document(offset, length, value)
            if row is not None:
                rows.append(row)
            if len(rows) == BATCH_ROWS:
                yield self._select(rows, columns)
                rows = []
        if rows:
            yield self._select(rows, columns)

    def _select(self, rows: list[dict[str, Any]], columns: list[str] | None) -> pa.RecordBatch:
        made = pa.RecordBatch.from_pylist(rows, self.schema())
        return made.select(columns) if columns else made

    def _document(self, offset: int, length: int, value: Any) -> dict[str, Any] | None:
        locator = {"file_path": self.name, "warc_offset": offset, "warc_length": length, "member_record": 0}
        if not isinstance(value, dict) or not isinstance(value.get("text"), str):
            reason = "no_text" if isinstance(value, dict) else "not_json"
            row = {**locator, "id": record_id(self.name, offset)}
            self.rejects.append(({key: row.get(key) for key in LOCATOR}, Reject("read", reason, None, None)))
            return None
        text = value["text"].encode("utf-8", "replace").decode().replace("\0", "")
        row = {name: str(value[name]) for name in STRINGS if value.get(name) is not None}
        row.setdefault("id", record_id(self.name, offset))
        row.setdefault("source", self.default_source)
        score = value.get("language_score")
        return {
            **row,
            **locator,
            "text": text,
            "token_count": count_tokens(text),
            "language_score": float(score) if isinstance(score, int | float) else None,
            "copies": 1,
            "snapshots": 1,
            "repeats": 1,
            "signals": {},
        }

    def _parquet(self) -> Iterator[tuple[int, int, Any]]:
        with pq.ParquetFile(self.path) as file:
            wanted = [name for name in ("text", *STRINGS, "language_score") if name in file.schema_arrow.names]
            row = 0
            for part in file.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
                for value in part.to_pylist():
                    yield row, 1, value
                    row += 1

    def _json_lines(self) -> Iterator[tuple[int, int, Any]]:
        offset = 0
        with open_lines(self.path) as file:
            while True:
                try:
                    line = file.readline(MAX_LINE_BYTES)
                except (EOFError, OSError, zlib.error, zstandard.ZstdError):
                    # the rest of a cut or damaged file cannot be unpacked: one ledger row records it
                    yield offset, 0, None
                    return
                if not line:
                    return
                start, offset = offset, offset + len(line)
                if not line.strip():
                    continue
                yield start, len(line), parse_line(line)


def parse_line(line: bytes) -> Any:
    """Parses the JSON value of a line; None if it is not JSON. Accepts lone surrogates, which orjson refuses."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            return None


def open_lines(path: str) -> BinaryIO:
    """Opens the unpacked bytes of a JSONL file; the compression is detected by magic, not by name."""
    file = Path(path).open("rb")  # noqa: SIM115 (the caller closes what is returned)
    magic = file.read(4)
    file.seek(0)
    if magic[:2] == b"\x1f\x8b":
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    if magic == b"\x28\xb5\x2f\xfd":
        unpacked: Any = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return io.BufferedReader(unpacked)
    return file


@dataclass(frozen=True)
class DocumentFiles(FileSource):
    """Files of documents as a source; a file is a partition. `source`: the default for rows without one."""

    source: str = "given"

    def parts(self) -> Sequence[DocumentFilePart]:
        return [DocumentFilePart(file.path, file.name, file.sha256, self.source) for file in self.files]


def check_document_files(files: Sequence[InputFile]) -> None:
    """Raises UsageError for a file without a `text` column, before any work starts."""
    for file in files:
        if not file.name.lower().endswith(".parquet"):
            continue
        try:
            names = pq.read_schema(file.path).names
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{file.path} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
        if "text" not in names:
            raise UsageError(f"{file.path} has no column `text` (it has {', '.join(names[:8])})")
