"""The differences of branches from their control, as a picture, alone or in a report: dots with intervals, a line at
0."""

from collections.abc import Mapping
from html import escape
from typing import Any

from pipeline.report.charts import WIDTH, Drawing, fit, short, ticks

LEFT, RIGHT = 8.0, WIDTH - 8.0
TOP, ROW = 40.0, 32.0
TITLE = "Branches against their control"
# Of the verdicts: colours of the charts.
COLOUR = {"better": 1, "worse": 5, "undecided": 7}


def differences_drawing(answer: Mapping[str, Any]) -> Drawing:
    """The answer of `compare_branches`; branches from the best."""
    names = [name for name in answer["ranking"] if name in answer["branches"]]
    rows = {name: answer["branches"][name] for name in names}
    ends = [
        value for row in rows.values() for value in (row["difference"], row["low"], row["high"]) if value is not None
    ]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    marks = ticks(low, high if high > low else low + 1e-3, 4)

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - marks[0]) / (marks[-1] - marks[0])

    bottom = TOP + ROW * len(names)
    body = [
        _text(0, 14, TITLE, "head"),
        _text(0, 31, f"bits per byte, less than 0 is better; intervals together {answer['level']:.0%}", "dim"),
    ]
    for mark in marks:
        kind = "mark" if abs(mark) < 1e-12 else "grid"
        body.append(f'<line class="{kind}" x1="{x(mark):.1f}" y1="{TOP:g}" x2="{x(mark):.1f}" y2="{bottom:g}"/>')
        side = "start" if mark == marks[0] else "end" if mark == marks[-1] else "middle"
        body.append(_text(x(mark), bottom + 14, short(mark), "dim", side))
    for index, (name, row) in enumerate(rows.items()):
        body += _whisker(name, row, TOP + ROW * index + 22, x)
    about = "; ".join(f"{name}: {row['difference']:+.4f}, {row['verdict']}" for name, row in rows.items())
    return Drawing(TITLE, about, bottom + 34, body)


def _whisker(name: str, row: Mapping[str, Any], base: float, x: Any) -> list[str]:
    colour = COLOUR[row["verdict"]]
    note = f"{row['difference']:+.4f} {row['verdict']}"
    made = [_text(0, base - 8, fit(name, WIDTH - 8 - 6.2 * len(note))), _text(WIDTH, base - 8, note, "dim", "end")]
    if row["low"] is not None and row["high"] is not None:
        ends = "".join(f"M{x(end):.1f} {base - 4:g}v8" for end in (row["low"], row["high"]))
        line = f"M{x(row['low']):.1f} {base:g}H{x(row['high']):.1f}{ends}"
        made.append(f'<path class="l{colour}" stroke-width="2" d="{line}"/>')
    return [*made, f'<circle class="s{colour}" cx="{x(row["difference"]):.1f}" cy="{base:g}" r="4"/>']


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    words = f' class="{kind}"' if kind else ""
    halo = "paint-order:stroke;stroke:var(--page);stroke-width:3px"
    return f'<text x="{x:.1f}" y="{y:g}"{words} text-anchor="{anchor}" style="{halo}">{escape(text)}</text>'
