"""The parts of a report about a mixture, and about models on held-out text: shares, bits per byte."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mixers.domains import DOMAINS, Axis
from mixers.draw import group_name
from mixers.grades import UNGRADED
from mixers.supply import ANY_LANGUAGE
from mixers.told import COLUMNS, draw_lines, target_rows
from pipeline.report.charts import Bar, bars_svg, percent
from pipeline.report.grid_picture import grid_drawing
from pipeline.report.parts import Figure, Section, Table, clipped, spell
from pipeline.report.read import Evaluation, MetricGrid, Mixture
from pipeline.report.values import mapping_or_empty, number


def mixtures(found: Sequence[Mixture]) -> Section:
    figures, lines = [], []
    for mixture in found:
        config = mixture.plan.get("config", {})
        for kind in ("axis", "language", "domain", "source"):
            figures += share_figure(mixture, kind, config)
        figures.append(Figure(f"{mixture.label}: asked for and drawn", target_table(mixture)))
        figures.append(Figure(f"{mixture.label}: groups", group_table(mixture), folded=True))
        lines += mixture_words(mixture)
    about = "Shares of tokens as trained on, repeats included; the mark is the target, or else the floor."
    return Section("mixture", "The mixture", about, tuple(figures), lines=tuple(lines))


def share_figure(mixture: Mixture, kind: str, config: Mapping[str, Any]) -> list[Figure]:
    """Bars of the shares by kind; a requested group that is absent has a bar of length 0."""
    of_kind: Mapping[str, Sequence[str]] = {"axis": list(Axis), "domain": DOMAINS}
    asked = config.get("language_targets" if kind == "language" else "targets", {})
    missing = [str(name) for name in (asked if kind == "language" else of_kind.get(kind, ())) if name in asked]
    shares = dict.fromkeys(sorted(missing), 0.0) | shares_of(mixture, kind)
    shares = dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
    if not shares:
        return []
    names = [("target", "targets"), ("at least", "min_share"), ("at most", "max_share")]
    if kind == "source":
        names = [("at least", "min_source_share"), ("at most", "max_source_share")]
    if kind == "language":
        names = [("target", "language_targets"), ("at least", "min_language_share"), ("at most", "max_language_share")]
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
        (name_of(group), *(spell(number(group.get(key))) for key in keys)) for group in mixture.plan.get("groups", ())
    ]
    return Table(("group", "documents", "tokens", "epochs", "drawn documents", "tokens with repeats"), clipped(rows))


def name_of(group: Mapping[str, Any]) -> str:
    """Source, language where it is kept apart, domain, and grade; of earlier versions source and domain."""
    cell = (str(group.get("source")), str(group.get("language", ANY_LANGUAGE)), str(group.get("domain")))
    return group_name(cell, int(group.get("grade", UNGRADED)))


def target_table(mixture: Mixture) -> Table:
    return Table(COLUMNS, clipped([tuple(row[name] for name in COLUMNS) for row in target_rows(mixture.plan)]), 2)


def mixture_words(mixture: Mixture) -> list[str]:
    return [f"{mixture.label}: {line}." for line in draw_lines(mixture.plan)]


def grids(found: Sequence[MetricGrid]) -> Section:
    """Each grid as its picture, with its numbers, and the relation of distance and bits per byte in lines."""
    figures = tuple(Figure(one.label, grid_table(one.body), grid_drawing(one.body).in_page()) for one in found)
    lines = tuple(line for one in found for line in grid_lines(one))
    about = "Of each held-out distribution, with 95 % intervals; rings are of text that was trained on too."
    return Section("grid", "The grid of distributions", about, figures, lines=lines)


def grid_table(body: Mapping[str, Any]) -> Table:
    keys = ("bits_per_byte", "low", "high", "over_xz", "cross_entropy", "distance", "contaminated")
    rows = [
        (name, str(row.get("axis", "")), *(spell(number(row.get(key))) for key in keys))
        for name, row in sorted(body["cells"].items(), key=lambda each: each[1]["bits_per_byte"])
    ]
    names = ("bits per byte", "low", "high", "over xz", "cross-entropy", "distance", "trained on")
    return Table(("distribution", "axis", *names), clipped(rows), numeric=2)


def grid_lines(one: MetricGrid) -> Iterator[str]:
    for axis, group in sorted(mapping_or_empty(one.body.get("axes")).items()):
        bits = number(mapping_or_empty(group).get("bits_per_byte"))
        if bits is not None:
            yield f"{one.label}: {axis} {bits:.3f} bits per byte, the mean of {group.get('cells')} distributions."
    for name, found in sorted(mapping_or_empty(one.body.get("relations")).items()):
        r2, error = (number(mapping_or_empty(found).get(key)) for key in ("r2", "error"))
        if r2 is not None and error is not None:
            yield f"{one.label}: {name.replace('_', ' ')}, R2 {r2:.2f}, off by {error:.3f} on a distribution left out."


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
