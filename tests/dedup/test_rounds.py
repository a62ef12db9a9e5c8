"""Who meets again: the members of buckets whom no edge of a document that stays removes."""

import numpy as np
import pyarrow as pa
import pytest

from dedup.candidates import Candidates
from dedup.rounds import Left, RemovedMembers, crowd_rows, link_rows
from dedup.tables import BANDS, CROWD, EDGES, LINKS, PAIRS, batch_of
from tests.dedup.support import reduce


def edges(pairs: list[tuple[int, int]]) -> pa.RecordBatch:
    """EDGES from the better to the worse."""
    better, worse = zip(*pairs)
    ones = np.ones(len(pairs))
    columns = {"a": better, "b": worse, "jaccard": ones, "containment": ones}
    return batch_of(EDGES, columns | {"bands": np.ones(len(pairs), np.int16)})


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_a_document_is_removed_by_one_without_a_better_one(batch_rows: int) -> None:
    """0 removes 1 and 5; what 1 would remove stays, as it does not."""
    links = [link_rows(edges([(0, 1), (1, 2), (1, 3), (4, 5), (0, 5)]))]
    assert set(reduce(RemovedMembers(), links, CROWD, batch_rows)["key"].to_pylist()) == {1, 5}
    assert links[0].schema.equals(LINKS)


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_those_that_are_left_are_rows_of_their_buckets(batch_rows: int) -> None:
    rows = [(9, row) for row in range(4)] + [(8, 0), (8, 3)]
    keys, places = (list(column) for column in zip(*rows))
    bands = batch_of(BANDS, {"key": keys, "shard": [0] * 6, "row": places, "rank": places})
    pairs = reduce(Candidates(), [bands], PAIRS)
    crowd = [made for batch in pairs.to_batches() if (made := crowd_rows(batch))]
    removed = reduce(RemovedMembers(), [link_rows(edges([(0, 2)]))], CROWD).to_batches()
    left = reduce(Left(), [*crowd, *removed], BANDS, batch_rows).to_pylist()
    assert sorted((row["key"], row["row"], row["rank"]) for row in left) == [(9, 0, 0), (9, 1, 1), (9, 3, 3)]


def test_a_bucket_of_two_has_nobody_to_meet_again() -> None:
    bands = batch_of(BANDS, {"key": [1, 1], "shard": [0, 0], "row": [0, 1], "rank": [0, 1]})
    assert [crowd_rows(batch) for batch in reduce(Candidates(), [bands], PAIRS).to_batches()] == [None]
