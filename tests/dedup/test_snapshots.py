"""The snapshots of copies: hashes between the passes, names at the end."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import snapshots
from dedup.exact import key_table
from dedup.keep import KeepOne
from dedup.snapshots import NAMES, EachName, distinct_lists, name_table, named_lists, snapshot_hashes
from dedup.strings import hashes
from dedup.tables import DECISIONS
from tests.dedup.support import documents, reduce

LIST = pa.list_(pa.string())
NAME = st.sampled_from(["", "A", "B", "CC-MAIN-2024-51", "é"])


def hash_of(name: str) -> int:
    return int(hashes(pa.array([name], pa.large_string()))[0])


def with_snapshots(dump: list[str | None], dumps: list[list[str] | None] | None = None) -> pa.RecordBatch:
    more = {} if dumps is None else {"dumps": pa.array(dumps, LIST)}
    return documents(["x"] * len(dump), dump=pa.array(dump, pa.string()), **more)


@given(st.lists(st.tuples(st.none() | NAME, st.none() | st.lists(NAME, max_size=4)), max_size=8), st.integers(0, 8))
@settings(max_examples=200, deadline=None)
def test_a_document_is_of_its_own_snapshot_and_of_those_it_brings(rows: list[tuple], first: int) -> None:
    batch = with_snapshots([own for own, _ in rows], [brought for _, brought in rows]).slice(first)
    expected = [
        sorted({hash_of(name) for name in ([own or ""] if own is not None or brought is None else [])} | {
            hash_of(name) for name in brought or ()
        })
        for own, brought in rows[first:]
    ]  # fmt: skip
    assert snapshot_hashes(batch).to_pylist() == expected


def test_documents_without_the_column_are_of_their_own_snapshot() -> None:
    expected = [[hash_of("A")], [hash_of("")], [hash_of("A")]]
    assert snapshot_hashes(with_snapshots(["A", None, "A"])).to_pylist() == expected
    assert snapshot_hashes(documents(["x"])).to_pylist() == [[hash_of("")]]


def test_names_come_back_sorted_and_what_has_none_is_null() -> None:
    batches = [with_snapshots(["C", None, "A"]), with_snapshots(["A", "B"], [None, ["D", "A"]])]
    table = reduce(EachName(), [with_place(name_table(batch, 0, 0)) for batch in batches], NAMES, 2)
    assert sorted(table["name"].to_pylist()) == ["A", "B", "C", "D"]
    rows = pa.array([[hash_of(name) for name in some] for some in (["C", "A"], [], [""], ["", "D"])], snapshots.LISTS)
    assert named_lists(rows, table).to_pylist() == [["A", "C"], None, None, ["D"]]
    assert named_lists(rows, NAMES.empty_table()).to_pylist() == [None] * 4
    assert named_lists(rows.slice(1, 0), table).to_pylist() == []


def with_place(names: pa.RecordBatch) -> pa.RecordBatch:
    """As the rows of a reduction have one in the tests."""
    nothing = pa.array([0] * names.num_rows, pa.int32())
    return names.append_column("shard", nothing).append_column("row", nothing)


def test_a_list_is_bounded_and_a_count_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST_OF_ONE", 3)
    keys = key_table(with_snapshots([f"name {number}" for number in range(50)]), 0, 0, "text")
    for batch_rows in (1, 7, 100):
        (kept,) = (row for row in reduce(KeepOne("first"), [keys], DECISIONS, batch_rows).to_pylist() if row["kept"])
        assert kept["snapshots"] == kept["copies"] == 50
        assert kept["dumps"] == sorted(hash_of(f"name {number}") for number in range(50))[:3]


def test_lists_of_no_rows() -> None:
    empty = pa.array([], pa.int64()).to_numpy(), pa.array([], pa.uint64()).to_numpy()
    assert distinct_lists(*empty, 0).to_pylist() == [] and distinct_lists(*empty, 2).to_pylist() == [[], []]
