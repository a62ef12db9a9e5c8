"""What the engine runs while a snapshot is added, or groups are made: tasks over parts, reducers over ranges of keys.

A reducer's partition is a range of keys, so what older runs have of it is read by range, and no row of theirs is moved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.index.keys import parts_of, prefixes, to_numpy
from dedup.index.pairs import BandRows, distinct_pairs, pairs_between, pairs_within, rows_of
from dedup.index.sketch import READ, band_rows, sketches
from dedup.index.tables import (
    BAND_ROWS,
    CONTENTS,
    KEPT_BAND_ROWS,
    OF_DOCUMENTS,
    PAIRS,
    SKETCHES,
    WANTED,
    table_of,
)
from dedup.minhash import MinHash
from dedup.tables import run_starts
from infra.dataset.manifest import InputRef
from infra.dataset.reader import PartList, Source, check_part
from infra.engines.task import Output
from infra.errors import UsageError
from infra.hashing import sha256_json
from pipeline.index.runs import Alive, RangePart, in_order


@dataclass(frozen=True)
class PartWithNumber:
    """A partition of documents and its number."""

    part: Any
    number: int

    @property
    def fingerprint(self) -> str:
        return sha256_json([self.part.fingerprint, self.number])

    def check(self) -> None:
        check_part(self.part)


@dataclass(frozen=True)
class WithNumbers:
    """The partitions of documents with their numbers."""

    source: Source

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return self.source.refs

    def parts(self) -> "PartsWithNumbers":
        return PartsWithNumbers(self.source.parts())


@dataclass(frozen=True)
class PartsWithNumbers(PartList[PartWithNumber]):
    """The partitions of `WithNumbers`."""

    inner: Sequence[Any]

    def __len__(self) -> int:
        return len(self.inner)

    def part(self, index: int) -> PartWithNumber:
        return PartWithNumber(self.inner[index], index)


@dataclass(frozen=True)
class Sketch:
    """SKETCHES of documents. UsageError for a document without an id."""

    ngram: int
    bits: int
    schema: pa.Schema = SKETCHES

    @property
    def fingerprint(self) -> str:
        return f"index:sketch:{self.ngram}:{self.bits}"

    def __call__(self, part: PartWithNumber) -> Iterator[Output]:
        known = part.part.schema().names
        first = 0
        for batch in part.part.batches([name for name in READ if name in known]):
            if batch["id"].null_count:
                row = batch["id"].is_null().index(True).as_py()
                at = f"{batch['file_path'][row]} at {batch['warc_offset'][row]}"
                raise UsageError(f"the document in {at} has no id: an index names documents by their ids; add them")
            yield Output(sketches(batch, part.number, first, self.ngram, self.bits))
            first += batch.num_rows


@dataclass(frozen=True)
class WithoutShingles:
    """SKETCHES → OF_DOCUMENTS."""

    schema: pa.Schema = OF_DOCUMENTS
    fingerprint: str = "index:documents"

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches(OF_DOCUMENTS.names):
            yield Output(batch)


@dataclass(frozen=True)
class Contents:
    """Reducer over SKETCHES to CONTENTS: each content once, sorted."""

    snapshot: int
    schema: pa.Schema = CONTENTS

    @property
    def fingerprint(self) -> str:
        return f"index:contents:{self.snapshot}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:  # noqa: ARG002
        table = gathered(rows, SKETCHES).select(["key", "shingles"])
        keys = to_numpy(table["key"])
        first = np.unique(keys, return_index=True)[1]
        snapshot = pa.array(np.full(first.size, self.snapshot, np.int32))
        made = table.take(pa.array(first)).add_column(1, "snapshot", snapshot)
        yield from outputs(made)


@dataclass(frozen=True)
class BandsOf:
    """CONTENTS → BAND_ROWS."""

    params: MinHash
    bits: int
    schema: pa.Schema = BAND_ROWS

    @property
    def fingerprint(self) -> str:
        return f"index:bands:{self.params}:{self.bits}"

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches(["key", "shingles"]):
            yield Output(band_rows(batch, self.params, self.bits))


@dataclass(frozen=True)
class KeptBands:
    """BAND_ROWS and the decided documents of the same contents → KEPT_BAND_ROWS."""

    snapshot: int
    schema: pa.Schema = KEPT_BAND_ROWS

    @property
    def fingerprint(self) -> str:
        return f"index:kept-bands:{self.snapshot}"

    def __call__(self, part: Any, decided: Any) -> Iterator[Output]:
        documents = decided.table(["key", "kept"])
        kept = np.unique(to_numpy(documents.filter(documents["kept"])["key"]))
        for batch in part.batches():
            columns = {name: batch[name] for name in BAND_ROWS.names}
            columns["kept"] = pa.array(np.isin(to_numpy(batch["key"]), kept))
            columns["snapshot"] = pa.array(np.full(batch.num_rows, self.snapshot, np.int32))
            yield Output(table_of(KEPT_BAND_ROWS, columns))


@dataclass(frozen=True)
class Sorted:
    """Reducer: the rows of a partition in the order of some columns, without those that `schema` does not have."""

    schema: pa.Schema
    by: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return f"index:sorted:{self.schema.names}:{self.by}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:  # noqa: ARG002
        yield from outputs(in_order(gathered(rows, self.schema), *self.by))


@dataclass(frozen=True)
class IndexCandidates:
    """Bands of a snapshot, sorted, and the bands that older runs have in the same range → PAIRS.

    Older contents that were kept have leaders of their own, since they alone remove; for the policy "copies" all have.
    """

    leaders: int
    alive: Alive
    policy: str
    bits: int
    schema: pa.Schema = PAIRS

    @property
    def fingerprint(self) -> str:
        return sha256_json(["index:candidates", self.leaders, self.alive.fingerprint, self.policy, self.bits])

    def __call__(self, part: Any, older: RangePart) -> Iterator[Output]:
        table = part.table(["hash", "key"])
        new = rows_of(table["hash"].to_numpy(), to_numpy(table["key"]))
        yield from outputs_of_pairs(*pairs_within(new, self.leaders), False, self.bits)
        found = [] if self.policy == "within" else [self._old(old) for old in older.tables(np.unique(new.hash))]
        for chosen in ("kept", "all") if self.policy == "copies" else ("kept",):
            hashes = [rows[0][rows[2]] if chosen == "kept" else rows[0] for rows in found]
            keys = [rows[1][rows[2]] if chosen == "kept" else rows[1] for rows in found]
            if hashes:
                old = rows_of(np.concatenate(hashes), np.concatenate(keys))
                yield from outputs_of_pairs(*pairs_between(new, old, self.leaders), True, self.bits)

    def _old(self, table: pa.Table) -> tuple[Any, Any, Any]:
        rows = self.alive.of_contents(table)
        return rows["hash"].to_numpy(), to_numpy(rows["key"]), rows["kept"].to_numpy().astype(np.bool_)


@dataclass(frozen=True)
class AllPairs:
    """The bands of all runs in a range → PAIRS among all contents that count."""

    leaders: int
    alive: Alive
    bits: int
    schema: pa.Schema = PAIRS

    @property
    def fingerprint(self) -> str:
        return sha256_json(["index:all-pairs", self.leaders, self.alive.fingerprint, self.bits])

    def __call__(self, part: RangePart) -> Iterator[Output]:
        tables = [self.alive.of_contents(table) for table in part.tables()]
        hashes = [table["hash"].to_numpy() for table in tables]
        rows = rows_of(np.concatenate(hashes), np.concatenate([to_numpy(table["key"]) for table in tables]))
        yield from outputs_of_pairs(*pairs_within(BandRows(*rows), self.leaders), False, self.bits)


def outputs_of_pairs(a: Any, b: Any, old: bool, bits: int) -> Iterator[Output]:
    a, b = distinct_pairs(a, b)
    if a.size:
        columns = {"part": parts_of(prefixes(a), bits), "a": a, "b": b, "old": np.full(a.size, old)}
        yield Output(table_of(PAIRS, columns))


@dataclass(frozen=True)
class DistinctPairs:
    """Reducer over PAIRS: each once, sorted."""

    schema: pa.Schema = PAIRS
    fingerprint: str = "index:distinct-pairs"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:  # noqa: ARG002
        table = in_order(gathered(rows, PAIRS), "a", "b", "old")
        old = table["old"].to_numpy()
        yield from outputs(table.take(pa.array(run_starts(to_numpy(table["a"]), to_numpy(table["b"]), old))))


@dataclass(frozen=True)
class WantedSets:
    """PAIRS → WANTED: the contents whose shingles a partition of pairs needs, each once."""

    bits: int
    schema: pa.Schema = WANTED

    @property
    def fingerprint(self) -> str:
        return f"index:wanted:{self.bits}"

    def __call__(self, part: Any) -> Iterator[Output]:
        table = part.table()
        for old in (False, True):
            chosen = table.filter(pa.array(table["old"].to_numpy() == old))
            keys = np.unique(to_numpy(chosen["b"]))
            if keys.size:
                target = np.full(keys.size, chosen["part"][0].as_py(), np.int32)
                columns = {"part": parts_of(prefixes(keys), self.bits), "key": keys, "target": target}
                yield Output(table_of(WANTED, columns | {"old": np.full(keys.size, old)}))


def gathered(rows: Iterator[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """All rows of a partition, which the engine has in memory in any case."""
    return pa.Table.from_batches([batch.select(schema.names) for batch in rows], schema)


def outputs(table: pa.Table) -> Iterator[Output]:
    """The rows of a table in batches."""
    for batch in table.combine_chunks().to_batches(max_chunksize=4096):
        yield Output(batch)
