"""`plan-data`: how strict a pool should be for a budget of tokens, and how often it may be repeated."""

from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.console import say, show, tell
from pipeline.cli.options import Json
from pipeline.text_table import table

COLUMNS = (
    "pool",
    "keep rate",
    "unique tokens",
    "epochs",
    "worth",
    "loss",
    "80 % band",
    "best in",
    "overtaken at",
    "by",
)


def plan_data(
    budget: Annotated[str, typer.Option("--budget", help="Tokens of the training: 300M.")],
    params: Annotated[str, typer.Option("--params", help="Parameters of the model, without its embedding: 100M.")],
    available: Annotated[
        str | None,
        typer.Option(
            "--available",
            help="Unique tokens that the loosest pool has at hand.",
            show_default="as many as the budget",
        ),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--table", help="A CSV or JSONL of runs of yours, which the law is fitted on.")
    ] = None,
    law: Annotated[
        Path | None, typer.Option("--law", help="A law that --out wrote.", show_default="the shipped one")
    ] = None,
    loss: Annotated[
        str | None, typer.Option("--loss", help="The held-out distribution, or several: iq_en+eq_en.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="With --table: the file for the law.")] = None,
    json: Json = False,
) -> None:
    """Say how strict to be, and how often to repeat a pool.

    For a budget of tokens and a size of model: the expected loss of each pool that the law knows, how often it would be
    repeated, and the budget from which on a looser pool is better, all with 80 % bands. The shipped law was fitted on
    tiny runs: the answer says how far from them the question is. --table fits the law to runs of yours.

    Example: refinery plan-data --budget 4M --params 100K --available 10M
    """
    from trainer.scaling.pool_answer import DataPlanner, check_out

    check_out(out, runs)
    tokens, parameters = number_from(budget, "--budget"), number_from(params, "--params")
    unique = None if available is None else number_from(available, "--available")
    planner = DataPlanner.of(runs, law, loss, say)
    answer = planner.answer(tokens, parameters, unique)
    if out is not None:
        planner.save(out)
        say(f"written: {out}")
    if json:
        tell(answer)
    else:
        show(as_text(answer))


def number_from(text: str, option: str) -> float:
    """UsageError for what is no number above 0."""
    from trainer.scaling.tables import number_of

    try:
        value = number_of(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise UsageError(f"{option} {text!r} is no number above 0: say 300M, or 1.5B")
    return value


def as_text(answer: dict[str, Any]) -> str:
    rows = [dict(zip(COLUMNS, row_of(each))) for each in answer["pools"]]
    return "\n".join([table(rows, COLUMNS), "", *answer["told"]])


def at(tokens: float | None) -> str:
    """From which budget on a looser pool is better."""
    from trainer.scaling.plan_data import amount

    return "never" if tokens is None else amount(tokens) if tokens else "any budget"


def row_of(pool: dict[str, Any]) -> tuple[str, ...]:
    from trainer.scaling.plan_data import amount

    ends = pool["overtaken"]
    return (
        pool["pool"],
        f"{pool['keep_rate']:.3g}",
        amount(pool["unique_tokens"]),
        f"{pool['epochs']:.3g}",
        amount(pool["worth_tokens"]),
        f"{pool['loss']:.4f}",
        f"{pool['low']:.4f} to {pool['high']:.4f}",
        f"{pool['best_in']:.0%}",
        "" if ends is None else at(ends["tokens"]),
        "" if ends is None else ends["by"] or "",
    )
