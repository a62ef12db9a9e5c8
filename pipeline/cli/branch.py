"""`branch`: branches of a frozen trunk, one or all of a file, and their comparison. Imports torch when it is called."""

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.branch_text import comparison_text, grown_text
from pipeline.cli.command import Command, command_with_others
from pipeline.cli.console import quiet_stdout, say, show, tell
from pipeline.cli.options import Json
from pipeline.cli.train import Data, Device, Steps, TensorBoard, watching
from pipeline.cli.train_ranks import Engine, Workers, leads, run_on, started
from pipeline.cli.train_text import training_text
from trainer.start import importing_torch

branch_app = command_with_others()


@branch_app.callback()
def branch(
    ctx: typer.Context,
    trunk: Annotated[
        Path | None, typer.Option("--trunk", help="A frozen trunk, or the hash of one in this folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The folder to make.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A .toml file of branches; the control is made too.")
    ] = None,
    overrides: Annotated[
        Path | None, typer.Option("--overrides", help="A .toml file of one branch; without it the control is made.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The trunk's tokens dataset, or another.")] = None,
    steps: Steps = None,
    tensorboard: TensorBoard = False,
    engine: Engine = "local",
    workers: Workers = 1,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train branches of a frozen trunk, and compare them.

    A branch continues the trunk's schedule into its decay. Without overrides it is the control, equal bit for bit to
    the trunk trained on. --config grows all branches of a file in folders below --out: one after another, or on Ray so
    many at once as there are --workers. docs/trainer.md lists what can be overridden.

    Example: refinery branch --trunk frozen --data tokens --config branches.toml --out branches
    """
    if ctx.invoked_subcommand is not None:
        return
    if trunk is None or out is None:
        raise UsageError("branch: give --trunk, a frozen trunk, and --out, the folder to make")
    if config is not None and (overrides is not None or steps is not None):
        raise UsageError("branch: --config names the branches with their overrides and decays: leave the others out")
    if started(ctx, engine, workers):
        return
    with quiet_stdout(json), importing_torch():
        from trainer.api import branch as train_branch
        from trainer.api import find_trunk, grow_branches
        from trainer.branches.grow import GrowJob

        found = find_trunk(trunk)
        with watching(out, tensorboard and leads()) as on_step:
            if config is None:
                arguments = found, overrides, data, out, steps
                work = partial(train_branch, device=device)
                answer = run_on(engine, workers, out, work, *arguments, on_step=on_step, tell=say)
            elif engine == "local":
                grow = partial(grow_branches, device=device)
                answer = run_on(engine, workers, out, grow, found, config, data, out, on_step=on_step, tell=say)
            else:
                from trainer.parallel.ray import side_by_side

                def on_ray(jobs: Sequence[GrowJob]) -> list[dict[str, Any]]:
                    return side_by_side(workers, shlex.split(engine)[1:], [job.grow for job in jobs])

                answer = grow_branches(found, config, data, out, device=device, tell=say, grow_all=on_ray)
    if answer is not None:
        tell(answer if json else grown_text(answer) if config else training_text(answer))


@branch_app.command("compare", cls=Command)
def compare(
    folder: Annotated[Path, typer.Argument(help="The --out of `branch --config`.")],
    data: Data,
    second: Annotated[
        Path | None, typer.Option("--second", help="The same branches from another mark of the trunk.")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Experts per token.")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Compare branches with their control on held-out text.

    At equal tokens and document by document: a ranking, the difference of each branch with its interval, a verdict
    (better, worse, or undecided and how much more text would decide it), and what the comparison cost. Writes
    branch-comparison.json and branch-comparison.svg into the folder.

    Example: refinery branch compare branches --data held-out
    """
    with quiet_stdout(json), importing_torch():
        from infra.storage import write_bytes
        from pipeline.report.differences import differences_drawing
        from trainer.api import compare_branches

        answer = compare_branches(folder, data, second, k, device)
        write_bytes(folder / "branch-comparison.svg", differences_drawing(answer).alone().encode())
    if json:
        tell(answer)
    else:
        show(comparison_text(answer))
