"""The toy's tasks, in which the worker that runs them dies, or its node: where a map, a spill or a reduction is."""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from infra.dataset.reader import Dataset, Part, ShardReader
from infra.engines.engine import Engine
from infra.engines.task import Output
from tests.infra.toy import Count, Slice, Slices, Sum, files_of, header


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
class DyingShard(ShardReader):
    """Its rows are read, and before they are handed on the worker, or its node, dies: the first time."""

    marks: str = ""
    what: str = ""

    def table(self, columns: list[str] | None = None) -> pa.Table:
        rows = super().table(columns)
        if once(self.marks, "spill"):
            die(self.what)
        return rows


class Dying(Dataset):
    """A dataset with such shards."""

    def __init__(self, folder: Path, marks: str, what: str) -> None:
        super().__init__(folder)
        self.__dict__.update(marks=marks, what=what)

    def parts(self) -> Sequence[Part]:  # type: ignore[override]
        return [
            DyingShard(part.folder, part.path, part.rows, part.sha256, self.marks, self.what)  # type: ignore[attr-defined]
            for part in super().parts()
        ]


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


def make(engine: Engine, out: Path, marks: Path | None = None, what: str = "") -> dict[str, bytes]:
    """A map and a reduction; with `marks`, a folder, what is to die does so once in each of their three phases."""
    count, total = (DyingCount(str(marks), what), DyingSum(str(marks), what)) if marks else (Count(), Sum())
    numbers = engine.map_shards(count, [Slices(12)], out / "numbers", header("numbers"))
    if marks:
        numbers = Dying(numbers.folder, str(marks), what)
    engine.reduce_by_key([numbers, numbers], "key", total, 3, out / "sums", header("sums"))
    return files_of(out)
