"""MinHash LSH: signatures cut into bands; documents that share a band are candidate pairs.

A signature holds the smallest image of the document's shingles under each of bands x rows permutations of the 64-bit
integers (Broder 1997). Two documents agree in one value with a probability close to the Jaccard similarity s of their
shingle sets, and in a whole band with s^rows. A permutation is x → a·x + b modulo 2^64 with odd a; a and b are outputs
of SplitMix64 from a fixed seed, so signatures of different runs can be compared.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup import kernels
from dedup.marks import unmarked_texts
from dedup.policy import Policy, preference_columns
from dedup.rank import ranks
from dedup.shingles import NGRAM, Utf8, character_codes, utf8
from dedup.tables import BANDS, Hashes, batch_of, location_columns, signed_schema, values
from infra.errors import UsageError

# Published signatures, bands and rows of each. FineWeb: arXiv 2406.17557, §3.5; Dolma 3: the report on Olmo 3;
# RefinedWeb: arXiv 2306.01116, G.3.1; DCLM: arXiv 2406.11794, the MinHash arm of its ablations.
SIGNATURES: Final = {"fineweb": (14, 8), "dolma3": (26, 11), "refinedweb": (450, 20), "dclm": (93, 15)}

# Values of a signature, more than the largest published one has. A batch has the bands of up to 1,024 documents.
MOST_VALUES = 1 << 14
# Words of a shingle: places in a text are of 32 bits.
MOST_WORDS = (1 << 31) - 1


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
        if self.ngram > MOST_WORDS:
            raise UsageError(f"MinHash: ngram is {self.ngram}; give at most {MOST_WORDS:,}")
        if self.bands * self.rows > MOST_VALUES:
            raise UsageError(
                f"MinHash: {self.bands} bands of {self.rows} rows are {self.bands * self.rows:,} hashes of a document; "
                f"give fewer, at most {MOST_VALUES:,}"
            )

    def signature(self, hashes: Hashes) -> Hashes:
        """The signature of a document, shape (bands·rows,), from one or more shingle hashes, in any order."""
        assert hashes.size > 0, "a document without shingles has no signature"
        factors, terms = permutations(self.bands * self.rows, self.seed)
        return kernels.minima(hashes, factors, terms)

    def band_keys(self, hashes: Hashes) -> Hashes:
        """One 64-bit key per band, shape (bands,), from shingle hashes as `signature` takes them."""
        return kernels.band_hashes(self.signature(hashes), self.rows)

    def signed(self, texts: pa.Array) -> "Signed":
        """The band keys and the hash of the set of each text of a column. Memory: 9 bytes per byte of the longest text,
        up to 20 for each of its shingles (32 of up to 2^20), and the keys."""

        def signatures(some: Utf8, normal: bool) -> tuple[Hashes, Hashes, kernels.Flags, kernels.Flags]:
            return kernels.signatures(*some, character_codes(), self.ngram, normal, factors, terms, self.rows)

        factors, terms = permutations(self.bands * self.rows, self.seed)
        every = utf8(texts)
        keys, sets, known, unsure = signatures(every, False)
        rows = np.flatnonzero(unsure)
        if rows.size:
            keys[rows], sets[rows], known[rows], _ = signatures(every.in_nfc(rows), True)
        return Signed(keys, sets, known)


class Signed(NamedTuple):
    """Of each text of a column: the keys of its bands, shape (texts, bands); a hash of its set of shingles, 128 bits as
    shape (texts, 2), the same for equal sets; and whether it has shingles. Without, the others are undefined."""

    keys: Hashes
    sets: Hashes
    known: kernels.Flags


def signature_table(
    documents: pa.RecordBatch, shard: int, first_row: int, params: MinHash, policy: Policy
) -> pa.RecordBatch:
    """`signed_schema` of a batch of documents (`marks.READ` and `columns_read` of the policy): a row for each that has
    shingles."""
    signed = params.signed(unmarked_texts(documents))
    preferred = preference_columns(documents, policy)
    columns: dict[str, Any] = {
        "key": signed.sets[:, 0],
        "check": signed.sets[:, 1],
        **location_columns(documents.num_rows, shard, first_row),
        "rank": ranks(preferred, policy),
        **preferred,
        "bands": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(8 * params.bands), documents.num_rows, [None, pa.py_buffer(signed.keys)]
        ),
    }
    table = batch_of(signed_schema(policy, params.bands), columns)
    return table if signed.known.all() else table.filter(pa.array(signed.known))


def band_rows(signed: pa.RecordBatch) -> pa.RecordBatch:
    """BANDS of rows of `signed_schema`: a row for each band of each."""
    column = signed["bands"]
    bands = column.type.byte_width // 8
    _, data = column.buffers()
    keys = np.frombuffer(data, np.uint64)[column.offset * bands : (column.offset + len(column)) * bands]
    repeated = {name: np.repeat(values(signed, name), bands) for name in ("shard", "row", "rank")}
    return batch_of(BANDS, {"key": keys, **repeated})


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
