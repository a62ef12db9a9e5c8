"""Ids and locators of survivors, attached to decisions at the very end: the ledger names the copy that stays.

Its id is for people and may repeat; its file and offset say which document it is. Both are long; until here a document
is eight bytes. So only those of survivors are read, and joined with the decisions in a reduction by the survivor's
number. Where a copy was removed through another document than its survivor, that one is named first, in a reduction by
its number.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.snapshots import LISTS
from dedup.tables import (
    DECISIONS,
    LOCATION,
    DocumentNumbers,
    batch_of,
    decision_rows,
    document_numbers,
    stretched,
    values,
)

# DECISIONS as they are applied. `survivor`: an id, and its locator; null for the survivor itself; large, as a shard may
# be one page over and over.
NAMED = pa.schema(
    [
        *LOCATION,
        ("kept", pa.bool_()),
        ("survivor", pa.large_string()),
        ("survivor_path", pa.large_string()),
        ("survivor_offset", pa.int64()),
        ("via", pa.large_string()),
        ("similarity", pa.float64()),
        ("bands", pa.int16()),
        ("copies", pa.int32()),
        ("snapshots", pa.int32()),
        ("dumps", LISTS),
    ]
)


# Of documents and of DECISIONS, by the column of NAMED.
NAMES = ("id", "file_path", "warc_offset")
_NAMED = {"survivor": "id", "survivor_path": "file_path", "survivor_offset": "warc_offset"}


def id_table(documents: pa.RecordBatch, shard: int, first_row: int, wanted: DocumentNumbers) -> pa.RecordBatch:
    """DECISIONS at (-1, -1) with the ids and locators of those documents of a batch that are `wanted` (sorted, distinct
    numbers)."""
    first = int(document_numbers(shard, first_row))
    begin, end = np.searchsorted(wanted, [first, first + documents.num_rows])
    chosen = wanted[begin:end]
    rows = pa.array(chosen - first)
    told = {name: documents[name].take(rows) for name in NAMES if name in documents.schema.names}
    return decision_rows(chosen, np.full(chosen.size, -1), **told)


def via_table(documents: pa.RecordBatch, shard: int, first_row: int, wanted: DocumentNumbers) -> pa.RecordBatch:
    """As `id_table`, of documents that are evidence."""
    table = id_table(documents, shard, first_row, wanted)
    return table.set_column(DECISIONS.get_field_index("evidence"), DECISIONS.field("evidence"), table["key"])


@dataclass(frozen=True)
class NameEvidence:
    """Reducer over ids and DECISIONS by `evidence` to DECISIONS with `via`: the id, or `file_path:offset` without one.
    Memory: one batch."""

    fingerprint: str = "dedup.named.NameEvidence()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        last = pa.nulls(1, pa.large_string())  # of the last document, whose rows may go on in the next batch
        for batch in rows:
            naming = values(batch, "row") < 0
            place = pc.binary_join_element_wise(batch["file_path"], batch["warc_offset"].cast(pa.string()), ":")
            told = pc.coalesce(batch["id"], place).cast(pa.large_string())
            told = pa.concat_arrays([last, told]).take(pa.array(stretched(naming)))
            last = told.slice(batch.num_rows - 1) if batch.num_rows else last
            through = pa.array(values(batch, "evidence") != values(batch, "key"))
            via = pc.if_else(through, told, None).cast(pa.string())
            made = batch.select(DECISIONS.names).set_column(
                DECISIONS.get_field_index("via"), DECISIONS.field("via"), via
            )
            if not naming.all():
                yield made.filter(pa.array(~naming))


@dataclass(frozen=True)
class NameSurvivors:
    """Reducer over ids and DECISIONS, whose `key` is the survivor, to NAMED. Memory: one batch."""

    fingerprint: str = "dedup.named.NameSurvivors()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        # of the last survivor, whose set may go on in the next batch
        last = {name: pa.nulls(1, DECISIONS.field(name).type) for name in NAMES}
        for batch in rows:
            if not batch.num_rows:
                continue
            naming = values(batch, "row") < 0
            at, decided = pa.array(stretched(naming)), pa.array(~naming)
            told = {name: pa.concat_arrays([last[name], batch[name]]).take(at) for name in NAMES}
            last = {name: column.slice(batch.num_rows - 1) for name, column in told.items()}
            if not pc.any(decided).as_py():
                continue
            kept = batch["kept"].filter(decided)
            columns = {name: batch[name].filter(decided) for name in NAMED.names if name not in _NAMED}
            for name, source in _NAMED.items():
                named = told[source].filter(decided).cast(NAMED.field(name).type)
                columns[name] = pc.if_else(kept, None, named)
            yield batch_of(NAMED, columns)
