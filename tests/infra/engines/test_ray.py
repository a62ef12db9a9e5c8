"""Ray with several nodes: nodes and workers that die, and what jobs raise; each run ends in the undisturbed bytes."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.engines.engine import Engine
from infra.engines.open import open_engine
from infra.engines.task import Output
from infra.errors import UsageError, WorkError
from tests.infra.engines.clusters import ray_cluster
from tests.infra.toy import Count, Slice, Slices, Sum, files_of, header

pytestmark = pytest.mark.long


def once(folder: str, name: str) -> bool:
    """Whether this is the first time."""
    try:
        (Path(folder) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die(what: str) -> None:
    """The worker that runs this; and before it its node, which is the process that started it."""
    if what == "node":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class DyingCount:
    """`Count`, in which a worker or its node dies in the middle of a part: the first time, or each time."""

    folder: str
    what: str
    always: bool = False

    fingerprint = Count.fingerprint
    schema = Count.schema

    def __call__(self, part: Slice) -> Iterator[Output]:
        yield from Count()(part)
        if part.index == 2 and (self.always or once(self.folder, "map")):
            die(self.what)


@dataclass(frozen=True)
class DyingSum:
    folder: str
    what: str

    fingerprint = Sum.fingerprint
    schema = Sum.schema

    def __call__(self, partition: int, rows: Iterator[pa.RecordBatch]) -> Iterator[Output]:
        yield from Sum()(partition, rows)
        if partition == 1 and once(self.folder, "reduction"):
            die(self.what)


def make(engine: Engine, out: Path, count: Any, total: Any) -> dict[str, bytes]:
    numbers = engine.map_shards(count, [Slices(12)], out / "numbers", header("numbers"))
    engine.reduce_by_key([numbers, numbers], "key", total, 3, out / "sums", header("sums"))
    return files_of(out)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    with open_engine("local") as engine:
        return make(engine, tmp_path_factory.mktemp("expected"), Count(), Sum())


@pytest.mark.parametrize("what", ["worker", "node"])
def test_what_dies_in_a_map_and_in_a_reduction_is_made_again(
    what: str, expected: dict[str, bytes], tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with ray_cluster(3) as cluster, open_engine(f"ray --address={cluster.address}", None) as engine:
        numbers, sums = DyingCount(str(marks), what), DyingSum(str(marks), what)
        assert make(engine, tmp_path / "out", numbers, sums) == expected
    assert {path.name for path in marks.iterdir()} == {"map", "reduction"}


def test_what_jobs_raise_comes_as_it_is(tmp_path: Path) -> None:
    with open_engine("ray", 1) as engine:
        with pytest.raises(RuntimeError) as raised:
            engine.map_shards(Count(fail_at=2), [Slices()], tmp_path / "fails", header())
        assert str(raised.value) == "told to fail"
        with pytest.raises(WorkError, match="a worker died again and again"):
            engine.map_shards(DyingCount("", "worker", True), [Slices()], tmp_path / "dies", header())
        assert not (tmp_path / "dies" / "manifest.json").exists()


def test_a_task_that_no_node_can_hold_is_refused(tmp_path: Path) -> None:
    with open_engine("ray --memory=900GiB", 1) as engine, pytest.raises(UsageError, match="more than any node"):
        engine.map_shards(Count(), [Slices()], tmp_path, header())
