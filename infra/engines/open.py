"""The engines by name. Ray and Beam are libraries of their own, imported at their first job."""

import multiprocessing
import os

from infra.engines.beam import BeamEngine
from infra.engines.engine import Engine, Report
from infra.engines.local import LocalEngine, leave_pandas_out
from infra.engines.options import Parser, name_and_options
from infra.engines.ray import RayEngine
from infra.errors import UsageError

ENGINES = (LocalEngine.name, RayEngine.name, BeamEngine.name)


def open_engine(engine: str, workers: int | None = 1, progress: Report | None = None) -> Engine:
    """The engine called so, with its options behind the name: `ray --address=HOST:6379`, `beam --runner=FlinkRunner`.

    `workers`: how many processes at once; None: one for each core that may be used here, or all that a cluster has.
    UsageError for any other name or option, and where the engine's library is not installed.
    """
    name, options = name_and_options(engine)
    if name not in ENGINES:
        raise UsageError(f"no engine {name!r}: choose one of {', '.join(ENGINES)}")
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # a worker imports the script that started it, which would start workers
        raise UsageError('put what calls refinery under `if __name__ == "__main__":`, since workers import the script')
    if name == RayEngine.name:
        return RayEngine(workers, progress, options, here=cores())
    if name == BeamEngine.name:
        return BeamEngine(cores() if workers is None else workers, progress, options)
    Parser(name).parse_args(options)
    leave_pandas_out()
    return LocalEngine(cores() if workers is None else workers, progress)


def cores() -> int:
    """The cores that this process may run on (its affinity); all of the machine where that is not known."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1
