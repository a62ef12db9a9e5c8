"""The part of a report about training runs and branches: curves by step, losses by domain, loads, skipped steps."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from pipeline.report.charts import SERIES, WIDTH, Bar, Line, bars_svg, fit, lines_drawing
from pipeline.report.parts import Figure, Section, Table, clipped, seconds, settings, spell
from pipeline.report.training_log import Training
from pipeline.report.values import Floats, number

CURVE_POINTS = 240
TAIL = 0.05
MOST_STEPS = 12
# Title, unit, column of the log.
CURVES = (
    ("Loss", "nats per token", "loss"),
    ("Learning rate", "learning rate", "learning_rate"),
    ("Gradient norm", "before clipping", "grad_norm"),
    ("Experts per token", "mean k", "mean_k"),
    ("Load imbalance", "largest load / mean load, mean over layers", "load_imbalance"),
)
Named = Sequence[tuple[str, Training]]


def training(found: Sequence[Training]) -> Section:
    runs = sorted((run for run in found if len(run.steps)), key=lambda run: (run.overrides is not None, run.label))
    if not runs:
        return Section("training", "Training", "")
    named = [(f"{run.label} ({training_kind(run)})", run) for run in runs]
    width = max(1, math.ceil(max(float(run.steps[-1]) for run in runs) / CURVE_POINTS))
    ends = ends_table(named)
    figures = [figure for curve in CURVES for figure in curve_figure(named, width, ends, *curve)]
    figures += [figure for name, run in named for figure in domain_figure(name, run, width)]
    figures += end_by_domain(named)
    figures += bars_figure(named, "Load imbalance by layer", "layer", lambda run: numbered(run.by_layer, 0))
    figures += bars_figure(named, "Load imbalance by k", "k", lambda run: numbered(run.load_by_k, 1))
    figures += bars_figure(named, "Loss by k", "k", losses_by_k)
    figures += skipped_steps(named)
    about = f"Branches begin where the trunk was frozen. The end is the last {TAIL:.0%} of a run's steps."
    return Section("training", "Training", about, tuple(figures))


def training_kind(run: Training) -> str:
    if run.overrides is None:
        return "trunk"
    return f"branch: {', '.join(settings(run.overrides))}" if run.overrides else "control branch"


def ends_table(named: Named) -> Table:
    rows = [
        (
            name,
            f"{int(run.steps[-1]):,}",
            f"{run.tokens:,}",
            f"{tail_mean(run.steps, run.losses):.4f}",
            f"{run.columns['learning_rate'][-1]:.3g}",
        )
        for name, run in named
    ]
    return Table(("run", "last step", "tokens", "loss at the end", "learning rate"), clipped(rows))


def curve_figure(named: Named, width: int, ends: Table, title: str, unit: str, column: str) -> Iterator[Figure]:
    """One column of every log by step; nothing where no log has it."""
    lines = [Line(name, curve(run.steps, run.columns[column], width)) for name, run in named]
    lines = [line for line in lines if line.points]
    if not lines:
        return
    frozen = sorted({float(run.steps[0]) - 1 for _, run in named if run.overrides is not None})
    marks = [(step, f"frozen at {int(step):,}") for step in frozen]
    about = "; ".join(f"{line.label}: {line.points[-1][1]:.4g} at the end" for line in lines)
    table = ends
    if column not in ("loss", "learning_rate"):
        means = [(name, f"{tail_mean(run.steps, run.columns[column]):.4g}") for name, run in named]
        table = Table(("run", f"{title.lower()} at the end"), clipped(means))
    note = f"Means over {width:,} steps." if width > 1 else ""
    yield Figure(title, table, lines_drawing(f"{title} by step", about, lines, "step", unit, marks).in_page(), note)


def domain_figure(name: str, run: Training, width: int) -> Iterator[Figure]:
    lines = [Line(domain, curve(*series, width)) for domain, series in run.by_domain.items()]
    lines = [line for line in lines if line.points]
    if not lines:
        return
    rows = [(domain, f"{len(losses):,}", f"{tail_mean(steps, losses):.4f}") for domain, (steps, losses) in domains(run)]
    about = "; ".join(f"{line.label}: {line.points[-1][1]:.4g} at the end" for line in lines)
    svg = lines_drawing(f"Loss by domain: {name}", about, lines, "step", "nats per token").in_page()
    yield Figure(f"Loss by domain: {name}", Table(("domain", "steps", "loss at the end"), clipped(rows)), svg)


def domains(run: Training) -> list[tuple[str, tuple[Floats, Floats]]]:
    return sorted(run.by_domain.items())


def end_by_domain(named: Named) -> Iterator[Figure]:
    rows = [
        (domain, *(f"{tail_mean(*run.by_domain[domain]):.4f}" if domain in run.by_domain else "" for _, run in named))
        for domain in sorted({domain for _, run in named for domain in run.by_domain})
    ]
    if rows:
        yield Figure("Loss at the end, by domain", Table(("domain", *(name for name, _ in named)), clipped(rows)))


def numbered(rows: Floats, first: int) -> dict[str, float]:
    """The mean of each column over the last rows, by its number."""
    tail = rows[-max(1, math.ceil(TAIL * len(rows))) :]
    return {str(first + i): float(value) for i, value in enumerate(tail.mean(0))} if rows.size else {}


def losses_by_k(run: Training) -> dict[str, float]:
    """The mean over the last rows of the loss at each k."""
    means = {k: values[np.isfinite(values)] for k, values in run.loss_by_k.items()}
    return {
        k: float(values.mean()) for k, values in sorted(means.items(), key=lambda item: int(item[0])) if len(values)
    }


def bars_figure(
    named: Named, title: str, what: str, values: Callable[[Training], Mapping[str, float]]
) -> Iterator[Figure]:
    """Bars at the end of each run, a row for each layer or k; nothing where no log has them."""
    found = {run.label: means for _, run in named if (means := values(run))}
    if not found:
        return
    keys = sorted({key for means in found.values() for key in means}, key=int)
    largest = max(value for means in found.values() for value in means.values()) or 1.0
    bars = [
        Bar(
            f"{what} {key}",
            " · ".join(f"{means[key]:.3g}" for means in found.values() if key in means),
            tuple(means.get(key, 0.0) / largest for means in found.values()),
        )
        for key in keys
    ]
    rows = [(key, *(f"{means[key]:.4f}" if key in means else "" for means in found.values())) for key in keys]
    about = "; ".join(f"{bar.label}: {bar.note}" for bar in bars)
    series = [fit(label, WIDTH / len(found) - 26) for label in found] if len(found) > 1 else []
    svg = bars_svg(title, about, bars, series) if len(found) <= SERIES else ""
    yield Figure(title, Table((what, *found), clipped(rows)), svg, "At the end of each run.")


def skipped_steps(named: Named) -> Iterator[Figure]:
    rows = [
        (
            name,
            f"{len(run.skipped):,}",
            ", ".join(f"{step:,}" for step in run.skipped[:MOST_STEPS]) + (", …" if run.skipped[MOST_STEPS:] else ""),
        )
        for name, run in named
        if run.skipped
    ]
    if rows:
        note = "Their loss or gradients were not finite, or far larger than before: they changed no weight."
        yield Figure("Skipped steps", Table(("run", "skipped", "steps"), clipped(rows)), note=note)


def curve(steps: Floats, values: Floats, width: int) -> tuple[tuple[float, float], ...]:
    """Means over `width` steps, each at the middle of its steps; bins begin at the same steps for all runs."""
    good = np.isfinite(values)
    steps, values = steps[good], values[good]
    bins, inverse = np.unique(steps // width, return_inverse=True)
    counts = np.bincount(inverse, minlength=len(bins))
    x, y = (np.bincount(inverse, weights=column, minlength=len(bins)) / counts for column in (steps, values))
    return tuple(zip(x.tolist(), y.tolist(), strict=True))


def tail_mean(steps: Floats, values: Floats) -> float:
    """The mean over the last steps; NaN if there is no number."""
    tail = values[steps >= steps[-1] - TAIL * (steps[-1] - steps[0])]
    tail = tail[np.isfinite(tail)]
    return float(tail.mean()) if len(tail) else math.nan


def training_cost(runs: Sequence[Training]) -> list[Figure]:
    rows = [
        (
            run.label,
            seconds(number(run.how.get("seconds"))),
            *(spell(number(run.how.get(name))) for name in ("tokens_per_second", "flops_per_second", "mfu")),
        )
        for run in runs
        if number(run.how.get("seconds")) is not None
    ]
    columns = ("run", "seconds", "tokens per second", "FLOP per second", "MFU")
    return [Figure("Training", Table(columns, clipped(rows)))] if rows else []
