"""Apache Beam as the engine: a pipeline for each operation, GroupByKey as the shuffle.

DirectRunner by default; other runners by Beam's own pipeline options, after `--` on the command line or in
`REFINERY_BEAM_OPTIONS`. The dataset's folder must be on storage that every worker sees: the jobs of a stage go through
a file there, so that the pipeline itself is small, and what a job raised comes back through one. Beam itself (the extra
`beam`) is imported at the first job.
"""

import contextlib
import io
import logging
import os
import re
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from infra.engines.alike import check_alike, told_versions
from infra.engines.beam_workers import WorkerDied, run_watched
from infra.engines.engine import Done, Engine, Report
from infra.engines.failures import died, ended_by, noted, take_failure
from infra.engines.job import Job, PartJobs, RangeJob, run_job
from infra.engines.job_files import chunked, read_chunk
from infra.engines.options import address_towards, check_listens
from infra.engines.shuffle import Piece, Spread, Spreads, reduce_pieces
from infra.errors import UsageError
from infra.extras import check_extra
from infra.http.budget import environment, join_run
from infra.storage import place, scratch_folder

OPTIONS = "REFINERY_BEAM_OPTIONS"
DIRECT = "DirectRunner"
# In the spellings that Beam takes for it, without the module.
DIRECT_NAMES = ("direct", "directrunner", "switchingdirectrunner")
# How often a pipeline is run again in which a worker process of DirectRunner died.
RETRIES = 5
# The options that say where a cluster is, as HOST:PORT.
MASTERS = ("job_endpoint", "flink_master", "spark_master_url")
# A spread may have hundreds of parts in it.
SPREADS_IN_CHUNK = 16


class BeamEngine(Engine):
    """`workers` is DirectRunner's number of worker processes; other runners scale by their own options (`options`)."""

    name = "beam"

    def __init__(self, workers: int = 1, progress: Report | None = None, options: Sequence[str] = ()) -> None:
        super().__init__(workers, progress)
        check_extra("beam")
        self.words = [*options] or words_of_environment()
        self._options: Any = None

    def start(self) -> None:
        """UsageError where the options are not Beam's."""
        logging.disable(logging.WARNING)  # of file systems that are not installed
        import apache_beam as _beam  # noqa: F401 (takes seconds)

        logging.disable(logging.NOTSET)
        logging.getLogger("apache_beam").setLevel(logging.ERROR)
        if self._options is None:
            self._options = pipeline_options(self.words, self.workers)

    def run_jobs(self, jobs: Iterable[Job], done: Done) -> None:
        import apache_beam as beam

        rest = iter(jobs)
        first = next(rest, None)
        if first is None:
            return
        folder = place(first.folder)
        shared = self._shared()
        with chunked(folder, chain([first], rest)) as chunks, self._pipeline(folder) as pipeline:
            _ = (
                pipeline
                | "chunks" >> beam.Create(chunks.paths)
                | "jobs" >> beam.FlatMap(read_noted, str(folder), shared)
                | beam.Reshuffle()
                | "run" >> beam.Map(run_noted, str(folder), shared)
            )
        done(chunks.count)

    def shuffle(self, spreads: Spreads, jobs: PartJobs, done: Done) -> float:
        import apache_beam as beam

        folder = place(jobs.operation.folder)
        wanted = frozenset(jobs.indices.tolist())
        shared = self._shared()
        each = (jobs.range_of([index], lambda _: ((),)) for index in jobs.indices.tolist())
        with (
            chunked(folder, spreads, SPREADS_IN_CHUNK) as parts,
            chunked(folder, each) as chunks,
            self._pipeline(folder) as pipeline,
        ):
            pieces = (
                pipeline
                | "chunks of spreads" >> beam.Create(parts.paths)
                | "spreads" >> beam.FlatMap(read_noted, str(folder), shared)
                | beam.Reshuffle()
                | "spread" >> beam.FlatMap(spread_noted, str(folder), shared, wanted)
            )
            # every partition is made, also where it has no rows
            reductions = (
                pipeline
                | "chunks of jobs" >> beam.Create(chunks.paths)
                | "jobs" >> beam.FlatMap(read_noted, str(folder), shared)
                | "by partition" >> beam.Map(with_partition)
            )
            _ = (
                (pieces, reductions)
                | beam.Flatten()
                | beam.GroupByKey()
                | "reduce" >> beam.Map(reduce_noted, str(folder), shared)
            )
        done(chunks.count)
        return 0.0  # the runner does not tell what its shuffle took

    def _shared(self) -> dict[str, str]:
        """What jobs are told: see `environment` and `told_versions`."""
        if self._is_direct():
            return environment()
        known = self._options.get_all_options()
        given = (str(known.get(name)) for name in MASTERS)
        master = next((found[1] for each in given if (found := re.search(r"([\w.-]+):\d+$", each))), None)
        return environment(address_towards(master)) | told_versions()

    @contextmanager
    def _pipeline(self, folder: Path) -> Iterator[Any]:
        """A pipeline that is run when the block ends; what a job raised in it is raised here."""
        with temporaries_in(scratch_folder()):
            yield from self._run_after(folder)

    def _run_after(self, folder: Path) -> Iterator[Any]:
        import apache_beam as beam

        runner = direct_runner(self._options) if self._is_direct() else None
        try:
            pipeline = beam.Pipeline(runner=runner, options=self._options)
        except ValueError as error:  # an unknown runner, or options that do not go together
            raise UsageError(f"--engine beam: {' '.join(str(error).split())}") from None
        yield pipeline
        failed: Exception | None = None
        try:
            state = self._run(pipeline)
            if state not in (None, "DONE"):
                failed = ended_by(self._runner(), str(state))
        except WorkerDied as error:
            failed = died(last_line(error))
        except Exception as error:
            failed = ended_by(self._runner(), last_line(error))
        failure = take_failure(folder)
        if failed:
            raise (failure or failed) from None

    def _runner(self) -> str:
        return str(self._options.get_all_options()["runner"] or DIRECT)

    def _is_direct(self) -> bool:
        return is_direct(self._runner())

    def _run(self, pipeline: Any) -> Any:
        """The state in which the pipeline ends. Where a worker process of DirectRunner dies it is run again: what is
        made by then is found."""
        if not self._is_direct() or self.workers == 1:
            return pipeline.run().wait_until_finish()
        for _ in range(RETRIES):
            try:
                return run_watched(pipeline)
            except WorkerDied:
                self.retried("a worker process of Beam was killed (out of memory?): its pipeline once more")
        return run_watched(pipeline)


def words_of_environment() -> list[str]:
    try:
        return shlex.split(os.environ.get(OPTIONS, ""))
    except ValueError as error:
        raise UsageError(f"--engine beam: {OPTIONS} cannot be read: {error}") from None


def pipeline_options(words: Sequence[str], workers: int) -> Any:
    """Beam's own pipeline options: ours for DirectRunner, then `words`. UsageError for what no option of Beam is; an
    option that other runners are given may be one of their job server, and is handed on."""
    from apache_beam.options.pipeline_options import PipelineOptions

    mode = "multi_processing" if workers > 1 else "in_memory"
    # each worker would write twenty lines about itself to stderr
    quiet = "--default_sdk_harness_log_level=ERROR"
    ours = [f"--direct_num_workers={workers}", f"--direct_running_mode={mode}", quiet]
    if not any(word.split("=")[0] == "--runner" for word in words):
        ours.insert(0, f"--runner={DIRECT}")
    # our types are Protocols with properties, which Beam's checker cannot compare
    options = PipelineOptions([*ours, *words], pipeline_type_check=False)
    said = io.StringIO()
    parsers: list[Any] = []
    try:
        with contextlib.redirect_stderr(said):  # where argparse says what is wrong
            known = options.get_all_options(add_extra_args_fn=parsers.append)
            stray = stray_words(parsers[0].parse_known_args([*words])[1])
            unknown = options.get_all_options(retain_unknown_options=True).keys() - known.keys()
    except SystemExit:
        raise UsageError(f"--engine beam: {said.getvalue().strip().splitlines()[-1]}") from None
    if stray:
        raise UsageError(
            f"--engine beam: Beam would pass over {' '.join(stray)}: its options begin with two dashes, as "
            "--runner=FlinkRunner"
        )
    if unknown and is_direct(str(known["runner"] or DIRECT)):
        raise UsageError(f"--engine beam: no option of Beam is called {', '.join(f'--{n}' for n in sorted(unknown))}")
    if endpoint := known.get("job_endpoint"):
        check_listens("a Beam job service", str(endpoint))
    return options


def is_direct(runner: str) -> bool:
    return runner.rpartition(".")[2].lower() in DIRECT_NAMES


def direct_runner(options: Any) -> Any:
    """The runner that runs a pipeline in this process and in its own workers.

    What Beam (2.77) calls DirectRunner tries another one first for each pipeline (Prism): it downloads a program from
    GitHub, runs that where it can, with one worker whatever `direct_num_workers` says, and else takes this one.
    """
    from apache_beam.portability.api import beam_provision_api_pb2 as provision
    from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo, FnApiRunner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    told = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    return FnApiRunner(provision_info=ExtendedProvisionInfo(provision.ProvisionInfo(pipeline_options=told)))


@contextmanager
def temporaries_in(folder: Path) -> Iterator[None]:
    """Until the block ends, temporary files of this process are made in `folder`: Beam makes several folders for each
    pipeline and leaves them, and what a job server of its own needs until the process ends is among them."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def stray_words(unknown: Sequence[str]) -> list[str]:
    """The words that are neither an option nor the value of one, among those that are none of Beam's own."""
    found = []
    for before, word in zip(["", *unknown], unknown, strict=False):
        named = word.startswith("--") and word != "--"
        value = not word.startswith("-") and before.startswith("--") and "=" not in before
        if not (named or value):
            found.append(word)
    return found


def last_line(error: Exception) -> str:
    """Of what it says, where runners put the cause."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def read_noted(path: str, folder: str, shared: Mapping[str, str]) -> list[Any]:
    """The jobs of a file, which a worker with other code may not be able to read."""
    with noted(folder):
        check_alike(shared)
        return read_chunk(path)


def run_noted(job: Job, folder: str, shared: Mapping[str, str]) -> int:
    join_run(shared)
    with noted(folder):
        check_alike(shared)
        return run_job(job)


def spread_noted(
    spread: Spread, folder: str, shared: Mapping[str, str], wanted: frozenset[int]
) -> Iterator[tuple[int, Piece]]:
    with noted(folder):
        check_alike(shared)
        yield from spread.pieces(wanted)


def with_partition(job: RangeJob) -> tuple[int, RangeJob]:
    return job.indices[0], job


def reduce_noted(group: tuple[int, Iterable[Piece | RangeJob]], folder: str, shared: Mapping[str, str]) -> int:
    """Runs the partition's job, which comes among its pieces, in any order."""
    with noted(folder):
        check_alike(shared)
        pieces: list[Piece] = []
        jobs: list[RangeJob] = []
        for value in group[1]:
            if isinstance(value, RangeJob):
                jobs.append(value)
            else:
                pieces.append(value)
        return reduce_pieces(jobs[0], pieces)
