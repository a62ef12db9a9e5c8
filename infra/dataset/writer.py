"""The one shard writer: the same rows give the same Parquet bytes on every engine.

Row groups close at a fixed number of rows, or when the buffered batches pass a fixed size (so that a thousand huge
pages do not fill the memory); tasks emit the same batches for the same input, so both rules are deterministic.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.dataset.files import Shard
from infra.hashing import sha256_file
from infra.storage import commit_shard, temporary_name

Sizes = npt.NDArray[np.integer[Any]]
ROW_GROUP_ROWS = {"text": 1024, "table": 65536}
ROW_GROUP_BYTES = 64 * 2**20
ZSTD_LEVEL = 3
# A field of lists of integers may name a Parquet encoding of its elements, by this key of its metadata.
ENCODING = b"encoding"
# Columns of which nearly every value is another one: a dictionary would be a copy of a megabyte of them in each row
# group, larger than the values, and is read at four fifths of the speed.
DISTINCT = frozenset({"text", "id", "url"})
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
# A schema whose rows are looked up one by one may name smaller row groups, by this key of its metadata.
GROUP_ROWS = b"row_group_rows"
# The same for its pages to have checksums: a reader of single row groups has no hash of what it reads.
PAGE_CHECKSUM = b"page_checksum"


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
        usual = ROW_GROUP_ROWS["text" if self.has_text else "table"]
        self.group_rows = int((self.schema.metadata or {}).get(GROUP_ROWS, usual))
        self._writer = pq.ParquetWriter(
            self.temporary,
            self.schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            version="2.6",
            write_page_checksum=PAGE_CHECKSUM in (self.schema.metadata or {}),
            **encodings(self.schema),
        )

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        if batch.schema != self.schema:
            batch = batch.cast(self.schema) if hasattr(batch, "cast") else batch
        self.rows += batch.num_rows
        self._buffer.append(batch)
        self._buffered_rows += batch.num_rows
        self._buffered_bytes += batch.nbytes
        if self._buffered_rows >= self.group_rows or self._buffered_bytes >= ROW_GROUP_BYTES:
            self._flush(whole_groups_only=self._buffered_bytes < ROW_GROUP_BYTES)

    def _count(self, table: pa.Table) -> None:
        lengths, tokens = pc.utf8_length(table["text"]), table["token_count"]
        self.chars += pc.sum(lengths).as_py() or 0
        self.tokens += pc.sum(tokens).as_py() or 0
        chars, counts = (pc.fill_null(column, 0).to_numpy() for column in (lengths, tokens))
        for column, totals in (("language", self.languages), ("domain", self.domains)):
            if column in self.schema.names and table[column].null_count < table.num_rows:
                self._count_by(table[column], chars, counts, totals)

    def _count_by(self, names: pa.ChunkedArray, chars: Sizes, tokens: Sizes, totals: dict[str, Counter[str]]) -> None:
        """Numpy rather than a grouping of Arrow's, which takes most of a millisecond however few rows there are."""
        encoded = names.combine_chunks().dictionary_encode()
        which = pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy()  # the nulls come last
        for number, name in enumerate(encoded.dictionary.to_pylist()):
            mine = which == number
            total = totals.setdefault(name, Counter())
            total.update(docs=int(mine.sum()), chars=int(chars[mine].sum()), tokens=int(tokens[mine].sum()))

    def _flush(self, whole_groups_only: bool) -> None:
        table = pa.Table.from_batches(self._buffer, self.schema)
        start = 0
        while start < table.num_rows:
            end = min(start + self.group_rows, table.num_rows)
            if whole_groups_only and end - start < self.group_rows:
                break
            group = table.slice(start, end - start)
            if self.has_text:
                self._count(group)
            self._writer.write_table(group, row_group_size=self.group_rows)
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
        commit_shard(self.temporary, self.final, self.folder, sha256)
        return Shard(self.path, self.rows, size, self.chars, self.tokens, sha256)

    def abandon(self) -> None:
        self._writer.close()
        self.temporary.unlink(missing_ok=True)


def encodings(schema: pa.Schema) -> dict[str, Any]:
    """What the Parquet writer is told of columns: the encoding of lists whose fields name one, and a dictionary of the
    values of all others but DISTINCT."""
    named = {field.name: (field.metadata or {}).get(ENCODING) for field in schema}
    given = {f"{name}.list.element": encoding.decode() for name, encoding in named.items() if encoding}
    others = [field for field in schema if not named[field.name] and field.name not in DISTINCT]
    return {"column_encoding": given, "use_dictionary": [path for field in others for path in leaves(field)]}


def leaves(field: pa.Field, within: str = "") -> Iterator[str]:
    """The paths of the Parquet columns of a field."""
    path = f"{within}{field.name}"
    if pa.types.is_struct(field.type):
        for child in field.type:
            yield from leaves(child, f"{path}.")
    elif pa.types.is_map(field.type):
        yield from leaves(pa.field("key", field.type.key_type), f"{path}.key_value.")
        yield from leaves(pa.field("value", field.type.item_type), f"{path}.key_value.")
    elif any(is_list(field.type) for is_list in LISTS):
        yield from leaves(pa.field("element", field.type.value_type), f"{path}.list.")
    else:
        yield path
