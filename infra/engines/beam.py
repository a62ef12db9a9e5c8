"""Apache Beam as the engine: a pipeline for each stage, GroupByKey as the shuffle.

DirectRunner by default; `REFINERY_BEAM_OPTIONS` holds ordinary pipeline options for other runners, e.g.
`--runner=FlinkRunner --flink_master=HOST:8081 --environment_type=LOOPBACK`. The dataset's folder must be on
storage that every worker sees. Beam itself (the extra `beam`) is imported when an engine is opened.
"""

import logging
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from infra.dataset.build import PartJob, check_part
from infra.dataset.dataset import Part
from infra.engines.engine import Engine, Gathered, Progress, from_bytes, partition_part, to_bytes
from infra.extras import extra


class BeamEngine(Engine):
    """`workers` is DirectRunner's number of worker processes; other runners scale by their own options."""

    name = "beam"

    def __init__(self, workers: int = 1, progress: Progress | None = None) -> None:
        super().__init__(workers, progress)
        with extra("beam"):
            import apache_beam as _beam  # noqa: F401 (that it is there)
        logging.getLogger("apache_beam").setLevel(logging.ERROR)

    def options(self) -> Any:
        """The pipeline's options (apache_beam's PipelineOptions)."""
        from apache_beam.options.pipeline_options import PipelineOptions

        given = shlex.split(os.environ.get("REFINERY_BEAM_OPTIONS", ""))
        mode = "multi_processing" if self.workers > 1 else "in_memory"
        ours = ["--runner=DirectRunner", f"--direct_num_workers={self.workers}", f"--direct_running_mode={mode}"]
        # our types are Protocols with properties, which Beam's checker cannot compare
        return PipelineOptions(given or ours, pipeline_type_check=False)

    def run_jobs(self, jobs: Sequence[PartJob], done: Callable[[], None]) -> None:
        import apache_beam as beam

        if not jobs:
            return
        with beam.Pipeline(options=self.options()) as pipeline:
            _ = pipeline | "jobs" >> beam.Create(list(jobs)) | beam.Reshuffle() | "run" >> beam.Map(run_job)
        for _ in jobs:
            done()

    def shuffle(
        self,
        parts: Sequence[tuple[int, Part]],
        key: str,
        partitions: int,
        jobs: Sequence[PartJob],
        done: Callable[[], None],
    ) -> None:
        import apache_beam as beam

        wanted = {job.task.partition: job for job in jobs}  # type: ignore[attr-defined]
        rows = [(index, source, part) for index, (source, part) in enumerate(parts)]
        with beam.Pipeline(options=self.options()) as pipeline:
            _ = (
                pipeline
                | "parts" >> beam.Create(rows)
                | beam.Reshuffle()
                | "spread" >> beam.FlatMap(spread, key, partitions, frozenset(wanted))
                | beam.GroupByKey()
                | "reduce" >> beam.Map(reduce, wanted)
            )
        for _ in jobs:
            done()


def run_job(job: PartJob) -> int:
    job.run()
    return job.index


def spread(
    row: tuple[int, int, Part], key: str, partitions: int, wanted: frozenset[int]
) -> Iterator[tuple[int, tuple[int, bytes]]]:
    """A part's rows as (partition, (order of the part, Arrow bytes))."""
    order, source, part = row
    check_part(part)
    for partition, table in enumerate(partition_part(part, source, key, partitions)):  # type: ignore[arg-type]
        if partition in wanted:
            yield partition, (order, to_bytes(table))


def reduce(group: tuple[int, Iterable[tuple[int, bytes]]], wanted: dict[int, PartJob]) -> int:
    partition, pieces = group
    tables = tuple(from_bytes(batch) for _, batch in sorted(pieces, key=lambda piece: piece[0]))
    replace(wanted[partition], parts=(Gathered(tables),)).run()
    return partition
