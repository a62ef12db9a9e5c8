"""Ranks of the trainer's commands: where `--engine` and `--workers` start them."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from trainer.start import importing_torch

Engine = Annotated[str, typer.Option("--engine", help="local or ray; ray's own options follow --.")]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Ranks that train together: processes, with a GPU each if there are.")
]


def started(ctx: typer.Context, engine: str, workers: int) -> bool:
    """Start the command on `workers` ranks of this machine, if that is to be done and this is not one of them; whether
    it was. Leaves with their exit code when they fail."""
    if engine.split()[:1] != ["ray"] and engine != "local":
        raise UsageError(f"the trainer has no engine {engine!r}: it has local and ray")
    # torchrun, or this function, has started the process as one of several.
    if engine != "local" or workers == 1 or "WORLD_SIZE" in os.environ:
        return False
    with importing_torch():
        from trainer.parallel.launch import launch

        code = launch(workers, [str(ctx.info_name), *ctx.meta["given"]])
    if code:
        raise typer.Exit(code)
    return True


def run_on(
    engine: str, workers: int, out: Path, work: Callable[..., dict[str, Any]], *arguments: Any, on_step: Any, tell: Any
) -> dict[str, Any] | None:
    """What `work(*arguments, on_step, tell=tell)` returns; None on all ranks but the first. Ranks on Ray show nothing
    here."""
    name, *options = shlex.split(engine)
    if name == "ray":
        from trainer.parallel.ray import run_on_ray

        return run_on_ray(workers, options, out / "ray", work, arguments)
    from trainer.parallel.launch import quiet_ranks

    with quiet_ranks():
        answer = work(*arguments, on_step, tell=tell)
    return answer if leads() else None


def leads() -> bool:
    """Whether this process is the only rank here, or the first."""
    return os.environ.get("RANK", "0") == "0"
