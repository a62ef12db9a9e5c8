"""The trainer's commands, from `plan-training` to `generate`. Each imports torch when it is called."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.console import quiet_stdout, say, tell
from pipeline.cli.options import Json, Out
from pipeline.cli.train_progress import TrainingProgress
from pipeline.cli.train_text import evaluation_text, plan_text, training_text
from trainer.start import config_file, importing_torch

Data = Annotated[Path, typer.Option("--data", help="A tokens dataset (its folder or manifest).")]
Config = Annotated[
    str, typer.Option("--config", help="A .toml configuration, or tiny, small, base, yi-lightning-like.")
]
Overrides = Annotated[
    Path | None, typer.Option("--overrides", help="A .toml file of overrides; without it the branch is the control.")
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Stop after this step of the schedule.")]
Checkpoint = Annotated[Path, typer.Option("--checkpoint", help="A frozen trunk, or the folder of a run or branch.")]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write event files to OUT/tensorboard too.")]
POLICIES = ("fixed", "min_p", "top_p")


@contextmanager
def watching(out: Path, tensorboard: bool) -> Iterator[Any]:
    """What is called after every step: it prints a line, and writes event files where they are wanted."""
    from trainer.tensorboard import EventFiles

    watchers: list[Any] = [TrainingProgress()]
    if not tensorboard:
        yield watchers[0]
        return
    events = EventFiles(out)
    watchers.append(events)
    try:
        yield lambda row, last_step: [watcher(row, last_step) for watcher in watchers]
    finally:
        events.close()


def train(
    data: Data,
    out: Out,
    config: Config = "tiny",
    steps: Steps = None,
    tensorboard: TensorBoard = False,
    json: Json = False,
) -> None:
    """Train a trunk on a tokens dataset, or resume it.

    The trunk is warm-up and a stable learning rate. A second call resumes where the first stopped. The memory that a
    step needs is estimated before the first; `refinery plan-training` tells that and the time without a run.

    Example: refinery train --data tokens --config tiny --out trunk
    """
    file = config_file(config)
    with quiet_stdout(json), importing_torch():
        from trainer.api import train as train_trunk

        with watching(out, tensorboard) as on_step:
            answer = train_trunk(file, data, out, steps, on_step, tell=say)
    tell(answer if json else training_text(answer))


def plan_training(
    config: Config = "tiny",
    data: Annotated[Path | None, typer.Option("--data", help="A tokens dataset, for its vocabulary.")] = None,
    vocab_size: Annotated[int | None, typer.Option("--vocab-size", help="Tokens, where there is no dataset.")] = None,
    gpus: Annotated[
        list[int] | None, typer.Option("--gpus", help="Numbers of GPUs.", show_default="1 8 64 2000")
    ] = None,
    gpu: Annotated[str, typer.Option("--gpu", help="b200, h200, h100, h100-pcie, a100, l40s, 4090, …")] = "h100",
    mfu: Annotated[float, typer.Option("--mfu", help="The share of the GPUs' peak that is reached, 0 to 1.")] = 0.25,
    days: Annotated[float, typer.Option("--days", help="A time, for which tokens are counted.")] = 42.0,
    json: Json = False,
) -> None:
    """Show what a training takes, before it is run.

    Parameters, FLOPs and KV bytes of a token, memory of a GPU, and the time at a given share of the GPUs' peak. Nothing
    is trained.

    Example: refinery plan-training --config base --vocab-size 65536
    """
    file = config_file(config)
    with quiet_stdout(json), importing_torch():
        from trainer.plan import GPUS
        from trainer.plan import plan_training as planned

        answer = planned(file, data, vocab_size, gpus or GPUS, gpu, mfu, days)
    tell(answer if json else plan_text(answer))


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
    trunk: Annotated[Path, typer.Option("--trunk", help="A frozen trunk.")],
    out: Out,
    overrides: Overrides = None,
    data: Annotated[Path | None, typer.Option("--data", help="The trunk's tokens dataset, or another.")] = None,
    steps: Steps = None,
    tensorboard: TensorBoard = False,
    json: Json = False,
) -> None:
    """Train a branch of a frozen trunk with declared overrides.

    The branch continues the trunk's schedule into its decay. Without overrides it is the control, equal bit for bit to
    the trunk trained on. docs/trainer.md lists what can be overridden.

    Example: refinery branch --trunk frozen --data tokens --out control
    """
    with quiet_stdout(json), importing_torch():
        from trainer.api import branch as train_branch

        with watching(out, tensorboard) as on_step:
            answer = train_branch(trunk, overrides, data, out, steps, on_step, tell=say)
    tell(answer if json else training_text(answer))


def evaluate(
    checkpoint: Checkpoint,
    data: Data,
    k: Annotated[list[int] | None, typer.Option("--k", help="Experts per token. Repeat it for several.")] = None,
    policy: Annotated[str, typer.Option("--policy", help="fixed, min_p or top_p.")] = "fixed",
    value: Annotated[float, typer.Option("--value", help="The p of min_p or top_p.")] = 0.0,
    json: Json = False,
) -> None:
    """Measure bits per byte by domain on a held-out dataset.

    For each k, and for a unigram model and gzip as baselines. With min_p or top_p, k is the most experts that a token
    may use, and it uses fewer where its scores allow.

    Example: refinery evaluate --checkpoint control --data held-out --k 12 --k 4 --k 2
    """
    if policy not in POLICIES:
        raise UsageError(f"no policy {policy!r}: choose one of {', '.join(POLICIES)}")
    with quiet_stdout(json), importing_torch():
        from trainer.api import evaluate as evaluate_checkpoint

        answer = evaluate_checkpoint(checkpoint, data, k or None, policy, value)  # type: ignore[arg-type]
    tell(answer if json else evaluation_text(answer))


def generate(
    checkpoint: Checkpoint,
    prompt: Annotated[str, typer.Option("--prompt", help="The text to continue.")] = "",
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="The most tokens to generate.")] = 100,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Experts per token.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", help="0 takes the most likely token.")] = 0.8,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same text.")] = 0,
    json: Json = False,
) -> None:
    """Generate text from a checkpoint.

    Example: refinery generate --checkpoint control --prompt "The sea" --tokens 60
    """
    with quiet_stdout(json), importing_torch():
        from trainer.api import generate as generate_text

        text = generate_text(checkpoint, prompt, tokens, k, temperature, seed)
    tell({"text": text} if json else text, as_it_is=True)
