"""What the engine runs while a snapshot is added, or groups are made: tasks over parts, reducers over ranges of keys.

A reducer's partition is a range of keys, so what older runs have of it is read by range, and no row of theirs is moved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dedup.candidates import PAIRS_OF_A_BUCKET
from dedup.index.keys import KEY, parts_of, prefixes, to_numpy
from dedup.index.pairs import BandRows, crowded, distinct_pairs, pairs_between, pairs_within, pieces, rows_of
from dedup.index.sketch import READ, band_rows, sketches
from dedup.index.tables import (
    BAND_ROWS,
    CANDIDATES,
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
    """Bands of a snapshot, sorted, and the bands that older runs have in the same range → CANDIDATES.

    Older contents that were kept have leaders of their own, since they alone remove; for the policy "copies" all have.
    `least`: in a further round, how many pairs of a bucket are made (`dedup/index/pairs.py`), and no bucket is told.
    """

    leaders: int
    alive: Alive
    policy: str
    bits: int
    least: int = 0
    schema: pa.Schema = CANDIDATES

    @property
    def fingerprint(self) -> str:
        parts = ["index:candidates", self.leaders, self.alive.fingerprint, self.policy, self.bits, self.least]
        return sha256_json(parts)

    def __call__(self, part: Any, older: RangePart) -> Iterator[Output]:
        table = part.table(["hash", "key"])
        rows = rows_of(table["hash"].to_numpy(), to_numpy(table["key"]))
        if not rows.hash.size:
            return
        others = [*self._others(rows, older)]
        for new in pieces(rows, self.least) if self.least else (rows,):
            yield from outputs_of_pairs(*pairs_within(new, self.leaders, self.least), False, self.bits)
            for old in others:
                yield from outputs_of_pairs(*pairs_between(new, old, self.leaders, self.least), True, self.bits)
        if not self.least:
            for some in [crowded(rows, old, self.leaders) for old in others or [rows_of(rows.hash[:0], rows.key[:0])]]:
                yield Output(crowd_rows(some, self.bits))

    def _others(self, new: BandRows, older: RangePart) -> Iterator[BandRows]:
        """The older contents that lead: those that were kept, and with the policy "copies" all."""
        found = [] if self.policy == "within" else [self._old(old) for old in older.tables(np.unique(new.hash))]
        if not found:
            return
        hashes, keys, kept = (np.concatenate(column) for column in zip(*found, strict=True))
        yield rows_of(hashes[kept], keys[kept])
        if self.policy == "copies":
            yield rows_of(hashes, keys)

    def _old(self, table: pa.Table) -> tuple[Any, Any, Any]:
        rows = self.alive.of_contents(table)
        return rows["hash"].to_numpy(), to_numpy(rows["key"]), rows["kept"].to_numpy().astype(np.bool_)


@dataclass(frozen=True)
class AllPairs:
    """The bands of all runs in a range → PAIRS among all contents that count: all of a bucket where these are no more
    than PAIRS_OF_A_BUCKET, else those of as many leaders as make that many, `leaders` at least."""

    leaders: int
    alive: Alive
    bits: int
    schema: pa.Schema = CANDIDATES

    @property
    def fingerprint(self) -> str:
        return sha256_json(["index:all-pairs", self.leaders, PAIRS_OF_A_BUCKET, self.alive.fingerprint, self.bits])

    def __call__(self, part: RangePart) -> Iterator[Output]:
        tables = [self.alive.of_contents(table) for table in part.tables()]
        hashes = [table["hash"].to_numpy() for table in tables]
        rows = rows_of(np.concatenate(hashes), np.concatenate([to_numpy(table["key"]) for table in tables]))
        for some in pieces(rows, PAIRS_OF_A_BUCKET, alone=True):
            yield from outputs_of_pairs(*pairs_within(some, self.leaders, PAIRS_OF_A_BUCKET), False, self.bits)


def outputs_of_pairs(a: Any, b: Any, old: bool, bits: int) -> Iterator[Output]:
    a, b = distinct_pairs(a, b)
    if a.size:
        columns = {"part": parts_of(prefixes(a), bits), "a": a, "b": b, "old": np.full(a.size, old)}
        yield Output(table_of(CANDIDATES, columns | {"bucket": pa.nulls(a.size, pa.uint64())}))


def crowd_rows(rows: BandRows, bits: int) -> pa.RecordBatch:
    """CANDIDATES of contents that may meet again."""
    columns = {"part": parts_of(prefixes(rows.key), bits), "a": rows.key, "b": pa.nulls(rows.key.size, KEY)}
    return table_of(CANDIDATES, columns | {"old": np.zeros(rows.key.size, np.bool_), "bucket": rows.hash})


@dataclass(frozen=True)
class Crowd:
    """CANDIDATES → BAND_ROWS, by the content: the contents of crowded buckets."""

    schema: pa.Schema = BAND_ROWS
    fingerprint: str = "index:crowd"

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches():
            some = batch.filter(batch["bucket"].is_valid())
            columns = {"part": some["part"], "hash": some["bucket"], "key": some["a"]}
            yield Output(table_of(BAND_ROWS, columns))


@dataclass(frozen=True)
class Lost:
    """REMOVED → BAND_ROWS of the hash 0, by the content: those that are removed."""

    bits: int
    schema: pa.Schema = BAND_ROWS

    @property
    def fingerprint(self) -> str:
        return f"index:lost:{self.bits}"

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches(["key", "survivor", "old"]):
            keys = to_numpy(batch["key"])
            gone = (keys != to_numpy(batch["survivor"])) | batch["old"].to_numpy(zero_copy_only=False).astype(np.bool_)
            keys = keys[gone]
            columns = {"part": parts_of(prefixes(keys), self.bits), "hash": np.zeros(keys.size, np.uint64), "key": keys}
            yield Output(table_of(BAND_ROWS, columns))


@dataclass(frozen=True)
class LeftInBuckets:
    """Reducer over `Crowd` and `Lost`, by the content, to BAND_ROWS, by the bucket: the contents of crowded buckets
    that are not removed."""

    bits: int
    schema: pa.Schema = BAND_ROWS

    @property
    def fingerprint(self) -> str:
        return f"index:left:{self.bits}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:  # noqa: ARG002
        table = gathered(rows, BAND_ROWS)
        hashes, keys = table["hash"].to_numpy(), to_numpy(table["key"])
        left = (hashes != 0) & ~np.isin(keys, keys[hashes == 0])
        columns = {"part": parts_of(hashes[left], self.bits), "hash": hashes[left], "key": keys[left]}
        yield Output(table_of(BAND_ROWS, columns))


@dataclass(frozen=True)
class Met:
    """CANDIDATES → the pairs among them, as those of an earlier round: with a bucket."""

    schema: pa.Schema = CANDIDATES
    fingerprint: str = "index:met"

    def __call__(self, part: Any) -> Iterator[Output]:
        for batch in part.batches():
            pairs = batch.filter(batch["bucket"].is_null())
            columns = {name: pairs[name] for name in PAIRS.names}
            yield Output(table_of(CANDIDATES, columns | {"bucket": np.zeros(pairs.num_rows, np.uint64)}))


@dataclass(frozen=True)
class DistinctPairs:
    """Reducer over CANDIDATES to PAIRS: each once, sorted, but for those of an earlier round (`Met`)."""

    schema: pa.Schema = PAIRS
    fingerprint: str = "index:distinct-pairs"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:  # noqa: ARG002
        table = gathered(rows, CANDIDATES)
        table = in_order(table.filter(table["b"].is_valid()), "a", "b", "old")
        starts = run_starts(to_numpy(table["a"]), to_numpy(table["b"]), table["old"].to_numpy())
        if starts.size:
            met = np.logical_or.reduceat(table["bucket"].is_valid().to_numpy(), starts)
            yield from outputs(table.take(pa.array(starts[~met])).select(PAIRS.names))


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
