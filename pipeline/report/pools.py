"""The parts of a report about documents: funnels, rejections, values against thresholds, languages, cost."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from infra.storage import read_json
from pipeline.report.charts import (
    UNIT_NAMES,
    UNITS,
    Bar,
    FunnelChart,
    bars_svg,
    histogram_svg,
    log_bars_svg,
    percent,
    short,
    step_name,
)
from pipeline.report.parts import Figure, Table, clipped, cut, seconds
from pipeline.report.read import Comparison, Material, PoolOutcome, read_account
from pipeline.report.values import Floats, number
from pipeline.report.views import TOP_RULES, StageView, signal_of, top_rules
from pipeline.stages.final import FORECAST

TOP_LANGUAGES = 15
BINS = 30
# Smaller numbers count as zero: below 1e-308 doubles lose digits, and edges would coincide.
SMALLEST = 1e-100
MAX_HISTOGRAMS = 100
MAX_POOL_ROWS = 200


def funnels(material: Material) -> tuple[Figure, ...]:
    """What remains at the end of all pools side by side, then each pool's funnel."""
    runs = [pool for pool in material.pools if pool.funnel]
    figures = [figure for comparison in material.comparisons for figure in side_by_side(comparison)]
    figures += remains("All runs", runs, None, "Each in percent of its input.") if len(runs) > 1 else []
    for pool in material.all_pools():
        if not pool.funnel:
            continue
        funnel = FunnelChart(pool.label, pool.docs, pool.funnel)
        bases = funnel.bases()
        rows = []
        for row, took in zip(pool.funnel, funnel.took(), strict=True):
            if not took:
                continue
            cells = [step_name(row)]
            for unit, base in zip(UNITS, bases, strict=True):
                cells += [f"{row[unit]:,}", percent(row[unit] / base) if base else ""]
            rows.append(tuple(cells))
        columns = ("step", *(word for unit in UNIT_NAMES for word in (unit, "%")))
        about = f"{pool.funnel[-1]['docs']:,} of {bases[0]:,} documents remain"
        note = f"{bases[0]:,} input documents. Text is counted from extraction on."
        chart = bars_svg(f"Funnel: {pool.label}", about, funnel.bars(), UNIT_NAMES)
        figures.append(Figure(pool.label, Table(columns, clipped(rows)), chart, note, more=idle_steps(funnel)))
    return tuple(figures)


def idle_steps(funnel: FunnelChart) -> tuple[str, str]:
    """One folded line for the steps that took nothing: its title and their names."""
    idle = funnel.idle()
    return (f"Steps that took nothing: {len(idle)}", ", ".join(idle)) if idle else ("", "")


def side_by_side(comparison: Comparison) -> list[Figure]:
    """For text, 100 % is the most that any of the recipes extracted: recipes that extract less keep less."""
    most = max((FunnelChart(pool.label, pool.docs, pool.funnel).bases()[2] for pool in comparison.pools), default=0)
    pools = [pool for pool in comparison.pools if pool.funnel]
    return remains(f"{comparison.label}: side by side", pools, most, "Tokens: of the most that any of them extracted.")


def remains(heading: str, pools: Sequence[PoolOutcome], tokens: int | None, note: str) -> list[Figure]:
    """Shares of documents and tokens at the end, on a logarithmic axis. `tokens`: the common 100 % of tokens."""
    bars, rows = [], []
    for pool in pools:
        docs, _, first = FunnelChart(pool.label, pool.docs, pool.funnel).bases()
        last, base = pool.funnel[-1], tokens or first
        shares = (last["docs"] / docs if docs else 0.0, last["tokens"] / base if base else 0.0)
        bars.append(Bar(pool.label, " · ".join(map(percent, shares)), shares))
        rows.append((pool.label, f"{last['docs']:,}", percent(shares[0]), f"{last['tokens']:,}", percent(shares[1])))
    if not bars:
        return []
    about = "; ".join(f"{bar.label}: {bar.note}" for bar in bars)
    table = Table(("name", "documents", "%", "tokens", "%"), clipped(rows))
    svg = log_bars_svg(heading, about, bars, ("documents", "tokens"))
    return [Figure(heading, table, svg, f"Logarithmic. {note}")]


def rejects(pools: Sequence[PoolOutcome]) -> tuple[Figure, ...]:
    figures = []
    for pool in pools:
        ordered = sorted(pool.rejected_by.items(), key=lambda item: (-item[1], item[0]))
        if not ordered:
            continue
        most = ordered[0][1] or 1
        bars = [
            Bar(rule, f"{count:,}{of_docs(count, pool.docs)}", (count / most,)) for rule, count in ordered[:TOP_RULES]
        ]
        rows = [(rule, f"{count:,}", percent(count / pool.docs) if pool.docs else "") for rule, count in ordered]
        about = f"{ordered[0][0]} rejected most, {ordered[0][1]:,} documents"
        note = f"The first {TOP_RULES} of {len(ordered)} rules." if len(ordered) > TOP_RULES else ""
        table = Table(("step / rule", "documents", "of the input"), clipped(rows[: 10 * TOP_RULES]))
        figures.append(Figure(pool.label, table, bars_svg(f"Rejected by rule: {pool.label}", about, bars), note))
    return tuple(figures)


def of_docs(count: int, docs: int) -> str:
    return f" · {percent(count / docs)}" if docs else ""


def histograms(seen: Sequence[StageView]) -> Iterator[Figure]:
    """A histogram for every rule with a threshold, unless its values only say that they fail."""
    for view, rules in top_rules(seen, MAX_HISTOGRAMS):
        for name, sample in rules:
            if not sample.thresholds or not len(sample.values):
                continue
            rejected, kept = np.array(sample.values), view.kept.get(signal_of(name), np.zeros(0))
            kept = kept[np.isfinite(kept)]
            if len(kept) or np.ptp(rejected) > 0:
                yield histogram(view.label, name, rejected, kept, sorted(sample.thresholds))


def histogram(place: str, name: str, rejected: Floats, kept: Floats, at: Sequence[float]) -> Figure:
    edges = bin_edges(rejected, kept, at)
    counts = [np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0].tolist() for part in (rejected, kept)]
    rows = [("rejected", *five_numbers(rejected))] + ([("kept", *five_numbers(kept))] if len(kept) else [])
    thresholds = ", ".join(short(value) for value in at)
    about = f"threshold {thresholds}; {len(rejected):,} values of rejected pages, {len(kept):,} of kept ones"
    table = Table(("values", "number", "least", "5 %", "median", "95 %", "most"), tuple(rows))
    step, rule = name.rsplit("/", 1) if "/" in name else ("", name)
    svg = histogram_svg(f"{place} / {name}", about, edges.tolist(), counts[0], counts[1], at)
    return Figure(rule, table, svg, place=f"{place} / {step}")


def bin_edges(rejected: Floats, kept: Floats, thresholds: Sequence[float]) -> Floats:
    """Bin edges from the lower of both sides' 1st percentiles to the higher of their 99th, thresholds well inside.

    An edge is at the (first) threshold, so that no bin mixes the two sides. Logarithmic over two decades or more.
    """
    ends = [float(end) for part in (rejected, kept) if len(part) for end in np.quantile(part, [0.01, 0.99])]
    low, high = min(*ends, *thresholds), max(*ends, *thresholds)
    is_log = low > SMALLEST and high / low > 100
    low, high, at = (math.log(value) if is_log else value for value in (low, high, thresholds[0]))
    if high - low <= max(1e-9 * max(abs(low), abs(high)), SMALLEST):
        low, high = low - abs(low) / 2 - 0.5, high + abs(high) / 2 + 0.5
    step = (high - low) / (BINS - 3)
    edges = at + step * (np.arange(BINS + 1, dtype=np.float64) - math.ceil((at - low) / step + 0.5))
    if is_log:
        np.exp(edges, out=edges)
    return edges


def five_numbers(values: Floats) -> tuple[str, ...]:
    return (f"{len(values):,}", *(short(float(value)) for value in np.quantile(values, [0, 0.05, 0.5, 0.95, 1])))


def languages(pools: Sequence[PoolOutcome]) -> tuple[Figure, ...]:
    figures = []
    for pool in pools:
        ordered = sorted(pool.languages.items(), key=lambda item: (-item[1].get("docs", 0), item[0]))
        total = sum(numbers.get("docs", 0) for _, numbers in ordered)
        if not total:
            continue
        most = ordered[0][1]["docs"]
        bars = [
            Bar(name, f"{n.get('docs', 0):,} docs · {percent(n.get('docs', 0) / total)}", (n.get("docs", 0) / most,))
            for name, n in ordered[:TOP_LANGUAGES]
        ]
        rows = [(name, *(f"{numbers.get(unit, 0):,}" for unit in UNITS)) for name, numbers in ordered]
        about = f"{len(ordered)} languages, most documents in {ordered[0][0]}"
        table = Table(("language", *UNIT_NAMES), clipped(rows))
        figures.append(Figure(pool.label, table, bars_svg(f"Languages: {pool.label}", about, bars)))
    return tuple(figures)


def stage_cost(seen: Sequence[StageView]) -> list[Figure]:
    rows = []
    for view in seen:
        account = read_account(view.dataset)
        wall, cpu, memory = (number(account.get(key)) for key in ("wall_seconds", "cpu_seconds", "peak_memory_bytes"))
        if wall is not None or cpu is not None:
            docs = view.dataset.manifest.counts.get("in", 0)
            speed = f"{docs / cpu:,.1f}" if cpu else ""
            peak = f"{memory / 2**20:,.0f}" if memory else ""
            rows.append((view.label, seconds(wall), seconds(cpu), speed, peak))
    columns = ("stage", "seconds", "CPU seconds", "documents per CPU second", "peak MiB")
    return [Figure("Stages", Table(columns, clipped(rows)))] if rows else []


def forecasts(pools: Sequence[PoolOutcome]) -> list[Figure]:
    """What runs were to take beside what they took, where it was forecast."""
    return [figure for pool in pools for figure in forecast_of(pool)]


def forecast_of(pool: PoolOutcome) -> Iterator[Figure]:
    folder = pool.datasets[0].folder.parent if pool.datasets else None
    planned = read_json(folder / FORECAST) if folder else None
    stages = planned.get("stages") if isinstance(planned, Mapping) else None
    if not isinstance(stages, list) or not all(isinstance(row, Mapping) for row in stages):
        return
    made = {dataset.folder.name: read_account(dataset) for dataset in pool.datasets}
    rows = []
    for row in stages:
        account = made.get(str(row.get("stage")), {})
        cpu, written = number(account.get("cpu_seconds")), number(account.get("bytes_written"))
        hours, disk = number(row.get("core_hours")), number(row.get("disk_bytes"))
        rows.append((str(row.get("stage")), in_units(hours, 1.0, 4), in_units(cpu, 3600.0, 4),
                     in_units(disk, 2**20, 1), in_units(written, 2**20, 1)))  # fmt: skip
    columns = ("stage", "core-hours forecast", "core-hours", "MiB forecast", "MiB written")
    yield Figure(f"Forecast: {pool.label}", Table(columns, clipped(rows)))


def in_units(value: float | None, unit: float, digits: int) -> str:
    return "" if value is None else f"{value / unit:,.{digits}f}"


def pool_tables(seen: Sequence[StageView]) -> Iterator[Figure]:
    """The result of steps over the whole pool: the lists of groups or clusters in a manifest's `pool`, unchanged."""
    for view in seen:
        found = view.dataset.manifest.extra.get("pool")
        if not isinstance(found, Mapping):
            continue
        plain = [f"{name} {value}" for name, value in found.items() if isinstance(value, str | int | float)]
        for name, rows in found.items():
            if isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows):
                columns = tuple(dict.fromkeys(column for row in rows for column in row))
                cells = [tuple(in_cell(row.get(column)) for column in columns) for row in rows[:MAX_POOL_ROWS]]
                more = f"The first {MAX_POOL_ROWS} of {len(rows)}. " if len(rows) > MAX_POOL_ROWS else ""
                table = Table(tuple(map(str, columns)), clipped(cells), numeric=len(columns))
                yield Figure(f"{view.label}: {name}", table, note=cut(more + ", ".join(plain)))


def in_cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(in_cell, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_cell(each)}" for name, each in value.items())
    return "" if value is None else short(value) if isinstance(value, float) else str(value)
