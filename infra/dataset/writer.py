"""The one shard writer: the same rows give the same Parquet bytes on every engine.

Row groups close at a fixed number of rows, or when the buffered batches pass a fixed size (so that a thousand huge
pages do not fill the memory); tasks emit the same batches for the same input, so both rules are deterministic.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.dataset.files import Shard
from infra.hashing import sha256_file
from infra.storage import commit_file, temporary_name

ROW_GROUP_ROWS = {"text": 1024, "table": 65536}
ROW_GROUP_BYTES = 64 * 2**20
ZSTD_LEVEL = 3


@dataclass
class ShardWriter:
    """Writes `folder/path` (a Parquet file) batch by batch; `close()` gives it its name and returns its `Shard`.

    It is not synced: the receipt or the manifest that names it is written after a `sync_files` of all that it names.
    """

    folder: Path
    path: str
    schema: pa.Schema
    rows: int = 0
    chars: int = 0
    tokens: int = 0
    languages: dict[str, Counter[str]] = field(default_factory=dict)
    domains: dict[str, Counter[str]] = field(default_factory=dict)
    _buffer: list[pa.RecordBatch] = field(default_factory=list)
    _buffered_rows: int = 0
    _buffered_bytes: int = 0

    def __post_init__(self) -> None:
        self.final = self.folder / self.path
        self.final.parent.mkdir(parents=True, exist_ok=True)
        self.temporary = temporary_name(self.final)
        self.has_text = "text" in self.schema.names
        self.group_rows = ROW_GROUP_ROWS["text" if self.has_text else "table"]
        self._writer = pq.ParquetWriter(
            self.temporary, self.schema, compression="zstd", compression_level=ZSTD_LEVEL, version="2.6"
        )

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        if batch.schema != self.schema:
            batch = batch.cast(self.schema) if hasattr(batch, "cast") else batch
        self._count(batch)
        self._buffer.append(batch)
        self._buffered_rows += batch.num_rows
        self._buffered_bytes += batch.nbytes
        if self._buffered_rows >= self.group_rows or self._buffered_bytes >= ROW_GROUP_BYTES:
            self._flush(whole_groups_only=self._buffered_bytes < ROW_GROUP_BYTES)

    def _count(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        if not self.has_text:
            return
        lengths = pc.utf8_length(batch["text"])
        tokens = batch["token_count"]
        self.chars += pc.sum(lengths).as_py() or 0
        self.tokens += pc.sum(tokens).as_py() or 0
        for column, totals in (("language", self.languages), ("domain", self.domains)):
            if column not in self.schema.names:
                continue
            table = pa.table({"name": batch[column], "chars": lengths, "tokens": tokens})
            groups = table.group_by("name").aggregate([("chars", "sum"), ("tokens", "sum"), ("chars", "count")])
            for row in groups.to_pylist():
                if row["name"] is None:
                    continue
                total = totals.setdefault(row["name"], Counter())
                total.update(docs=row["chars_count"], chars=row["chars_sum"] or 0, tokens=row["tokens_sum"] or 0)

    def _flush(self, whole_groups_only: bool) -> None:
        table = pa.Table.from_batches(self._buffer, self.schema)
        start = 0
        while start < table.num_rows:
            end = min(start + self.group_rows, table.num_rows)
            if whole_groups_only and end - start < self.group_rows:
                break
            self._writer.write_table(table.slice(start, end - start), row_group_size=self.group_rows)
            start = end
        rest = table.slice(start)
        self._buffer = rest.to_batches() if rest.num_rows else []
        self._buffered_rows = rest.num_rows
        self._buffered_bytes = rest.nbytes if rest.num_rows else 0

    def close(self) -> Shard:
        if self._buffer:
            self._flush(whole_groups_only=False)
        self._writer.close()
        size, sha256 = self.temporary.stat().st_size, sha256_file(self.temporary)
        commit_file(self.temporary, self.final, sync=False)
        return Shard(self.path, self.rows, size, self.chars, self.tokens, sha256)

    def abandon(self) -> None:
        self._writer.close()
        self.temporary.unlink(missing_ok=True)
