"""The engines by name. Ray and Beam are imported only when they are asked for."""

from infra.engines.engine import Engine, Progress
from infra.errors import UsageError

ENGINES = ("local", "ray", "beam")


def open_engine(name: str, workers: int = 1, progress: Progress | None = None) -> Engine:
    """The engine called `name`; UsageError for any other word."""
    if name == "local":
        from infra.engines.local import LocalEngine, leave_pandas_out

        leave_pandas_out()
        return LocalEngine(workers, progress)
    if name == "ray":
        from infra.engines.ray import RayEngine

        return RayEngine(workers, progress)
    if name == "beam":
        from infra.engines.beam import BeamEngine

        return BeamEngine(workers, progress)
    raise UsageError(f"no engine {name!r}: choose one of {', '.join(ENGINES)}")
