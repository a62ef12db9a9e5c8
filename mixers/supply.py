"""Counts what a pool has to draw from: documents and tokens by source, domain and bin of rank.

A document's rank is a seeded hash of its key in [0, 1), independent of its place in a file. A draw takes the documents
of a group whose rank is below a cutoff. Counts by bin of rank allow the cutoff to be chosen for a number of tokens, and
the draw to be predicted exactly. Bins are floats with ten bits after the leading one, so a cutoff is right to one part
in a thousand of what is drawn, however small that is; in a small pool each document has a bin of its own. Counts of
shards add up to those of the pool.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from infra.errors import UsageError
from mixers.domains import DOMAINS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_MANTISSA_BITS = 10
_SMALLEST = 2.0**-24
_SHIFT = np.uint64(52 - _MANTISSA_BITS)
_FIRST_BIN = int(np.float64(_SMALLEST).view(np.uint64) >> _SHIFT)

SUPPLY = pa.schema(
    [
        ("source", pa.string()),
        ("domain", pa.string()),
        ("bin", pa.int32()),
        ("documents", pa.int64()),
        ("tokens", pa.int64()),
    ]
)


@dataclass(frozen=True)
class SupplyGroup:
    """The documents of one source and domain, counted by bin of rank."""

    source: str
    domain: str

    bin: Ints
    """Numbers of the non-empty bins, ascending."""

    documents_in: Ints
    """Documents of each of these bins."""

    tokens_in: Ints
    """Tokens of each of these bins."""

    @property
    def documents(self) -> int:
        return int(self.documents_in.sum())

    @property
    def tokens(self) -> int:
        return int(self.tokens_in.sum())


def document_ranks(file_paths: Iterable[str], warc_offsets: Iterable[int], seed: int) -> Floats:
    """The rank of each document, in [0, 1): a seeded 64-bit hash (XXH3) of its key. Shape (documents,)."""
    hashes = [
        xxhash.xxh3_64_intdigest(b"%b\0%d" % (path.encode("utf-8", "surrogatepass"), offset), seed)
        for path, offset in zip(file_paths, warc_offsets, strict=True)
    ]
    # A float64 has 53 bits; all 64 could round up to 1.
    return (np.array(hashes, dtype=np.uint64) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def rank_bins(ranks: Floats) -> Ints:
    """The number of each rank's bin, ascending with the rank. Shape (documents,)."""
    return (np.maximum(ranks, _SMALLEST).view(np.uint64) >> _SHIFT).astype(np.int64) - _FIRST_BIN


def upper_edge(bin_number: int) -> float:
    """The smallest rank above this bin."""
    return float(np.uint64((bin_number + 1 + _FIRST_BIN) << int(_SHIFT)).view(np.float64))


def count_supply(sources: pa.Array, domains: pa.Array, tokens: pa.Array, ranks: Floats) -> pa.RecordBatch:
    """Counts of some documents, as rows of `SUPPLY`. UsageError for a document without a source or a known domain."""
    for name, column in (("source", sources), ("domain", domains)):
        if column.null_count:
            raise UsageError(f"{column.null_count} documents have no {name}; label them before the mix")
    unknown = [name for name in pc.unique(domains).to_pylist() if name not in DOMAINS]
    if unknown:
        raise UsageError(f"documents have the domain {min(unknown)!r}, which is none of {', '.join(DOMAINS)}")
    if not len(ranks):
        return pa.RecordBatch.from_pylist([], SUPPLY)
    table = pa.table(
        {
            "source": sources.cast(pa.string()),
            "domain": domains.cast(pa.string()),
            "bin": pa.array(rank_bins(ranks), pa.int32()),
            "documents": pa.array(np.ones(len(ranks), dtype=np.int64)),
            "tokens": pc.fill_null(tokens.cast(pa.int64()), 0),
        }
    )
    return _summed(table).combine_chunks().to_batches()[0]


def merge_supplies(supplies: Iterable[pa.RecordBatch]) -> tuple[SupplyGroup, ...]:
    """Add up the counts of shards, in any order, to the groups of the pool, sorted by source and domain.

    Leaves out groups without a token, from which nothing can be drawn.
    """
    table = _summed(pa.Table.from_batches(list(supplies), SUPPLY))
    sources, domains = table["source"].to_pylist(), table["domain"].to_pylist()
    arrays = [table[name].to_numpy().astype(np.int64) for name in ("bin", "documents", "tokens")]
    names = list(zip(sources, domains))
    starts = [i for i in range(len(names)) if i == 0 or names[i] != names[i - 1]]
    groups = [
        SupplyGroup(*names[low], *(values[low:high] for values in arrays))
        for low, high in zip(starts, [*starts[1:], len(names)])
    ]
    return tuple(group for group in groups if group.tokens > 0)


def _summed(table: pa.Table) -> pa.Table:
    keys = ["source", "domain", "bin"]
    summed = table.group_by(keys, use_threads=False).aggregate([("documents", "sum"), ("tokens", "sum")])
    summed = summed.rename_columns([*keys, "documents", "tokens"]).cast(SUPPLY)
    return summed.sort_by([(key, "ascending") for key in keys])
