"""How rows are cut into groups, spread by key and sorted."""

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.dataset.receipts import SPILL
from infra.engines import shuffle, sizes, sorted_runs, spill
from infra.engines.engine import Done
from infra.engines.job import Job, PartJobs
from infra.engines.local import LocalEngine
from infra.engines.open import open_engine
from infra.engines.shuffle import Spreads, by_partition, sort_rows
from infra.errors import WorkError
from infra.storage import place, scratch_folder, write_bytes
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


@pytest.mark.parametrize("held", [1, 300, 2**30])
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40), min_size=1, max_size=6),
    st.booleans(),
)
def test_rows_are_sorted_alike_in_runs(held: int, tables: list[list[tuple[int, int]]], lacks: bool) -> None:
    """Rows of equal key and place stay as they came; a column that a table lacks is null."""
    number = count()
    rows = [[(key, row, next(number)) for key, row in table] for table in tables]
    made = []
    for index, table in enumerate(rows):
        columns = {
            "key": pa.array([key for key, _, _ in table], pa.uint64()),
            "shard": pa.array([0] * len(table), pa.int32()),
            "row": pa.array([row for _, row, _ in table], pa.int32()),
            "name": pa.array([str(name) for _, _, name in table], pa.string()),
        }
        if lacks and index == 0:
            del columns["name"]
        made.append(pa.table(columns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_runs, "HELD_BYTES", held)
        patch.setattr(sorted_runs, "RUN_ROWS", 3)
        patch.setattr(sorted_runs, "BATCH_ROWS", 7)
        batches = list(sort_rows(made, "key"))
    assert not list(scratch_folder().glob("run-*"))
    found = [row for batch in batches for row in batch.to_pylist()]
    first = len(rows[0]) if lacks else 0
    wanted = sorted((row for table in rows for row in table), key=lambda row: row[:2])
    name = [None if row[2] < first else str(row[2]) for row in wanted]
    assert [(row["key"], row["row"], row.get("name")) for row in found] == [
        (key, row, each) for (key, row, _), each in zip(wanted, name, strict=True)
    ]
    assert len({str(batch.schema) for batch in batches}) <= 1 and all(batch.num_rows <= 7 for batch in batches)


def test_sorted_rows_come_in_batches_and_keep_the_order_of_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_runs, "BATCH_ROWS", 7)
    monkeypatch.setattr(sorted_runs, "SMALL_ARRAYS", 1)  # strings as if there were gigabytes
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


class Killed(Exception):
    pass


def test_a_killed_reduction_whose_groups_are_cut_otherwise_later_is_spread_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> float:
        raise Killed

    with open_engine("local") as engine:
        numbers = engine.map_shards(Count(), [Slices(8)], tmp_path / "numbers", header("numbers"))
        for first, then in ((1, 2**20), (2**20, 1)):
            monkeypatch.setattr(sizes, "LEAST_BYTES", first)
            with monkeypatch.context() as patch, pytest.raises(Killed):
                patch.setattr(spill, "spread_cpu_seconds", killed)
                engine.reduce_by_key([numbers], "key", Sum(), 3, tmp_path / str(first), header("sums"))
            monkeypatch.setattr(sizes, "LEAST_BYTES", then)
            made = engine.reduce_by_key([numbers], "key", Sum(), 3, tmp_path / str(first), header("sums"))
            assert sum(made.to_arrow()["sum"].to_pylist()) == sum(range(800))


class SpillsThere(LocalEngine):
    """Spills into the dataset's folder, as Ray does. Another driver takes it over after the spill."""

    def shuffle(self, spreads: Spreads, jobs: PartJobs, done: Done) -> float:
        return spill.shuffle_through_files(self, place(jobs.operation.folder) / SPILL, spreads, jobs, done)

    def run_jobs(self, jobs: Iterable[Job], done: Done) -> None:
        super().run_jobs(jobs, done)
        for folder in self.lost:
            write_bytes(folder / ".lock", b'{"token": "another", "host": "b", "renewal": "x"}')
            self.before = [*(folder / SPILL).walk_objects()]  # type: ignore[attr-defined]

    lost: tuple[Path, ...] = ()
    before: Sequence[Path] = ()


def test_a_driver_that_lost_its_folder_leaves_the_spilled_rows_to_the_next(root: Path) -> None:
    with SpillsThere() as engine:
        numbers = engine.map_shards(Count(), [Slices(3)], root / "numbers", header("numbers"))
        engine.lost = (root / "sums",)
        with pytest.raises(WorkError, match="another driver has taken over"):
            engine.reduce_by_key([numbers], "key", Sum(), 2, root / "sums", header("sums"))
    assert len(engine.before) == 1 and [*(root / "sums" / SPILL).walk_objects()] == engine.before  # type: ignore[attr-defined]
