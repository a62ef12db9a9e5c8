"""The parts of a report that compare recipes: ratios, overlap, recall of gold pages, audit samples, cost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.compare.gold import shares
from pipeline.report.charts import UNIT_NAMES, UNITS, Bar, Whisker, bars_svg, percent, whiskers_svg
from pipeline.report.parts import Figure, Table, clipped, seconds, spell
from pipeline.report.read import Comparison, PoolOutcome
from pipeline.report.values import number
from pipeline.stages.audit import audit_text, strictness_text
from pipeline.stages.counts import most_first

TOP_RULES = 5
ALL = "all"


def ratios(comparisons: Sequence[Comparison]) -> tuple[Figure, ...]:
    """Documents and tokens of all languages, then of each large language."""
    figures = []
    for comparison in comparisons:
        rows = sorted(ratio_rows(comparison))
        for language in dict.fromkeys([ALL, *(language for language, _, _, _ in rows)]):
            mine = [(name, other, numbers) for tag, name, other, numbers in rows if tag == language]
            place = f"{comparison.label}, " + ("all languages" if language == ALL else f"language {language}")
            figures += [ratio_figure(unit, mine, place) for unit in ("docs", "tokens") if mine]
    return tuple(figures)


def ratio_rows(comparison: Comparison) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """(language, recipe, other recipe, numbers)."""
    for name, others in comparison.ratio.items():
        for other, whole in others.items():
            yield ALL, name, other, whole
            for language, numbers in whole.get("by_language", {}).items():
                yield language, name, other, numbers


def ratio_figure(unit: str, rows: Sequence[tuple[str, str, Mapping[str, Any]]], place: str) -> Figure:
    """The chart has of a pair and its inverse the one below 1; the table has both."""
    whiskers, cells = [], []
    back = {(other, name): number(numbers.get(unit)) for name, other, numbers in rows}
    for name, other, numbers in rows:
        value, low, high = number(numbers.get(unit)), *interval_of(numbers.get(f"{unit}_interval"))
        cells.append(
            (
                f"{name} / {other}",
                *(spell(number(numbers.get(each))) for each in UNITS),
                "" if low is None else f"{spell(low)} to {spell(high)}",
            )
        )
        theirs = back.get((name, other))
        if value is not None and (value < 1 or theirs is None or (value == 1 and name < other)):
            whiskers.append(Whisker(f"{name} / {other}", value, low, high))
    name = dict(zip(UNITS, UNIT_NAMES, strict=True))[unit]
    about = "; ".join(f"{w.label}: {w.value:.3g}" for w in whiskers)
    svg = whiskers_svg(f"Ratios of {name}", about, whiskers) if whiskers else ""
    return Figure(name, Table(("ratio", *UNIT_NAMES, f"95 % of {name}"), clipped(cells)), svg, place=place)


def interval_of(found: Any) -> tuple[float | None, float | None]:
    if not isinstance(found, list | tuple) or len(found) != 2:
        return None, None
    return number(found[0]), number(found[1])


def overlaps(comparisons: Sequence[Comparison]) -> tuple[Figure, ...]:
    """A matrix of what each recipe keeps that each other rejects, and the steps and rules that reject it."""
    figures = []
    for comparison in comparisons:
        if not comparison.overlap:
            continue
        names = sorted(comparison.overlap)
        matrix, by_what = [], []
        for name in names:
            pairs = comparison.overlap[name]
            matrix.append((name, *(only_of(pairs.get(other)) for other in names)))
            for other, pair in sorted(pairs.items()):
                if pair.get("only"):
                    reasons = (most_of(pair.get(by, {})) for by in ("steps", "rejected_by"))
                    by_what.append((f"{name}, not {other}", f"{pair['only']:,}", *reasons))
        figures.append(Figure(f"{comparison.label}: kept by the row, rejected by the column",
                              Table(("", *names), clipped(matrix))))  # fmt: skip
        columns = ("kept, rejected by", "documents", "steps that reject them", "rules that reject most of them")
        figures.append(Figure(f"{comparison.label}: by what", Table(columns, clipped(by_what), numeric=4)))
    return tuple(figure for figure in figures if figure.table.rows)


def only_of(pair: Mapping[str, Any] | None) -> str:
    if pair is None:
        return "·"
    only, both = pair.get("only", 0), pair.get("both", 0)
    return f"{only:,}" + (f" ({percent(only / (only + both))})" if only else "")


def most_of(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in list(most_first(counts).items())[:TOP_RULES])


def gold_recall(comparisons: Sequence[Comparison]) -> tuple[Figure, ...]:
    """Shares kept of the pages with a long true text, and of the rest: over all pages, then by group."""
    figures = []
    for comparison in comparisons:
        rows = comparison.gold.get("rows", ())
        if not rows:
            continue
        words = f"{comparison.gold.get('long_words')} words or more"
        names = sorted(rows[0]["kept"])
        series = ("long", "rest")
        bars = [kept_bar(rows[0], name) for name in names]
        about = "; ".join(f"{bar.label}: {bar.note}" for bar in bars)
        svg = bars_svg(f"Share kept of long pages and of the rest: {comparison.label}", about, bars, series)
        whole = Table(("recipe", *series), tuple((bar.label, *map(percent, bar.lengths)) for bar in bars))
        pages = rows[0]["pages"]
        note = (
            f"Long: {pages['long']:,} pages whose true text has {words}. The rest: {pages['short']:,} with a shorter "
            f"one, {pages['no_gold']:,} without one."
        )
        figures.append(Figure(comparison.label, whole, svg, note))
        columns = ("group", "long", "rest", *(f"{name}: {word}" for name in names for word in series))
        groups = [(f"{row['by']}: {row['group']}", *pages_of(row), *shares_of(row, names)) for row in rows[1:]]
        if groups:
            figures.append(Figure(f"{comparison.label}: by group", Table(columns, clipped(groups)), folded=True))
    return tuple(figures)


def kept_bar(row: Mapping[str, Any], name: str) -> Bar:
    long, rest = (share or 0.0 for share in shares(row, name))
    return Bar(name, f"{percent(long)} · {percent(rest)}", (long, rest))


def pages_of(row: Mapping[str, Any]) -> tuple[str, str]:
    pages = row["pages"]
    return f"{pages['long']:,}", f"{pages['short'] + pages['no_gold']:,}"


def shares_of(row: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield from ("" if share is None else percent(share) for share in shares(row, name))


def audit_lines(pools: Sequence[PoolOutcome]) -> Iterator[str]:
    for pool in pools:
        if pool.audit:
            yield f"{pool.label}, {audit_text(pool.audit)}."
        if pool.strictness:
            yield f"{pool.label}, {strictness_text(pool.strictness)}."
        yield from (f"{pool.label}, {note}." for note in pool.notes)


def recipe_cost(comparisons: Sequence[Comparison]) -> list[Figure]:
    figures = []
    for comparison in comparisons:
        rows = []
        for name, took in sorted(comparison.cost.items()):
            wall, cpu, speed = (number(took.get(key)) for key in ("seconds", "cpu_seconds", "documents_per_cpu_second"))
            rows.append((name, seconds(wall), seconds(cpu), "" if speed is None else f"{speed:,.1f}"))
        if rows:
            columns = ("recipe", "seconds", "CPU seconds", "documents per CPU second")
            note = "Stages that recipes share were made once and are counted to each of them in full."
            figures.append(Figure(comparison.label, Table(columns, clipped(rows)), note=note))
    return figures
