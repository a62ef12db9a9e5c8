"""Documents from other tools as a source: Parquet or JSON (lines, arrays; compressed or not) with at least a `text`,
or, where no stage reads a text, with at least a `url`; then also a plain list of addresses, one a line (`.txt`).

They skip extraction. The key is (file name, row number) for Parquet and (file name, byte offset in the unpacked text)
for the others. What is not a document, or cannot be read, becomes a ledger row and does not stop the job: a value, a
line, a row group, or what damaged data have lost. Columns that are not ours are kept (`pipeline/inputs/columns.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

from infra.dataset import schema as schemas
from infra.dataset.reader import BATCH_ROWS
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.ledger import LOCATOR, Reject
from mixers.pretokens import count as count_tokens
from pipeline.inputs.columns import (
    GIVEN,
    STRINGS,
    Columns,
    JsonType,
    KeptColumns,
    as_json,
    kept_of_json,
    kept_of_parquet,
    merged,
)
from pipeline.inputs.inputs import FileSource, InputFile
from pipeline.inputs.json_elements import read_lines
from pipeline.inputs.json_lines import DAMAGE, MAX_LINE_BYTES, TOO_LONG
from pipeline.inputs.kinds import is_parquet, is_url_list
from pipeline.inputs.parquet_rows import DAMAGED, NotParquet, parquet_rows, parquet_schema, python_rows, taken
from pipeline.inputs.records import record_id
from pipeline.inputs.unpacked import Doubt, doubts_of
from pipeline.inputs.versions import check_still, check_version

MAX_SHOWN = 40  # characters of a name in a message


@dataclass
class DocumentFilePart:
    """One file of documents, read in fixed batches. `kept`: its columns that are not ours. `rejects`: the rows so far
    that are not documents; `seen`: of the file, as `InputFile` has it; `doubts`: what damaged data may have made wrong,
    None if that is not known yet."""

    path: str
    name: str
    sha256: str
    default_source: str
    columns: Columns = field(default_factory=Columns)
    kept: KeptColumns = field(default_factory=KeptColumns)
    rejects: list[tuple[dict[str, Any], Reject]] = field(default_factory=list)
    seen: str = ""
    doubts: tuple[Doubt, ...] | None = None

    @property
    def fingerprint(self) -> str:
        types = [[column.name, str(column.type)] for column in self.kept.schema]
        more = [self.columns.params, types, sorted(self.kept.json_text)]
        plain = more == [{}, [], []]
        return sha256_json([self.name, self.sha256, self.default_source, *([] if plain else more)])

    def schema(self) -> pa.Schema:
        return schemas.documents((), self.kept.schema)

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        self.rejects.clear()
        reader = self._parquet if is_parquet(self.name) else self._lines
        for made in reader():
            yield made.select(columns) if columns else made
        check_still(self.path, self.seen)
        check_version(self.path, self.sha256)

    def _locator(self, offset: int, length: int) -> dict[str, Any]:
        return {"file_path": self.name, "warc_offset": offset, "warc_length": length, "member_record": 0}

    def _reject(self, offset: int, length: int, reason: str, value: Any = None) -> None:
        row = {**self._locator(offset, length), "id": record_id(self.name, offset)}
        for name in ("id", "url") if isinstance(value, dict) else ():
            if (found := value.get(self.columns.source_of(name))) is not None:
                row[name] = as_text(found)
        sizes = (float(length), float(MAX_LINE_BYTES)) if reason == TOO_LONG else (None, None)
        self.rejects.append(({key: row.get(key) for key in LOCATOR}, Reject("read", reason, *sizes)))

    def _document(self, offset: int, length: int, value: Any) -> dict[str, Any] | None:
        if (reason := self.columns.missing_in(value)) is not None:
            self._reject(offset, length, reason, value)
            return None
        text = value.get(self.columns.text)
        text = text.encode("utf-8", "replace").decode().replace("\0", "") if isinstance(text, str) else ""
        row = {
            name: as_text(found) for name in STRINGS if (found := value.get(self.columns.source_of(name))) is not None
        }
        row.setdefault("id", record_id(self.name, offset))
        row.setdefault("source", self.default_source)
        return {
            **row,
            **self._locator(offset, length),
            "text": text,
            "token_count": count_tokens(text),
            "language_score": as_score(value.get("language_score")),
            "copies": 1,
            "snapshots": 1,
            "repeats": 1,
            "signals": {},
        }

    def _parquet(self) -> Iterator[pa.RecordBatch]:
        ours = schemas.documents(())
        try:
            there = parquet_schema(self.path).names
        except NotParquet:  # of how many rows is not known
            self._reject(0, 0, DAMAGED)
            return
        read = [name for name in map(self.columns.source_of, sorted(GIVEN)) if name in there]
        for first, count, part, fault in parquet_rows(self.path, [*read, *self.kept.names]):
            if part is None:
                self._reject(first, count, fault)
                continue
            values = [with_text(value, self.columns.text) for value in python_rows(part, read)]
            rows = [self._document(first + number, 1, value) for number, value in enumerate(values)]
            numbers = pa.array([number for number, row in enumerate(rows) if row is not None], pa.int64())
            made = pa.RecordBatch.from_pylist([row for row in rows if row is not None], ours)
            for theirs, column in zip(self.kept.names, self.kept.schema, strict=True):
                made = made.append_column(column, taken(part.column(theirs), numbers, column.type))
            if made.num_rows:
                yield made

    def _lines(self) -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        doubts = doubts_of(self.path) if self.doubts is None else self.doubts
        for offset, length, value, fault in read_lines(self.path, plain=is_url_list(self.name)):
            doubt = next(
                (DAMAGE + each.reason for each in doubts if offset < each.end and each.start < offset + length), ""
            )
            fault = fault or self.columns.missing_in(value) or ""
            if fault:
                self._reject(offset, length, doubt if doubt and fault != TOO_LONG else fault, value)
                continue
            row = self._document(offset, length, value)
            if row is not None:
                if doubt:
                    row.setdefault("truncated", doubt)
                rows.append(row | self.kept.values(value))
            if len(rows) == BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(rows, self.schema())
                rows = []
        if rows:
            yield pa.RecordBatch.from_pylist(rows, self.schema())


def as_text(value: Any) -> str:
    """A value of a column that is a string here: lists and objects as JSON, bytes as UTF-8."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return as_json(value) if isinstance(value, list | dict) else str(value)


def as_score(value: Any) -> float | None:
    """A number of the user's; None for what is none, or is too large for one."""
    try:
        return float(value) if isinstance(value, int | float | Decimal) else None
    except OverflowError:
        return None


def with_text(value: dict[str, Any], name: str) -> dict[str, Any]:
    """A row of Parquet; some programs write texts as bytes."""
    return {**value, name: as_text(value[name])} if isinstance(value.get(name), bytes) else value


@dataclass(frozen=True)
class DocumentFiles(FileSource):
    """Files of documents as a source; a file is a partition. `kept`: the columns of each that are not ours. `doubts`:
    what damaged data may have made wrong in each. `source`: the default for rows without one."""

    columns: Columns = field(default_factory=Columns)
    kept: tuple[KeptColumns, ...] = ()
    doubts: tuple[tuple[Doubt, ...], ...] = ()
    source: str = "given"

    def parts(self) -> Sequence[DocumentFilePart]:
        return [
            DocumentFilePart(file.path, file.name, file.version, self.source, self.columns, kept, [], file.seen, doubts)
            for file, kept, doubts in zip(self.files, self.kept, self.doubts, strict=True)
        ]


def column_notes(source: Any) -> list[str]:
    """For people: which columns of the documents are kept in another form than they came in."""
    files = [each for each in getattr(source, "sources", [source]) if isinstance(each, DocumentFiles)]
    every = [kept for each in files for kept in each.kept]
    renamed = {ours: theirs for kept in every for theirs, ours in zip(kept.names, kept.schema.names, strict=True)}
    as_text = sorted({name for kept in every for name in kept.json_text})
    notes = [f"column {theirs!r} is kept as {ours!r}" for ours, theirs in sorted(renamed.items()) if ours != theirs]
    whole, fractions = set[str](), set[str]()
    for column in (column for kept in every for column in kept.schema):
        whole |= {column.name} if pa.types.is_integer(column.type) else set()
        fractions |= {column.name} if pa.types.is_floating(column.type) else set()
    notes += [f"column {name!r} has whole numbers and fractions: it is float64" for name in sorted(whole & fractions)]
    return notes + [f"column {name!r} has values of several kinds: each is kept as JSON text" for name in as_text]


def open_documents(files: Sequence[InputFile], columns: Columns) -> DocumentFiles:
    """The files as a source, after a look at the columns of each: of Parquet its schema, of JSON lines every line.

    UsageError, before any work starts, for a file without the column that is needed, for two columns of one name, and
    for a column whose types in two files have none in common.
    """
    kept: dict[str, KeptColumns] = {}
    lines: dict[str, list[str]] = {}
    types: dict[str, JsonType] = {}  # of all JSON lines together
    every: set[str] = set()
    doubts: dict[str, list[Doubt]] = {file.name: [] for file in files}
    unreadable: dict[str, NotParquet] = {}
    for file in files:
        if is_url_list(file.name):
            if columns.needs == "text":
                raise UsageError(f"{file.path} is a list of addresses: a stage of this recipe reads texts")
            kept[file.name] = KeptColumns()
            continue
        if is_parquet(file.name):
            try:
                schema = parquet_schema(file.path)
            except NotParquet as error:
                unreadable[file.name] = error
                kept[file.name] = KeptColumns()
                continue
            check_text(schema, columns.text, file.path)
            kept[file.name] = kept_of_parquet(schema, columns, file.path)
            names = schema.names
        else:
            names = lines[file.name] = see_lines(file, columns, types, doubts[file.name])
        if names and not any(name in names for name in columns.required):
            wanted = " or ".join(f"`{name}`" for name in columns.required)
            options = "--text-column" if columns.needs == "text" else "--url-column"
            raise UsageError(f"{file.path} has no column {wanted} (it has {shown(names)}): name it with {options}")
        every.update(names)
    if unreadable and len(unreadable) == len(files):
        raise next(iter(unreadable.values()))
    if missing := [theirs for ours, theirs in columns.renamed.items() if ours != "text" and theirs not in every]:
        raise UsageError(f"no file has a column `{missing[0]}` (they have {shown(sorted(every))}): name another")
    for name, names in lines.items():
        kept[name] = kept_of_json({column: types[column] for column in names}, columns, name)
    check_one_source(kept)
    merged({file.path: kept[file.name].schema for file in files})
    found = tuple(kept[file.name] for file in files), tuple(tuple(doubts[file.name]) for file in files)
    return DocumentFiles(tuple(files), columns, *found)


def check_one_source(kept: Mapping[str, KeptColumns]) -> None:
    """Raises UsageError for a name under which different columns of different files would be kept, or the same column
    in two forms."""
    found: dict[str, tuple[str, bool, str]] = {}
    for file, columns in kept.items():
        for theirs, ours in zip(columns.names, columns.schema.names, strict=True):
            form = (theirs, ours in columns.json_text)
            before = found.setdefault(ours, (*form, file))
            if before[:2] != form and not pa.types.is_null(columns.schema.field(ours).type):
                what = f"{before[0]!r} of {before[2]} and {theirs!r} of {file}"
                raise UsageError(f"column {ours!r} would hold {what} in two forms: give one another name")


def shown(names: Sequence[str]) -> str:
    """Some names for a message, shortened, with what a terminal would act on escaped."""
    few = [name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + "…" for name in names[:8]]
    plain = [name if name.isprintable() else ascii(name)[1:-1] for name in few]
    return ", ".join(plain) + (", …" if len(names) > 8 else "")


def check_text(schema: pa.Schema, name: str, path: str) -> None:
    """Raises UsageError if the column of texts, where there is one, has none."""
    if schema.names.count(name) == 1:
        found = schema.field(name).type
        plain = found.value_type if pa.types.is_dictionary(found) else found
        tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
                 pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_null)  # fmt: skip
        if not any(test(plain) for test in tests):
            raise UsageError(f"{path}: column `{name}` is {found}, not text: name another with --text-column")


def see_lines(file: InputFile, columns: Columns, types: dict[str, JsonType], doubts: list[Doubt]) -> list[str]:
    """The columns of a file of JSON lines; the kinds of their values are added to `types`, what may be wrong to
    `doubts`. Damage is no error here: it is counted when the documents are read. Of a damaged file, whose values may
    have any name, only those of documents are columns."""
    read = {columns.source_of(ours) for ours in GIVEN}
    names: dict[str, None] = {}
    of_documents: dict[str, None] = {}
    damaged = False
    for line in read_lines(file.path, doubts=doubts):
        damaged = damaged or line.fault.startswith(DAMAGE)
        if isinstance(value := line.value, dict):
            names.update(dict.fromkeys(value))
            if columns.missing_in(value) is None:
                of_documents.update(dict.fromkeys(value))
            for name, inner in value.items():
                seen = types.setdefault(name, JsonType())
                if name not in read:
                    seen.see(inner)
    return list(of_documents if damaged else names)
