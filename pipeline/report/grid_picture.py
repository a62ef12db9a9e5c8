"""A grid of distributions as a picture, alone or in a report: bits per byte against the distance from the training
text, with the fitted line, a band as wide as what the line is off on a distribution left out, and below it each
distribution with its interval. Colours are the axes: IQ, EQ, general; rings are distributions of which the training
text has documents.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import product
from typing import Any

from pipeline.report.charts import WIDTH, Drawing, fit, short, ticks

LEFT, RIGHT = 38.0, WIDTH - 8.0
TOP, BOTTOM = 44.0, 284.0
ROW = 15.0
COLOUR = {"IQ": 0, "EQ": 3, "general": 7}
RELATION = "bits_per_byte from cross_entropy"
TITLE = "Bits per byte by distribution"

Row = tuple[str, Mapping[str, Any]]
Place = Callable[[float], float]


def grid_drawing(answer: Mapping[str, Any]) -> Drawing:
    """The answer of `evaluate_grid`. Without a training text there is the list alone."""
    rows = sorted(answer["cells"].items(), key=lambda each: (each[1]["bits_per_byte"], each[0]))
    scatter = _scatter(rows, answer) if answer["training"] else []
    top = BOTTOM + 44 if scatter else TOP
    about = "; ".join(f"{name}: {row['bits_per_byte']:.3f}" for name, row in rows)
    body = [_text(0, 14, TITLE, "head"), *_legend(), *scatter, *_list(rows, top)]
    return Drawing(TITLE, about, top + ROW * (len(rows) + 1), body)


def _legend() -> list[str]:
    made, x = [], 0.0
    for axis, colour in COLOUR.items():
        made += [f'<circle class="s{colour}" cx="{x + 4:g}" cy="27" r="4"/>', _text(x + 12, 31, axis, "dim")]
        x += 30 + 7 * len(axis)
    return made


def _scale(values: Sequence[float], start: float, end: float) -> tuple[list[float], Place]:
    """Ticks that hold the values, and where a value stands between `start` and `end`."""
    low, high = min(values), max(values)
    marks = ticks(low, high if high > low else low + 1e-3, 6)
    return marks, lambda value: start + (end - start) * (value - marks[0]) / (marks[-1] - marks[0])


def _scatter(rows: Sequence[Row], answer: Mapping[str, Any]) -> list[str]:
    """A dot with its interval for each distribution, numbered as in the list; the line that was fitted."""
    across = [row["cross_entropy"] for _, row in rows]
    up = [row[end] for _, row in rows for end in ("bits_per_byte", "low", "high") if row[end] is not None]
    x_marks, x = _scale(across, LEFT, RIGHT)
    y_marks, y = _scale(up, BOTTOM, TOP + 14)
    made = [_text(0, TOP + 4, "bits per byte of the model", "dim")]
    for mark in y_marks:
        made.append(f'<line class="grid" x1="{LEFT:g}" y1="{y(mark):.1f}" x2="{RIGHT:g}" y2="{y(mark):.1f}"/>')
        made.append(_text(LEFT - 5, y(mark) + 4, short(mark), "dim", "end"))
    for mark in x_marks:
        side = "end" if mark == x_marks[-1] else "middle"
        made.append(_text(x(mark), BOTTOM + 14, short(mark), "dim", side))
    made.append(_text(RIGHT, BOTTOM + 28, "bits per byte of an n-gram model of the training text", "dim", "end"))
    if answer["relations"][RELATION] is not None:
        made += _line_and_band(answer["relations"][RELATION], min(across), max(across), x, y)
    places = [(x(row["cross_entropy"]), y(row["bits_per_byte"])) for _, row in rows]
    for (name, row), (at, height) in zip(rows, places, strict=True):
        made += _dot(row, at, height, y, name in answer["marked"])
    return [*made, *_numbers(places)]


def _line_and_band(found: Mapping[str, Any], low: float, high: float, x: Place, y: Place) -> list[str]:
    def way(above: float, *ends: float) -> str:
        slope = found["coefficients"]["cross_entropy"]["value"]
        return "L".join(f"{x(at):.1f} {y(found['intercept'] + slope * at + above):.1f}" for at in ends)

    band = f"M{way(found['error'], low, high)}L{way(-found['error'], high, low)}z"
    line = f'<path class="l7" stroke-width="1.5" stroke-dasharray="5 3" d="M{way(0.0, low, high)}"/>'
    return [f'<path class="s7" style="opacity:.15" d="{band}"/>', line]


def _dot(row: Mapping[str, Any], at: float, height: float, y: Place, marked: bool) -> list[str]:
    """A marked distribution, which is not in the relation, is a ring."""
    colour, made = COLOUR[row["axis"]], []
    if row["low"] is not None:
        span = f"M{at:.1f} {y(row['low']):.1f}V{y(row['high']):.1f}"
        made.append(f'<path class="l{colour}" stroke-width="1.2" d="{span}"/>')
    kind = f'class="l{colour}" stroke-width="2"' if marked else f'class="s{colour}"'
    return [*made, f'<circle {kind} cx="{at:.1f}" cy="{height:.1f}" r="3.5"/>']


def _numbers(places: Sequence[tuple[float, float]]) -> list[str]:
    """The numbers of the list beside their dots, where there is room: to the right or left, above or below."""
    taken = [(at - 4, height - 4, at + 4, height + 4) for at, height in places]
    made = []
    for number, (at, height) in enumerate(places, 1):
        wide = 6.5 * len(str(number))
        for left, base in product((at + 5, at - 5 - wide), (height - 4, height + 12)):
            box = (left, base - 8, left + wide, base)
            if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
                taken.append(box)
                made.append(_text(left, base, str(number), "dim"))
                break
    return made


def _list(rows: Sequence[Row], top: float) -> list[str]:
    made = []
    for number, (name, row) in enumerate(rows, 1):
        base = top + ROW * number
        span = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
        note = f"{row['bits_per_byte']:.3f}{span}"
        made += [
            _text(16, base, str(number), "dim", "end"),
            f'<circle class="s{COLOUR[row["axis"]]}" cx="25" cy="{base - 4:g}" r="4"/>',
            _text(34, base, fit(name, WIDTH - 42 - 6.2 * len(note))),
            _text(WIDTH, base, note, "dim", "end"),
        ]
    return made


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    words = f' class="{kind}"' if kind else ""
    halo = "paint-order:stroke;stroke:var(--page);stroke-width:3px"
    return f'<text x="{x:.1f}" y="{y:.1f}"{words} text-anchor="{anchor}" style="{halo}">{escape(text)}</text>'
