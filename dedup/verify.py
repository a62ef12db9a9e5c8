"""Verification: the pairwise similarity of candidate pairs on their shingle sets.

LSH only retrieves: 27 to 44 % of its candidates were near-duplicates in Marin's review (marin #7591). Two reductions
over JOIN rows bring the sets to the pairs: by the first document, which attaches its shingle set to each edge
(`AttachShingles`), and by the second document, where the two sets are compared (`Verify`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup import kernels
from dedup.minhash import list_column
from dedup.tables import EDGES, Hashes, batch_of, join_rows, numbers_of
from infra.errors import UsageError

# An output batch is closed at this many hashes (8 MiB) or edges.
_MAX_HASHES = 1 << 20
_MAX_EDGES = 1 << 16

Measure = Literal["jaccard", "containment"]
_Edge = tuple[int, int, Hashes, Hashes]


def jaccard(a: Hashes, b: Hashes) -> float:
    """|a ∩ b| / |a ∪ b| of two sorted arrays of distinct hashes; 0 where both are empty."""
    shared = _shared(a, b)
    return _ratio(shared, a.size + b.size - shared)


def containment(a: Hashes, b: Hashes) -> float:
    """|a ∩ b| / min(|a|, |b|): 1 where one text contains the other; 0 where one is empty."""
    return _ratio(_shared(a, b), min(a.size, b.size))


@dataclass(frozen=True)
class AttachShingles:
    """Reducer over JOIN by `key`: edges (a, b) and the shingles of a → edges keyed by b with the shingles of a.

    Repeated edges are given once. Memory: one batch, one shingle set and one output batch, whatever the number of edges
    of a document.
    """

    @property
    def fingerprint(self) -> str:
        return f"dedup.verify.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        edges: list[_Edge] = []
        held = 0
        for edge in _edges(rows):
            edges.append(edge)
            held += edge[2].size
            if held >= _MAX_HASHES or len(edges) >= _MAX_EDGES:
                yield _attached(edges)
                edges, held = [], 0
        if edges:
            yield _attached(edges)


@dataclass(frozen=True)
class Verify:
    """Reducer over JOIN by `key`, after `AttachShingles`, to the EDGES whose similarity reaches the threshold.

    UsageError for a threshold or measure out of range.
    """

    threshold: float = 0.8
    """Least similarity, above 0 and up to 1."""

    measure: Measure = "jaccard"
    """The similarity to compare with the threshold: "jaccard", or "containment", by which a page that is contained in
    a longer one is a duplicate. EDGES have both."""

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise UsageError(f"Verify: the threshold is {self.threshold}; give a similarity above 0 and up to 1")
        if self.measure not in get_args(Measure):
            raise UsageError(f"Verify: no measure {self.measure!r}; choose one of {', '.join(get_args(Measure))}")

    @property
    def fingerprint(self) -> str:
        return f"dedup.verify.{self!r}"

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        kept: list[tuple[int, int, float, float]] = []
        for b, a, of_b, of_a in _edges(rows):
            shared = _shared(of_a, of_b)
            union, smaller = of_a.size + of_b.size - shared, min(of_a.size, of_b.size)
            similarities = {"jaccard": _ratio(shared, union), "containment": _ratio(shared, smaller)}
            if similarities[self.measure] >= self.threshold:
                kept.append((a, b, similarities["jaccard"], similarities["containment"]))
            if len(kept) >= _MAX_EDGES:
                yield _verified(kept)
                kept = []
        if kept:
            yield _verified(kept)


def _edges(rows: Iterator[pa.RecordBatch]) -> Iterator[_Edge]:
    """(key, other, shingles of key, shingles that the edge carries) for each distinct edge, in order."""
    nothing = np.empty(0, np.uint64)
    key, last = -1, -1
    of_key = nothing
    for batch in rows:
        flat, ends = batch["shingles"].values.to_numpy(), batch["shingles"].offsets.to_pylist()
        rows_of_batch = zip(batch["key"].to_pylist(), numbers_of(batch).tolist(), ends, ends[1:])
        for number, other, begin, end in rows_of_batch:
            carried = flat[begin:end]
            if other < 0:
                # a copy, so that one set does not keep a whole batch in memory
                key, last, of_key = number, -1, carried.copy()
                continue
            assert number == key, f"document {number} has an edge and no shingles"
            if other != last:
                last = other
                yield key, last, of_key, carried


def _attached(edges: list[_Edge]) -> pa.RecordBatch:
    a, b = (np.array([edge[end] for edge in edges], np.int64) for end in (0, 1))
    return join_rows(b, a, list_column([edge[2] for edge in edges]))


def _verified(edges: list[tuple[int, int, float, float]]) -> pa.RecordBatch:
    columns: dict[str, Any] = dict(zip(EDGES.names, zip(*edges)))
    return batch_of(EDGES, {name: pa.array(columns[name], EDGES.field(name).type) for name in EDGES.names})


def _shared(a: Hashes, b: Hashes) -> int:
    return kernels.shared_count(_read_only(a), _read_only(b))


def _read_only(hashes: Hashes) -> npt.NDArray[np.uint64]:
    """A read-only view, as Arrow's arrays are: numba compiles once more for each combination of the two."""
    view = hashes.view()
    view.flags.writeable = False
    return view


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
