"""Jobs are ranges of partitions, made as an engine takes them; their receipts share a file, after the shards."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from infra.dataset.batches import Fingerprints, batches_in, receipts_in
from infra.dataset.reader import Dataset, ShardReader
from infra.engines.job import JOB_PARTS, JOBS_A_WORKER, Operation, Packed, PartJobs, RangeJob
from infra.engines.local import IN_FLIGHT, LocalEngine
from infra.engines.open import open_engine
from tests.infra.toy import Count, Slice, Slices, Sum, header


def jobs_of(folder: Path, parts: int, log: Path | None = None) -> PartJobs:
    (folder / ".receipts").mkdir(parents=True, exist_ok=True)
    fingerprints = Fingerprints()
    for index in range(parts):
        fingerprints.append(f"{index:064x}")
    operation = Operation(str(folder), Count(str(log) if log else None), check=True)
    return PartJobs(operation, np.arange(parts), fingerprints, [Slices(parts).parts()])


@pytest.mark.parametrize(("parts", "workers"), [(1, 1), (7, 2), (1000, 1), (1000, 4), (20_000, 2), (90_000, 1000)])
def test_ranges_cover_all_parts_and_get_smaller(parts: int, workers: int, tmp_path: Path) -> None:
    ranges = [job.indices for job in jobs_of(tmp_path, parts).ranges(workers)]
    assert [index for indices in ranges for index in indices] == list(range(parts))
    sizes = [len(indices) for indices in ranges]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] <= JOB_PARTS and sizes[-1] == 1
    assert len(sizes) <= parts / JOB_PARTS + workers * JOBS_A_WORKER * 8


def test_the_receipts_of_a_job_share_a_file(tmp_path: Path) -> None:
    with open_engine("local") as engine:
        engine.map_shards(Count(), [Slices(100)], tmp_path / "out", header())
    assert len(batches_in(tmp_path / "out")) < 35
    assert sorted(receipt["index"] for receipt in receipts_in(tmp_path / "out")) == list(range(100))
    assert not list((tmp_path / "out" / "ledger").iterdir()), "nothing was rejected"


def test_a_job_that_is_run_again_makes_only_the_rest(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    job = jobs_of(tmp_path / "out", 6, tmp_path / "log").range_of(range(6))
    failing = Packed.of(Operation(str(tmp_path / "out"), Count(str(tmp_path / "log"), fail_at=4), check=True))
    with pytest.raises(RuntimeError, match="told to fail"):
        replace(job, packed=failing).run()
    (tmp_path / "out" / "part-00001.parquet").unlink()
    assert job.run() == 6
    made = {int(path.name): path.read_text().count("made") for path in (tmp_path / "log").iterdir()}
    assert made == {0: 1, 1: 2, 2: 1, 3: 1, 4: 1, 5: 1}
    assert sorted(receipt["index"] for receipt in receipts_in(tmp_path / "out")) == list(range(6))


def test_files_are_on_the_disk_before_the_receipts_that_name_them(tmp_path: Path) -> None:
    """In one job: a sync of each shard, in any order, one of their folder, and those of the file of receipts."""
    synced: list[str] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    job = jobs_of(tmp_path / "out", 20).range_of(range(20))
    with mock.patch.object(os, "fsync", watched):
        job.run()
    *shards, folder, receipts, below = synced
    assert sorted(shards) == [f"part-{index:05d}.parquet" for index in range(20)]
    assert folder == "out" and receipts.startswith(".tmp-part-00000-") and below == ".receipts"


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_are_made_as_they_are_taken(workers: int, tmp_path: Path) -> None:
    taken, done, most = 0, 0, 0

    def jobs() -> Iterator[RangeJob]:
        nonlocal taken, most
        every = jobs_of(tmp_path, 30)
        for index in range(30):
            taken += 1
            most = max(most, taken - done)
            yield every.range_of([index])

    def finished(parts: int) -> None:
        nonlocal done
        done += parts

    with open_engine("local", workers) as engine:
        engine.run_jobs(jobs(), finished)
    assert done == 30 and most <= IN_FLIGHT * workers


class Checks:
    """Counts the comparisons of shards with their hashes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shards: list[str] = []
        check = ShardReader.check

        def watched(reader: ShardReader) -> None:
            self.shards.append(reader.path)
            check(reader)

        monkeypatch.setattr(ShardReader, "check", watched)

    def made(self) -> int:
        number = len(self.shards)
        self.shards.clear()
        return number


class Twice(Count):
    """The numbers of a dataset, as they are."""

    def __call__(self, part: Any) -> Iterator[Any]:
        yield from super().__call__(Slice(0))


def test_shards_are_compared_with_their_hashes_once_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = Checks(monkeypatch)

    def use(engine: LocalEngine, numbers: Dataset, name: str) -> int:
        engine.map_shards(Twice(), [numbers], tmp_path / name, header(name))
        return checks.made()

    with LocalEngine() as engine:
        numbers = engine.map_shards(Count(), [Slices()], tmp_path / "numbers", header("numbers"))
        assert [use(engine, numbers, "a"), use(engine, numbers, "b")] == [4, 0]
        engine.reduce_by_key([numbers], "key", Sum(), 2, tmp_path / "sums", header("sums"))
        assert checks.made() == 0
    with LocalEngine() as another:
        assert use(another, numbers, "c") == 4
    with LocalEngine() as resumed:
        (tmp_path / "a" / "manifest.json").unlink()
        (tmp_path / "a" / "part-00002.parquet").unlink()
        assert use(resumed, numbers, "a") == 1, "of one part, so the others are still to be compared"
        assert use(resumed, numbers, "d") == 4
