"""`evaluate`: bits per byte by domain, on a grid of distributions, and of what a run rejected; questions with choices.
Imports torch when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from infra.errors import UsageError
from pipeline.cli.console import quiet_stdout, say, show, tell
from pipeline.cli.metric_text import choices_text, grid_text, rejects_text
from pipeline.cli.options import Json, Source
from pipeline.cli.train import Checkpoint, Device, Policy
from pipeline.cli.train_text import evaluation_text
from trainer.start import importing_torch

WHAT = (
    "give one of --data, a tokens dataset; --grid, a file of distributions; --rejects, a finished run; and --choices, "
    "a file of questions"
)


def evaluate(
    checkpoint: Checkpoint,
    data: Annotated[Path | None, typer.Option("--data", help="A held-out tokens dataset: by domain.")] = None,
    grid: Annotated[
        Path | None,
        typer.Option("--grid", help="Held-out distributions: a .toml or .json file, or a folder of JSON lines."),
    ] = None,
    training: Annotated[
        list[str] | None,
        typer.Option("--training", help="With --grid: what was trained on, for distances and the guard."),
    ] = None,
    rejects: Annotated[Path | None, typer.Option("--rejects", help="A finished run: what its rules rejected.")] = None,
    per_rule: Annotated[int, typer.Option("--per-rule", min=1, help="With --rejects: texts of a rule.")] = 30,
    source: Source = None,
    choices: Annotated[
        Path | None,
        typer.Option("--choices", help="Questions with choices: a harness's documents or logged samples, JSON lines."),
    ] = None,
    shots: Annotated[int, typer.Option("--shots", min=0, help="With --choices: examples before each question.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder for the answer as JSON, and a grid's picture.")
    ] = None,
    k: Annotated[list[int] | None, typer.Option("--k", help="Experts per token. Repeat it for several.")] = None,
    policy: Policy = "fixed",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure bits per byte by domain or distribution.

    --data: by domain, for each k, and for a unigram model and gzip as baselines. With a policy, k is the most experts
    that a token may use, and it uses fewer where its scores allow.

    --grid: of each held-out distribution, with an interval, and over what xz reaches on the same text. With --training
    also how far each is from the training text, the relation of that to bits per byte, and which documents are in it.

    --rejects: of what each rule of a run rejected, beside what it kept, and what a readmission would bring.

    --choices: how often the right choice has the fewest bits, and the fewest bits per byte, by task.

    Example: refinery evaluate --checkpoint control --data held-out --k 12 --k 4 --k 2
    """
    if sum(each is not None for each in (data, grid, rejects, choices)) != 1:
        raise UsageError(f"evaluate: {WHAT}")
    if data is not None and out is not None:
        raise UsageError("evaluate: --out is for --grid, --rejects and --choices: --json prints the answer of --data")
    if grid is None and training:
        raise UsageError("evaluate: --training is for --grid")
    if choices is None and shots:
        raise UsageError("evaluate: --shots is for --choices")
    if data is not None:
        with quiet_stdout(json), importing_torch():
            from trainer.api import evaluate as evaluate_checkpoint

            answer = evaluate_checkpoint(checkpoint, data, k or None, policy, device)
        tell(answer if json else evaluation_text(answer))
        return
    if k is not None and len(k) > 1:
        raise UsageError("evaluate: --grid, --rejects and --choices take one --k")
    with quiet_stdout(json):
        with importing_torch():
            from trainer.api import TextScorer

            score = TextScorer(checkpoint, k[0] if k else None, policy, device)
        if grid is not None:
            from pipeline.metric.answers import grid_answer

            answer = grid_answer(score, grid, training or [], out, say)
            text = grid_text(answer)
        elif choices is not None:
            from pipeline.metric.answers import choices_answer

            answer = choices_answer(score, choices, shots, out, say)
            text = choices_text(answer)
        else:
            from pipeline.metric.answers import rejects_answer

            assert rejects is not None
            answer = rejects_answer(score, rejects, per_rule, source, out, say)
            text = rejects_text(answer, rejects)
    if json:
        tell(answer)
    else:
        show(text)
