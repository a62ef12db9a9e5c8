"""Ray as the engine: tasks for maps, Ray Data's own shuffle for reductions.

The dataset's folder must be on storage that every node sees. `RAY_ADDRESS` names a cluster; without it Ray is
started on this machine and stopped again. Ray itself (the extra `ray`) is imported at the first job.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from infra.engines.engine import Done, Engine, Report
from infra.engines.job import Job, PartJobs, run_job
from infra.engines.shuffle import Spread, reduce_pieces
from infra.errors import WorkError
from infra.extras import check_extra

# On a loaded machine Ray's own servers may not come up in the time that Ray gives them.
START_ATTEMPTS = 3


def start_ray(address: str | None, processors: int) -> None:
    """Connects to the cluster at `address`, or starts Ray on this machine. WorkError where that does not come up."""
    import ray

    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            ray.init(
                address=address,
                num_cpus=None if address else processors,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=True,
                logging_level=logging.ERROR,
            )
            return
        except RuntimeError as error:
            ray.shutdown()
            if address or attempt == START_ATTEMPTS:
                reason = str(error).split("\n")[0][:200]
                raise WorkError(f"Ray could not be started ({reason}): run the same command again") from None


class RayEngine(Engine):
    """`workers` bounds the tasks in flight (and the processors of a Ray that is started here)."""

    name = "ray"
    _started = False

    def __init__(self, workers: int = 1, progress: Report | None = None) -> None:
        super().__init__(workers, progress)
        check_extra("ray")

    def start(self) -> None:
        import ray
        import ray.data

        if ray.is_initialized():
            return
        start_ray(os.environ.get("RAY_ADDRESS"), max(self.workers, 2))
        self._started = True
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)

    def run_jobs(self, jobs: Iterable[Job], done: Done) -> None:
        import ray

        waiting = iter(jobs)
        running: list[Any] = []
        run = ray.remote(run_job)
        while True:
            running += [run.remote(job) for job in islice(waiting, self.workers - len(running))]
            if not running:
                return
            finished, running = ray.wait(running)
            for parts in ray.get(finished):
                done(parts)

    def shuffle(self, spreads: Sequence[Spread], jobs: PartJobs, done: Done) -> None:
        import ray

        wanted = frozenset(jobs.indices.tolist())
        sources, plan = ray.put(list(spreads)), ray.put(jobs)

        def spread(row: dict[str, Any]) -> list[dict[str, Any]]:
            pieces = ray.get(sources)[row["index"]].pieces(wanted)
            return [{"partition": partition, "order": order, "batch": batch} for partition, (order, batch) in pieces]

        def reduce(group: pa.Table) -> pa.Table:
            partition = group["partition"][0].as_py()
            pieces = zip(group["order"].to_pylist(), group["batch"].to_pylist(), strict=True)
            return pa.table({"made": [reduce_pieces(ray.get(plan), partition, pieces)]})

        indices = [{"index": index} for index in range(len(spreads))]
        rows = ray.data.from_items(indices, override_num_blocks=len(spreads))
        result = rows.flat_map(spread).groupby("partition").map_groups(reduce, batch_format="pyarrow")
        for row in result.iter_rows():
            done(row["made"])

    def close(self) -> None:
        if not self._started:
            return

        import ray

        if ray.is_initialized():
            ray.shutdown()
