"""Documents with equal sets of shingles: one stands for all, and what removes it removes them."""

import numpy as np
import pyarrow as pa
import pytest

from dedup.equal_sets import CopyEdges, EqualSets, better_rows, copy_rows
from dedup.minhash import MinHash, signature_table
from dedup.policy import Policy
from dedup.tables import COPIES, EDGES, SAME, batch_of, numbers_of
from tests.dedup.support import documents, reduce


def same_of(texts: list[str], policy: Policy, batch_rows: int) -> list[tuple[int, int]]:
    signed = signature_table(documents(texts), 0, 0, MinHash(2, 2), policy).drop_columns(["rank", "bands"])
    table = reduce(EqualSets(policy), [signed], SAME, batch_rows)
    return sorted(zip(table["key"].to_pylist(), numbers_of(table).tolist()))


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_the_document_that_the_policy_prefers_stands_for_the_set(batch_rows: int) -> None:
    texts = ["one two", "One, two!", "three", "one  two", "", "!", "three."]
    assert same_of(texts, "first", batch_rows) == [(0, 1), (0, 3), (2, 6)]
    assert same_of(texts, "longest", batch_rows) == [(1, 0), (1, 3), (6, 2)]


def test_half_a_hash_makes_no_set() -> None:
    signed = signature_table(documents(["a", "b", "c", "a"]), 0, 0, MinHash(2, 2), "first")
    signed = signed.set_column(0, "key", pa.array([5, 5, 5, 5], pa.uint64())).drop_columns(["rank", "bands"])
    table = reduce(EqualSets("first"), [signed], SAME)
    assert list(zip(table["key"].to_pylist(), table["row"].to_pylist())) == [(0, 3)]


@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_each_edge_to_what_stands_for_a_set_is_one_to_each_copy(batch_rows: int) -> None:
    same = batch_of(SAME, {"key": [3, 3, 9], "shard": [0, 0, 0], "row": [4, 5, 10]})
    similarities = {"jaccard": [0.8, 0.9, 1.0], "containment": [0.85, 0.95, 1.0], "bands": [5, 9, 14]}
    edges = batch_of(EDGES, {"a": [1, 2, 7], "b": [3, 3, 8], **similarities})
    given = [copy_rows(same), better_rows(edges)]
    found = reduce(CopyEdges(), given, EDGES, batch_rows).to_pylist()
    told = {(row["a"], row["b"]): (row["jaccard"], row["containment"], row["bands"]) for row in found}
    assert len(found) == 4
    assert told == {(a, b): told_of for b in (4, 5) for a, told_of in ((1, (0.8, 0.85, 5)), (2, (0.9, 0.95, 9)))}
    assert COPIES.names == given[0].schema.names


def test_a_million_copies_are_a_row_each() -> None:
    size = 1_000_000
    places = {"shard": np.zeros(size, np.int32), "row": np.arange(1, size + 1)}
    same = batch_of(SAME, {"key": np.zeros(size, np.int64), **places})
    edges = batch_of(EDGES, {"a": [size + 1], "b": [0], "jaccard": [0.8], "containment": [0.9], "bands": [7]})
    assert sum(batch.num_rows for batch in CopyEdges()(0, iter([better_rows(edges), copy_rows(same)]))) == size
