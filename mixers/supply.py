"""Counts what a pool has to draw from: documents and tokens by source, language, domain, grade and bin of rank.

A document's rank is a seeded hash of its key in [0, 1), independent of its place in a file. For a draw by quality it is
an exponential variable made of the hash, over the document's weight: the documents of the lowest ranks are a weighted
sample without replacement (Efraimidis and Spirakis 2006). A draw takes the documents of a group whose rank is below a
cutoff. Counts by bin of rank allow the cutoff to be chosen for a number of tokens, and the draw to be predicted
exactly. Bins are floats with ten bits after the leading one, so a cutoff is right to one part in a thousand of what is
drawn, however small that is; in a small pool each document has a bin of its own. Counts of shards add up to those of
the pool.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from infra.errors import UsageError
from mixers.domains import DOMAINS
from mixers.grades import Cell

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ANY_LANGUAGE = "*"
_MANTISSA_BITS = 10
_SMALLEST = float(np.finfo(np.float64).tiny)
# Of quality / temperature, so that ranks stay numbers.
_LARGEST_EXPONENT = 600.0
_SHIFT = np.uint64(52 - _MANTISSA_BITS)
_FIRST_BIN = int(np.float64(_SMALLEST).view(np.uint64) >> _SHIFT)

SUPPLY = pa.schema(
    [
        ("source", pa.string()),
        ("language", pa.string()),
        ("domain", pa.string()),
        ("grade", pa.int64()),
        ("bin", pa.int32()),
        ("documents", pa.int64()),
        ("tokens", pa.int64()),
    ]
)


@dataclass(frozen=True)
class SupplyGroup:
    """The documents of one source, language, domain and grade, counted by bin of rank."""

    source: str

    language: str
    """`ANY_LANGUAGE`: of all that are not kept apart."""

    domain: str

    grade: int
    """From 0, the best; `UNGRADED` in a source without qualities."""

    bin: Ints
    """Numbers of the non-empty bins, ascending."""

    documents_in: Ints
    """Documents of each of these bins."""

    tokens_in: Ints
    """Tokens of each of these bins."""

    @property
    def cell(self) -> Cell:
        return self.source, self.language, self.domain

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


def weighted_ranks(ranks: Floats, qualities: Floats, temperature: float) -> Floats:
    """Ranks, above 0, by which a document is drawn with weight exp(quality / temperature); without a quality (NaN) with
    weight 1. Shape (documents,)."""
    exponents = np.where(np.isnan(qualities), 0.0, qualities) / temperature
    bounded = np.clip(exponents, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
    return np.asarray(-np.log1p(-ranks) * np.exp(-bounded))


def rank_bins(ranks: Floats) -> Ints:
    """The number of each rank's bin, ascending with the rank. Shape (documents,)."""
    return (np.maximum(ranks, _SMALLEST).view(np.uint64) >> _SHIFT).astype(np.int64) - _FIRST_BIN


def upper_edge(bin_number: int) -> float:
    """The smallest rank above this bin."""
    return float(np.uint64((bin_number + 1 + _FIRST_BIN) << int(_SHIFT)).view(np.float64))


def kept_apart(languages: pa.Array, named: Sequence[str]) -> pa.Array:
    """The languages that are named, and `ANY_LANGUAGE` in place of all others."""
    if not named or not len(languages):
        return pa.array([ANY_LANGUAGE] * len(languages), pa.string())
    return pc.if_else(pc.is_in(languages, value_set=pa.array(named, pa.string())), languages, ANY_LANGUAGE)


def cell_codes(cells: pa.Table) -> tuple[list[Cell], Ints]:
    """The distinct (source, language, domain) of some documents, and each document's place among them."""
    codes = np.zeros(cells.num_rows, dtype=np.int64)
    names: list[list[str]] = []
    for name in ("source", "language", "domain"):
        encoded = pc.dictionary_encode(cells[name].combine_chunks())
        names.append(encoded.dictionary.to_pylist())
        codes = codes * max(len(names[-1]), 1) + encoded.indices.to_numpy().astype(np.int64)
    found, places = np.unique(codes, return_inverse=True)
    sources, languages, domains = names
    split = [(code // len(domains) // len(languages), code // len(domains) % len(languages), code % len(domains))
             for code in found.tolist()]  # fmt: skip
    return [(sources[s], languages[l], domains[d]) for s, l, d in split], places.astype(np.int64)


def check_cells(cells: pa.Table) -> None:
    """UsageError for a document without a source or a known domain."""
    for name in ("source", "domain"):
        if cells[name].null_count:
            raise UsageError(f"{cells[name].null_count} documents have no {name}; label them before the mix")
    unknown = [name for name in pc.unique(cells["domain"]).to_pylist() if name not in DOMAINS]
    if unknown:
        raise UsageError(f"documents have the domain {min(unknown)!r}, which is none of {', '.join(DOMAINS)}")


def count_supply(cells: pa.Table, tokens: Ints, grades: Ints, ranks: Floats) -> pa.RecordBatch:
    """Counts of some documents, as rows of `SUPPLY`. `cells`: their source, language and domain. UsageError for a
    document without a source or a known domain."""
    check_cells(cells)
    if not len(ranks):
        return pa.RecordBatch.from_pylist([], SUPPLY)
    columns = [
        *(cells[name].combine_chunks() for name in ("source", "language", "domain")), pa.array(grades),
        pa.array(rank_bins(ranks), pa.int32()), pa.array(np.ones(len(ranks), dtype=np.int64)), pa.array(tokens),
    ]  # fmt: skip
    return _summed(pa.table(columns, schema=SUPPLY)).combine_chunks().to_batches()[0]


def merge_supplies(supplies: Iterable[pa.RecordBatch]) -> tuple[SupplyGroup, ...]:
    """Add up the counts of shards, in any order, to the groups of the pool, sorted by source, language, domain, grade.

    Leaves out groups without a token, from which nothing can be drawn.
    """
    table = _summed(pa.Table.from_batches(list(supplies), SUPPLY))
    names = list(zip(*(table[name].to_pylist() for name in ("source", "language", "domain", "grade"))))
    arrays = [table[name].to_numpy().astype(np.int64) for name in ("bin", "documents", "tokens")]
    starts = [i for i in range(len(names)) if i == 0 or names[i] != names[i - 1]]
    groups = [
        SupplyGroup(*names[low], *(values[low:high] for values in arrays))
        for low, high in zip(starts, [*starts[1:], len(names)])
    ]
    return tuple(group for group in groups if group.tokens > 0)


def _summed(table: pa.Table) -> pa.Table:
    keys = ["source", "language", "domain", "grade", "bin"]
    summed = table.group_by(keys, use_threads=False).aggregate([("documents", "sum"), ("tokens", "sum")])
    summed = summed.rename_columns([*keys, "documents", "tokens"]).cast(SUPPLY)
    return summed.sort_by([(key, "ascending") for key in keys])
