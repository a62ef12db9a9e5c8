"""How rows are cut into groups, spread by key and sorted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.engines import shuffle, sizes
from infra.engines.open import open_engine
from infra.engines.shuffle import by_partition, sort_rows
from tests.infra.toy import Count, Slice, Slices, Sum, header


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 40))
def test_groups_cover_every_shard_that_has_rows_and_none_is_empty(rows: list[int], size: int) -> None:
    shards = [SimpleNamespace(rows=each) for each in rows]
    dataset: Any = SimpleNamespace(manifest=SimpleNamespace(shards=shards))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "row_bytes", lambda _: 1.0)
        groups = list(sizes.groups_of(dataset, size))
    held = [number for group in groups for number in group]
    assert held == sorted(set(held)) and {number for number, each in enumerate(rows) if each} <= {*held}
    for group in groups:
        filled = [rows[number] for number in group if rows[number]]
        assert filled and (len(filled) == 1 or sum(filled) <= size)


class Later(Slices):
    """Numbers of which the first parts have none, and the others more than a group's bytes."""

    def parts(self) -> list[Slice]:
        return [Slice(0, 0), Slice(1, 0), Slice(2, 5000), Slice(3, 0), Slice(4, 5000)]


def test_a_large_part_after_empty_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "LEAST_BYTES", 2**10)
    with open_engine("local") as engine:
        numbers = engine.map_shards(Count(), [Later()], tmp_path / "numbers", header("numbers"))
        made = engine.reduce_by_key([numbers], "key", Sum(), 3, tmp_path / "sums", header("sums"))
    assert sum(made.to_arrow()["sum"].to_pylist()) == sum(numbers.to_arrow()["value"].to_pylist()) > 0


@pytest.mark.parametrize("limit", [1, 100, 2**26])
@given(st.lists(st.tuples(st.integers(0, 50), st.text(max_size=3)), max_size=60), st.integers(1, 9), st.integers(1, 4))
def test_rows_are_spread_alike_however_many_are_taken_at_once(
    limit: int, rows: list[tuple[int, str]], partitions: int, together: int
) -> None:
    table = pa.table(
        {
            "key": pa.array([key for key, _ in rows], pa.uint64()),
            "text": pa.array([text for _, text in rows], pa.string()),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shuffle, "TAKEN_BYTES", limit)
        made = dict(by_partition(table, "key", partitions, together))
    wanted: dict[int, list[tuple[int, str]]] = {}
    for key, text in rows:
        wanted.setdefault(key // together % partitions, []).append((key, text))
    assert [*made] == sorted(wanted)
    for partition, piece in made.items():
        assert piece.schema == table.schema
        assert [*zip(piece["key"].to_pylist(), piece["text"].to_pylist(), strict=True)] == wanted[partition]


def test_sorted_rows_come_in_batches_and_keep_the_order_of_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "REDUCE_ROWS", 7)
    monkeypatch.setattr(shuffle, "SMALL_ARRAYS", 1)  # strings as if there were gigabytes
    keys = np.random.default_rng(0).integers(0, 5, 40).astype(np.uint64)
    names = [f"{number}" for number in range(40)]
    tables = [pa.table({"key": keys[part], "name": names[part]}) for part in (slice(0, 15), slice(15, 40))]
    batches = list(sort_rows(tables, "key"))
    assert max(batch.num_rows for batch in batches) <= 7 and batches[0].schema == tables[0].schema
    made = pa.Table.from_batches(batches)
    order = keys.argsort(kind="stable")
    assert made["key"].to_pylist() == keys[order].tolist()
    assert made["name"].to_pylist() == [names[number] for number in order]
    assert list(sort_rows([], "key")) == []
