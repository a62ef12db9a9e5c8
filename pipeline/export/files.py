"""The formats of an export, and what writes each: batches in, bytes out, the same bytes for the same rows."""

import base64
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import IO, Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from infra.dataset.writer import ROW_GROUP_BYTES, ROW_GROUP_ROWS, ZSTD_LEVEL

GZIP_LEVEL = 6
# By its name: the end of a file's name.
FORMATS = {
    "jsonl": ".jsonl",
    "jsonl.gz": ".jsonl.gz",
    "jsonl.zst": ".jsonl.zst",
    "parquet": ".parquet",
    "text": ".txt",
    "text.gz": ".txt.gz",
    "text.zst": ".txt.zst",
}
TEXT = "text"


class ExportSink(Protocol):
    """What batches are written to."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


@contextmanager
def sink(form: str, file: IO[bytes], schema: pa.Schema, separator: str) -> Iterator[ExportSink]:
    """Writes batches of `schema` into `file`, which stays open; `separator`: the line between two texts."""
    kind, _, packed = form.partition(".")
    with compressed(file, packed) as stream:
        made: ExportSink
        if kind == "parquet":
            made = ParquetExport(stream, schema)
        else:
            made = TextSink(stream, separator) if kind == TEXT else JsonSink(stream)
        yield made
        made.close()


@contextmanager
def compressed(file: IO[bytes], how: str) -> Iterator[IO[bytes]]:
    """`file`, or what packs into it: `gz` without a name and a time in its head, or `zst`."""
    if how == "gz":
        with gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0) as stream:
            yield stream  # type: ignore[misc]
    elif how == "zst":
        with zstandard.ZstdCompressor(level=ZSTD_LEVEL).stream_writer(file, closefd=False) as stream:
            yield stream
    else:
        yield file


def with_times_as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with dates and times of the top level as Arrow writes them."""
    columns = [column.cast(pa.string()) if pa.types.is_temporal(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


@dataclass
class JsonSink:
    """An object a line. Times are written as ISO 8601, bytes in base 64, what is not a number as null."""

    file: IO[bytes]

    def write(self, batch: pa.RecordBatch) -> None:
        known = in_microseconds(batch)
        try:
            rows = known.to_pylist()
        except OverflowError:  # Python's years end with 9999
            rows = with_times_as_text(known).to_pylist()
        self.file.write(b"".join(orjson.dumps(row, _as_json, orjson.OPT_APPEND_NEWLINE) for row in rows))

    def close(self) -> None:
        """Nothing is held back."""


@dataclass
class TextSink:
    """Only the texts of the first column, a line with the separator between two of them."""

    file: IO[bytes]
    separator: str
    begun: bool = False

    def write(self, batch: pa.RecordBatch) -> None:
        for text in batch[0].to_pylist():
            between = f"{self.separator}\n" if self.begun else ""
            self.file.write(f"{between}{text or ''}\n".encode())
            self.begun = True

    def close(self) -> None:
        """Nothing is held back."""


class ParquetExport:
    """One Parquet file, whose row groups end by the same rules as those of our shards."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self.schema = schema
        self.writer = pq.ParquetWriter(file, schema, compression="zstd", compression_level=ZSTD_LEVEL, version="2.6")
        self.group = ROW_GROUP_ROWS["text" if "text" in schema.names else "table"]
        self.held: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self.held.append(batch)
        rows, size = sum(each.num_rows for each in self.held), sum(each.nbytes for each in self.held)
        if rows >= self.group or size >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self.held:
            self.writer.write_table(pa.Table.from_batches(self.held, self.schema), row_group_size=self.group)
        self.held = []

    def close(self) -> None:
        self._flush()
        self.writer.close()


def in_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Timestamps of nanoseconds cut to microseconds: Python's have no more."""
    columns = [
        column.cast(pa.timestamp("us", column.type.tz), safe=False)
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _as_json(value: Any) -> Any:
    """What orjson does not write by itself."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError
