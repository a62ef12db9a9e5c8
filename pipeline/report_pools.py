"""The parts of a report that speak of documents: funnels, ratios, rejections, values against thresholds, samples."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from infra.dataset import Dataset
from infra.manifest import Kind
from pipeline.report_charts import (
    UNIT_NAMES,
    UNITS,
    Bar,
    Funnel,
    Whisker,
    bars_svg,
    histogram_svg,
    percent,
    short,
    step_name,
    whiskers_svg,
)
from pipeline.report_parts import Figure, Sample, Samples, Table, clipped, cut, seconds, spell
from pipeline.report_read import (
    SAMPLE_CHARS,
    Comparison,
    Floats,
    Pool,
    RuleSample,
    kept_samples,
    kept_signals,
    number,
    read_account,
    read_ledger,
)

TOP_RULES = 30
TOP_LANGUAGES = 15
BINS = 30
# With these the largest report (a comparison of many recipes) stays under about a megabyte.
MAX_HISTOGRAMS = 100
MAX_SAMPLED_RULES = 120


@dataclass(frozen=True)
class View:
    """A dataset of one or more pools, with the beginning of its ledger read once."""

    label: str
    dataset: Dataset

    @cached_property
    def rules(self) -> list[tuple[str, RuleSample]]:
        """The rules that rejected most, first."""
        counts = self.dataset.manifest.rejected_by
        found = sorted(read_ledger(self.dataset).items(), key=lambda item: (-counts.get(item[0], 0), item[0]))
        return found[:TOP_RULES]


def views(pools: Sequence[Pool]) -> list[View]:
    """Every dataset once, named by all pools that it belongs to: recipes may share their first stages."""
    owners: dict[str, list[str]] = {}
    datasets: dict[str, Dataset] = {}
    for pool in pools:
        for dataset in pool.datasets:
            owners.setdefault(str(dataset.folder), []).append(pool.label)
            datasets[str(dataset.folder)] = dataset
    return [
        View(f"{', '.join(dict.fromkeys(labels))}: {datasets[folder].manifest.stage}", datasets[folder])
        for folder, labels in owners.items()
    ]


def funnels(pools: Sequence[Pool]) -> tuple[Figure, ...]:
    figures = []
    for pool in pools:
        if not pool.funnel:
            continue
        funnel = Funnel(pool.label, pool.docs, pool.funnel)
        bases = funnel.bases()
        rows = []
        for row in pool.funnel:
            cells = [step_name(row)]
            for unit, base in zip(UNITS, bases, strict=True):
                cells += [f"{row[unit]:,}", percent(row[unit] / base) if base else ""]
            rows.append(tuple(cells))
        columns = ("step", *(word for unit in UNIT_NAMES for word in (unit, "%")))
        about = f"{pool.funnel[-1]['docs']:,} of {bases[0]:,} documents remain"
        note = f"{bases[0]:,} documents came in. Text is counted from extraction on."
        chart = bars_svg(f"Funnel: {pool.label}", about, funnel.bars(), UNIT_NAMES)
        figures.append(Figure(pool.label, Table(columns, clipped(rows)), chart, note))
    return tuple(figures)


def ratios(comparisons: Sequence[Comparison]) -> tuple[Figure, ...]:
    figures = []
    for comparison in comparisons:
        whiskers, rows = [], []
        for name, others in sorted(comparison.ratio.items()):
            for other, numbers in sorted(others.items()):
                value, interval = number(numbers.get("docs")), numbers.get("docs_interval") or (None, None)
                low, high = (number(end) for end in interval)
                cells = [spell(number(numbers.get(unit))) for unit in UNITS]
                rows.append((f"{name} / {other}", *cells, "" if low is None else f"{spell(low)} to {spell(high)}"))
                back = number(comparison.ratio.get(other, {}).get(name, {}).get("docs"))
                if value is not None and (value < 1 or back is None or (value == 1 and name < other)):
                    whiskers.append(Whisker(f"{name} / {other}", value, low, high))
        if rows:
            table = Table(("ratio", *UNIT_NAMES, "95 % of documents"), clipped(rows))
            about = "; ".join(f"{w.label}: {w.value:.3g}" for w in whiskers)
            svg = whiskers_svg("Ratios of documents", about, whiskers) if whiskers else ""
            figures.append(Figure(comparison.label, table, svg))
    return tuple(figures)


def rejects(pools: Sequence[Pool]) -> tuple[Figure, ...]:
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
        table = Table(("step / rule", "documents", "of what came in"), clipped(rows[: 10 * TOP_RULES]))
        figures.append(Figure(pool.label, table, bars_svg(f"Rejected by rule: {pool.label}", about, bars), note))
    return tuple(figures)


def of_docs(count: int, docs: int) -> str:
    return f" · {percent(count / docs)}" if docs else ""


def histograms(seen: Sequence[View]) -> Iterator[Figure]:
    """Of every rule with a threshold whose values tell more than that they fail."""
    made = 0
    for view in seen:
        judged = [(name, sample) for name, sample in view.rules if sample.thresholds and len(sample.values)]
        kept = kept_signals(view.dataset, [signal_of(name) for name, _ in judged]) if judged else {}
        for name, sample in judged:
            rejected, of_kept = np.array(sample.values), kept.get(signal_of(name), np.zeros(0))
            of_kept = of_kept[np.isfinite(of_kept)]
            if made < MAX_HISTOGRAMS and (len(of_kept) or np.ptp(rejected) > 0):
                made += 1
                yield histogram(view.label, name, rejected, of_kept, sorted(sample.thresholds))


def signal_of(rule: str) -> str:
    """The signal that a rule of the ledger ("step/min_words") speaks of."""
    return rule.rsplit("/", 1)[-1].removeprefix("min_").removeprefix("max_")


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
    """From the 1st percentile of either side to the 99th of either, with the thresholds well inside.

    One bin begins at the (first) threshold, so that no bin mixes the two sides. Logarithmic over two decades or more.
    """
    ends = [float(end) for part in (rejected, kept) if len(part) for end in np.quantile(part, [0.01, 0.99])]
    low, high = min(*ends, *thresholds), max(*ends, *thresholds)
    is_log = low > 0 and high / low > 100
    low, high, at = (math.log(value) if is_log else value for value in (low, high, thresholds[0]))
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - abs(low) / 2 - 0.5, high + abs(high) / 2 + 0.5
    step = (high - low) / (BINS - 3)
    edges = at + step * (np.arange(BINS + 1, dtype=np.float64) - math.ceil((at - low) / step + 0.5))
    if is_log:
        np.exp(edges, out=edges)
    return edges


def five_numbers(values: Floats) -> tuple[str, ...]:
    return (f"{len(values):,}", *(short(float(value)) for value in np.quantile(values, [0, 0.05, 0.5, 0.95, 1])))


def languages(pools: Sequence[Pool]) -> tuple[Figure, ...]:
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


def stage_cost(seen: Sequence[View]) -> list[Figure]:
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


def rejected_samples(seen: Sequence[View]) -> Iterator[Samples]:
    made = 0
    for view in seen:
        for name, sample in view.rules[: MAX_SAMPLED_RULES - made]:
            made += 1
            items = tuple(
                Sample(
                    cut(str(row["url"] or "(no address)")),
                    "" if row["value"] is None else f"value {short(row['value'])}"
                    + ("" if row["threshold"] is None else f", threshold {short(row['threshold'])}"),
                )
                for row in sample.rows
            )  # fmt: skip
            yield Samples(f"{view.label} / {name}", items)


def kept_pages(pools: Sequence[Pool]) -> Iterator[Samples]:
    done: set[str] = set()
    for pool in pools:
        last = next((d for d in reversed(pool.datasets) if d.kind is Kind.DOCUMENTS), None)
        if last is None or str(last.folder) in done:
            continue
        done.add(str(last.folder))
        items = []
        for row in kept_samples(last):
            text = row["text"] or ""
            facts = [row["title"] or "", row["language"] or "", f"{row['token_count'] or 0:,} tokens"]
            ended = text if len(text) <= SAMPLE_CHARS else text[:SAMPLE_CHARS] + "…"
            items.append(Sample(cut(str(row["url"] or row["id"] or "")), cut(" · ".join(filter(None, facts))), ended))
        if items:
            yield Samples(pool.label, tuple(items))
