"""The trainer's commands: `train`, `freeze`, `branch`, `evaluate`, `calibrate-experts`, `generate`.

Each imports torch when it is called.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.console import quiet_stdout, say, tell
from pipeline.cli.options import Json, Out
from pipeline.cli.train_ranks import Engine, Workers, run_on, started
from pipeline.cli.train_text import calibration_text, evaluation_text, training_text
from trainer.start import config_file, importing_torch

Data = Annotated[Path, typer.Option("--data", help="A tokens dataset (its folder or manifest).")]
Overrides = Annotated[
    Path | None, typer.Option("--overrides", help="A .toml file of overrides; without it the branch is the control.")
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Stop after this step of the schedule.")]
Checkpoint = Annotated[Path, typer.Option("--checkpoint", help="A frozen trunk, or the folder of a run or branch.")]
Policy = Annotated[
    str,
    typer.Option("--policy", help="fixed, top_p=P, min_p=P, table=K,K,…, or a file of calibrate-experts."),
]
PROGRESS_SECONDS = 5.0
CALIBRATED = ("top_p", "min_p", "table")


def progress_printer() -> Any:
    """A callback for `trainer.train.OnStep` that prints a line to stderr every `PROGRESS_SECONDS`."""
    printed = 0.0

    def print_step(row: Mapping[str, Any], last_step: int) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed >= PROGRESS_SECONDS:
            printed = now
            say(f"step {row['step']} of {last_step}: loss {row['loss']:.4f}, learning rate {row['learning_rate']:.2e}")

    return print_step


def print_pass(policy: Any, result: Mapping[str, Any]) -> None:
    """A line to stderr for each pass over the data."""
    what = ",".join(map(str, policy.table)) or f"{policy.value:.4g}"
    found = f"{result['active_experts']:.2f} experts per token, {result['overall']:.4f} bits per byte"
    say(f"{policy.kind} {what}: {found}")


def train(
    ctx: typer.Context,
    data: Data,
    out: Out,
    config: Annotated[str, typer.Option("--config", help="A .toml configuration, or `tiny`.")] = "tiny",
    steps: Steps = None,
    engine: Engine = "local",
    workers: Workers = 1,
    json: Json = False,
) -> None:
    """Train a trunk on a tokens dataset, or resume it.

    The trunk is warm-up and a stable learning rate. A second call resumes where the first stopped, also on another
    number of ranks. Where there are several machines, torchrun starts the same command on them.

    Example: refinery train --data tokens --config tiny --out trunk
    """
    file = config_file(config)
    if started(ctx, engine, workers):
        return
    with quiet_stdout(json), importing_torch():
        from trainer.api import train as train_trunk

        answer = run_on(engine, workers, out, train_trunk, file, data, out, steps, on_step=progress_printer())
    if answer is not None:
        tell(answer if json else training_text(answer))


def freeze(
    run: Annotated[Path, typer.Argument(help="The folder of a training run.")], out: Out, json: Json = False
) -> None:
    """Copy a run's latest checkpoint to a read-only folder.

    The copy is named by the hash of its content; every command that reads it verifies every byte.

    Example: refinery freeze trunk --out frozen
    """
    with quiet_stdout(json), importing_torch():
        from trainer.api import freeze as freeze_run

        answer = freeze_run(run, out)
    tell(answer if json else training_text(answer))


def branch(
    ctx: typer.Context,
    trunk: Annotated[Path, typer.Option("--trunk", help="A frozen trunk.")],
    out: Out,
    overrides: Overrides = None,
    data: Annotated[Path | None, typer.Option("--data", help="The trunk's tokens dataset, or another.")] = None,
    steps: Steps = None,
    engine: Engine = "local",
    workers: Workers = 1,
    json: Json = False,
) -> None:
    """Train a branch of a frozen trunk with overrides.

    The branch continues the trunk's schedule into its decay. Without overrides it is the control, equal bit for bit to
    the trunk trained on. docs/trainer.md lists what can be overridden.

    Example: refinery branch --trunk frozen --data tokens --out control
    """
    if started(ctx, engine, workers):
        return
    with quiet_stdout(json), importing_torch():
        from trainer.api import branch as train_branch

        answer = run_on(
            engine, workers, out, train_branch, trunk, overrides, data, out, steps, on_step=progress_printer()
        )
    if answer is not None:
        tell(answer if json else training_text(answer))


def evaluate(
    checkpoint: Checkpoint,
    data: Data,
    k: Annotated[list[int] | None, typer.Option("--k", help="Experts per token. Repeat it for several.")] = None,
    policy: Policy = "fixed",
    json: Json = False,
) -> None:
    """Measure bits per byte by domain on a held-out dataset.

    For each k, and for a unigram model and gzip as baselines. With a policy, k is the most experts that a token may
    use, and it uses fewer where its scores allow.

    Example: refinery evaluate --checkpoint control --data held-out --k 12 --k 4 --k 2
    """
    with quiet_stdout(json), importing_torch():
        from trainer.api import evaluate as evaluate_checkpoint

        answer = evaluate_checkpoint(checkpoint, data, k or None, policy)
    tell(answer if json else evaluation_text(answer))


def calibrate_experts(
    checkpoint: Checkpoint,
    data: Data,
    mean_k: Annotated[float, typer.Option("--mean-k", help="Experts per token, the mean over tokens and layers.")],
    out: Annotated[Path, typer.Option("--out", help="The file for the policy.")],
    policy: Annotated[str, typer.Option("--policy", help="top_p, min_p or table.")] = "top_p",
    k: Annotated[int | None, typer.Option("--k", min=1, help="The most experts of a token.")] = None,
    minimum: Annotated[int, typer.Option("--min-k", min=1, help="The fewest experts of a token.")] = 1,
    json: Json = False,
) -> None:
    """Find the policy of a mean number of experts.

    top_p and min_p have one value for all layers, found by bisection; table has a k for each layer, found from how much
    each layer's k matters. evaluate and generate take the file as their --policy.

    Example: refinery calibrate-experts --checkpoint control --data held-out --mean-k 6 --out policy.json
    """
    if policy not in CALIBRATED:
        raise UsageError(f"no policy {policy!r} to calibrate: choose one of {', '.join(CALIBRATED)}")
    with quiet_stdout(json), importing_torch():
        from trainer.api import calibrate_experts as calibrate

        answer = calibrate(checkpoint, data, mean_k, out, policy, k, minimum, on_pass=print_pass)  # type: ignore[arg-type]
    tell(answer if json else calibration_text(answer))


def generate(
    checkpoint: Checkpoint,
    prompt: Annotated[str, typer.Option("--prompt", help="The text to continue.")] = "",
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="The most tokens to generate.")] = 100,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Experts per token.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", help="0 takes the most likely token.")] = 0.8,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same text.")] = 0,
    policy: Policy = "fixed",
    json: Json = False,
) -> None:
    """Generate text from a checkpoint.

    Example: refinery generate --checkpoint control --prompt "The sea" --tokens 60
    """
    with quiet_stdout(json), importing_torch():
        from trainer.api import generate as generate_text

        text = generate_text(checkpoint, prompt, tokens, k, temperature, seed, policy)
    tell({"text": text} if json else text, as_it_is=True)
