"""A pool's documents counted by group, score and length: small counters from which any keep rate can be found.

The score is the logit of a probability, in bins of 1/64; the length is the binary logarithm of the tokens, in bins of a
quarter. One cell holds the documents of a group with the same two bins, and their tokens: whole numbers, which add up
in any order, so that the result does not depend on workers, engines or the order of inputs. What is decided by cells is
decided exactly: the error is that documents of one cell cannot be told apart. A group has at most 210,000 cells; the
row of a cell takes 44 bytes.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from infra.dataset.reader import Dataset, ShardReader, Source
from infra.engines.task import Output
from infra.errors import UsageError
from infra.hashing import sha256_json
from mixers.domains import AXIS_OF, Axis
from pipeline.job.tables import Tables
from pipeline.pool.values import columns_for, signal_values, value_source

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SCORE_BINS, LENGTH_BINS = 64, 4  # of one unit: of logit, of an octave
MAX_LOGIT = 16.0
MILLION = 1_000_000
RANK_DIGITS = 9  # fewer than those in which processors differ: a bound of one holds for all
LANGUAGE, AXIS, DOMAIN = "language", "axis", "domain"
# Documents without a language.
UNKNOWN = "und"
# The most cells that one process reads.
MAX_CELLS = 2**24

SCORED = pa.schema(
    [
        ("group", pa.string()),
        ("value", pa.float64()),
        ("score", pa.int32()),
        ("length", pa.int32()),
        ("tokens", pa.int64()),
    ]
)
CELLS = pa.schema(
    [
        ("key", pa.uint64()),
        ("group", pa.string()),
        ("score", pa.int32()),
        ("length", pa.int32()),
        ("docs", pa.int64()),
        ("tokens", pa.int64()),
    ]
)
BY_CELL = ["group", "score", "length"]


def score_bins(values: Floats) -> Ints:
    """The bin of each probability; of one that was not measured the lowest."""
    known = np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0)
    with np.errstate(divide="ignore"):
        logits = np.log(known) - np.log1p(-known)
    return np.asarray(np.floor(np.clip(logits, -MAX_LOGIT, MAX_LOGIT) * SCORE_BINS), np.int64)


def least_bin(score: float) -> int:
    """The lowest bin whose probabilities are all `score` or more."""
    logit = math.log(score) - math.log1p(-score) if 0 < score < 1 else math.copysign(MAX_LOGIT, score - 0.5)
    return math.ceil(min(max(logit, -MAX_LOGIT), MAX_LOGIT) * SCORE_BINS)


def length_bins(tokens: Ints) -> Ints:
    return np.asarray(np.floor(np.log2(np.maximum(tokens, 1)) * LENGTH_BINS), np.int64)


def chances(scores: Ints) -> Floats:
    """The least probability of each bin."""
    return np.asarray(1 / (1 + np.exp(-scores / SCORE_BINS)), np.float64)


def extra(lengths: Ints, free: int) -> Floats:
    """By how much the documents of each length bin, in its middle, are longer than `free` tokens, as a part of that;
    0 for shorter ones."""
    return np.asarray(np.maximum(np.exp2((lengths + 0.5) / LENGTH_BINS) / max(free, 1) - 1, 0), np.float64)


def ranks(scores: Ints, lengths: Ints, price: float, free: int) -> Floats:
    """The probability of the score less what the length costs: `price` for each `free` tokens beyond the first."""
    return np.asarray(np.round(chances(scores) - price * extra(lengths, free), RANK_DIGITS), np.float64)


def least_value(rank: float, length: int, price: float, free: int) -> float:
    """The least probability that has the rank with this length; above 1: none has it."""
    needed = rank + price * float(extra(np.array(length), free))
    most = int(MAX_LOGIT * SCORE_BINS)
    score = int(score_bins(np.array([needed]))[0]) - 1
    while score <= most and ranks(np.array(score), np.array(length), price, free) < rank:
        score += 1
    if score > most:
        return max(needed, 1 + 1 / SCORE_BINS)
    found = float(chances(np.array(score)))
    while score_bins(np.array([found]))[0] < score:  # the last bits of the edge of a bin
        found = math.nextafter(found, 1.0)
    return found


def group_name(language: str, axis: str, domain: str, by: tuple[str, ...]) -> str:
    parts = {
        LANGUAGE: language,
        AXIS: axis,
        DOMAIN: domain.replace("/", " "),
    }  # a name of before may hold any character
    return "/".join(parts[name] for name in by) or "all"


@dataclass(frozen=True)
class ScoreTask:
    """Group, value, bins and tokens of every document, row by row."""

    signal: str
    by: tuple[str, ...]
    schema: pa.Schema = SCORED

    @property
    def fingerprint(self) -> str:
        return sha256_json(["scored", self.signal, self.by])

    def __call__(self, part: Any) -> Iterator[Output]:
        known = value_source(part, self.signal, fresh=True)
        for batch in part.batches(sorted({*columns_for([known]), "language", "domain", "token_count"})):
            values = signal_values(batch, self.signal, known)
            tokens = pc.fill_null(batch["token_count"], 0).to_numpy(zero_copy_only=False).astype(np.int64)
            domains = [name or Axis.GENERAL.value for name in batch["domain"].to_pylist()]
            axes = [AXIS_OF.get(name, Axis.GENERAL).value for name in domains]
            spoken = pc.fill_null(batch["language"], UNKNOWN).to_pylist()
            groups = [group_name(*names, self.by) for names in zip(spoken, axes, domains, strict=True)]
            columns = [
                pa.array(groups, pa.string()),
                pa.array(values, from_pandas=True),
                pa.array(score_bins(values), pa.int32()),
                pa.array(length_bins(tokens), pa.int32()),
                pa.array(tokens, pa.int64()),
            ]
            yield Output(pa.RecordBatch.from_arrays(columns, schema=SCORED))


@dataclass(frozen=True)
class CellTask:
    """The cells of one shard."""

    schema: pa.Schema = CELLS
    fingerprint: str = "pool:cells"

    def __call__(self, part: ShardReader) -> Iterator[Output]:
        table = part.table([*BY_CELL, "tokens"])
        counted = table.group_by(BY_CELL, use_threads=False).aggregate([([], "count_all"), ("tokens", "sum")])
        rows = counted.rename_columns([*BY_CELL, "docs", "tokens"]).sort_by([(name, "ascending") for name in BY_CELL])
        keys = [
            xxhash.xxh3_64_intdigest(f"{score}:{length}:{group}".encode("utf-8", "replace"))
            for group, score, length in zip(*(rows[name].to_pylist() for name in BY_CELL), strict=True)
        ]
        whole = rows.add_column(0, "key", pa.array(keys, pa.uint64())).cast(CELLS)
        for batch in whole.to_batches():
            yield Output(batch)


@dataclass(frozen=True)
class AddCells:
    """One row for each cell of a partition."""

    schema: pa.Schema = CELLS
    fingerprint: str = "pool:add-cells"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        del partition
        table = pa.Table.from_batches([batch.select(CELLS.names) for batch in rows], CELLS)
        added = table.group_by(["key", *BY_CELL], use_threads=False).aggregate([("docs", "sum"), ("tokens", "sum")])
        added = added.rename_columns(CELLS.names).sort_by([("key", "ascending"), ("group", "ascending")])
        for batch in added.cast(CELLS).to_batches():
            yield Output(batch)


@dataclass(frozen=True)
class Cells:
    """The cells of one group, in ascending order of score and length."""

    scores: Ints
    lengths: Ints
    docs: Ints
    tokens: Ints

    @property
    def all_docs(self) -> int:
        return int(self.docs.sum())

    @property
    def all_tokens(self) -> int:
        return int(self.tokens.sum())

    @property
    def good(self) -> Ints:
        """How many of each cell's documents are good by their score, in millionths: whole numbers, whose sums are the
        same in any order."""
        return self.docs * np.rint(chances(self.scores) * MILLION).astype(np.int64)

    def of_score(self, least: float) -> "Cells":
        """Those of this score, a probability, or a higher one."""
        which = self.scores >= least_bin(least)
        return Cells(self.scores[which], self.lengths[which], self.docs[which], self.tokens[which])


def joined(parts: Iterable[Cells]) -> Cells:
    """The cells of several groups as those of one; cells with the same two bins stay apart."""
    every = tuple(parts)
    return Cells(
        *(np.concatenate([getattr(each, name) for each in every]) for name in ("scores", "lengths", "docs", "tokens"))
    )


def scored_table(tables: Tables, source: Source, signal: str, by: tuple[str, ...]) -> Dataset:
    """The narrow table of the documents, partitioned and ordered like them."""
    return tables.map("scored", ScoreTask(signal, by), source)


def count_cells(tables: Tables, scored: Dataset) -> dict[str, Cells]:
    """The cells of every group of the pool, by name. Raises UsageError for too many."""
    cells = tables.map("cells", CellTask(), scored)
    added = tables.reduce("added-cells", [cells], "key", AddCells())
    if added.manifest.counts["out"] > MAX_CELLS:
        raise UsageError(
            f"{tables.stage}: the pool has too many groups for bounds of their own: leave language out of by"
        )
    table = added.to_arrow([*BY_CELL, "docs", "tokens"]).sort_by([(name, "ascending") for name in BY_CELL])
    # by numbers: numpy takes names that differ in NUL at their ends for equal
    groups = pc.dictionary_encode(table["group"].combine_chunks())
    numbers = groups.indices.to_numpy()
    columns = [table[name].to_numpy().astype(np.int64) for name in ("score", "length", "docs", "tokens")]
    return {
        name: Cells(*(column[numbers == number] for column in columns))
        for number, name in enumerate(groups.dictionary.to_pylist())
    }
