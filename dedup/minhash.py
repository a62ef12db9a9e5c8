"""MinHash LSH: signatures cut into bands; documents that share a band are candidate pairs.

A signature holds the smallest image of the document's shingles under each of bands x rows permutations of the 64-bit
integers (Broder 1997). Two documents agree in one value with a probability close to the Jaccard similarity s of their
shingle sets, and in a whole band with s^rows. A permutation is x → a·x + b modulo 2^64 with odd a; a and b are outputs
of SplitMix64 from a fixed seed, so signatures of different runs can be compared.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup import kernels
from dedup.marks import unmarked_texts
from dedup.policy import content_hashes
from dedup.shingles import NGRAM, Utf8, character_codes, shingle_sets, utf8
from dedup.tables import (
    BANDS,
    BANDS_BY_CONTENT,
    DocumentNumbers,
    Hashes,
    batch_of,
    document_numbers,
    join_rows,
    location_columns,
)
from infra.errors import UsageError

# Published signatures, bands and rows of each. FineWeb: arXiv 2406.17557, §3.5; Dolma 3: the report on Olmo 3;
# RefinedWeb: arXiv 2306.01116, G.3.1; DCLM: arXiv 2406.11794, the MinHash arm of its ablations.
SIGNATURES: Final = {"fineweb": (14, 8), "dolma3": (26, 11), "refinedweb": (450, 20), "dclm": (93, 15)}


@dataclass(frozen=True)
class MinHash:
    """The parameters of a signature. The default is FineWeb's (arXiv 2406.17557, §3.5): 14 bands of 8."""

    bands: int = 14
    """Bands of a signature. More bands retrieve more pairs."""

    rows: int = 8
    """Values of each band. More rows retrieve fewer dissimilar pairs."""

    ngram: int = NGRAM
    """Words of each shingle."""

    seed: int = 1
    """Seed of the permutations."""

    def __post_init__(self) -> None:
        for name in ("bands", "rows", "ngram"):
            if getattr(self, name) < 1:
                raise UsageError(f"MinHash: {name} is {getattr(self, name)}; give at least 1")

    def signature(self, hashes: Hashes) -> Hashes:
        """The signature of a document, shape (bands·rows,), from one or more shingle hashes, in any order."""
        assert hashes.size > 0, "a document without shingles has no signature"
        factors, terms = permutations(self.bands * self.rows, self.seed)
        return kernels.minima(hashes, factors, terms)

    def band_keys(self, hashes: Hashes) -> Hashes:
        """One 64-bit key per band, shape (bands,), from shingle hashes as `signature` takes them."""
        return kernels.band_hashes(self.signature(hashes), self.rows)

    def keys_of(self, texts: pa.Array) -> tuple[Hashes, kernels.Flags]:
        """`band_keys` of each text of a column, shape (texts, bands), and which texts have shingles; those of the
        others are undefined. Memory: 9 bytes per byte of the longest text, and the keys."""

        def keys(some: Utf8, normal: bool) -> tuple[Hashes, kernels.Flags, kernels.Flags]:
            return kernels.band_keys(*some, character_codes(), self.ngram, normal, factors, terms, self.rows)

        factors, terms = permutations(self.bands * self.rows, self.seed)
        every = utf8(texts)
        found, known, unsure = keys(every, False)
        rows = np.flatnonzero(unsure)
        if rows.size:
            found[rows], known[rows], _ = keys(every.in_nfc(rows), True)
        return found, known


def band_table(
    documents: pa.RecordBatch, shard: int, first_row: int, params: MinHash, by_content: bool = False
) -> pa.RecordBatch:
    """BANDS of a batch of documents (`text`): `bands` rows for each that has shingles. `by_content`:
    BANDS_BY_CONTENT."""
    keys, has_keys = params.keys_of(unmarked_texts(documents))
    owners = np.repeat(np.flatnonzero(has_keys), params.bands)
    locations = location_columns(documents.num_rows, shard, first_row).items()
    columns: dict[str, npt.NDArray[Any]] = {name: column[owners] for name, column in locations}
    columns["key"] = keys[has_keys].reshape(-1)
    if by_content:
        columns["content"] = (content_hashes(documents) >> np.uint64(32)).astype(np.uint32)[owners]
    return batch_of(BANDS_BY_CONTENT if by_content else BANDS, columns)


def shingle_table(
    documents: pa.RecordBatch, shard: int, first_row: int, params: MinHash, wanted: DocumentNumbers
) -> pa.RecordBatch:
    """Shingle rows of JOIN for the documents of a batch whose numbers are in `wanted` (sorted, distinct).

    `wanted` are the documents of candidate pairs, the only ones whose shingles are needed.
    """
    first = int(document_numbers(shard, first_row))
    begin, end = np.searchsorted(wanted, [first, first + documents.num_rows])
    chosen = wanted[begin:end]
    texts = unmarked_texts(documents.take(pa.array(chosen - first)))
    return shingle_rows(chosen, shingle_sets(texts, params.ngram))


def shingle_rows(numbers: DocumentNumbers, sets: list[Hashes]) -> pa.RecordBatch:
    """Shingle rows of JOIN: the shingle set of each document."""
    return join_rows(numbers, None, list_column(sets))


def list_column(sets: list[Hashes]) -> pa.Array:
    """Arrays of hashes as one large_list column."""
    offsets = np.zeros(len(sets) + 1, np.int64)
    np.cumsum([hashes.size for hashes in sets], out=offsets[1:])
    flat = np.concatenate(sets) if sets else np.empty(0, np.uint64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat, pa.uint64()))


@lru_cache(maxsize=8)
def permutations(count: int, seed: int) -> tuple[Hashes, Hashes]:
    """`count` odd factors and `count` terms: the first 2·count outputs of SplitMix64 from `seed`."""
    values = _splitmix64(np.arange(1, 2 * count + 1, dtype=np.uint64), np.uint64(seed))
    return values[:count] | np.uint64(1), values[count:]


def _splitmix64(steps: Hashes, seed: np.uint64) -> npt.NDArray[np.uint64]:
    """Steele, Lea & Flood 2014, as in Java's SplittableRandom."""
    value = seed + steps * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ value >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ value >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return value ^ value >> np.uint64(31)
