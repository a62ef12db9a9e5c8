"""The trainer's commands, from `plan-training` to `generate`. Each imports torch when it is called."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.console import quiet_stdout, say, tell, tell_lines
from pipeline.cli.options import Json, Out
from pipeline.cli.train_progress import TrainingProgress
from pipeline.cli.train_ranks import Engine, Workers, leads, run_on, started
from pipeline.cli.train_text import calibration_text, plan_text, training_text
from trainer.start import config_file, importing_torch

Data = Annotated[Path, typer.Option("--data", help="A tokens dataset (its folder or manifest).")]
Config = Annotated[
    str, typer.Option("--config", help="A .toml configuration, or tiny, small, base, yi-lightning-like.")
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Stop after this step of the schedule.")]
Checkpoint = Annotated[Path, typer.Option("--checkpoint", help="A frozen trunk, or the folder of a run or branch.")]
Policy = Annotated[
    str,
    typer.Option("--policy", help="fixed, top_p=P, min_p=P, table=K,K,…, or a file of calibrate-experts."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
CALIBRATED = ("top_p", "min_p", "table")
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write event files to OUT/tensorboard too.")]


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


def print_pass(policy: Any, result: Mapping[str, Any]) -> None:
    """A line to stderr for each pass over the data."""
    found = f"{result['active_experts']:.2f} experts per token, {result['overall']:.4f} bits per byte"
    say(f"{policy.name}: {found}")


def train(
    ctx: typer.Context,
    data: Data,
    out: Out,
    config: Config = "tiny",
    steps: Steps = None,
    forecast: Annotated[
        Path | None, typer.Option("--forecast", help="A law of `scaling fit --out`: losses are predicted, and scored.")
    ] = None,
    forecast_every: Annotated[int, typer.Option("--forecast-every", min=1, help="Steps between predictions.")] = 200,
    forecast_size: Annotated[
        str | None, typer.Option("--forecast-size", help="Parameters, as the law counts them: 400M.")
    ] = None,
    tensorboard: TensorBoard = False,
    engine: Engine = "local",
    workers: Workers = 1,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train a trunk on a tokens dataset, or resume it.

    The trunk is warm-up and a stable learning rate. A second call resumes where the first stopped, also on another
    number of ranks. Where there are several machines, torchrun starts the same command on them. The memory that a step
    needs is estimated before the first; `refinery plan-training` tells that and the time without a run.

    With --forecast, OUT/forecast.jsonl has the predicted loss with its band before each evaluation, and how far off it
    was after.

    Example: refinery train --data tokens --config tiny --out trunk
    """
    file = config_file(config)
    if started(ctx, engine, workers):
        return
    with quiet_stdout(json), importing_torch():
        from trainer.api import ForecastConfig
        from trainer.api import train as train_trunk
        from trainer.scaling.curves import parameters_of

        size = None if forecast_size is None else parameters_of(forecast_size)
        asked = None if forecast is None else ForecastConfig(forecast, forecast_every, size)
        with watching(out, tensorboard and leads()) as on_step:
            arguments = file, data, out, steps
            work = partial(train_trunk, device=device, forecast=asked)
            answer = run_on(engine, workers, out, work, *arguments, on_step=on_step, tell=say)
    if answer is not None:
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


def calibrate_experts(
    checkpoint: Checkpoint,
    data: Data,
    mean_k: Annotated[float, typer.Option("--mean-k", help="Experts per token, the mean over tokens and layers.")],
    out: Annotated[Path, typer.Option("--out", help="The file for the policy.")],
    policy: Annotated[str, typer.Option("--policy", help="top_p, min_p or table.")] = "top_p",
    k: Annotated[int | None, typer.Option("--k", min=1, help="The most experts of a token.")] = None,
    minimum: Annotated[int, typer.Option("--min-k", min=1, help="The fewest experts of a token.")] = 1,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Find the policy of a mean number of experts.

    top_p and min_p have a value for each layer, found by bisection; table has a k for each layer, found from how much
    each layer's k matters. evaluate and generate take the file as their --policy.

    Example: refinery calibrate-experts --checkpoint control --data held-out --mean-k 6 --out policy.json
    """
    if policy not in CALIBRATED:
        raise UsageError(f"no policy {policy!r} to calibrate: choose one of {', '.join(CALIBRATED)}")
    with quiet_stdout(json), importing_torch():
        from trainer.api import calibrate_experts as calibrate

        answer = calibrate(checkpoint, data, mean_k, out, policy, k, minimum, device, print_pass)  # type: ignore[arg-type]
    tell(answer if json else calibration_text(answer))


def generate(
    checkpoint: Checkpoint,
    prompt: Annotated[str, typer.Option("--prompt", help="The text to continue.")] = "",
    prompts: Annotated[
        Path | None, typer.Option("--prompts", metavar="FILE", help="A prompt a line, instead; prints JSON lines.")
    ] = None,
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="The most tokens to generate.")] = 100,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Experts per token.")] = None,
    policy: Policy = "fixed",
    temperature: Annotated[float, typer.Option("--temperature", help="0 takes the most likely token.")] = 0.8,
    top_p: Annotated[float, typer.Option("--top-p", help="Only of the likeliest tokens with this probability.")] = 1.0,
    top_k: Annotated[int | None, typer.Option("--top-k", min=1, help="Only of so many likeliest tokens.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same text.")] = 0,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float32 or bfloat16.", show_default="as it was trained")
    ] = None,
    device: Device = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Prompts at once.")] = 16,
    json: Json = False,
) -> None:
    """Generate text from a checkpoint.

    A prompt is continued in the same way alone and among others.

    Example: refinery generate --checkpoint control --prompt "The sea" --tokens 60
    """
    if prompts is not None and prompt:
        raise UsageError("give --prompt or --prompts, not both")
    given = [prompt] if prompts is None else read_lines(prompts)
    with quiet_stdout(json or prompts is not None), importing_torch():
        from trainer.api import Sampling
        from trainer.api import generate as generate_texts

        sampling = Sampling(temperature, top_p, top_k, seed)
        rows = generate_texts(checkpoint, given, tokens, k, policy, sampling, dtype, device, batch_size)
    if prompts is not None:
        tell_lines(row._asdict() for row in rows)
    else:
        tell(rows[0]._asdict() if json else rows[0].text, as_it_is=True)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file. UsageError for one that cannot be read, or has none."""
    try:
        lines = path.read_text("utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as lines of text: {error}") from None
    if lines == [""]:
        raise UsageError(f"{path} is empty: put a prompt on each line")
    return lines


def export_model(
    checkpoint: Annotated[Path, typer.Argument(help="A frozen trunk, or the folder of a run or branch.")],
    out: Out,
    dtype: Annotated[str, typer.Option("--dtype", help="Of the weights: float32 or bfloat16.")] = "float32",
    k: Annotated[int | None, typer.Option("--k", min=1, help="Experts per token.")] = None,
    policy: Policy = "fixed",
    format: Annotated[str, typer.Option("--format", help="What reads the weights: transformers or dcp.")] = (
        "transformers"
    ),
    moments: Annotated[bool, typer.Option("--moments", help="With --format dcp: the optimizer's state too.")] = False,
    json: Json = False,
) -> None:
    """Write a checkpoint for transformers or DCP.

    The folder has safetensors, a configuration, a tokenizer and a file of code for the model; nothing is pickled, but
    the index of a DCP. Its README.md says how it is loaded.

    Example: refinery export-model control --out exported
    """
    with quiet_stdout(json), importing_torch():
        from trainer.api import export_model as export

        answer = export(checkpoint, out, dtype, k, policy, format, moments)
    tell(answer if json else training_text(answer))
