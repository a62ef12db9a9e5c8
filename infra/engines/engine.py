"""Two operations are all that a stage may use: `map_shards` and `reduce_by_key`.

This base class does what every engine must do alike (fingerprints, receipts, the commit). An engine adds how jobs are
run (`run_jobs`) and how rows are moved from the map side of a reduction to its jobs (`shuffle`). That is why all
engines write the same bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from infra.code_version import code_version
from infra.dataset.build import Build, Extras, open_build
from infra.dataset.manifest import Header
from infra.dataset.reader import Dataset, Source
from infra.engines.job import PartJob, part_fingerprint
from infra.engines.live import Progress, Watch
from infra.engines.shuffle import Gathered, ReduceTask, Spread, spreads_of
from infra.engines.spill import Spilled
from infra.engines.task import Reducer, Task
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.metering import Meter

Report = Callable[[Progress], None]


class Engine(ABC):
    """`workers`: how many processes may run at once. `progress` is told how far a stage is.

    Nothing is started before the first job (`start`), so that a wrong recipe or input is refused at once.
    """

    name: str

    def __init__(self, workers: int = 1, progress: Report | None = None) -> None:
        if workers < 1:
            raise UsageError(f"--workers must be at least 1, not {workers}")
        self.workers = workers
        self.progress = progress or (lambda *_: None)

    def map_shards(
        self, task: Task, inputs: Sequence[Source], out: Path, header: Header, extras: Extras | None = None
    ) -> Dataset:
        """Run `task` over the partitions of `inputs`; co-partitioned inputs go in together."""
        rows = [source.parts() for source in inputs]
        if len({len(parts) for parts in rows}) != 1:
            raise UsageError(
                f"inputs of stage {header.stage!r} are cut differently: {[len(parts) for parts in rows]} partitions"
            )
        with open_build(out, header) as build:
            if done := build.finished():
                return done
            self.start()
            meter, decisive, jobs = Meter(self.name, self.workers), sha256_json(header.decisive), []
            for index, parts in enumerate(zip(*rows, strict=True)):
                code = code_version(PartJob, task, parts)
                seen: list[Any] = [part.fingerprint for part in parts]
                if hasattr(task, "open_sink"):  # which may write its number into the rows
                    seen.append(index)
                fingerprint = part_fingerprint(task.fingerprint, seen, decisive, code)
                jobs.append(PartJob(str(out), index, task, parts, fingerprint))
            self._run_missing(build, jobs, self.run_jobs)
            return build.commit([job.fingerprint for job in jobs], meter.account(inputs), extras)

    def reduce_by_key(
        self, inputs: Sequence[Dataset], key: str, reducer: Reducer, partitions: int, out: Path, header: Header
    ) -> Dataset:
        """Bring rows of equal key together: partition `p` of the result holds the keys with `key % partitions == p`."""
        parts = [[source, shard.sha256] for source, given in enumerate(inputs) for shard in given.manifest.shards]
        with open_build(out, header) as build:
            if done := build.finished():
                return done
            self.start()
            meter = Meter(self.name, self.workers)
            # any partition may depend on any part of the inputs
            code = code_version(PartJob, ReduceTask(reducer, 0, key), Gathered, Spilled, Spread)
            rows = sha256_json([key, partitions, parts])
            decisive = sha256_json(header.decisive)
            fingerprints = [part_fingerprint(reducer.fingerprint, [rows, p], decisive, code) for p in range(partitions)]
            jobs = [PartJob(str(out), p, ReduceTask(reducer, p, key), (), f) for p, f in enumerate(fingerprints)]
            self._run_missing(build, jobs, partial(self._spread, inputs, key, partitions))
            return build.commit(fingerprints, meter.account(inputs))

    def _spread(
        self, inputs: Sequence[Dataset], key: str, partitions: int, jobs: Sequence[PartJob], done: Callable[[], None]
    ) -> None:
        self.shuffle(spreads_of(inputs, key, partitions), jobs, done)

    def _run_missing(
        self, build: Build, jobs: Sequence[PartJob], run: Callable[[Sequence[PartJob], Callable[[], None]], None]
    ) -> None:
        todo = [jobs[index] for index in build.missing([job.fingerprint for job in jobs])]
        with Watch(build.folder, build.header.stage, build.found, len(jobs), self.progress) as watch:
            if todo:
                run(todo, watch.finished)

    def start(self) -> None:  # noqa: B027 (an engine that runs in this process has nothing to start)
        """Start what runs the jobs, unless it is started; it is called before each operation, outside its time."""

    @abstractmethod
    def run_jobs(self, jobs: Sequence[PartJob], done: Callable[[], None]) -> None:
        """Run every job's `run()` once, anywhere; call `done()` for each. There is at least one."""

    @abstractmethod
    def shuffle(self, spreads: Sequence[Spread], jobs: Sequence[PartJob], done: Callable[[], None]) -> None:
        """Bring each job the rows that all of `spreads` have for its partition (`job.index`), and run it there; call
        `done()` for each. There is at least one job; jobs of partitions that are made already are not among them."""

    def close(self) -> None:  # noqa: B027 (an engine without workers has none to end)
        """End the workers."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
