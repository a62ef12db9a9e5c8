"""`scaling`: laws of the loss, what they predict, and how well."""

from collections.abc import Mapping, Sequence
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
Parameters = Annotated[str, typer.Option("--params", help="The column of parameters: those that a token uses.")]
Tokens = Annotated[str, typer.Option("--tokens", help="The column of training tokens.")]
Flops = Annotated[
    str | None, typer.Option("--flops", help="The column of training FLOPs, where there are no tokens: C = 6 N D.")
]
Loss = Annotated[str, typer.Option("--loss", help="The column of losses, nats a token.")]
Total = Annotated[str | None, typer.Option("--total", help="The column of total parameters, of a mixture of experts.")]
Experts = Annotated[str | None, typer.Option("--experts", help="The column of experts in a layer.")]
ExpertsAToken = Annotated[str | None, typer.Option("--k", help="The column of experts that a token uses.")]
Epochs = Annotated[str | None, typer.Option("--epochs", help="The column of epochs: how often the data were seen.")]
Unique = Annotated[str | None, typer.Option("--unique", help="The column of unique tokens, in place of epochs.")]
Shares = Annotated[
    list[str] | None, typer.Option("--shares", help="The columns of a mixture's shares, or patterns: 'share_*'.")
]
Where = Annotated[list[str] | None, typer.Option("--where", help="Of the rows only those with COLUMN=TEXT.")]
EveryRun = Annotated[bool, typer.Option("--every-run", help="Of runs that differ in the loss alone all, not the best.")]
COLUMNS = ("params", "tokens", "loss")  # defaults of the options of their names
RUN_COLUMNS = ("points", "mae", "bias", "relative", "worst", "coverage80", "last", "last_predicted")


@scaling_app.command("fit", cls=Command)
def fit(
    curves: Curves = None,
    sizes: Sizes = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file for the law, as `predict` reads it.")] = None,
    table_file: Table = None,
    params: Parameters = "params",
    tokens: Tokens = "tokens",
    flops: Flops = None,
    loss: Loss = "loss",
    total: Total = None,
    experts: Experts = None,
    k: ExpertsAToken = None,
    epochs: Epochs = None,
    unique: Unique = None,
    shares: Shares = None,
    where: Where = None,
    every_run: EveryRun = False,
    json: Json = False,
) -> None:
    """Fit a law of loss curves, or of a table of final losses.

    With --curves it prints the law's coefficients for each size, and its mean error on what it was fitted on. With
    --table the law is of size and tokens, and of what else the table has columns for: sparsity and experts a token,
    repeated data, shares of a mixture. A column that does not help to predict runs that are held out is left out.

    Example: refinery scaling fit --curves curves --fit 25M 100M --out law.json
    """
    _check_out(out)
    if (curves is None) == (table_file is None):
        raise UsageError("scaling fit: give --curves DIR with --fit SIZE [SIZE], or --table FILE")
    if curves is not None and not sizes:
        raise UsageError("scaling fit: --curves needs --fit SIZE [SIZE]")
    of_tables = _of_tables((params, tokens, loss), flops, total, experts, k, epochs, unique, shares, where, every_run)
    if curves is not None:
        _check_unused("scaling fit --curves", of_tables)
        law = _fit_curves(curves, sizes or [])
    else:
        from trainer.scaling.final_runs import RunColumns

        _check_unused("scaling fit --table", {"--fit": sizes})
        assert table_file is not None
        columns = RunColumns(
            params, flops or tokens, loss, flops is not None, total, experts, k, epochs, unique, tuple(shares or ())
        )
        law = _fit_table(table_file, columns, where_of(where), every_run)
    if out is not None:
        import orjson

        from infra.storage import place, write_bytes

        write_bytes(place(out), orjson.dumps(law, option=orjson.OPT_INDENT_2) + b"\n")
        say(f"written: {out}")
    if json:
        tell(law)
    elif curves is not None:
        show(table(law["sizes"], ["parameters", "l0", "a", "b", "misfit", "noise"]))
        show("  ".join(f"{name} {value:.4g}" for name, value in law["shape"].items()))
        for name, curve in law["collapsed"].items():
            show(f"collapse: {name}, the sizes' curves within {max(curve['departure']):.2%} of each other")
    else:
        show("  ".join(f"{name} {value:.4g}" for name, value in {**law["linear"], **law["unknowns"]}.items()))
        told = f"mean relative error {law['relative']:.2%}; 80 % are within {law['band']['error']:.2%}"
        show(f"{law['runs']:,} runs, {told}")


def _check_unused(where: str, given: Mapping[str, Any]) -> None:
    """UsageError for options that are given and not read: `given` has their values, None or empty without one."""
    unused = ", ".join(name for name, value in given.items() if value)
    if unused:
        raise UsageError(f"{where} reads no {unused}: leave it out")


def _of_tables(columns: Sequence[str], *others: Any) -> dict[str, Any]:
    """The options that tables alone have, with their values."""
    named = {f"--{name}": value != name and value for name, value in zip(COLUMNS, columns, strict=True)}
    rest = ("--flops", "--total", "--experts", "--k", "--epochs", "--unique", "--shares", "--where", "--every-run")
    return named | dict(zip(rest, others, strict=True))


def _check_out(out: Path | None) -> None:
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"--out {out} is a folder, or lies in none that is there: name a file")


def _fit_curves(curves: Path, sizes: list[str]) -> dict[str, Any]:
    from trainer.scaling.collapse import collapses
    from trainer.scaling.curves import read_curves
    from trainer.scaling.files import as_json
    from trainer.scaling.sizes import fit_sizes

    found = read_curves(curves, sizes, say)
    return as_json(fit_sizes(found), collapses(found))


def _fit_table(path: Path, columns: Any, where: dict[str, str], every_run: bool) -> dict[str, Any]:
    from trainer.scaling.final_files import as_json, table_law
    from trainer.scaling.final_loss import fit_final
    from trainer.scaling.final_runs import best_runs, read_runs

    runs = read_runs(path, columns, where, say)
    runs = runs if every_run else best_runs(runs)
    return as_json(table_law(columns, runs, fit_final(runs)), runs)


def where_of(words: list[str] | None, option: str = "--where") -> dict[str, str]:
    """{column: text} of `COLUMN=TEXT` each."""
    found = {}
    for word in words or ():
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {word}: write a column and its text, as dataset=c4")
        found[name] = text.strip()
    return found


@scaling_app.command("predict", cls=Command)
def predict(
    law: Annotated[Path, typer.Option("--law", help="What `scaling fit --out` wrote.")],
    size: Annotated[str | None, typer.Option("--size", help="Parameters of the model to forecast: 400M.")] = None,
    schedule: Annotated[Path | None, typer.Option("--schedule", help="A CSV of step,lr.")] = None,
    seen: Annotated[list[Path] | None, typer.Option("--seen", help="Curves of this size so far.")] = None,
    table_file: Annotated[
        Path | None, typer.Option("--table", help="Of a law of final losses: a CSV with its columns, a row a run.")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", help="The same of one run: params=400M tokens=8B, by the law's columns.")
    ] = None,
    json: Json = False,
) -> None:
    """Predict a loss curve, or the final losses of a table.

    The answer has the predicted loss and the ends of its 80 % band, in nats a token, for each step, or each run.

    Example: refinery scaling predict --law law.json --size 400M --schedule schedule.csv
    """
    from trainer.scaling.final_files import is_table_law

    if is_table_law(law):
        if (table_file is None) == (not at) or size is not None or schedule is not None:
            raise UsageError(
                f"{law} is a law of final losses: give --table FILE, or --at COLUMN=NUMBER for each column"
            )
        rows = _predict_runs(law, table_file, at or [])
    elif size is None or schedule is None or table_file is not None or at:
        raise UsageError("a law of loss curves is asked with --size PARAMETERS and --schedule FILE")
    else:
        rows = _predict_steps(law, size, schedule, seen or [])
    if json:
        tell(rows)
    else:
        show(table(rows, [*rows[0]]))


def _predict_runs(law: Path, table_file: Path | None, at: list[str]) -> list[dict[str, Any]]:
    from trainer.scaling.final_files import read_table_law

    known = read_table_law(law)
    return list(known.of_values(at) if table_file is None else known.of_table(table_file))


def _predict_steps(law: Path, size: str, schedule: Path, seen: list[Path]) -> list[dict[str, Any]]:
    from trainer.scaling.curves import parameters_of, read_curve, read_schedule
    from trainer.scaling.files import read_law

    wanted = read_schedule(schedule)
    known, parameters = read_law(law), parameters_of(size)
    notice = known.outside(parameters)
    if notice:
        say(notice)
    forecast = known.of(parameters, [read_curve(path, say) for path in seen]).forecast(wanted)
    columns = (wanted.steps, wanted.rates, forecast.losses, forecast.low, forecast.high)
    return [
        {"step": int(step), "lr": rate, "loss": round(loss, 5), "low": round(low, 5), "high": round(high, 5)}
        for step, rate, loss, low, high in zip(*(column.tolist() for column in columns))
    ]


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
    hold_out: Annotated[
        str | None, typer.Option("--hold-out", help="In its place: rows with COLUMN=TEXT are predicted by the others.")
    ] = None,
    collapsed: Annotated[
        bool, typer.Option("--collapse", help="The end of each run from its first parts, by the collapse of curves.")
    ] = False,
    every_run: EveryRun = False,
    total: Total = None,
    experts: Experts = None,
    k: ExpertsAToken = None,
    epochs: Epochs = None,
    unique: Unique = None,
    shares: Shares = None,
    where: Where = None,
    json: Json = False,
) -> None:
    """Check what a law predicts against what it has not seen.

    With --curves: every step of all runs of a larger size, or of other schedules of the same size; with --collapse too:
    the end of each run, from a tenth of it on. With --table: the final losses of larger models; as for `scaling fit`,
    it may have columns for experts, epochs or a mixture. The answer has the mean absolute error in nats, the mean and
    largest relative error, the share of points in their 80 % band, and a row for each run.

    Example: refinery scaling check --curves curves --fit 25M 100M --predict 400M --calibrate-on constant_24000
    """
    from trainer.scaling.check import CurveCheck, check_collapse, check_curves, check_held_out, check_table
    from trainer.scaling.curves import parameters_of
    from trainer.scaling.final_runs import RunColumns, read_runs

    if curves is None and table_file is None:
        raise UsageError("scaling check: give --curves DIR, or --table FILE")
    if curves is not None and table_file is not None:
        raise UsageError("scaling check: --curves and --table are two checks: give one of them")
    if curves is not None:
        if not sizes or predicted is None:
            raise UsageError("scaling check: --curves needs --fit SIZE [SIZE] and --predict SIZE")
        of_tables = _of_tables(
            (params, tokens, loss), flops, total, experts, k, epochs, unique, shares, where, every_run
        )
        _check_unused("scaling check --curves", of_tables | {"--fit-below": fit_below, "--hold-out": hold_out})
        calibrating = {"--calibrate-on": calibrate_on, "--first-steps": first_steps}
        if collapsed:
            _check_unused("scaling check --collapse", {"--runs": runs} | calibrating)
            found = check_collapse(curves, sizes, predicted, say)
            tell(found) if json else show(collapse_text(found))
            return
        if predicted in sizes:
            _check_unused(f"a check of {predicted}, which is fitted,", calibrating)
        asked = CurveCheck(tuple(sizes), predicted, tuple(runs or ()), calibrate_on, first_steps)
        answer = check_curves(curves, asked, say)
    else:
        assert table_file is not None
        if (fit_below is None) == (hold_out is None):
            raise UsageError("scaling check: --table needs --fit-below PARAMETERS, or --hold-out COLUMN=TEXT")
        of_curves = {"--fit": sizes, "--predict": predicted, "--runs": runs, "--calibrate-on": calibrate_on}
        _check_unused("scaling check --table", of_curves | {"--first-steps": first_steps, "--collapse": collapsed})
        columns = RunColumns(
            params, flops or tokens, loss, flops is not None, total, experts, k, epochs, unique, tuple(shares or ())
        )
        chosen = where_of(where)
        if fit_below is not None:
            answer = check_table(read_runs(table_file, columns, chosen, say), parameters_of(fit_below), every_run)
        else:
            ((name, text),) = where_of([hold_out or ""], "--hold-out").items()
            fitted = read_runs(table_file, columns, chosen, say, but=(name, text))
            rest = read_runs(table_file, columns, chosen | {name: text}, say, least=1)
            answer = check_held_out(fitted, rest, every_run)
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
