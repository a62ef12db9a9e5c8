"""`scaling`: laws of the loss, what they predict, and how well."""

from pathlib import Path
from typing import Annotated, Any

import typer

from infra.errors import UsageError
from pipeline.cli.command import Command, group
from pipeline.cli.console import say, show, tell
from pipeline.cli.options import Json
from pipeline.text_table import table

scaling_app = group(
    "Predict the loss of larger models.\n\n"
    "Example: refinery scaling check --curves curves --fit 25M 100M --predict 400M"
)

Curves = Annotated[
    Path | None, typer.Option("--curves", help="A folder a size, with a file a run: CSV of step,lr,loss, or log.jsonl.")
]
Sizes = Annotated[list[str] | None, typer.Option("--fit", help="The sizes that the law is fitted on.")]
Table = Annotated[Path | None, typer.Option("--table", help="A CSV of final losses, a row a run.")]
Parameters = Annotated[str, typer.Option("--params", help="The column of parameters.")]
Tokens = Annotated[str, typer.Option("--tokens", help="The column of training tokens.")]
Flops = Annotated[
    str | None, typer.Option("--flops", help="The column of training FLOPs, where there are no tokens: C = 6 N D.")
]
Loss = Annotated[str, typer.Option("--loss", help="The column of losses, nats a token.")]
RUN_COLUMNS = ("points", "mae", "bias", "relative", "worst", "coverage80", "last", "last_predicted")


@scaling_app.command("fit", cls=Command)
def fit(
    curves: Annotated[Path, typer.Option("--curves", help="A folder a size, with a file a run.")],
    sizes: Annotated[list[str], typer.Option("--fit", help="The sizes that the law is fitted on.")],
    out: Annotated[Path | None, typer.Option("--out", help="The file for the law, as `predict` reads it.")] = None,
    json: Json = False,
) -> None:
    """Fit the law of loss curves: every step, any schedule.

    Prints the law's coefficients for each size, and its mean error on what it was fitted on.

    Example: refinery scaling fit --curves curves --fit 25M 100M --out law.json
    """
    import orjson

    from infra.storage import place, write_bytes
    from trainer.scaling.collapse import collapses
    from trainer.scaling.curves import read_curves
    from trainer.scaling.files import as_json
    from trainer.scaling.sizes import fit_sizes

    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"--out {out} is a folder, or lies in none that is there: name a file")
    found = read_curves(curves, sizes, say)
    law = as_json(fit_sizes(found), collapses(found))
    if out is not None:
        write_bytes(place(out), orjson.dumps(law, option=orjson.OPT_INDENT_2) + b"\n")
        say(f"written: {out}")
    if json:
        tell(law)
    else:
        show(table(law["sizes"], ["parameters", "l0", "a", "b", "misfit", "noise"]))
        show("  ".join(f"{name} {value:.4g}" for name, value in law["shape"].items()))
        for name, curve in law["collapsed"].items():
            show(f"collapse: {name}, the sizes' curves within {max(curve['departure']):.2%} of each other")


@scaling_app.command("predict", cls=Command)
def predict(
    law: Annotated[Path, typer.Option("--law", help="What `scaling fit --out` wrote.")],
    size: Annotated[str, typer.Option("--size", help="Parameters of the model to forecast: 400M.")],
    schedule: Annotated[Path, typer.Option("--schedule", help="A CSV of step,lr.")],
    seen: Annotated[list[Path] | None, typer.Option("--seen", help="Curves of this size so far.")] = None,
    json: Json = False,
) -> None:
    """Predict a larger model at every step of a schedule.

    The table has the predicted loss and the ends of its 80 % band, in nats a token.

    Example: refinery scaling predict --law law.json --size 400M --schedule schedule.csv
    """
    from trainer.scaling.curves import parameters_of, read_curve, read_schedule
    from trainer.scaling.files import read_law

    wanted = read_schedule(schedule)
    known, parameters = read_law(law), parameters_of(size)
    notice = known.outside(parameters)
    if notice:
        say(notice)
    forecast = known.of(parameters, [read_curve(path, say) for path in seen or ()]).forecast(wanted)
    columns = (wanted.steps, wanted.rates, forecast.losses, forecast.low, forecast.high)
    rows = [
        {"step": int(step), "lr": rate, "loss": round(loss, 5), "low": round(low, 5), "high": round(high, 5)}
        for step, rate, loss, low, high in zip(*(column.tolist() for column in columns))
    ]
    if json:
        tell(rows)
    else:
        show(table(rows, ["step", "lr", "loss", "low", "high"]))


@scaling_app.command("check", cls=Command)
def check(
    curves: Curves = None,
    sizes: Sizes = None,
    predicted: Annotated[str | None, typer.Option("--predict", help="The size that is predicted.")] = None,
    runs: Annotated[list[str] | None, typer.Option("--runs", help="Of the fitted sizes only these runs.")] = None,
    calibrate_on: Annotated[
        str | None, typer.Option("--calibrate-on", help="A run of the predicted size that the law may see.")
    ] = None,
    first_steps: Annotated[
        float | None, typer.Option("--first-steps", min=1, help="It sees only so many steps after the warm-up.")
    ] = None,
    table_file: Table = None,
    params: Parameters = "params",
    tokens: Tokens = "tokens",
    flops: Flops = None,
    loss: Loss = "loss",
    fit_below: Annotated[
        str | None, typer.Option("--fit-below", help="Runs with fewer parameters are fitted, the others predicted.")
    ] = None,
    collapsed: Annotated[
        bool, typer.Option("--collapse", help="The end of each run from its first parts, by the collapse of curves.")
    ] = False,
    every_run: Annotated[
        bool, typer.Option("--every-run", help="Of runs with the same parameters and tokens all, not the best.")
    ] = False,
    json: Json = False,
) -> None:
    """Check what a law predicts against what it has not seen.

    With --curves: every step of all runs of a larger size, or of other schedules of the same size; with --collapse too:
    the end of each run, from a tenth of it on. With --table: the final losses of larger models. The answer has the mean
    absolute error in nats, the mean and largest relative error, the share of points in their 80 % band, and a row for
    each run.

    Example: refinery scaling check --curves curves --fit 25M 100M --predict 400M --calibrate-on constant_24000
    """
    from trainer.scaling.check import CurveCheck, check_collapse, check_curves, check_table
    from trainer.scaling.curves import parameters_of
    from trainer.scaling.final_loss import read_runs

    if curves is None and table_file is None:
        raise UsageError("scaling check: give --curves DIR, or --table FILE")
    if curves is not None and table_file is not None:
        raise UsageError("scaling check: --curves and --table are two checks: give one of them")
    if curves is not None:
        if not sizes or predicted is None:
            raise UsageError("scaling check: --curves needs --fit SIZE [SIZE] and --predict SIZE")
        if collapsed:
            found = check_collapse(curves, sizes, predicted, say)
            tell(found) if json else show(collapse_text(found))
            return
        asked = CurveCheck(tuple(sizes), predicted, tuple(runs or ()), calibrate_on, first_steps)
        answer = check_curves(curves, asked, say)
    else:
        assert table_file is not None
        if fit_below is None:
            raise UsageError("scaling check: --table needs --fit-below PARAMETERS, say 100M")
        rows = read_runs(table_file, params, flops or tokens, loss, flops=flops is not None, tell=say)
        answer = check_table(rows, parameters_of(fit_below), every_run)
    if json:
        tell(answer)
    else:
        show(as_text(answer))


def collapse_text(answer: dict[str, Any]) -> str:
    """A row for each run with the relative error of its predicted end, a column for each part of it."""
    rows = [
        {"run": name} | {part: f"{error:+.2%}" for part, error in row.items()} for name, row in answer["by_run"].items()
    ]
    return (
        f"{table(rows, [*rows[0]])}\nmean {answer['relative']:.2%}, worst {answer['worst']:.2%}; "
        f"{answer['coverage80']:.0%} of the ends are in their 80 % band"
    )


def as_text(answer: dict[str, Any]) -> str:
    """A row for each run, and the means in a line."""
    rows = [{"run": name, **row} for name, row in answer["by_run"].items()]
    return (
        f"{table(rows, ['run', *RUN_COLUMNS])}\n"
        f"mean absolute error {answer['mae']:.4f} nats ({answer['relative']:.2%}), worst {answer['worst']:.2%}; "
        f"{answer['coverage80']:.0%} of the points are in their 80 % band"
    )
