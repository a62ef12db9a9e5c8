"""The engines by name. None of these files imports Ray or Beam before its engine is made."""

from infra.engines.beam import BeamEngine
from infra.engines.engine import Engine, Progress
from infra.engines.local import LocalEngine, leave_pandas_out
from infra.engines.ray import RayEngine
from infra.errors import UsageError

ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (LocalEngine, RayEngine, BeamEngine)}


def open_engine(name: str, workers: int = 1, progress: Progress | None = None) -> Engine:
    """The engine called `name`; UsageError for any other word."""
    if name not in ENGINES:
        raise UsageError(f"no engine {name!r}: choose one of {', '.join(ENGINES)}")
    if name == LocalEngine.name:
        leave_pandas_out()
    return ENGINES[name](workers, progress)
