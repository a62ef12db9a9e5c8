"""Ids of survivors, attached to decisions at the very end: the ledger names the copy that stays by its id.

Ids are for people, and long; until here a document is eight bytes. So only the ids of survivors are read, and joined
with the decisions in a reduction by the survivor's number.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.tables import LOCATION, DocumentNumbers, batch_of, decision_rows, document_numbers, stretched, values

# DECISIONS as they are applied. `survivor`: an id, null for the survivor itself; large, as a shard may be one page over
# and over.
NAMED = pa.schema(
    [
        *LOCATION,
        ("kept", pa.bool_()),
        ("survivor", pa.large_string()),
        ("similarity", pa.float64()),
        ("copies", pa.int32()),
        ("snapshots", pa.int32()),
    ]
)


def id_table(documents: pa.RecordBatch, shard: int, first_row: int, wanted: DocumentNumbers) -> pa.RecordBatch:
    """DECISIONS at (-1, -1) with the ids of those documents of a batch that are `wanted` (sorted, distinct numbers)."""
    first = int(document_numbers(shard, first_row))
    begin, end = np.searchsorted(wanted, [first, first + documents.num_rows])
    chosen = wanted[begin:end]
    ids = documents["id"].take(pa.array(chosen - first))
    return decision_rows(chosen, np.full(chosen.size, -1), id=ids)


@dataclass(frozen=True)
class NameSurvivors:
    """Reducer over ids and DECISIONS, whose `key` is the survivor, to NAMED. Memory: one batch."""

    fingerprint: str = "dedup.named.NameSurvivors()"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        last = pa.nulls(1, pa.string())  # the id of the last survivor, whose set may go on in the next batch
        for batch in rows:
            if not batch.num_rows:
                continue
            naming = values(batch, "row") < 0
            ids = pa.concat_arrays([last, batch["id"]]).take(pa.array(stretched(naming)))
            last = ids.slice(batch.num_rows - 1)
            decided = batch.append_column("survivor", ids.cast(pa.large_string())).filter(pa.array(~naming))
            if decided.num_rows:
                columns = {name: decided[name] for name in NAMED.names}
                columns["survivor"] = pc.if_else(decided["kept"], None, decided["survivor"])
                yield batch_of(NAMED, columns)
