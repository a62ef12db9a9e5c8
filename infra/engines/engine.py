"""Two verbs are all that a stage may use: `map_shards` and `reduce_by_key`.

This base class does what every engine must do alike (jobs, fingerprints, receipts, the commit); an engine says
only how jobs are run (`run_jobs`) and how partitioned batches travel from the map side to the reducers
(`shuffle`). That is why all engines write the same bytes.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.dataset.build import Build, Extras, PartJob, open_build, part_fingerprint
from infra.dataset.dataset import Dataset, Part, ShardReader, Source
from infra.dataset.manifest import Header
from infra.engines.task import Output, Reducer, Task
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.metering import Meter

Progress = Callable[[str, int, int], None]

# A partition of a reduction is held in memory whole. Its number is a function of the data, never of the workers.
PARTITION_BYTES = 32 * 2**20


@dataclass(frozen=True)
class ReduceTask:
    """A reducer as the task of one partition; `rows` is where that partition's batches can be read."""

    reducer: Reducer
    partition: int
    key: str

    @property
    def fingerprint(self) -> str:
        return self.reducer.fingerprint

    @property
    def schema(self) -> pa.Schema:
        return self.reducer.schema

    def __call__(self, *parts: Any) -> Iterator[Output]:
        """`parts`: one object with `tables()`, the partition's batches in the order of the inputs."""
        table = sort_rows(parts[0].tables(self.partition), self.key)
        yield from self.reducer(self.partition, iter(table.to_batches(max_chunksize=65536)))


def sort_rows(tables: Sequence[pa.Table], key: str) -> pa.Table:
    """One table sorted by (key, file_path, warc_offset); equal rows keep the order of the inputs."""
    if not tables:
        return pa.table({})
    table = pa.concat_tables(tables, promote_options="default").combine_chunks()
    order = [key, *(name for name in ("file_path", "warc_offset") if name in table.schema.names)]
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in order]))


def partition_part(part: ShardReader, source: int, key: str, partitions: int) -> list[pa.Table]:
    """A shard's rows by partition (`key` modulo `partitions`), each row marked with the input it came from."""
    table = part.table()
    table = table.append_column("_input", pa.array([source] * table.num_rows, pa.int8()))
    keys = table[key].to_numpy()
    if keys.dtype.kind not in "iu":
        raise TypeError(f"the key {key!r} of a reduction must be an integer column, not {keys.dtype}")
    target = keys % keys.dtype.type(partitions)
    order = target.argsort(kind="stable")
    ends = target[order].searchsorted(range(1, partitions + 1))
    rows = table.take(pa.array(order))
    starts = [0, *ends[:-1]]
    return [rows.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The whole table as exactly one batch, also when it is empty."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def to_bytes(table: pa.Table) -> bytes:
    """A table as an Arrow stream, for shuffles that move bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def from_bytes(content: bytes) -> pa.Table:
    return pa.ipc.open_stream(content).read_all()


def partitions_for(inputs: Sequence[Dataset]) -> int:
    """How many partitions a reduction over these inputs needs."""
    size = sum(shard.bytes for dataset in inputs for shard in dataset.manifest.shards)
    return max(1, math.ceil(size / PARTITION_BYTES))


class Engine(ABC):
    """`workers`: how many processes may run at once. `progress(stage, done, total)` is called as parts finish."""

    name: str

    def __init__(self, workers: int = 1, progress: Progress | None = None) -> None:
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
            done = build.finished()
            if done:
                return done
            meter = Meter(self)
            jobs = [
                PartJob(str(out), index, task, parts, header.kind, part_fingerprint(task.fingerprint, parts, header))
                for index, parts in enumerate(zip(*rows, strict=True))
            ]
            self._make(build, jobs, header.stage)
            return build.commit(jobs, meter.account(inputs), extras)

    def reduce_by_key(
        self,
        inputs: Sequence[Dataset],
        key: str,
        reducer: Reducer,
        partitions: int,
        out: Path,
        header: Header,
    ) -> Dataset:
        """Bring rows of equal key together: partition `p` of the result holds the keys with `key % partitions == p`."""
        parts = [(source, part) for source, dataset in enumerate(inputs) for part in dataset.parts()]
        seen = sha256_json([[source, part.fingerprint] for source, part in parts])
        with open_build(out, header) as build:
            done = build.finished()
            if done:
                return done
            meter = Meter(self)
            marker = _Seen(seen)
            jobs = [
                PartJob(
                    str(out), p, ReduceTask(reducer, p, key), (), header.kind,
                    part_fingerprint(reducer.fingerprint, [marker], header),
                )
                for p in range(partitions)
            ]  # fmt: skip
            todo = build.missing(jobs)
            if todo:
                self.shuffle(parts, key, partitions, todo, self._report(header.stage, build.found, len(jobs)))
            return build.commit(jobs, meter.account(inputs))

    def _make(self, build: Build, jobs: Sequence[PartJob], stage: str) -> None:
        todo = build.missing(jobs)
        self.run_jobs(todo, self._report(stage, build.found, len(jobs)))

    def _report(self, stage: str, found: int, total: int) -> Callable[[], None]:
        count = found
        self.progress(stage, count, total)

        def report() -> None:
            nonlocal count
            count += 1
            self.progress(stage, count, total)

        return report

    @abstractmethod
    def run_jobs(self, jobs: Sequence[PartJob], done: Callable[[], None]) -> None:
        """Run every job's `run()` once, anywhere; call `done()` for each."""

    @abstractmethod
    def shuffle(
        self,
        parts: Sequence[tuple[int, Part]],
        key: str,
        partitions: int,
        jobs: Sequence[PartJob],
        done: Callable[[], None],
    ) -> None:
        """Partition every part by `key`, bring each job's partition to it, and run the job there."""

    def close(self) -> None:  # noqa: B027 (an engine without workers has nothing to let go of)
        """Let go of workers."""

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class _Seen:
    """All the inputs of a reduction as one fingerprint: any partition may depend on any of them."""

    fingerprint: str


@dataclass(frozen=True)
class Gathered:
    """One partition's tables, already in this process."""

    pieces: tuple[pa.Table, ...]

    def tables(self, partition: int) -> list[pa.Table]:
        del partition
        return [piece for piece in self.pieces if piece.num_rows] or list(self.pieces[:1])
