"""Blocks of files: by name, within a snapshot, in whatever order and parts the documents come."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.file_blocks import FILES, EachFile, FileBlocks, file_table
from tests.dedup.support import documents, reduce

NAMES = [("a", "1"), ("a", "10"), ("a", "2"), ("b", "1"), ("", "3"), ("a", "3")]


def batch_of_files(files: list[tuple[str, str]]) -> pa.RecordBatch:
    dumps, paths = [dump or None for dump, _ in files], [path for _, path in files]
    return documents(["x"] * len(files), dump=pa.array(dumps, pa.string()), file_path=pa.array(paths, pa.string()))


def blocks_of(batches: list[pa.RecordBatch], most: int, rows: int = 3) -> FileBlocks:
    found = []
    for table in (file_table(batch, 0, 0) for batch in batches):
        nowhere = pa.array(np.zeros(table.num_rows, np.int32))  # by which `reduce` sorts
        found.append(table.append_column("shard", nowhere).append_column("row", nowhere))
    return FileBlocks.of(reduce(EachFile(), found, FILES, rows), most)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(1, [1, 2, 3, 5, 0, 4]), (2, [1, 1, 2, 3, 0, 2]), (3, [1, 1, 1, 3, 0, 2]), (9, [1, 1, 1, 2, 0, 1])],
)
def test_files_of_a_snapshot_by_name(most: int, expected: list[int]) -> None:
    batch = batch_of_files(NAMES)
    assert blocks_of([batch], most).of_documents(batch).tolist() == expected


@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=20),
    st.integers(1, 4),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_no_order_and_no_parts_change_a_block(
    files: list[tuple[str, str]], most: int, rows: int, draw: random.Random
) -> None:
    batch = batch_of_files(files)
    expected = dict(zip(files, blocks_of([batch], most).of_documents(batch).tolist()))
    shuffled = draw.sample(files, len(files))
    cut = draw.randrange(len(files) + 1)
    parts = [batch_of_files(shuffled[:cut]), batch_of_files(shuffled[cut:])]
    found = blocks_of(parts, most, rows)
    assert dict(zip(shuffled, found.of_documents(batch_of_files(shuffled)).tolist())) == expected
    names = sorted({*files})
    assert max(np.bincount([expected[name] for name in names])) <= most
    assert [expected[name] for name in names] == sorted(expected.values())


def test_documents_without_names_are_one_file() -> None:
    batch = documents(["x", "y"])
    assert blocks_of([batch], 1).of_documents(batch).tolist() == [0, 0]
    assert blocks_of([documents([])], 1).keys.size == 0
