"""Verification: exact similarities, and the two rounds that bring shingles to edges."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.candidates import Candidates, edge_rows
from dedup.components import node_set
from dedup.minhash import MinHash, band_table, shingle_rows, shingle_table
from dedup.shingles import shingles
from dedup.tables import EDGES, JOIN, numbers_of, values
from dedup.verify import AttachShingles, Verify, containment, jaccard
from infra.errors import UsageError
from tests.dedup.support import documents, edited, english, reduce

HASHES = st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 20), max_size=30)


def array(values_: set[int]) -> np.ndarray:
    return np.array(sorted(values_), np.uint64)


def verify(edges: pa.RecordBatch, sets: pa.RecordBatch, verifier: Verify, batch_rows: int = 7) -> pa.Table:
    attached = reduce(AttachShingles(), [edges, sets], JOIN, batch_rows)
    return reduce(verifier, [*attached.to_batches(), sets], EDGES, batch_rows)


@given(HASHES, HASHES)
@settings(max_examples=50)
def test_similarities_equal_pythons_sets(a: set[int], b: set[int]) -> None:
    expected = len(a & b) / len(a | b) if a | b else 0.0
    assert jaccard(array(a), array(b)) == jaccard(array(b), array(a)) == expected
    smaller = min(len(a), len(b))
    assert containment(array(a), array(b)) == (len(a & b) / smaller if smaller else 0.0)


@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_each_edge_is_compared_once_whatever_the_batches(batch_rows: int) -> None:
    sets = [array(set(range(i, i + 10))) for i in range(5)]
    rows = shingle_rows(np.arange(5), sets)
    # (0, 1) came from three bands
    edges = edge_rows(np.array([0, 0, 0, 0, 1, 2]), np.array([1, 1, 4, 1, 3, 4]))
    table = verify(edges, rows, Verify(0.01), batch_rows)
    found = {(row["a"], row["b"]): row["jaccard"] for row in table.to_pylist()}
    assert table.num_rows == 4
    assert found == {(0, 1): 9 / 11, (0, 4): 6 / 14, (1, 3): 8 / 12, (2, 4): 8 / 12}


def test_threshold_is_inclusive_and_measure_decides() -> None:
    rows = shingle_rows(np.arange(3), [array({1, 2, 3, 4}), array({1, 2, 3, 5}), array({1, 2})])
    edges = edge_rows(np.array([0, 0]), np.array([1, 2]))
    by_jaccard = verify(edges, rows, Verify(3 / 5)).to_pylist()
    assert by_jaccard == [{"a": 0, "b": 1, "jaccard": 0.6, "containment": 0.75}]
    by_containment = verify(edges, rows, Verify(1.0, "containment")).to_pylist()
    assert by_containment == [{"a": 0, "b": 2, "jaccard": 0.5, "containment": 1.0}]


def test_an_edge_without_shingles_is_impossible() -> None:
    with pytest.raises(AssertionError, match="document 5"):
        reduce(AttachShingles(), [edge_rows(np.array([5]), np.array([6]))], JOIN)
    with pytest.raises(UsageError, match="threshold is 0"):
        Verify(0.0)
    with pytest.raises(UsageError, match="no measure 'cosine'"):
        Verify(0.8, "cosine")


def test_a_hub_is_attached_in_bounded_batches() -> None:
    """One document with 20,000 edges: batches stay near 8 MiB, and each edge gets its shingles."""
    size, hashes = 20_000, np.arange(1000, dtype=np.uint64)
    edges = edge_rows(np.zeros(size, np.int64), np.arange(1, size + 1))
    rows = [shingle_rows(np.array([0]), [hashes]), edges]
    count = 0
    for batch in AttachShingles()(0, iter(rows)):
        assert batch.nbytes < 10 << 20
        assert batch["shingles"].values.to_numpy()[-1] == 999
        count += batch.num_rows
    assert count == size


def test_planted_near_duplicates_end_to_end() -> None:
    """Precision at the threshold is 1; recall is what the S-curve predicts (over .9 in total here)."""
    texts = []
    for seed in range(40):
        base = english(seed, 200)
        texts.append(" ".join(base))
        texts += [" ".join(edited(base, share, seed, lambda x: f"w{x}")) for share in (0.0, 0.01, 0.02, 0.1)]
    batch, params = documents(texts), MinHash()
    candidates = reduce(Candidates(), [band_table(batch, 0, 0, params)], JOIN).combine_chunks().to_batches()[0]
    wanted = node_set([(values(candidates, "key"), numbers_of(candidates))])
    found = verify(candidates, shingle_table(batch, 0, 0, params, wanted), Verify(0.8))
    sets = [shingles(text) for text in texts]
    pairs = itertools.combinations(range(len(texts)), 2)
    true = {(a, b) for a, b in pairs if a // 5 == b // 5 and jaccard(sets[a], sets[b]) >= 0.8}
    got = set(zip(found["a"].to_pylist(), found["b"].to_pylist()))
    assert got <= true
    stars = {(a, b) for a, b in true if a % 5 == 0}  # what linear candidates can reach directly
    assert len(got & stars) / len(stars) > 0.95
    assert all(
        jaccard(sets[a], sets[b]) == s for a, b, s in zip(*(found[n].to_pylist() for n in ("a", "b", "jaccard")))
    )
