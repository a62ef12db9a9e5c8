"""Ray as the engine: tasks for maps, Ray Data's own shuffle for reductions.

The dataset's folder must be on storage that every node sees. `RAY_ADDRESS` names a cluster; without it Ray is
started on this machine and stopped again. Ray itself (the extra `ray`) is imported when an engine is opened.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from infra.dataset.build import PartJob, check_part
from infra.dataset.dataset import Part
from infra.engines.engine import Engine, Gathered, Progress, from_bytes, partition_part, to_bytes
from infra.extras import extra


class RayEngine(Engine):
    """`workers` bounds the tasks in flight (and the processors of a Ray that is started here)."""

    name = "ray"

    def __init__(self, workers: int = 1, progress: Progress | None = None) -> None:
        super().__init__(workers, progress)
        with extra("ray"):
            import ray
            import ray.data

        self._started = not ray.is_initialized()
        if self._started:
            address = os.environ.get("RAY_ADDRESS")
            ray.init(
                address=address,
                num_cpus=None if address else max(workers, 2),
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=True,
                logging_level=logging.ERROR,
            )
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            context.print_on_execution_start = False
            logging.getLogger("ray.data").setLevel(logging.ERROR)

    def run_jobs(self, jobs: Sequence[PartJob], done: Callable[[], None]) -> None:
        import ray

        waiting = list(reversed(jobs))
        running: list[Any] = []
        run = ray.remote(run_job)
        while waiting or running:
            while waiting and len(running) < self.workers:
                running.append(run.remote(waiting.pop()))
            finished, running = ray.wait(running)
            ray.get(finished)
            for _ in finished:
                done()

    def shuffle(
        self,
        parts: Sequence[tuple[int, Part]],
        key: str,
        partitions: int,
        jobs: Sequence[PartJob],
        done: Callable[[], None],
    ) -> None:
        import ray
        import ray.data

        wanted = {job.task.partition: job for job in jobs}  # type: ignore[attr-defined]
        sources = ray.put(list(parts))

        def spread(row: dict[str, Any]) -> list[dict[str, Any]]:
            source, part = ray.get(sources)[row["index"]]
            check_part(part)
            tables = partition_part(part, source, key, partitions)
            return [
                {"partition": p, "order": row["index"], "batch": to_bytes(table)}
                for p, table in enumerate(tables)
                if p in wanted
            ]

        def reduce(group: pa.Table) -> pa.Table:
            group = group.sort_by("order")
            job = wanted[group["partition"][0].as_py()]
            gathered = Gathered(tuple(from_bytes(batch) for batch in group["batch"].to_pylist()))
            replace(job, parts=(gathered,)).run()
            return pa.table({"partition": [job.index]})

        rows = ray.data.from_items([{"index": index} for index in range(len(parts))], override_num_blocks=len(parts))
        result = rows.flat_map(spread).groupby("partition").map_groups(reduce, batch_format="pyarrow")
        for _ in result.iter_rows():
            done()

    def close(self) -> None:
        import ray

        if self._started and ray.is_initialized():
            ray.shutdown()


def run_job(job: PartJob) -> int:
    job.run()
    return job.index
