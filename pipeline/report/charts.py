"""Charts as inline SVG, made by small pure functions: numbers and labels in, one string out.

A chart is 360 units wide, so that its text can be read on a phone without zooming; wider screens put several side by
side. Labels come from the web and from file names: they are escaped here, and cut to fit. Colours are classes (`s0`,
`s1`, ...) to which the page, or the stand-alone picture, gives values for light and dark.
"""

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

WIDTH = 360
LETTER = 7.5  # of a label, at most
SIZE = 11
GAP = 28
SERIES = 8
DASHES = ("", "5 3", "1.5 2.5", "8 3 2 3")
UNITS = ("docs", "chars", "tokens")
UNIT_NAMES = ("documents", "characters", "tokens")

# Colours that keep a contrast of 3 to 1 or more against both backgrounds (WCAG 2.1, 1.4.11), for pages and pictures.
COLOURS = """
:root{color-scheme:light dark;--page:#fff;--ink:#1c2127;--dim:#59636e;--line:#d5dae0;--track:#eceff2;--box:#f6f7f9;
--c0:#2563b0;--c1:#12826c;--c2:#b26a00;--c3:#a8338a;--c4:#6a51c7;--c5:#c0392b;--c6:#4d7a1f;--c7:#5b6770}
@media (prefers-color-scheme:dark){:root{--page:#14171b;--ink:#e4e7eb;--dim:#9ba5b0;--line:#353c45;--track:#262c33;
--box:#1c2026;--c0:#6ea8f0;--c1:#46c3a6;--c2:#e5a947;--c3:#e685cb;--c4:#a596f2;--c5:#f0837a;--c6:#9ccb62;--c7:#a9b4bf}}
"""
MARKS = (
    "svg text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--ink)}"
    "svg .dim{fill:var(--dim)}svg .head{font-size:14px;font-weight:600}svg .track{fill:var(--track)}"
    "svg .grid{stroke:var(--line);stroke-width:1}svg .mark{stroke:var(--ink);stroke-width:1.5}"
    + "".join(f"svg .s{i}{{fill:var(--c{i})}}svg .l{i}{{stroke:var(--c{i});fill:none}}" for i in range(SERIES))
)


@dataclass(frozen=True)
class Bar:
    """A labelled row of bars, one for each series: lengths from 0 to 1. `mark`: the position of a target."""

    label: str
    note: str
    lengths: tuple[float, ...]
    mark: float | None = None


@dataclass(frozen=True)
class Line:
    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Ribbon:
    """An area between two curves, behind the lines: (x, low, high) of each point. `colour`: that of the line so
    numbered."""

    points: tuple[tuple[float, float, float], ...]
    colour: int


@dataclass(frozen=True)
class Whisker:
    """A ratio, and its interval where there is one."""

    label: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class FunnelChart:
    """Rows of {stage, step, docs, chars, tokens} after each step. `docs`: the number of input documents."""

    label: str
    docs: int
    rows: tuple[Mapping[str, Any], ...]

    def bases(self) -> tuple[int, int, int]:
        """The 100 % of each unit: the input documents; of text, the amount when it was first counted."""
        chars, tokens = (next((row[unit] for row in self.rows if row[unit]), 0) for unit in ("chars", "tokens"))
        return self.docs or max((row["docs"] for row in self.rows), default=0), chars, tokens

    def took(self) -> list[bool]:
        """Of each row, whether its step took documents, or changed the text that it got, or gave the first text."""
        found, before = [], {"docs": self.bases()[0], "chars": 0, "tokens": 0}
        for row in self.rows:
            found.append(any(row[unit] != before[unit] for unit in UNITS))
            before = dict(row)
        return found

    def idle(self) -> list[str]:
        """The names of the steps that took nothing."""
        return [step_name(row) for row, took in zip(self.rows, self.took(), strict=True) if not took]

    def bars(self) -> list[Bar]:
        """Of the steps that took something."""
        bases = self.bases()
        bars = []
        for row, took in zip(self.rows, self.took(), strict=True):
            if not took:
                continue
            shares = tuple(row[unit] / base if base else 0.0 for unit, base in zip(UNITS, bases, strict=True))
            bars.append(Bar(step_name(row), f"{row['docs']:,} docs · {percent(shares[0])}", shares))
        return bars


def step_name(row: Mapping[str, Any]) -> str:
    return str(row["step"]) if row["stage"] == row["step"] else f"{row['stage']} / {row['step']}"


def percent(share: float) -> str:
    """Formats a share with just enough digits to tell small shares apart."""
    value = 100 * share
    if value and value < 0.01:
        return "< 0.01\u00a0%"
    return f"{value:.2f}\u00a0%" if 0 < value < 1 else f"{value:.1f}\u00a0%"


def short(value: float) -> str:
    """Formats a number for an axis or a label: 1.2M, 34k, 0.015."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = 1e3 if unit == "k" else size
            return f"{value / scale:.3g}{unit}"
    return f"{value:.4g}"


def fit(text: str, room: float, size: float = SIZE) -> str:
    """`text` on one line, cut with an ellipsis to about `room` units. Wide characters count double."""
    text = " ".join(text[:500].split())
    width, most = 0.0, room / (size * 0.55)
    for index, char in enumerate(text):
        width += 1.9 if unicodedata.east_asian_width(char) in "WF" else 1.0
        if width > most:
            return text[: max(index - 1, 1)].rstrip() + "…"
    return text


def svg(title: str, about: str, height: float, body: Iterable[str], width: float = WIDTH, style: str = "") -> str:
    head = f"<title>{escape(title)}</title><desc>{escape(about)}</desc>"
    size = f'width="{_n(width)}" height="{_n(height)}" ' if style else ""
    root = f'<svg xmlns="http://www.w3.org/2000/svg" {size}viewBox="0 0 {_n(width)} {_n(height)}" role="img">'
    return root + head + (f"<style>{style}</style>" if style else "") + "".join(body) + "</svg>"


class Drawing(NamedTuple):
    """A chart that stands in a report or alone. `about`: what it says in words."""

    title: str
    about: str
    height: float
    body: Sequence[str]

    def in_page(self) -> str:
        """For a page that has the colours."""
        return svg(self.title, self.about, self.height, self.body)

    def alone(self) -> str:
        """A stand-alone picture, with its own colours and background."""
        pad, width, height = GAP / 2, WIDTH + GAP, self.height + GAP
        ground = f'<rect width="{_n(width)}" height="{_n(height)}" style="fill:var(--page)"/>'
        whole = [ground, f'<g transform="translate({_n(pad)} {_n(pad)})">', *self.body, "</g>"]
        return svg(self.title, self.about, height, whole, width, COLOURS + MARKS)


def bars_svg(title: str, about: str, bars: Sequence[Bar], series: Sequence[str] = ()) -> str:
    """Rows of horizontal bars under their labels; a legend when there are several series."""
    top = 20 if series else 2
    return svg(title, about, top + _bars_height(bars), [*_legend(series, 0), *_bars(bars, top)])


def log_bars_svg(title: str, about: str, bars: Sequence[Bar], series: Sequence[str]) -> str:
    """Shares on a logarithmic axis that ends at 1 and begins a power of ten below the least of them (at most six)."""
    least = min((length for bar in bars for length in bar.lengths if length > 0), default=1.0)
    decades = min(max(1, math.ceil(-math.log10(least) + 1e-9)), 6)
    top = 20.0
    bottom = top + _bars_height(bars)
    body = list(_legend(series, 0))
    lengths = [tuple(1 + math.log10(n) / decades if n > 0 else 0.0 for n in bar.lengths) for bar in bars]
    body += _bars([Bar(bar.label, bar.note, length) for bar, length in zip(bars, lengths, strict=True)], top)
    for power in range(decades + 1):
        at = WIDTH * power / decades
        body.append(_line(at, bottom - 3, at, bottom + 1, "mark"))
        body.append(_text(at, bottom + 13, percent(10.0 ** (power - decades)), "dim", _anchor(at)))
    return svg(title, about, bottom + 18, body)


def funnel_svg(funnels: Sequence[FunnelChart], title: str = "What remains after each step") -> str:
    """Funnels side by side, a panel each, as a stand-alone picture with its own colours and background."""
    panels = [funnel.bars() for funnel in funnels]
    pad = GAP / 2
    height = 44 + max((_bars_height(panel) for panel in panels), default=0) + 2 * pad
    width = max(len(panels), 1) * (WIDTH + GAP)
    body = [f'<rect width="{_n(width)}" height="{_n(height)}" style="fill:var(--page)"/>']
    for index, (funnel, panel) in enumerate(zip(funnels, panels, strict=True)):
        body.append(f'<g transform="translate({_n(pad + index * (WIDTH + GAP))} {_n(pad)})">')
        body.append(_text(0, 14, fit(funnel.label, WIDTH, 14), "head"))
        body += [*_legend(UNIT_NAMES, 22), *_bars(panel, 44), "</g>"]
    about = "; ".join(f"{f.label}: {f.rows[-1]['docs']:,} of {f.bases()[0]:,} documents" for f in funnels if f.rows)
    return svg(title, about, height, body, width, COLOURS + MARKS)


def whiskers_svg(title: str, about: str, rows: Sequence[Whisker]) -> str:
    """Ratios on a logarithmic axis, dots with their intervals, and a line at 1. Zero is drawn at the left edge."""
    positive = [v for row in rows for v in (row.value, row.low, row.high) if v]
    low = math.floor(math.log10(min([*positive, 0.5])))
    high = math.ceil(math.log10(max([*positive, 2.0])))
    left, right = 8.0, WIDTH - 8.0

    def x(value: float) -> float:
        return left + (right - left) * (math.log10(value) - low) / (high - low) if value > 0 else left

    height = 30 * len(rows) + 22
    body = []
    for power in range(low, high + 1):
        at, is_one = x(10.0**power), power == 0
        body.append(_line(at, 2, at, height - 18, "mark" if is_one else "grid", "3 3" if is_one else ""))
        body.append(
            _text(at, height - 5, f"{10.0**power:g}", "dim", "middle" if low < power < high else _end(power > low))
        )
    for index, row in enumerate(rows):
        base = 30 * index + 22
        interval = "" if row.low is None or row.high is None else f" ({row.low:.3g} to {row.high:.3g})"
        note = f"{row.value:.3g}{interval}"
        body.append(_halo(0, base - 9, fit(row.label, WIDTH - 8 - 6 * len(note))))
        body.append(_halo(WIDTH, base - 9, note, "end"))
        if row.low is not None and row.high is not None:
            body.append(f'<path class="l0" stroke-width="2" d="M{_n(x(row.low))} {base}H{_n(x(row.high))}"/>')
            ends = "".join(f"M{_n(x(end))} {base - 4}v8" for end in (row.low, row.high))
            body.append(f'<path class="l0" stroke-width="2" d="{ends}"/>')
        body.append(f'<circle class="s0" cx="{_n(x(row.value))}" cy="{base}" r="4"/>')
    return svg(title, about, height, body)


def histogram_svg(
    title: str, about: str, edges: Sequence[float], rejected: Sequence[int], kept: Sequence[int], at: Sequence[float]
) -> str:
    """Rejected values above the axis, kept ones (if any) below it; thresholds as lines, with a number where it does not
    overlap one before it. Each side is drawn in shares of its own number, both on one scale, so that columns of equal
    height are equal shares.

    `edges` are even on the page, whatever their distances, so a logarithmic binning gives a logarithmic axis.
    """
    half, top = 48.0, 36.0
    middle = top + half
    has_kept = any(kept)
    bottom = middle + (half if has_kept else 0)
    step = WIDTH / (len(edges) - 1)
    names = [f"{sum(rejected):,} rejected", *([f"{sum(kept):,} kept"] if has_kept else [])]
    sides = [[count / max(sum(counts), 1) for count in counts] for counts in (rejected, kept)]
    most = max(max(side, default=0.0) for side in sides) or 1.0
    body = [*_legend(names, 0, (5, 1)), _columns(sides[0], most, step, middle, -half, "s5")]
    if has_kept:
        body.append(_columns(sides[1], most, step, middle, half, "s1"))
    body.append(_line(0, middle, WIDTH, middle, "grid"))
    free = -math.inf  # from here on a label overlaps none before it
    for value in at:
        place, label = step * position(edges, value), short(value)
        body.append(_line(place, top - 4, place, bottom, "mark", "4 2"))
        width = LETTER * len(label)
        begin = place - {"start": 0, "middle": 0.5, "end": 1}[_anchor(place)] * width
        if begin >= free:
            body.append(_halo(place, top - 7, label, _anchor(place)))
            free = begin + width
    for value in _axis(edges):
        place = step * position(edges, value)
        body.append(_text(place, bottom + 14, short(value), "dim", _anchor(place)))
    return svg(title, about, bottom + 20, body)


def lines_drawing(
    title: str,
    about: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    marks: Sequence[tuple[float, str]] = (),
    ribbons: Sequence[Ribbon] = (),
) -> Drawing:
    """Curves over a common axis, distinguished by colour and dash; `marks` are vertical lines with a label each."""
    points = [point for line in lines for point in line.points]
    points += [(x, y) for ribbon in ribbons for x, *ends in ribbon.points for y in ends]
    x_low, x_high = _range(p[0] for p in points)
    y_ticks = ticks(*_range(p[1] for p in points))
    y_low, y_high = y_ticks[0], y_ticks[-1]
    left, top, right, bottom = 46.0, 22.0, WIDTH - 6.0, 190.0

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across = (point[0] - x_low) / (x_high - x_low)
        up = (point[1] - y_low) / (y_high - y_low)
        return left + across * (right - left), bottom - up * (bottom - top)

    body = [_text(0, 11, y_label, "dim")]
    for tick in y_ticks:
        _, y = place((x_low, tick))
        body += [_line(left, y, right, y, "grid"), _text(left - 5, y + 4, short(tick), "dim", "end")]
    for tick in ticks(x_low, x_high):
        if x_low <= tick <= x_high:
            x, _ = place((tick, y_low))
            body.append(_text(x, bottom + 15, short(tick), "dim", _anchor(x)))
    body.append(_text(right, bottom + 30, x_label, "dim", "end"))
    for ribbon in ribbons:
        edge = [(x, low) for x, low, _ in ribbon.points] + [(x, high) for x, _, high in reversed(ribbon.points)]
        way = "L".join(f"{_n(x)} {_n(y)}" for x, y in map(place, edge))
        body.append(f'<path class="s{ribbon.colour % SERIES}" style="opacity:.15" d="M{way}z"/>')
    for at, word in marks:
        x, _ = place((at, y_low))
        body += [_line(x, top, x, bottom, "mark", "2 3"), _halo(x, top - 3, fit(word, 150), _anchor(x))]
    for index, line in enumerate(lines):
        way = "L".join(f"{_n(x)} {_n(y)}" for x, y in map(place, line.points))
        body.append(f'<path {_stroke(index)} d="M{way}"/>')
        y = bottom + 46 + 16 * index
        body.append(f'<path {_stroke(index)} d="M0 {_n(y - 4)}h26"/>')
        body.append(_text(32, y, fit(line.label, WIDTH - 32)))
    return Drawing(title, about, bottom + 42 + 16 * len(lines), body)


def _axis(edges: Sequence[float]) -> list[float]:
    """Round values among even edges; powers of ten among edges that grow by a factor."""
    if edges[0] > 0 and edges[-1] - edges[-2] > 1.01 * (edges[1] - edges[0]):
        powers = range(math.ceil(math.log10(edges[0])), math.floor(math.log10(edges[-1])) + 1)
        return [10.0**power for power in powers[:: math.ceil(len(powers) / 6) or 1]]
    return [tick for tick in ticks(edges[0], edges[-1], 4) if edges[0] <= tick <= edges[-1]]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from at or below `low` to at or above `high`."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 12) for index in range(first, last + 1)]


def position(edges: Sequence[float], value: float) -> float:
    """The position of `value` among the edges, in bins from the left: linear within a bin, clamped to the ends."""
    for index in range(len(edges) - 1):
        if value < edges[index + 1]:
            width = edges[index + 1] - edges[index]
            return index + max(0.0, (value - edges[index]) / width)
    return float(len(edges) - 1)


def _bars_height(bars: Sequence[Bar]) -> float:
    return sum(22 + _thickness(bar) * len(bar.lengths) for bar in bars)


def _thickness(bar: Bar) -> float:
    return 10 if len(bar.lengths) == 1 else 6


def _bars(bars: Sequence[Bar], top: float) -> list[str]:
    body, y = [], top
    for bar in bars:
        thick = _thickness(bar)
        room = WIDTH - 6.2 * len(bar.note) - 8
        body += [_text(0, y + 11, fit(bar.label, room)), _text(WIDTH, y + 11, bar.note, "dim", "end")]
        y += 15
        for index, length in enumerate(bar.lengths):
            body.append(_rect(0, y, WIDTH, thick - 1, "track"))
            if length > 0:
                body.append(_rect(0, y, max(1.0, WIDTH * min(length, 1.0)), thick - 1, f"s{index % SERIES}"))
            y += thick
        if bar.mark is not None:
            at = min(max(WIDTH * bar.mark, 1.0), WIDTH - 1.0)
            body.append(_line(at, y - thick * len(bar.lengths) - 1.5, at, y + 1.5, "mark"))
        y += 7
    return body


def _legend(series: Sequence[str], top: float, colours: Sequence[int] = range(SERIES)) -> list[str]:
    body, x = [], 0.0
    for colour, name in zip(colours, series):
        body += [_rect(x, top + 3, 9, 9, f"s{colour}"), _text(x + 13, top + 11, name, "dim")]
        x += 13 + 6.4 * len(name) + 12
    return body


def _columns(shares: Sequence[float], most: float, step: float, base: float, reach: float, colour: str) -> str:
    """Columns in which the share `most` has the height `reach`."""
    way = [
        f"M{_n(step * index + 0.5)} {_n(base)}v{_n(reach * max(share / most, 0.02))}h{_n(step - 1)}V{_n(base)}z"
        for index, share in enumerate(shares)
        if share
    ]
    return f'<path class="{colour}" d="{"".join(way)}"/>' if way else ""


def _range(values: Iterable[float]) -> tuple[float, float]:
    found = list(values) or [0.0]
    low, high = min(found), max(found)
    return (low, high) if high > low else (low - abs(low) / 2 - 0.5, high + abs(high) / 2 + 0.5)


def _n(value: float) -> str:
    """Formats a coordinate to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect class="{colour}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"/>'


def _line(x: float, y: float, to_x: float, to_y: float, kind: str, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line class="{kind}" x1="{_n(x)}" y1="{_n(y)}" x2="{_n(to_x)}" y2="{_n(to_y)}"{dashed}/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    words = f' class="{kind}"' if kind else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{_n(x)}" y="{_n(y)}"{words}{side}>{escape(text)}</text>'


def _halo(x: float, y: float, text: str, anchor: str = "start") -> str:
    """Text over a drawing: outlined in the page's colour so that lines behind it do not cut it."""
    halo = 'style="paint-order:stroke;stroke:var(--page);stroke-width:3px"'
    return _text(x, y, text, "", anchor).replace("<text ", f"<text {halo} ", 1)


def _anchor(x: float) -> str:
    return "start" if x < WIDTH * 0.15 else "end" if x > WIDTH * 0.85 else "middle"


def _end(is_last: bool) -> str:
    return "end" if is_last else "start"


def _stroke(index: int) -> str:
    dash = DASHES[index % len(DASHES)]
    return f'class="l{index % SERIES}" stroke-width="1.8"' + (f' stroke-dasharray="{dash}"' if dash else "")
