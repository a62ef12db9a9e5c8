"""Documents with the columns that a choice among them needs, of whatever holds texts: Parquet and JSONL files, datasets
of documents, and datasets of tokens, whose texts are decoded.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.dataset.manifest import InputRef, Kind
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.names import meant
from infra.storage import readable
from mixers.domains import AXIS_OF, GENERAL, Axis
from mixers.shards import TokenShardReader
from mixers.targets import NO_LANGUAGE
from pipeline.inputs.columns import Columns
from pipeline.inputs.documents import DocumentFilePart, open_documents
from pipeline.inputs.inputs import Inputs, read_inputs
from pipeline.stages.tokenize import MODEL, TABLE, on_disk, open_tokenizer

# What documents are chosen by that is no column of theirs, and the column that it follows from.
DERIVED = {"axis": "domain", "year": "date"}
_ABSENT = {"domain": GENERAL, "language": NO_LANGUAGE}
_ROWS = 256


class Documents:
    """The documents of some inputs, in the order of the files; `refs` name these."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """`arguments`: as `--input` has them. UsageError for what is not there, and for archives."""
        self._inputs: Inputs = read_inputs(arguments)
        if self._inputs.archives:
            raise UsageError(
                f"{self._inputs.archives[0].path} is an archive: give texts, as `refinery run` makes them of it"
            )
        for dataset in self._inputs.datasets:
            if dataset.kind not in (Kind.DOCUMENTS, Kind.TOKENS):
                raise UsageError(f"{dataset.folder} is a dataset of {dataset.kind}, not of documents or tokens")
        files = self._inputs.documents
        self._files = open_documents(files, Columns()) if files else None
        self.unreadable: dict[str, int] = {}
        """Rows that are no documents, by reason; of files that were read to their end."""

    @property
    def refs(self) -> tuple[InputRef, ...]:
        files = self._files.refs if self._files else ()
        return (*files, *(ref for dataset in self._inputs.datasets for ref in dataset.refs))

    def rows(self, columns: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """`text`, `repeats` and these columns of each document; what is no column of theirs is None there."""
        wanted = [DERIVED.get(name, name) for name in columns]
        for part in self._files.parts() if self._files else ():
            yield from _rows_of_file(part, wanted)
            for _, reject in part.rejects:
                self.unreadable[reject.rule] = self.unreadable.get(reject.rule, 0) + 1
        for dataset in self._inputs.datasets:
            yield from (_rows_of_tokens if dataset.kind is Kind.TOKENS else _rows_of_documents)(dataset, wanted)


def _rows_of_file(part: DocumentFilePart, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    names = _there(part.schema(), wanted, part.path)
    for batch in part.batches(names):
        yield from batch.to_pylist()


def _rows_of_documents(dataset: Dataset, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    for part in dataset.parts():
        for batch in part.batches(_there(part.schema(), wanted, str(dataset.folder))):
            yield from batch.to_pylist()


def _there(schema: pa.Schema, wanted: Sequence[str], place: str) -> list[str]:
    """The columns to read. UsageError for one that documents have none of."""
    for name in wanted:
        if name not in schema.names:
            raise UsageError(f"{place} has no column {name!r} to choose by: {meant(name, schema.names)}")
    return list(dict.fromkeys(name for name in ("text", "repeats", *wanted) if name in schema.names))


def _rows_of_tokens(dataset: Dataset, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Texts are decoded without the end of the document, which has none."""
    tokenizer = open_tokenizer(str(dataset.folder / MODEL))
    shard, opened = "", None
    try:
        with pq.ParquetFile(readable(dataset.folder / TABLE)) as file:
            names = _there(file.schema_arrow.append(pa.field("text", pa.string())), wanted, str(dataset.folder))
            read = list(dict.fromkeys([*(name for name in names if name != "text"), "shard", "offset", "length"]))
            for batch in file.iter_batches(batch_size=_ROWS, columns=read):
                for row in batch.to_pylist():
                    if row["shard"] != shard:
                        shard = row["shard"]
                        with on_disk(dataset.folder / shard) as path:
                            opened = TokenShardReader(path)
                    assert opened is not None
                    ids = opened.data[row["offset"] : row["offset"] + row["length"]]
                    if len(ids) != row["length"]:
                        raise UsageError(f"{dataset.folder / TABLE} names tokens that {shard} does not have")
                    yield {**row, "text": tokenizer.decode(ids)}
    except FileNotFoundError:
        raise UsageError(f"{dataset.folder} has no {TABLE}: make it again with `refinery tokenize`") from None
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{dataset.folder / TABLE} cannot be read: {str(error).splitlines()[0]}") from None


def value_of(row: Mapping[str, Any], column: str) -> str:
    """What a document is chosen by: the value of a column as words, `axis` from the domain, `year` from the date."""
    found = row.get(DERIVED.get(column, column))
    if column == "axis":
        return str(AXIS_OF.get(str(found), Axis.GENERAL))
    if column == "year":
        return str(found)[:4] if found else "undated"
    return str(found) if found is not None else _ABSENT.get(column, "none")
