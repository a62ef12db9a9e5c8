"""Writes `documents.arrow`: what a trainer needs of each document, as columns of numbers that are mapped into memory.

One Arrow IPC file of one record batch, so that each column is one array of the file's own bytes. Row i is row i of
`documents.parquet`, which has the ids and addresses. Integers are unsigned and have as few bytes as their largest value
needs; domains and sources are dictionary codes. The columns are written as a stream: memory does not grow with the
number of documents.

`member` is the exception to "one row, one document": it holds the numbers of all rows, sorted by (code of the source,
repeats, row), so that the documents of a source with equal repeats are one slice of it. The schema's metadata
(`SOURCES_KEY`) says which: [{name, sha256, documents, tokens, classes: [{repeats, documents, first}]}] in the order of
the codes.

`sha256` of a source identifies its documents: it covers its name, and the ids, lengths and repeats of its rows in their
order, and nothing else of the dataset.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from infra.dataset.files import FileRef
from infra.errors import WorkError
from infra.hashing import sha256_file, sha256_json
from infra.storage import commit_file, scratch_folder, temporary_name

DOCUMENT_TABLE = "documents.arrow"
SOURCES_KEY = b"refinery.sources"
FORMAT_KEY, FORMAT = b"refinery.format", b"refinery.documents/1"
NUMBERS = ("shard", "offset", "length", "bytes", "repeats")
CHUNK_ROWS = 2**20

Array = npt.NDArray[Any]


class GrowingColumn:
    """Unsigned integers appended to a file, which gets wider when a value does not fit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._file = path.open("wb")

    def append(self, values: Array) -> None:
        if not len(values):
            return
        if int(values.min()) < 0:
            raise WorkError(f"the table of documents has a negative number in its column {self.path.name!r}")
        needed = np.min_scalar_type(int(values.max()))
        if needed.itemsize > self.dtype.itemsize:
            self._widen(needed)
        self._file.write(values.astype(self.dtype).tobytes())
        self.rows += len(values)

    def finish(self) -> Array:
        """All values, as a map of the file."""
        self._file.close()
        return np.memmap(self.path, self.dtype, "r") if self.rows else np.zeros(0, self.dtype)

    def _widen(self, dtype: np.dtype[Any]) -> None:
        narrow, wide = self.finish(), self.path.with_suffix(".wider")
        with wide.open("wb") as file:
            for start in range(0, len(narrow), CHUNK_ROWS):
                file.write(narrow[start : start + CHUNK_ROWS].astype(dtype).tobytes())
        wide.replace(self.path)
        self.dtype = dtype
        self._file = self.path.open("ab")


@dataclass
class SourceIdentity:
    """The hash over a source's documents, which does not depend on how they came in batches."""

    name: str
    documents: int = 0
    tokens: int = 0
    parts: list[Any] = field(default_factory=lambda: [hashlib.sha256() for _ in range(4)])

    def add(self, ids: pa.Array, lengths: Array, repeats: Array) -> None:
        sizes, content = pc.binary_length(ids), b"".join(buffers_of(ids))
        columns = (sizes.to_numpy().astype("<u4"), content, lengths.astype("<u8"), repeats.astype("<u4"))
        for part, column in zip(self.parts, columns, strict=True):
            part.update(column)
        self.documents += len(lengths)
        self.tokens += int((lengths.astype(np.int64) * repeats.astype(np.int64)).sum())

    @property
    def sha256(self) -> str:
        return sha256_json([self.name, *(part.hexdigest() for part in self.parts)])


def buffers_of(strings: pa.Array) -> Iterator[memoryview]:
    """The bytes of an array of `large_string`, without its offsets."""
    assert strings.type == pa.large_string()
    if len(strings):
        ends = np.frombuffer(strings.buffers()[1], np.int64)[strings.offset : strings.offset + len(strings) + 1]
        data = strings.buffers()[2]
        if data is not None:
            yield memoryview(data)[int(ends[0]) : int(ends[-1])]


class DocumentTableWriter:
    """Appends rows, batch after batch, and writes the table from them. A context, which removes its scratch files."""

    def __init__(self) -> None:
        self._scratch = TemporaryDirectory(dir=scratch_folder())
        folder = Path(self._scratch.name)
        self._columns = {name: GrowingColumn(folder / name) for name in (*NUMBERS, "domain", "source")}
        self._member = folder / "member"
        self._codes: dict[str, dict[str, int]] = {"domain": {}, "source": {}}
        self._identities: list[SourceIdentity] = []

    def __enter__(self) -> "DocumentTableWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def add(self, rows: pa.RecordBatch, shard: int) -> None:
        """Append documents, which have the columns id, domain, source, offset, length, bytes and repeats.

        `shard`: the number of their .bin file among those of the dataset.
        """
        numbers = {name: rows[name].to_numpy() for name in NUMBERS if name != "shard"}
        codes = {name: self._encode(name, rows[name]) for name in self._codes}
        for name, values in {**numbers, **codes, "shard": np.full(rows.num_rows, shard)}.items():
            self._columns[name].append(values)
        ids = pc.fill_null(rows["id"].cast(pa.large_string()), "")
        for code in np.unique(codes["source"]).tolist():
            mine = codes["source"] == code
            chosen = ids if mine.all() else ids.filter(pa.array(mine))
            self._identities[code].add(chosen, numbers["length"][mine], numbers["repeats"][mine])

    def write(self, final: Path) -> FileRef:
        """Write the file `final`. The writer is of no use afterwards."""
        arrays = {name: each.finish() for name, each in self._columns.items()}
        member, classes = self._sorted(arrays["source"], arrays["repeats"])
        sources = [
            {"name": each.name, "sha256": each.sha256, "documents": each.documents, "tokens": each.tokens,
             "classes": classes[code]}
            for code, each in enumerate(self._identities)
        ]  # fmt: skip
        columns = {name: pa.array(arrays[name]) for name in NUMBERS} | {"member": pa.array(member)}
        columns |= {name: self._dictionary(name, arrays[name]) for name in self._codes}
        metadata = {FORMAT_KEY: FORMAT, SOURCES_KEY: json.dumps(sources).encode()}
        schema = pa.schema([(name, array.type) for name, array in columns.items()], metadata)
        temporary = temporary_name(final)
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(list(columns.values()), schema=schema))
        sha256, size = sha256_file(temporary), temporary.stat().st_size
        commit_file(temporary, final)
        return FileRef(final.name, size, sha256)

    def _encode(self, name: str, values: pa.Array) -> Array:
        """The codes of the values, which are numbered as they come."""
        default = "general" if name == "domain" else ""
        encoded = pc.fill_null(values.cast(pa.string()), default).dictionary_encode()
        known = self._codes[name]
        for value in encoded.dictionary.to_pylist():
            if value not in known:
                known[value] = len(known)
                if name == "source":
                    self._identities.append(SourceIdentity(value))
        table = np.array([known[value] for value in encoded.dictionary.to_pylist()], np.int64)
        codes: Array = table[encoded.indices.to_numpy()]
        return codes

    def _dictionary(self, name: str, codes: Array) -> pa.Array:
        """Codes as Arrow has them: signed, of the same size unless the sign needs another."""
        names = pa.array(list(self._codes[name]), pa.string())
        signed = np.dtype(f"i{codes.dtype.itemsize}")
        if len(names) > np.iinfo(signed).max + 1:
            signed = np.dtype(f"i{2 * codes.dtype.itemsize}")
        same = signed.itemsize == codes.dtype.itemsize
        return pa.DictionaryArray.from_arrays(pa.array(codes.view(signed) if same else codes.astype(signed)), names)

    def _sorted(self, source: Array, repeats: Array) -> tuple[Array, dict[int, list[dict[str, int]]]]:
        """The column `member` by a counting sort, and the classes of each source."""
        counts: dict[tuple[int, int], int] = {}
        for _, classes, inverse in _classes(source, repeats):
            for key, count in zip(classes, np.bincount(inverse).tolist(), strict=True):
                counts[key] = counts.get(key, 0) + count
        first: dict[tuple[int, int], int] = {}
        found: dict[int, list[dict[str, int]]] = {code: [] for code in range(len(self._identities))}
        total = 0
        for key, count in sorted(counts.items()):
            first[key] = total
            found[key[0]].append({"repeats": key[1], "documents": count, "first": total})
            total += count
        rows = len(source)
        if not rows:
            return np.zeros(0, np.uint8), found
        member = np.memmap(self._member, np.min_scalar_type(rows - 1), "w+", shape=(rows,))
        for start, classes, inverse in _classes(source, repeats):
            for number, key in enumerate(classes):
                mine = np.flatnonzero(inverse == number)
                member[first[key] : first[key] + len(mine)] = mine + start
                first[key] += len(mine)
        return member, found


def _classes(source: Array, repeats: Array) -> Iterator[tuple[int, list[tuple[int, int]], Array]]:
    """Chunk by chunk: its first row, the pairs (source, repeats) in it, and which of them each row has."""
    for start in range(0, len(source), CHUNK_ROWS):
        end = start + CHUNK_ROWS
        keys = source[start:end].astype(np.int64) << 32 | repeats[start:end].astype(np.int64)
        found, inverse = np.unique(keys, return_inverse=True)
        yield start, [(key >> 32, key & 0xFFFFFFFF) for key in found.tolist()], inverse
