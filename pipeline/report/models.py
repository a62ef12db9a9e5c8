"""The parts of a report about a mixture and the models trained on it: shares, losses, bits per byte."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mixers.domains import DOMAINS, Axis
from pipeline.report.charts import Bar, Line, bars_svg, lines_svg, percent
from pipeline.report.parts import Figure, Section, Table, clipped, seconds, spell
from pipeline.report.read import Evaluation, Floats, Mixture, Training, number

CURVE_POINTS = 240
TAIL = 0.05


def mixtures(found: Sequence[Mixture]) -> Section:
    figures, lines = [], []
    for mixture in found:
        config = mixture.plan.get("config", {})
        for kind in ("axis", "domain", "source"):
            figures += share_figure(mixture, kind, config)
        figures.append(Figure(f"{mixture.label}: groups", group_table(mixture)))
        lines += mixture_words(mixture)
    about = "Shares of tokens as trained on, repeats included; the mark is the target, or else the floor."
    return Section("mixture", "The mixture", about, tuple(figures), lines=tuple(lines))


def share_figure(mixture: Mixture, kind: str, config: Mapping[str, Any]) -> list[Figure]:
    """Bars of the shares by kind; a requested group that is absent has a bar of length 0."""
    of_kind: Mapping[str, Sequence[str]] = {"axis": list(Axis), "domain": DOMAINS}
    missing = [str(name) for name in of_kind.get(kind, ()) if name in config.get("targets", {})]
    shares = dict.fromkeys(sorted(missing), 0.0) | shares_of(mixture, kind)
    shares = dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
    if not shares:
        return []
    names = [("target", "targets"), ("at least", "min_share"), ("at most", "max_share")]
    if kind == "source":
        names = [("at least", "min_source_share"), ("at most", "max_source_share")]
    bounds = {
        name: [(word, config[key][name]) for word, key in names if name in config.get(key, {})] for name in shares
    }
    largest = max([*shares.values(), *(value for each in bounds.values() for _, value in each)]) or 1.0
    bars, rows = [], []
    for name, share in shares.items():
        words = ", ".join(f"{word} {percent(value)}" for word, value in bounds[name])
        mark = bounds[name][0][1] / largest if bounds[name] else None
        bars.append(Bar(name, percent(share) + (f" ({words})" if words else ""), (share / largest,), mark))
        rows.append((name, percent(share), words))
    about = ", ".join(f"{name} {percent(share)}" for name, share in shares.items())
    svg = bars_svg(f"Shares by {kind}: {mixture.label}", about, bars)
    return [Figure(f"{mixture.label}: by {kind}", Table((kind, "share of tokens", "wanted"), clipped(rows)), svg)]


def shares_of(mixture: Mixture, kind: str) -> dict[str, float]:
    found = mixture.plan.get("shares", {}).get(kind, {})
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def group_table(mixture: Mixture) -> Table:
    keys = ("documents", "tokens", "epochs", "drawn", "drawn_tokens")
    rows = [
        (f"{group.get('source')}/{group.get('domain')}", *(spell(number(group.get(key))) for key in keys))
        for group in mixture.plan.get("groups", ())
    ]
    return Table(
        ("source/domain", "documents", "tokens", "epochs", "drawn documents", "tokens with repeats"), clipped(rows)
    )


def mixture_words(mixture: Mixture) -> list[str]:
    binding = mixture.plan.get("binding", ())
    words = [f"{mixture.label} is limited by {name}." for name in binding]
    for name, (wanted, planned) in sorted(mixture.plan.get("missed", {}).items()):
        words.append(
            f"{mixture.label} misses the target of {name}: {percent(wanted)} wanted, {percent(planned)} possible."
        )
    return words


def training(runs: Sequence[Training]) -> Section:
    runs = [run for run in runs if len(run.steps)]
    if not runs:
        return Section("training", "Training", "")
    longest = max(float(run.steps[-1]) for run in runs)
    width = max(1, math.ceil(longest / CURVE_POINTS))
    frozen = sorted({float(run.steps[0]) - 1 for run in runs if run.overrides is not None})
    marks = [(step, f"frozen at {int(step):,}") for step in frozen]
    ordered = sorted(runs, key=lambda run: (run.overrides is not None, run.label))
    names = [f"{run.label} ({training_kind(run)})" for run in ordered]

    def chart(title: str, unit: str, column: Callable[[Training], Floats]) -> str:
        lines = [Line(name, curve(run.steps, column(run), width)) for name, run in zip(names, ordered, strict=True)]
        about = "; ".join(f"{line.label}: {line.points[-1][1]:.4g} at the end" for line in lines if line.points)
        return lines_svg(title, about, [line for line in lines if line.points], "step", unit, marks)

    ends = [
        (
            name,
            f"{int(run.steps[-1]):,}",
            f"{run.tokens:,}",
            f"{tail_mean(run.steps, run.losses):.4f}",
            f"{run.rates[-1]:.3g}",
        )
        for name, run in zip(names, ordered, strict=True)
    ]
    domains = sorted({domain for run in ordered for domain in run.by_domain})
    by_domain = [
        (domain, *(f"{tail_mean(*run.by_domain[domain]):.4f}" if domain in run.by_domain else "" for run in ordered))
        for domain in domains
    ]
    loss = Figure(
        "Loss",
        Table(("run", "last step", "tokens", "loss at the end", "learning rate"), clipped(ends)),
        chart("Loss by step", "nats per token", lambda run: run.losses),
        f"Means over {width:,} steps." if width > 1 else "",
    )
    rate = Figure("Learning rate", loss.table, chart("Learning rate by step", "learning rate", lambda run: run.rates))
    figures = [loss, rate]
    if by_domain:
        figures.append(Figure("Loss at the end, by domain", Table(("domain", *names), clipped(by_domain))))
    about = f"Branches begin where the trunk was frozen. The end is the last {TAIL:.0%} of a run's steps."
    return Section("training", "Training", about, tuple(figures))


def training_kind(run: Training) -> str:
    if run.overrides is None:
        return "trunk"
    return f"branch: {', '.join(settings(run.overrides))}" if run.overrides else "control branch"


def settings(body: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Nested settings as `k.train = 4`."""
    for name, value in sorted(body.items()):
        if isinstance(value, Mapping):
            yield from settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} = {value}"


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


def evaluation(one: Evaluation) -> Iterator[Figure]:
    systems = {"model": one.body, **baselines_of(one)}
    rows = {
        domain: [number(body.get("bits_per_byte", {}).get(domain)) for body in systems.values()]
        for domain in sorted(one.body.get("bits_per_byte", {}))
    }
    for name, key in (("IQ", "iq"), ("EQ", "eq"), ("all", "overall")):
        if number(one.body.get(key)) is not None:
            rows[name] = [number(body.get(key)) for body in systems.values()]
    if not rows:
        return
    facts = (("active_experts", "experts active per token"), ("kv_bytes_per_token", "bytes of KV cache per token"))
    note = ", ".join(
        f"{spell(number(one.body[key]))} {words}" for key, words in facts if number(one.body.get(key)) is not None
    )
    yield bits_figure(f"{one.label}: by domain", "domain", rows, list(systems), note)
    by_k = one.body.get("by_k", {})
    if len(by_k) > 1:
        ks = sorted(by_k.items(), key=lambda item: (len(item[0]), item[0]), reverse=True)
        keys = ("overall", "iq", "eq")
        rows = {f"k = {k}": [number(body.get(key)) for key in keys] for k, body in ks}
        active = ", ".join(f"{spell(number(body.get('active_experts')))} at k = {k}" for k, body in ks)
        yield bits_figure(
            f"{one.label}: by experts per token", "k", rows, ["all", "IQ", "EQ"], f"Experts active: {active}."
        )


def bits_figure(
    heading: str, first: str, rows: Mapping[str, Sequence[float | None]], series: Sequence[str], note: str
) -> Figure:
    largest = max((value for values in rows.values() for value in values if value), default=1.0)
    bars = [
        Bar(
            name,
            " · ".join(f"{value:.3f}" for value in values if value is not None),
            tuple((v or 0.0) / largest for v in values),
        )
        for name, values in rows.items()
    ]
    about = "; ".join(f"{bar.label}: {bar.note}" for bar in bars)
    cells = [(name, *("" if value is None else f"{value:.4f}" for value in values)) for name, values in rows.items()]
    return Figure(heading, Table((first, *series), clipped(cells)), bars_svg(heading, about, bars, series), note)


def baselines_of(one: Evaluation) -> dict[str, Mapping[str, Any]]:
    return dict(sorted(one.body.get("baselines", {}).items(), reverse=True))


def training_cost(runs: Sequence[Training]) -> list[Figure]:
    rows = [
        (run.label, seconds(number(run.how.get("seconds"))), spell(number(run.how.get("tokens_per_second"))))
        for run in runs
        if number(run.how.get("seconds")) is not None
    ]
    return [Figure("Training", Table(("run", "seconds", "tokens per second"), clipped(rows)))] if rows else []
