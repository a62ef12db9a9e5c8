"""The toy's task, which fails in all workers in the same moment, as tasks do that read from one source that is out."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.engines.engine import Engine
from infra.engines.open import open_engine
from infra.engines.task import Output
from infra.errors import WorkError
from tests.infra.toy import Count, Slice, Slices, header

MOMENTS = 0.5


@dataclass(frozen=True)
class FailTogether:
    fingerprint = Count.fingerprint
    schema = Count.schema

    def __call__(self, part: Slice) -> Iterator[Output]:
        time.sleep(MOMENTS - time.time() % MOMENTS)
        raise WorkError("the source is out")
        yield


@dataclass(frozen=True)
class FailBeside:
    """The first part fails at once; each other one writes into its file, or sleeps, until it is stopped."""

    folder: str

    fingerprint = Count.fingerprint
    schema = Count.schema

    def __call__(self, part: Slice) -> Iterator[Output]:
        log = Path(self.folder) / str(part.index)
        log.touch()
        if part.index == 0:
            while len(list(log.parent.iterdir())) < 2:
                time.sleep(0.1)
            raise WorkError("the source is out")
        while True:
            time.sleep(0.1 if part.index % 2 else 60)
            with log.open("a") as file:
                file.write("made\n")
        yield


@dataclass(frozen=True)
class Wait:
    """Long enough that Ray's memory monitor finds it."""

    fingerprint = Count.fingerprint
    schema = Count.schema

    def __call__(self, part: Slice) -> Iterator[Output]:
        time.sleep(60)
        yield from ()


def fail(engine: Engine, task: FailTogether | FailBeside | Wait, parts: int) -> str:
    """What the run says when it ends."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            engine.map_shards(task, [Slices(parts)], Path(folder) / "out", header())
    except WorkError as error:
        return str(error)
    return "nothing"


def fail_often(times: int) -> None:
    with open_engine("ray", 4) as engine:
        for _ in range(times):
            print(fail(engine, FailTogether(), 8))


def fail_for_memory() -> None:
    with open_engine("ray", 1) as engine:
        print(fail(engine, Wait(), 1))
