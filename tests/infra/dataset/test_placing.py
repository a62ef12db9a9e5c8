"""Partitions are found again under other numbers: the same bytes as without a past, whenever the process is killed."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest

from infra.dataset import batches
from infra.dataset.build import Build
from infra.dataset.manifest import Header, InputRef, Kind, RecipeRef
from infra.dataset.reader import Dataset
from infra.engines.engine import Engine
from infra.engines.local import LocalEngine
from infra.engines.open import open_engine
from infra.engines.task import Output
from infra.errors import UsageError, WorkError
from infra.storage import copy_file, read_json
from tests.infra.toy import NUMBERS, Count, Slice, files_of


@dataclass(frozen=True)
class Chosen:
    """Slices of different lengths; 0 rows for every fifth, so that two of them have one fingerprint."""

    indices: tuple[int, ...]

    @property
    def refs(self) -> tuple[InputRef, ...]:
        return tuple(InputRef(str(index), "0" * 64) for index in self.indices)

    def parts(self) -> list[Slice]:
        return [Slice(0, 0) if index % 5 == 4 else Slice(index, 10 + index) for index in self.indices]


def header(source: Chosen, *others: Path, limit: int | None = None) -> Header:
    params = {} if limit is None else {"limit": limit}
    return Header(Kind.TABLE, "toy", RecipeRef("toy", "0" * 64), params, source.refs, others)


def make(engine: Engine, out: Path, indices: Sequence[int], *others: Path, log: Path | None = None) -> Dataset:
    source = Chosen(tuple(indices))
    task = Count(str(log) if log else None)
    return engine.map_shards(task, [source], out, header(source, *others))


def afresh(indices: Sequence[int], folder: Path) -> dict[str, bytes]:
    with open_engine("local") as engine:
        make(engine, folder, indices)
    return files_of(folder)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt is written as soon as its partition is made."""
    monkeypatch.setattr(batches, "FLUSH_SECONDS", 0.0)


def parts_made(out: Path) -> int:
    return int((read_json(out / "run.json") or {})["parts_made"])


# From, to, and how many parts of the second are not in the first.
CHANGES = {
    "one more at the end": ([0, 1], [0, 1, 2], 1),
    "one more at the head, which shifts all": ([1, 2, 3], [0, 1, 2, 3], 1),
    "two more in the middle": ([0, 3, 6], [0, 1, 3, 5, 6], 2),
    "in another order": ([0, 1, 2], [2, 0, 1], 0),
    "fewer": ([0, 1, 2, 3], [1, 3], 0),
    "some go and others come": ([0, 1, 2, 3], [1, 5, 2, 6], 2),
    "empty ones, all alike": ([4, 0, 9], [0, 4, 1, 9, 14], 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_the_new_parts_are_made(change: str, tmp_path: Path) -> None:
    before, after, new = CHANGES[change]
    with open_engine("local") as engine:
        make(engine, tmp_path / "out", before)
        make(engine, tmp_path / "out", after)
    assert parts_made(tmp_path / "out") == new
    assert files_of(tmp_path / "out") == afresh(after, tmp_path / "fresh")
    assert receipts(tmp_path / "out") == receipts(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("name", "workers"),
    [("local", 2), pytest.param("beam", 1, marks=pytest.mark.long), pytest.param("ray", 2, marks=pytest.mark.long)],
)
def test_on_each_engine(name: str, workers: int, tmp_path: Path) -> None:
    with open_engine(name, workers) as engine:
        make(engine, tmp_path / "out", [1, 3])
        make(engine, tmp_path / "out", [0, 1, 2, 3])
    assert parts_made(tmp_path / "out") == 2
    assert files_of(tmp_path / "out") == afresh([0, 1, 2, 3], tmp_path / "fresh")


class Killed(BaseException):
    """The end of a process: nothing changes on the disk after it."""


@contextmanager
def killed_at(number: int) -> Iterator[list[str]]:
    """Ends at the `number`-th change of the disk, before it is done; the handlers that follow change nothing."""
    done: list[str] = []

    def watched(function: Any) -> Any:
        def call(*words: Any, **named: Any) -> Any:
            if len(done) >= number:
                raise Killed
            done.append(function.__name__)
            return function(*words, **named)

        return call

    names = ("replace", "unlink", "write_bytes", "mkdir")
    with (
        mock.patch.multiple(Path, **{name: watched(getattr(Path, name)) for name in names}),
        mock.patch.object(os, "link", watched(os.link)),
        mock.patch.object(shutil, "rmtree", watched(shutil.rmtree)),
    ):
        yield done


FEW = {"one more at the head, which shifts all", "empty ones, all alike"}


@pytest.mark.parametrize("change", [pytest.param(n, marks=() if n in FEW else pytest.mark.long) for n in CHANGES])
def test_killed_at_every_step(change: str, tmp_path: Path) -> None:
    """Before each change of the disk in turn; then the same command ends the work, and makes no finished part again."""
    before, after, new = CHANGES[change]
    expected = afresh(after, tmp_path / "fresh")
    with open_engine("local") as engine:
        make(engine, tmp_path / "begun", before)
        for number in range(200):
            out, log = tmp_path / f"out-{number}", tmp_path / f"log-{number}"
            shutil.copytree(tmp_path / "begun", out)
            log.mkdir()
            try:
                with killed_at(number):
                    make(engine, out, after, log=log)
                break
            except Killed:
                make(engine, out, after, log=log)
            assert files_of(out) == expected, number
            assert receipts(out) == receipts(tmp_path / "fresh")
            runs = sum(len(path.read_text().splitlines()) for path in log.iterdir())
            assert runs <= new + 1, "the part that was being made may be made twice, no other"
    assert number > 10


@pytest.mark.parametrize("number", range(2, 60, 6))
def test_killed_and_then_given_other_parts(number: int, tmp_path: Path) -> None:
    with open_engine("local") as engine:
        make(engine, tmp_path / "out", [1, 2, 3])
        with suppress(Killed), killed_at(number):
            make(engine, tmp_path / "out", [0, 1, 2, 3, 5])
        make(engine, tmp_path / "out", [1, 2, 3, 6])
    assert files_of(tmp_path / "out") == afresh([1, 2, 3, 6], tmp_path / "fresh")


def test_parts_of_other_datasets_are_linked(tmp_path: Path) -> None:
    with open_engine("local") as engine:
        make(engine, tmp_path / "one", [0, 3])
        make(engine, tmp_path / "two", [2, 5])
        make(engine, tmp_path / "out", [0, 1, 2, 3, 5], tmp_path / "one", tmp_path / "two")
    assert parts_made(tmp_path / "out") == 1
    assert files_of(tmp_path / "out") == afresh([0, 1, 2, 3, 5], tmp_path / "fresh")
    assert (tmp_path / "out/part-00003.parquet").samefile(tmp_path / "one/part-00001.parquet")
    assert Dataset(tmp_path / "one").verify() == Dataset(tmp_path / "two").verify() == []


@pytest.mark.parametrize("number", range(2, 60, 6))
def test_killed_while_parts_are_linked(number: int, tmp_path: Path) -> None:
    with open_engine("local") as engine:
        make(engine, tmp_path / "one", [0, 3])
        make(engine, tmp_path / "out", [1, 2])
        with suppress(Killed), killed_at(number):
            make(engine, tmp_path / "out", [0, 1, 2, 3], tmp_path / "one")
        make(engine, tmp_path / "out", [0, 1, 2, 3], tmp_path / "one")
    assert files_of(tmp_path / "out") == afresh([0, 1, 2, 3], tmp_path / "fresh")


def test_a_file_is_copied_where_it_cannot_be_linked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("rows")
    with mock.patch.object(os, "link", side_effect=OSError("another file system")):
        copy_file(tmp_path / "file", tmp_path / "copy")
    copy_file(tmp_path / "file", tmp_path / "link")
    copy_file(tmp_path / "file", tmp_path / "link")  # again, after a crash
    assert (tmp_path / "copy").read_text() == "rows" and not (tmp_path / "copy").samefile(tmp_path / "file")
    assert (tmp_path / "link").samefile(tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "file", "link"]


def test_a_damaged_part_is_not_moved(tmp_path: Path) -> None:
    with open_engine("local") as engine:
        make(engine, tmp_path / "out", [1, 2])
        (tmp_path / "out/part-00000.parquet").write_bytes(b"cut")
        make(engine, tmp_path / "out", [0, 1, 2])
    assert parts_made(tmp_path / "out") == 2
    assert files_of(tmp_path / "out") == afresh([0, 1, 2], tmp_path / "fresh")


def test_without_leave_other_inputs_are_refused(tmp_path: Path) -> None:
    strict = Header(Kind.TABLE, "toy", RecipeRef("toy", "0" * 64), {}, Chosen((0, 1, 2)).refs)
    with open_engine("local") as engine:
        make(engine, tmp_path / "out", [0, 1])
        with pytest.raises(UsageError, match="the input '2' is new"):
            engine.map_shards(Count(), [Chosen((0, 1, 2))], tmp_path / "out", strict)
        other = Header(Kind.TABLE, "toy", RecipeRef("toy", "1" * 64), {}, Chosen((0,)).refs, ())
        with pytest.raises(UsageError, match="the recipe 'toy', or a model of it, has changed"):
            engine.map_shards(Count(), [Chosen((0,))], tmp_path / "out", other)


@dataclass(frozen=True)
class Numbered(Count):
    """Writes its number into its rows."""

    def open_sink(self, folder: Path, index: int) -> Any:
        from infra.engines.job import ParquetSink

        class Sink(ParquetSink):
            def write(self, batch: pa.RecordBatch) -> None:
                key = pa.array([index] * batch.num_rows, pa.uint64())
                super().write(pa.RecordBatch.from_arrays([key, batch["value"]], schema=NUMBERS))

        return Sink(folder, index, NUMBERS)

    def __call__(self, part: Slice) -> Iterator[Output]:
        yield from super().__call__(part)


def test_what_depends_on_its_number_is_made_again(tmp_path: Path) -> None:
    with open_engine("local") as engine:
        for out, sets in {"out": ((1, 2), (0, 1, 2)), "fresh": ((0, 1, 2),)}.items():
            for indices in sets:
                source = Chosen(indices)
                engine.map_shards(Numbered(), [source], tmp_path / out, header(source))
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")


def receipts(out: Path) -> list[tuple[int, str]]:
    """The partitions that have a receipt, with the fingerprint; nothing else is there."""
    others = {path.name for path in (out / ".receipts").iterdir() if not path.name.startswith("part-")}
    assert others <= {"header.json", "history.json"}
    return sorted((receipt["index"], receipt["fingerprint"]) for receipt in batches.receipts_in(out))


def remove_shard(out: Path) -> None:
    (out / "part-00001.parquet").unlink()


def write_over_shard(out: Path) -> None:
    (out / "part-00001.parquet").write_bytes(b"of another process")


def write_over_receipts(out: Path) -> None:
    for path in batches.batches_in(out)[1:]:
        path.write_bytes(b"")


@pytest.mark.parametrize("meddle", [remove_shard, write_over_shard, write_over_receipts])
def test_no_manifest_stands_beside_other_files(meddle: Callable[[Path], None], tmp_path: Path) -> None:
    """A worker that was taken for dead may go on writing until the commit."""
    run_jobs = LocalEngine.run_jobs

    def meddled(engine: LocalEngine, *given: Any) -> None:
        run_jobs(engine, *given)
        meddle(tmp_path / "out")

    with open_engine("local") as engine:
        with (
            mock.patch.object(LocalEngine, "run_jobs", meddled),
            pytest.raises(WorkError, match="partition 1 is not as it was made"),
        ):
            make(engine, tmp_path / "out", range(4))
        assert not (tmp_path / "out" / "manifest.json").exists()
        make(engine, tmp_path / "out", range(4))
    assert files_of(tmp_path / "out") == afresh(range(4), tmp_path / "afresh")


def test_parts_are_taken_again_where_a_file_is_gone(tmp_path: Path) -> None:
    out, indices = tmp_path / "out", range(4)
    with open_engine("local") as engine:
        source = make(engine, tmp_path / "source", indices).folder
        with mock.patch.object(Build, "commit", side_effect=Killed), pytest.raises(Killed):
            make(engine, out, indices, source)
        (out / "part-00000.parquet").unlink()
        make(engine, out, indices, source)
    assert files_of(out) == afresh(indices, tmp_path / "afresh")
