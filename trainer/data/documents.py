"""The table of a dataset's documents: columns of numbers, mapped from `documents.arrow`.

The file is one record batch (docs/formats.md), so that a column is one array in the page cache, which the processes of
a machine share; opening it reads its metadata alone. No text of a document and no id is in it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from infra.errors import UsageError

SOURCES_KEY = b"refinery.sources"
FORMAT_KEY, FORMAT = b"refinery.format", b"refinery.documents/1"
NUMBERS = ("shard", "offset", "length", "bytes", "repeats", "member")

Ints = npt.NDArray[np.int64]
# Integers of any size: convert before arithmetic, they are unsigned and small.
Column = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class RepeatClass:
    """The documents of a source that an epoch has equally often: `member[first : first + documents]`."""

    repeats: int
    documents: int
    first: int


@dataclass(frozen=True)
class DocumentSource:
    """A source of the table."""

    name: str

    sha256: str
    """Identifies its documents: over its name, and ids, lengths and repeats in their order."""

    documents: int

    tokens: int
    """Tokens of one epoch: each document's length times its repeats."""

    classes: tuple[RepeatClass, ...]
    """By repeats, ascending; together all documents of the source."""


@dataclass(frozen=True)
class DocumentTable:
    """Row i is document i, and row i of `documents.parquet`. Every array has one dimension."""

    shards: Column
    """Number of the shard, in the order of the manifest."""

    offsets: Column
    """First token of the document, in tokens of its shard."""

    lengths: Column
    """Tokens of the document, the end-of-document token included."""

    bytes: Column
    """UTF-8 length of the text."""

    repeats: Column
    """How often an epoch has the document; 0 for never."""

    member: Column
    """The rows of all sources and their classes, one class after the other: see `RepeatClass`."""

    domain_codes: Column
    """Index into `domain_names`, signed."""

    source_codes: Column
    """Index into `sources`, signed."""

    domain_names: tuple[str, ...]
    sources: tuple[DocumentSource, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    def source(self, name: str) -> DocumentSource | None:
        return next((source for source in self.sources if source.name == name), None)

    def damaged(self) -> UsageError:
        return UsageError("the dataset's table of documents contradicts itself: it is damaged, run `refinery verify`")


def read_documents(path: Path) -> DocumentTable:
    """Map the table `path`, a file on this machine. UsageError for what is none, or of another format."""
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            metadata = file.schema.metadata or {}
            if metadata.get(FORMAT_KEY) != FORMAT or file.num_record_batches != 1:
                raise UsageError(f"{path} has another format: make the dataset again with `refinery tokenize`")
            batch, names = file.get_batch(0), file.schema.names
            listed = json.loads(metadata[SOURCES_KEY])
            domains = tuple(batch["domain"].dictionary.to_pylist()) if "domain" in names else ()
    except FileNotFoundError:
        raise UsageError(
            f"{path} is missing: the dataset is of an earlier version, make it again with `refinery tokenize`"
        ) from None
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise UsageError(f"{path} cannot be read: {(str(error).splitlines() or ['it is cut short'])[0]}") from None
    for name in (*NUMBERS, "domain", "source"):
        if name not in names or batch[name].null_count:
            raise UsageError(f"{path} has no column {name!r}, or one with nulls")
    columns = {name: batch[name].to_numpy(zero_copy_only=True) for name in NUMBERS}
    table = DocumentTable(
        columns["shard"], columns["offset"], columns["length"], columns["bytes"], columns["repeats"],
        columns["member"],
        batch["domain"].indices.to_numpy(zero_copy_only=True),
        batch["source"].indices.to_numpy(zero_copy_only=True),
        domains,
        tuple(_sources(listed)),
    )  # fmt: skip
    if not 0 <= int(table.member.min(initial=0)) <= int(table.member.max(initial=0)) < max(1, len(table)):
        raise table.damaged()
    if len(table) >= 2**31:
        raise UsageError(f"{path} has 2^31 documents or more: divide the dataset into several")
    if len(table) == 0 or sum(source.documents for source in table.sources) != len(table):
        raise UsageError(f"{path} has no documents, or not those of its sources: it cannot be trained on")
    return table


def _sources(listed: Iterable[Any]) -> Iterable[DocumentSource]:
    for row in listed:
        classes = tuple(RepeatClass(each["repeats"], each["documents"], each["first"]) for each in row["classes"])
        yield DocumentSource(row["name"], row["sha256"], row["documents"], row["tokens"], classes)
