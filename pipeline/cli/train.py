"""The verbs of the trainer: `train`, `freeze`, `branch`, `evaluate`, `generate`. Torch is loaded when one is called."""

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.command import Command
from pipeline.cli.console import quiet_stdout, say, tell
from pipeline.text_table import table

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Data = Annotated[Path, typer.Option("--data", help="A tokens dataset (its folder or manifest).")]
Out = Annotated[Path, typer.Option("--out", help="The folder to make.")]
Overrides = Annotated[
    Path | None, typer.Option("--overrides", help="A .toml of what differs (it may name `data`); none: the control.")
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Stop after this step of the schedule.")]
REPORT_SECONDS = 5.0


def add_to(app: typer.Typer) -> None:
    # Threads that spin while they wait make a step several times slower on a machine that does other work too; OpenMP
    # reads this once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    for verb in (train, freeze, branch, evaluate, generate):
        app.command(verb.__name__, cls=Command)(verb)


def config_file(name: str) -> Path:
    """A configuration by path, or one that comes with the package by name."""
    shipped = resources.files("trainer") / "configs"
    names = sorted(item.name.removesuffix(".toml") for item in shipped.iterdir() if item.name.endswith(".toml"))
    if name in names:
        return Path(str(shipped / f"{name}.toml"))
    if not Path(name).is_file():
        raise UsageError(f"no configuration {name!r}: give a .toml file, or one of {', '.join(names)}")
    return Path(name)


def narrator() -> Any:
    """A progress callback that says a line every few seconds, on stderr."""
    import time

    said = 0.0

    def narrate(row: Mapping[str, Any], until: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= REPORT_SECONDS:
            said = now
            say(f"step {row['step']} of {until}: loss {row['loss']:.4f}, learning rate {row['learning_rate']:.2e}")

    return narrate


def train(
    data: Data,
    out: Out,
    config: Annotated[str, typer.Option("--config", help="A configuration file, or `tiny`.")] = "tiny",
    steps: Steps = None,
    json: Json = False,
) -> None:
    """Train the trunk: warm-up and a stable rate; a second call goes on where the first stopped.

    Example: refinery train --data out/tokens --config tiny --out out/trunk
    """
    file = config_file(config)
    with quiet_stdout(json):
        from trainer.api import train as train_trunk

        answer = train_trunk(file, data, out, steps, narrator())
    show(answer, json)


def freeze(
    run: Annotated[Path, typer.Argument(help="The folder of a training run.")], out: Out, json: Json = False
) -> None:
    """Freeze a run's checkpoint: content-addressed and read-only; what loads it checks every byte.

    Example: refinery freeze out/trunk --out out/frozen
    """
    with quiet_stdout(json):
        from trainer.api import freeze as freeze_run

        answer = freeze_run(run, out)
    show(answer, json)


def branch(
    trunk: Annotated[Path, typer.Option("--trunk", help="A frozen trunk.")],
    out: Out,
    overrides: Overrides = None,
    data: Annotated[Path | None, typer.Option("--data", help="The trunk's tokens dataset, or another one.")] = None,
    steps: Steps = None,
    json: Json = False,
) -> None:
    """A branch from a frozen trunk: its tail of the schedule, with the declared overrides and nothing else.

    Example: refinery branch --trunk out/frozen --data out/tokens --out out/control
    """
    with quiet_stdout(json):
        from trainer.api import branch as grow

        answer = grow(trunk, overrides, data, out, steps, narrator())
    show(answer, json)


def evaluate(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="A run, a branch or a frozen trunk.")],
    data: Data,
    k: Annotated[list[int] | None, typer.Option("--k", help="Experts per token; may be given several times.")] = None,
    policy: Annotated[str, typer.Option("--policy", help="fixed, threshold or mass.")] = "fixed",
    value: Annotated[float, typer.Option("--value", help="The policy's threshold or mass.")] = 0.0,
    json: Json = False,
) -> None:
    """Bits per byte by domain on held-out text, for IQ and EQ, beside a unigram model and gzip.

    Example: refinery evaluate --checkpoint out/control --data out/heldout --k 12 --k 4 --k 2
    """
    if policy not in ("fixed", "threshold", "mass"):
        raise UsageError(f"no policy {policy!r}: choose fixed, threshold or mass")
    with quiet_stdout(json):
        from trainer.api import evaluate as measure

        answer = measure(checkpoint, data, k or None, policy, value)  # type: ignore[arg-type]
    show(answer, json)


def generate(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="A run, a branch or a frozen trunk.")],
    prompt: Annotated[str, typer.Option("--prompt", help="What to go on from.")] = "",
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="How many tokens.")] = 100,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Experts per token.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", help="0 takes the likeliest.")] = 0.8,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    json: Json = False,
) -> None:
    """A few lines from a model.

    Example: refinery generate --checkpoint out/control --prompt "The sea" --tokens 60
    """
    with quiet_stdout(json):
        from trainer.api import generate as write

        text = write(checkpoint, prompt, tokens, k, temperature, seed)
    tell({"text": text} if json else text)


def show(answer: Mapping[str, Any], json: bool) -> None:
    """A flat answer as two columns; nested parts as lines of their own."""
    if json:
        tell(dict(answer))
        return
    rows = []
    for name, value in answer.items():
        if isinstance(value, Mapping):
            rows += [{"what": f"{name} {inner}", "value": str(one)} for inner, one in value.items()]
        else:
            rows.append({"what": name, "value": f"{value:.4f}" if isinstance(value, float) else str(value)})
    tell(table(rows, ["what", "value"]))
