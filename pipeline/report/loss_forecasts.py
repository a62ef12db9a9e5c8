"""The parts of a report about forecasts: losses of trainings beside their forecasts, and the budget map."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import Any

from pipeline.report.charts import Line, Ribbon, lines_drawing, percent, short
from pipeline.report.parts import Figure, Section, Table, clipped
from pipeline.report.training_log import Training
from pipeline.report.values import number, read_mapping, well_formed

MAP_LINES = 6
# Of the answer in words, the lines that stand above the charts.
SHORT = ("How strict", "Undecided")


@dataclass(frozen=True)
class DataPlan:
    """`body`: the answer of `plan-data --json`; with `checked`, what runs of it measured."""

    label: str
    body: Mapping[str, Any]


def read_plan(file: Path, label: str) -> DataPlan:
    """UsageError for a file that `plan-data --json` has not printed."""
    found = DataPlan(label, read_mapping(file))
    with well_formed(file, "`refinery plan-data --json`"):
        list(plan_figures(found))
    return found


def loss_forecasts(trainings: Sequence[Training]) -> Section:
    made = [(run, *outcomes(run.forecasts)) for run in trainings if run.forecasts]
    figures = [figure for run, ahead, scores in made for figure in run_figures(run.label, ahead, scores)]
    lines = [line for run, ahead, scores in made for line in score_lines(run.label, ahead, scores)]
    about = "The loss of each evaluation, forecast before its steps were run, with 80 % bands, and what was measured."
    return Section("forecasts", "Forecasts of the loss", about, tuple(figures), lines=tuple(lines))


Rows = list[Mapping[str, Any]]


def outcomes(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[float, Mapping[str, Any]], Rows]:
    """The last forecast of each step, and what was measured."""
    ahead = {step: row for row in rows if (step := number(row.get("step"))) is not None and number(row.get("loss"))}
    scores = [row for row in rows if number(row.get("measured")) is not None and number(row.get("step")) in ahead]
    return ahead, scores


def run_figures(label: str, ahead: Mapping[float, Mapping[str, Any]], scores: Rows) -> Iterator[Figure]:
    ends = ((step, number(row.get("low")), number(row.get("high"))) for step, row in sorted(ahead.items()))
    bands = [(step, low, high) for step, low, high in ends if low is not None and high is not None]
    if not ahead:
        return
    early = [(step, value) for step, row in sorted(ahead.items()) if (value := before(row, "loss")) is not None]
    lines = [
        Line("measured", tuple((float(row["step"]), float(row["measured"])) for row in scores)),
        Line("forecast an evaluation before", tuple((step, float(row["loss"])) for step, row in sorted(ahead.items()))),
        Line("forecast before the run", tuple(early)),
    ]
    about = "; ".join(f"{line.label}: {line.points[-1][1]:.4f} at the end" for line in lines if line.points)
    ribbons = [Ribbon(tuple(bands), 1)] if len(bands) > 1 else []
    drawn = [line for line in lines if line.points]
    svg = lines_drawing(f"Forecasts: {label}", about, drawn, "step", "nats per token", ribbons=ribbons).in_page()
    note = "The area is the 80 % band of the forecasts an evaluation before."
    yield Figure(label, outcome_table(ahead, scores), svg, note)


def before(row: Mapping[str, Any], name: str) -> float | None:
    early = row.get("before")
    return number(early.get(name)) if isinstance(early, Mapping) else None


def outcome_table(ahead: Mapping[float, Mapping[str, Any]], scores: Rows) -> Table:
    measured = {float(row["step"]): row for row in scores}
    rows = []
    for step, row in sorted(ahead.items()):
        score = measured.get(step, {})
        rows.append(
            (
                f"{int(step):,}",
                band(row),
                band(row.get("before", {})),
                "" if not score else f"{score['measured']:.4f}",
                "" if number(score.get("error")) is None else f"{score['error']:+.4f}",
                "" if not score else inside(score),
            )
        )
    columns = ("step", "an evaluation before", "before the run", "measured", "error", "in its band")
    return Table(columns, clipped(rows), numeric=1)


def band(row: Any) -> str:
    values = [number(row.get(name)) for name in ("loss", "low", "high")] if isinstance(row, Mapping) else []
    if not values or None in values:
        return ""
    return f"{values[0]:.4f} ({values[1]:.4f} to {values[2]:.4f})"


def inside(score: Mapping[str, Any]) -> str:
    return ("yes" if score.get("inside") else "no") + (", alarm" if score.get("alarm") else "")


def score_lines(label: str, ahead: Mapping[float, Mapping[str, Any]], scores: Rows) -> Iterator[str]:
    errors = [abs(value) for row in scores if (value := number(row.get("error"))) is not None]
    if errors:
        held = sum(bool(row.get("inside")) for row in scores) / len(scores)
        alarms = sum(bool(row.get("alarm")) for row in scores)
        told = f", {alarms} alarms" if alarms else ""
        yield (
            f"{label}: off by {sum(errors) / len(errors):.4f} nats on average over {len(errors)} evaluations, "
            f"{percent(held)} in their bands{told}."
        )
    waiting = [step for step in ahead if step not in {number(row.get("step")) for row in scores}]
    if waiting:
        yield f"{label}: step {int(max(waiting)):,} is forecast and not run yet."


# ------------------------------------------------------------------------------------------------- the budget map


def budget_map(found: Sequence[DataPlan]) -> Section:
    figures = tuple(figure for one in found for figure in plan_figures(one))
    lines = tuple(f"{one.label}: {line}." for one in found for line in told(one) if line.startswith(SHORT))
    about = (
        "Of each pool, from the strictest, the loss that is forecast at each budget, repeats counted; where two curves "
        "cross, the looser pool begins to win."
    )
    return Section("budget", "Which pool at which budget", about, figures, lines=lines)


def told(one: DataPlan) -> list[str]:
    return [str(line) for line in one.body.get("told", ())]


def plan_figures(one: DataPlan) -> Iterator[Figure]:
    body = one.body
    rows = body["pools"]
    budgets = [float(each) for each in body["map"]["budgets"]]
    curves = {row["pool"]: body["map"]["pools"][row["pool"]] for row in rows[:MAP_LINES]}
    places = [log10(each) for each in budgets]
    lines = [Line(name, tuple(zip(places, map(float, each["loss"])))) for name, each in curves.items()]
    ribbons = [
        Ribbon(tuple(zip(places, map(float, each["low"]), map(float, each["high"]))), place)
        for place, each in enumerate(curves.values())
    ]
    asked = float(body["budget"])
    about = "; ".join(f"{row['pool']}: {float(row['loss']):.4f} at {short(asked)} tokens" for row in rows)
    marks = [(log10(asked), f"{short(asked)} tokens")]
    title, unit = f"Loss by budget: {one.label}", str(body["law"]["loss"])
    svg = lines_drawing(title, about, lines, "tokens, as a power of ten", unit, marks, ribbons).in_page()
    more = ("The answer in words", ". ".join(told(one)))
    yield Figure(f"{one.label}: by budget", pool_table(rows), svg, "The areas are 80 % bands.", more=more)
    if body.get("checked"):
        yield Figure(f"{one.label}: forecast and measured", checked_table(body["checked"]))


def pool_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = ("pool", "keep rate", "epochs", "loss", "best in", "overtaken at", "by")
    cells = []
    for row in rows:
        ends = row["overtaken"]
        at = "" if ends is None else "never" if ends["tokens"] is None else overtaken(ends)
        loss = f"{float(row['loss']):.4f} ({float(row['low']):.4f} to {float(row['high']):.4f})"
        by = "" if ends is None else str(ends["by"] or "")
        cells.append((str(row["pool"]), f"{float(row['keep_rate']):.3g}", f"{float(row['epochs']):.3g}", loss,
                      percent(float(row["best_in"])), at, by))  # fmt: skip
    return Table(columns, clipped(cells))


def overtaken(ends: Mapping[str, Any]) -> str:
    low, high = ("none" if ends[end] is None else short(float(ends[end])) for end in ("low", "high"))
    at = short(float(ends["tokens"])) if ends["tokens"] else "any budget"
    return f"{at} ({low} to {high})"


def checked_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = [
        (
            str(row["pool"]),
            f"{float(row['forecast']):.4f} ({float(row['low']):.4f} to {float(row['high']):.4f})",
            f"{float(row['measured']):.4f}",
            f"{float(row['forecast']) - float(row['measured']):+.4f}",
            "yes" if row["inside"] else "no",
        )
        for row in rows
    ]
    return Table(("pool", "forecast", "measured", "error", "in its band"), clipped(cells))
