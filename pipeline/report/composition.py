"""The parts of a report about what a run changed: its documents by IQ and EQ, domain, language and host, before and
after, and the share of each that was kept.

Before: the first dataset of documents of a run that has the label; after: the last one. Hosts are counted in the first
rows of both.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from infra.dataset.manifest import Kind
from infra.dataset.reader import Dataset
from mixers.domains import AXIS_OF
from pipeline.inputs.hosts import host_of
from pipeline.job.intervals import wilson
from pipeline.report.charts import Bar, bars_svg, percent
from pipeline.report.parts import Figure, Table, clipped
from pipeline.report.read import PoolOutcome
from pipeline.report.rows import MAX_ROWS, first_values

MOST_BARS = 12
MOST_ROWS = 60


def before_and_after(pools: Sequence[PoolOutcome]) -> Iterator[Figure]:
    for pool in pools:
        documents = [dataset for dataset in pool.datasets if dataset.kind is Kind.DOCUMENTS]
        if len(documents) < 2:
            continue
        last = documents[-1]
        for kind, of in (("IQ and EQ", axes), ("domain", domains), ("language", languages)):
            first = next((dataset for dataset in documents[:-1] if of(dataset)), None)
            if first is not None:
                yield from compared(pool.label, kind, of(first), of(last), first.manifest.stage)
        yield from compared(pool.label, "host", hosts(documents[0]), hosts(last), documents[0].manifest.stage)


def languages(dataset: Dataset) -> Mapping[str, int]:
    return _docs(dataset.manifest.languages)


def domains(dataset: Dataset) -> Mapping[str, int]:
    return _docs(dataset.manifest.domains)


def axes(dataset: Dataset) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for name, count in domains(dataset).items():
        if name in AXIS_OF:
            found[str(AXIS_OF[name])] += count
    return found


def _docs(groups: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {str(name): numbers.get("docs", 0) for name, numbers in groups.items()}


def hosts(dataset: Dataset) -> Mapping[str, int]:
    found = Counter(host_of(url) for url in first_values(dataset, "url", MAX_ROWS))
    found.pop("", None)
    return found


def compared(
    label: str, kind: str, before: Mapping[str, int], after: Mapping[str, int], stage: str
) -> Iterator[Figure]:
    """Shares of both, on one scale, the largest before first. Nothing where there is nothing to compare."""
    sums = sum(before.values()), sum(after.values())
    if not all(sums):
        return
    names = sorted({*before, *after}, key=lambda name: (-before.get(name, 0), -after.get(name, 0), name))
    rows, bars = [], []
    shares = {name: (before.get(name, 0) / sums[0], after.get(name, 0) / sums[1]) for name in names}
    most = max(max(pair) for pair in shares.values())
    for name in names[:MOST_ROWS]:
        was, now = before.get(name, 0), after.get(name, 0)
        rows.append((name, f"{was:,}", percent(shares[name][0]), f"{now:,}", percent(shares[name][1]), *kept(now, was)))
    # the bars are those that are large on either side
    shown = sorted(names, key=lambda name: (-max(shares[name]), name))[:MOST_BARS]
    for name in shown:
        note = " → ".join(map(percent, shares[name]))
        bars.append(Bar(name, note, tuple(share / most for share in shares[name])))
    about = "; ".join(f"{bar.label}: {bar.note}" for bar in bars)
    columns = (kind, "before", "%", "after", "%", "kept", "95 %")
    note = f"Before: after the stage {stage}, {sums[0]:,} documents; after: {sums[1]:,}."
    note += f" {len(before):,} hosts before, {len(after):,} after." if kind == "host" else ""
    svg = bars_svg(f"{label} by {kind}", about, bars, ("before", "after"))
    yield Figure(f"{label}: by {kind}", Table(columns, clipped(rows)), svg, note)


def kept(hits: int, trials: int) -> tuple[str, str]:
    """The share kept and its interval; none where a later label makes more of a kind than there were."""
    if not trials or hits > trials:
        return "", ""
    return percent(hits / trials), span(hits, trials)


def span(hits: int, trials: int) -> str:
    """The 95 % interval of a share (Wilson)."""
    low, high = wilson(hits, trials)
    return f"{percent(low)} to {percent(high)}"
