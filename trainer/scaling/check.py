"""How well a law predicts what it has not seen: larger sizes, other schedules, the rest of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infra.errors import UsageError
from infra.names import meant
from trainer.scaling.collapse import collapse, final_loss, is_whole, same_schedule
from trainer.scaling.curves import Curve, Floats, check_distinct, parameters_of, read_curves
from trainer.scaling.final_loss import fit_final
from trainer.scaling.final_runs import FinalRuns, best_runs
from trainer.scaling.schedule_law import LEAST_ERROR, ScheduleLaw, after_warm_up, held_out_error
from trainer.scaling.sizes import fit_sizes
from trainer.scaling.tables import Tell

# Parts of a run that its end is predicted from, by the collapse.
PARTS = (0.1, 0.2, 0.3, 0.5, 0.9)


class Scored(NamedTuple):
    """Losses of a run, what was predicted of them, and the 80 % band; (points,) each, nats a token."""

    losses: Floats
    predicted: Floats
    low: Floats
    high: Floats


class CurveCheck(NamedTuple):
    """What a check of curves compares: `fit`, the sizes that the law is fitted on, of which `runs` alone if there are
    some; `predict`, the size that is predicted; `calibrate_on`: a run of that size which the law may see, to its end or
    for the `first_steps` after its warm-up."""

    fit: Sequence[str]
    predict: str
    runs: Sequence[str] = ()
    calibrate_on: str | None = None
    first_steps: float | None = None


def check_curves(folder: str | Path, asked: CurveCheck, tell: Tell | None = None) -> dict[str, Any]:
    """{mae, relative, worst, coverage80, by_run} of a prediction of every step of all runs of a size.

    `mae` (nats), `relative` and `coverage80` are means over runs, `worst` is the largest relative error of a step. What
    the law has seen is not compared."""
    check_distinct(asked.fit)
    curves = read_curves(folder, [*dict.fromkeys((*asked.fit, asked.predict))], tell)
    fitted = {size: _only(curves[size], asked.runs, f"{folder}/{size}") for size in asked.fit}
    law = fit_sizes(fitted)
    target = curves[asked.predict]
    seen: list[Curve] = []
    hidden = {name: curve for name, curve in target.items() if name not in fitted.get(asked.predict, {})}
    if asked.predict in asked.fit:
        exact = law.laws[int(np.flatnonzero(law.parameters == parameters_of(asked.predict))[0])]
        if not hidden:
            raise UsageError(f"all runs of {asked.predict} are fitted: name some of them with --runs")
        half = held_out_error([*fitted[asked.predict].values()])
        return scored({name: _of_fitted(exact, curve, half) for name, curve in hidden.items()})
    if asked.calibrate_on is not None or asked.first_steps is not None:
        name = asked.calibrate_on or min(target, key=lambda each: (_variation(target[each]), each))
        whole = _only(target, [name], f"{folder}/{asked.predict}")[name]
        if asked.first_steps is None:
            seen = [whole]
            del hidden[name]
        else:
            start = after_warm_up(whole).steps[0]
            seen = [whole.until(start + asked.first_steps)]
            hidden[name] = _after(whole, start + asked.first_steps)
    if not any(curve.steps.size for curve in hidden.values()):
        raise UsageError(f"nothing of {asked.predict} is left to predict: it has one run, which calibrates")
    made = law.of(parameters_of(asked.predict), seen)
    found = {}
    for name, curve in hidden.items():
        if curve.steps.size:
            late = after_warm_up(target[name])
            forecast = made.forecast(late)
            rows = np.isin(late.steps, curve.steps)
            found[name] = Scored(
                late.losses[rows], forecast.losses[rows], forecast.low[rows], forecast.high[rows]
            )  # fmt: skip
    return scored(found)


def check_collapse(folder: str | Path, fit: Sequence[str], predict: str, tell: Tell | None = None) -> dict[str, Any]:
    """{relative, worst, coverage80, by_run}: the end of each run of a size, predicted from its first parts (`PARTS`) by
    the curve that its name has at the fitted sizes. `by_run` has the relative error from each part.

    UsageError where no run of the fitted sizes has its name and schedule."""
    check_distinct(fit)
    curves = read_curves(folder, [*dict.fromkeys((*fit, predict))], tell)
    rows: dict[str, dict[str, float]] = {}
    held: list[bool] = []
    for name, whole in sorted(curves[predict].items()):
        small = [curves[size][name] for size in fit if name in curves[size]]
        if not small or not is_whole(whole) or not all(map(is_whole, small)) or not same_schedule([*small, whole]):
            continue
        curve, at, end = collapse(small), whole.steps / whole.steps[-1], final_loss(whole)
        rows[name] = {}
        for part in PARTS:
            loss, half = curve.predict(at[at <= part], whole.losses[at <= part])
            rows[name][f"{part:.0%}"] = round(loss / end - 1, 6)
            held.append(abs(loss - end) <= half)
    if not rows:
        raise UsageError(
            f"no run of {predict} has its name and schedule at {', '.join(fit)}: no curve to collapse onto"
        )
    errors = np.abs([[*row.values()] for row in rows.values()])
    return {
        "relative": round(float(errors.mean()), 6),
        "worst": round(float(errors.max()), 6),
        "coverage80": round(float(np.mean(held)), 6),
        "by_run": rows,
    }


def check_table(runs: FinalRuns, fit_below: float, every_run: bool = False) -> dict[str, Any]:
    """The same of final losses: the law of the runs with fewer parameters predicts the others. `by_run` has a row for
    each size. `every_run`: compare and fit all of several runs with the same parameters and tokens, not the best."""
    chosen = runs if every_run else best_runs(runs)
    small = chosen.parameters < fit_below
    if small.all():
        raise UsageError(f"no run has {fit_below:g} parameters or more: there is nothing to predict")
    return check_held_out(chosen.some(small), chosen.some(~small), every_run=True)


def check_held_out(fitted: FinalRuns, rest: FinalRuns, every_run: bool = False) -> dict[str, Any]:
    """The same: the law of some runs predicts others."""
    law = fit_final(fitted if every_run else best_runs(fitted))
    rest = rest if every_run else best_runs(rest)
    predicted, low, high = law.losses(rest)
    found = {}
    names = np.array([f"{size:.4g}" for size in rest.parameters])
    for name in np.unique(names):
        rows = names == name
        found[str(name)] = Scored(rest.losses[rows], predicted[rows], low[rows], high[rows])
    return scored(found, by_point=True)


def scored(found: Mapping[str, Scored], by_point: bool = False) -> dict[str, Any]:
    """The answer of a check; means are over runs, or over all points of all runs."""
    rows = {name: _row(each) for name, each in sorted(found.items())}
    names = ("mae", "relative", "coverage80")
    weights = [float(each.losses.size) if by_point else 1.0 for _, each in sorted(found.items())]
    means = {name: float(np.average([row[name] for row in rows.values()], weights=weights)) for name in names}
    worst = max(row["worst"] for row in rows.values())
    answer = {"mae": means["mae"], "relative": means["relative"], "worst": worst, "coverage80": means["coverage80"]}
    rounded: dict[str, Any] = {name: round(value, 6) for name, value in answer.items()}
    return rounded | {"by_run": rows}


def _row(each: Scored) -> dict[str, Any]:
    error = each.predicted - each.losses
    relative = np.abs(error / each.losses)
    inside = (each.low <= each.losses) & (each.losses <= each.high)
    values = {
        "mae": np.mean(np.abs(error)),
        "bias": np.mean(error),
        "relative": np.mean(relative),
        "worst": np.max(relative),
        "coverage80": np.mean(inside),
        "last": each.losses[-1],
        "last_predicted": each.predicted[-1],
    }
    return {"points": error.size} | {name: round(float(value), 6) for name, value in values.items()}


def _of_fitted(law: ScheduleLaw, curve: Curve, half_band: float) -> Scored:
    """Another run of a size that was fitted."""
    late = after_warm_up(curve)
    predicted = law.losses(late)
    half = np.maximum(half_band, LEAST_ERROR * predicted)
    return Scored(late.losses, predicted, predicted - half, predicted + half)


def _only(curves: Mapping[str, Curve], names: Sequence[str], place: str) -> dict[str, Curve]:
    for name in names:
        if name not in curves:
            raise UsageError(f"{place} has no run {name}; {meant(name, sorted(curves))}")
    return {name: curve for name, curve in curves.items() if not names or name in names}


def _variation(curve: Curve) -> float:
    """How much the rate changes after the warm-up: 0 for a constant one."""
    late = after_warm_up(curve)
    return float(np.ptp(late.rates) / late.rates.max())


def _after(curve: Curve, step: float) -> Curve:
    late = curve.steps > step
    return Curve(curve.steps[late], curve.rates[late], curve.name, curve.losses[late])
