"""Two operations are all that a stage may use: `map_shards` and `reduce_by_key`.

This base class does what every engine must do alike (fingerprints, receipts, the commit). An engine adds how jobs are
run (`run_jobs`) and how rows are moved from the map side of a reduction to its jobs (`shuffle`). That is why all
engines write the same bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

from infra.code_version import code_version, names_in, project
from infra.dataset.batches import Fingerprints
from infra.dataset.build import Build, Extras, open_build
from infra.dataset.manifest import Header, InputRef
from infra.dataset.reader import Dataset, Part, Source
from infra.engines.job import Job, Operation, PartJob, PartJobs, part_fingerprint
from infra.engines.live import Progress, Watch
from infra.engines.made_by import code_of, finished
from infra.engines.shuffle import Gathered, ReduceTask, Spread, Spreads
from infra.engines.spill import Spilled
from infra.engines.task import Reducer, Task
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.metering import Meter

Report = Callable[[Progress], None]
# Is told how many more partitions are made.
Done = Callable[[int], None]


def map_fingerprints(task: Task, rows: Sequence[Sequence[Part]], decisive: str) -> Fingerprints:
    """The fingerprint of each partition of a map. `rows`: the partitions of each input; `decisive`: see
    `part_fingerprint`."""
    numbered = hasattr(task, "open_sink")  # which may write its number into the rows
    name, names, found = task.fingerprint, names_in([PartJob, task]), Fingerprints()
    version = cache(project().version)
    for index, parts in enumerate(zip(*rows, strict=True)):
        seen: list[Any] = [part.fingerprint for part in parts]
        code = version(names | names_in(parts))
        found.append(part_fingerprint(name, [*seen, index] if numbered else seen, decisive, code))
    return found


def _refs(inputs: Sequence[Source]) -> frozenset[InputRef]:
    return frozenset(ref for source in inputs for ref in source.refs)


class Engine(ABC):
    """`workers`: how many processes may run at once. `progress` is told how far a stage is; `say`, in a line, what is
    made once more.

    Nothing is started before the first job (`start`), so that a wrong recipe or input is refused at once.
    """

    name: str

    def __init__(self, workers: int = 1, progress: Report | None = None) -> None:
        if workers < 1:
            raise UsageError(f"--workers must be at least 1, not {workers}")
        self.workers = workers
        self.progress = progress or (lambda *_: None)
        self.say: Callable[[str], object] = lambda _: None
        self._retries = 0
        # by the folder of a dataset, what `one_pass` has made of it: parts, and wall seconds that are its own
        self._in_passes: dict[Path, tuple[int, float]] = {}
        # the datasets whose shards this process has seen compared with their hashes
        self._checked: frozenset[InputRef] = frozenset()

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
            if done := finished(build):
                return done
            self.start()
            meter, refs = Meter(self.name, self.workers), _refs(inputs)
            fingerprints = map_fingerprints(task, rows, sha256_json(header.decisive))
            operation = Operation(str(out), task, not refs <= self._checked)
            jobs = PartJobs(operation, build.missing(fingerprints), fingerprints, rows)
            parts, meter.earlier_seconds = self._in_passes.pop(out, (0, 0.0))
            build.count_made(parts)
            with self._watch(build, len(fingerprints)) as watch:
                if len(jobs):
                    self.run_jobs(jobs.ranges(self.workers), watch.finished)
            self._note_checked(build, refs)
            code = [PartJob, task, *(parts[0] for parts in rows if len(parts))]
            return build.commit(fingerprints, task.schema, self._account(meter, inputs, code), extras)

    def reduce_by_key(
        self,
        inputs: Sequence[Dataset],
        key: str,
        reducer: Reducer,
        partitions: int,
        out: Path,
        header: Header,
        together: int = 1,
    ) -> Dataset:
        """Bring rows of equal key together: partition `p` of the result holds the keys with
        `key // together % partitions == p`."""
        refs = _refs(inputs)
        spreads = Spreads(inputs, key, partitions, together, check=not refs <= self._checked)
        with open_build(out, header) as build:
            if done := finished(build):
                return done
            self.start()
            meter = Meter(self.name, self.workers)
            task = ReduceTask(reducer, 0, key)
            # any partition may depend on any part of the inputs
            code = [PartJob, task, Gathered, Spilled, Spread]
            shards = [[source, shard.sha256] for source, given in enumerate(inputs) for shard in given.manifest.shards]
            rows = sha256_json([key, partitions, together, shards])
            decisive, version, fingerprints = sha256_json(header.decisive), code_version(*code), Fingerprints()
            for p in range(partitions):
                fingerprints.append(part_fingerprint(reducer.fingerprint, [rows, p], decisive, version))
            operation = Operation(str(out), task, check=False)
            jobs = PartJobs(operation, build.missing(fingerprints), fingerprints, ())
            with self._watch(build, partitions) as watch:
                if len(jobs):
                    meter.spread_cpu_seconds = self.shuffle(spreads, jobs, watch.finished)
            self._note_checked(build, refs)
            return build.commit(fingerprints, task.schema, self._account(meter, inputs, code))

    def _account(self, meter: Meter, inputs: Sequence[Source], code: Sequence[Any]) -> dict[str, Any]:
        """What `run.json` says of an operation. `code`: what it was done by."""
        retries, self._retries = self._retries, 0
        return {**meter.account(inputs), "retries": retries, "code": code_of(code)}

    def made_in_pass(self, out: Path, parts: int, seconds: float) -> None:
        """Of the dataset in `out` so many parts were made in a pass that two maps share; `seconds` of it are told with
        this one."""
        self._in_passes[out] = (parts, seconds)

    def retried(self, line: str, times: int = 1) -> None:
        """Something was run again that had ended with its worker; `line` says what."""
        self._retries += times
        self.say(line)

    def _watch(self, build: Build, total: int) -> Watch:
        return Watch(build.folder, build.header.stage, build.found, total, self.progress)

    def _note_checked(self, build: Build, refs: frozenset[InputRef]) -> None:
        """A stage may read a dataset several times; its shards are compared with their hashes the first time, if all
        were read then."""
        if not build.found:
            self._checked |= refs

    def start(self) -> None:  # noqa: B027 (an engine that runs in this process has nothing to start)
        """Start what runs the jobs, unless it is started; it is called before each operation, outside its time."""

    @abstractmethod
    def run_jobs(self, jobs: Iterable[Job], done: Done) -> None:
        """Run every job's `run()` once, anywhere; call `done()` for each, with the number of partitions that it made.

        The jobs are made as they are taken: an engine takes no more of them than it keeps in flight. There is at least
        one.
        """

    @abstractmethod
    def shuffle(self, spreads: Spreads, jobs: PartJobs, done: Done) -> float:
        """Bring each partition in `jobs.indices` the rows that all of `spreads` have for it, and make it there
        (`jobs.range_of`); call `done()` with the number of partitions. There is at least one; those that are made
        already are not among them. Returns the CPU seconds that it took to spread the rows, as far as they are
        known."""

    def close(self) -> None:  # noqa: B027 (an engine without workers has none to end)
        """End the workers."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
