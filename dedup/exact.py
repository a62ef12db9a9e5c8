"""Exact duplicates: documents with the same text, URL or payload.

The map side gives each document a 128-bit key: xxh3 of the UTF-8 of its normalised text or URL, or of its payload
digest. The reducer sees all documents of a key together, keeps one by the policy, and writes a decision for each.
"""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dedup.survivors import Policy, decision_rows, preference_order
from dedup.tables import KEYS, batch_of, location_columns, preference_columns, run_starts, values, whole_groups
from dedup.urls import normalise_url


def normalise_text(text: str) -> str:
    """The form in which duplicates' texts are equal: NFC, runs of white space as one space, none at the ends.

    Documents that differ in case, punctuation, digits or the order of lines are not duplicates.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def digest(text: str) -> bytes:
    """16 bytes: xxh3-128 of the UTF-8 of `text`; lone surrogates are hashed as their three bytes."""
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


ExactKey = Literal["text", "url", "payload"]
# the column that each kind of key is made from, and its normalisation
NORMALISE: dict[ExactKey, tuple[str, Callable[[str], str]]] = {
    "text": ("text", normalise_text),
    "url": ("url", normalise_url),
    "payload": ("content_digest", str.strip),
}


def key_table(documents: pa.RecordBatch, shard: int, first_row: int, by: ExactKey) -> pa.RecordBatch:
    """KEYS of a batch of documents (of records for "payload"), in its order.

    A document whose text is null, or whose URL or digest is null or blank, has no row and is no duplicate.
    """
    column, normalise = NORMALISE[by]
    normal = [None if value is None else normalise(value) for value in documents[column].to_pylist()]
    has_key = np.array([value is not None and (by == "text" or value != "") for value in normal], np.bool_)
    digests = b"".join(digest(value) for value, has in zip(normal, has_key) if has and value is not None)
    halves = np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.uint64)
    columns = location_columns(documents, shard, first_row) | preference_columns(documents)
    columns = {name: column.filter(pa.array(has_key)) for name, column in columns.items()}
    return batch_of(KEYS, columns | {"key": halves[:, 0], "check": halves[:, 1]})


@dataclass(frozen=True)
class KeepOne:
    """Reducer over KEYS by `key` to DECISIONS: keeps one document of each key. Keys of one document have no rows.

    Memory: one batch, and the rows of the largest group.
    """

    policy: Policy = "first"

    @property
    def fingerprint(self) -> str:
        return f"dedup.exact.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        for table in whole_groups(rows, "key"):
            shared = _shared_keys(table)
            if shared.num_rows:
                yield self._decide(shared)

    def _decide(self, table: pa.Table) -> pa.RecordBatch:
        by_key: list[tuple[str, str]] = [("key", "ascending"), ("check", "ascending")]
        table = table.take(pc.sort_indices(table, sort_keys=by_key + preference_order(self.policy)))
        starts = run_starts(values(table, "key"), values(table, "check"))
        survivor = np.repeat(starts, np.diff(starts, append=table.num_rows))
        return decision_rows(table, survivor, survivor, np.ones(table.num_rows))


def _shared_keys(table: pa.Table) -> pa.Table:
    """The rows that share their (key, check) with another row of the table."""
    key, check = values(table, "key"), values(table, "check")
    order = np.lexsort((check, key))
    starts = run_starts(key[order], check[order])
    sizes = np.diff(starts, append=key.size)
    shared = np.zeros(key.size, np.bool_)
    shared[order] = np.repeat(sizes > 1, sizes)
    return table.filter(pa.array(shared))
