"""Apache Beam as the engine: a pipeline for each operation, GroupByKey as the shuffle.

DirectRunner by default; `REFINERY_BEAM_OPTIONS` holds ordinary pipeline options for other runners, e.g.
`--runner=FlinkRunner --flink_master=HOST:8081 --environment_type=LOOPBACK`. The dataset's folder must be on
storage that every worker sees. Beam itself (the extra `beam`) is imported at the first job.
"""

import logging
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from infra.engines.engine import Done, Engine, Report
from infra.engines.job import Job, PartJobs, run_job
from infra.engines.shuffle import Piece, Spread, reduce_pieces
from infra.extras import check_extra


class BeamEngine(Engine):
    """`workers` is DirectRunner's number of worker processes; other runners scale by their own options."""

    name = "beam"

    def __init__(self, workers: int = 1, progress: Report | None = None) -> None:
        super().__init__(workers, progress)
        check_extra("beam")

    def start(self) -> None:
        import apache_beam as _beam  # noqa: F401 (takes seconds)

        logging.getLogger("apache_beam").setLevel(logging.ERROR)

    def run_jobs(self, jobs: Iterable[Job], done: Done) -> None:
        import apache_beam as beam

        all_jobs = list(jobs)  # they are part of the pipeline's graph
        with self._pipeline() as pipeline:
            _ = pipeline | "jobs" >> beam.Create(all_jobs) | beam.Reshuffle() | "run" >> beam.Map(run_job)
        done(sum(job.count for job in all_jobs))

    def shuffle(self, spreads: Sequence[Spread], jobs: PartJobs, done: Done) -> None:
        import apache_beam as beam

        wanted = frozenset(jobs.indices.tolist())
        with self._pipeline() as pipeline:
            _ = (
                pipeline
                | "parts" >> beam.Create(list(spreads))
                | beam.Reshuffle()
                | "spread" >> beam.FlatMap(spread_part, wanted)
                | beam.GroupByKey()
                | "reduce" >> beam.Map(reduce_group, jobs)
            )
        done(len(jobs))

    def _pipeline(self) -> Any:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        given = shlex.split(os.environ.get("REFINERY_BEAM_OPTIONS", ""))
        mode = "multi_processing" if self.workers > 1 else "in_memory"
        ours = ["--runner=DirectRunner", f"--direct_num_workers={self.workers}", f"--direct_running_mode={mode}"]
        # our types are Protocols with properties, which Beam's checker cannot compare
        return beam.Pipeline(options=PipelineOptions(given or ours, pipeline_type_check=False))


def spread_part(spread: Spread, wanted: frozenset[int]) -> Iterator[tuple[int, Piece]]:
    yield from spread.pieces(wanted)


def reduce_group(group: tuple[int, Iterable[Piece]], jobs: PartJobs) -> int:
    return reduce_pieces(jobs, *group)
