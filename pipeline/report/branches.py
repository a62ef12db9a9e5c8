"""The part of a report about branches: each trunk as a tree, with the verdicts of their comparison, and what it cost.

The files are the trainer's (`branches.json`, `branch-comparison.json`, `branch.json`); floors do not import each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from pipeline.report.charts import WIDTH, fit, svg
from pipeline.report.differences import COLOUR, differences_drawing
from pipeline.report.parts import Figure, Section, Table, clipped, settings
from pipeline.report.training_log import Training
from pipeline.report.values import mapping_or_empty, number, read_mapping, well_formed

GROWN, COMPARISON = "branches.json", "branch-comparison.json"
CONTROL = "control"
ROW = 36.0
Drawn = list[str]


@dataclass(frozen=True)
class Branches:
    """The branches of one trunk. `trunk`: its hash. `step`: where it was frozen, None where nothing says it. `made`:
    of each branch by name what it overrides, or how it merges. `compared`: the answer of `branch compare`, if there is
    one."""

    label: str
    trunk: str
    step: int | None
    made: Mapping[str, Mapping[str, Any]]
    compared: Mapping[str, Any] = field(default_factory=dict)


def read_branches(folder: Path, label: str) -> Branches:
    """UsageError for files that `branch --config` and `branch compare` have not written."""
    record = read_mapping(folder / GROWN)
    with well_formed(folder / GROWN, "`refinery branch --config`"):
        made = {str(name): branch_settings(row) for name, row in record["branches"].items()}
        found = Branches(label, str(record["trunk"]), int(record["step"]), made)
    if not (folder / COMPARISON).is_file():
        return found
    compared = read_mapping(folder / COMPARISON)
    with well_formed(folder / COMPARISON, "`refinery branch compare`"):
        whole = Branches(label, found.trunk, found.step, made, {**compared, "ranking": list(compared["ranking"])})
        list(figures(whole))
    return whole


def branch_settings(row: Mapping[str, Any]) -> Mapping[str, Any]:
    merge = row.get("merge")
    return {"merge": merge} if merge else mapping_or_empty(row.get("overrides"))


def branches(found: Sequence[Branches], trainings: Sequence[Training]) -> Section:
    """`trainings`: branches among them that no file of branches has are put together by their trunk."""
    every = [*found, *alone(trainings, {each.trunk for each in found})]
    about = "Each goes on from the frozen trunk with what it overrides. Verdicts are of held-out text."
    lines = tuple(line for each in every if each.compared for line in cost_lines(each))
    drawn = tuple(figure for each in every for figure in figures(each))
    return Section("branches", "Trunk and branches", about, drawn, lines=lines)


def alone(trainings: Sequence[Training], known: set[str]) -> Iterator[Branches]:
    by_trunk: dict[str, dict[str, Mapping[str, Any]]] = {}
    for run in trainings:
        if run.overrides is not None and run.trunk and run.trunk not in known:
            by_trunk.setdefault(run.trunk, {})[run.label] = run.overrides
    for trunk, made in sorted(by_trunk.items()):
        yield Branches("", trunk, None, made)


def figures(one: Branches) -> Iterator[Figure]:
    place = one.label
    yield Figure("The tree", overrides_table(one), tree_svg(one), place=place)
    if one.compared and one.compared["branches"]:
        rows = by_axis(one.compared)
        yield Figure("", rows, differences_drawing(one.compared).in_page(), place=place)
        yield Figure("Verdicts", table_of(one), place=place)


def tree_svg(one: Branches) -> str:
    """The trunk as a line, and each branch where it leaves it: its name and verdict, and below what it overrides."""
    names = ordered(one)
    step = "" if one.step is None else f" at step {one.step:,}"
    top, height = 30.0, 30.0 + ROW * len(names) + 6
    about = "; ".join(f"{name}: {verdict_of(one, name) or 'a branch'}" for name in names)
    body = [
        '<circle class="s7" cx="8" cy="10" r="5"/>',
        _text(22, 14, fit(f"trunk {one.trunk[:12]}{step}", WIDTH - 22), "head"),
        f'<path class="l7" stroke-width="2" d="M8 15V{top + ROW * max(len(names) - 1, 0) + 10:g}"/>',
    ]
    for place, name in enumerate(names):
        body += _branch(one, name, top + ROW * place)
    return svg(f"Trunk {one.trunk[:12]} and its branches", about, height, body)


def _branch(one: Branches, name: str, top: float) -> Drawn:
    verdict = verdict_of(one, name)
    colour = COLOUR.get(verdict, 7)
    note = " · ".join(word for word in (bits_of(one, name), verdict) if word)
    changed = ", ".join(settings(one.made.get(name, {}))) or "nothing overridden: the trunk's own decay"
    y = top + 10
    return [
        f'<path class="l{colour}" stroke-width="2" d="M8 {y:g}H24"/>',
        f'<circle class="s{colour}" cx="28" cy="{y:g}" r="4"/>',
        _text(40, y + 4, fit(name, WIDTH - 48 - 6.2 * len(note))),
        _text(WIDTH, y + 4, note, "dim", "end"),
        _text(40, y + 18, fit(changed, WIDTH - 40), "dim"),
    ]


def ordered(one: Branches) -> list[str]:
    """By the ranking, else the control first, then by name."""
    ranking = [name for name in one.compared.get("ranking", ()) if isinstance(name, str)]
    rest = sorted(set(one.made) - set(ranking), key=lambda name: (name != CONTROL, name))
    return [*ranking, *rest]


def verdict_of(one: Branches, name: str) -> str:
    if not one.compared:
        return ""
    row = one.compared["branches"].get(name)
    return str(row["verdict"]) if row else "the control" if name == CONTROL else ""


def bits_of(one: Branches, name: str) -> str:
    if not one.compared:
        return ""
    row = one.compared["control"] if name == CONTROL else one.compared["branches"].get(name, {})
    bits = number(row.get("bits_per_byte"))
    return "" if bits is None else f"{bits:.4f}"


def overrides_table(one: Branches) -> Table:
    rows = [(name, ", ".join(settings(one.made.get(name, {})))) for name in ordered(one)]
    return Table(("branch", "overrides"), clipped(rows), numeric=2)


def table_of(one: Branches) -> Table:
    columns = ("branch", "overrides", "bits per byte", "against the control", "verdict", "more held-out tokens")
    rows = []
    for name in ordered(one):
        row = one.compared["branches"].get(name, {}) if one.compared else {}
        more = row.get("more_held_out_tokens", 0)
        further = "" if not row else "no text would decide it" if more is None else f"{more:,}" if more else ""
        changed = ", ".join(settings(one.made.get(name, {})))
        rows.append((name, changed, bits_of(one, name), span(row), verdict_of(one, name), further))
    return Table(columns, clipped(rows), numeric=2)


def by_axis(compared: Mapping[str, Any]) -> Table:
    rows = [
        (name, span(row), *(span(mapping_or_empty(row.get("by_group")).get(axis, {})) for axis in ("iq", "eq")))
        for name in compared["ranking"]
        if (row := compared["branches"].get(name))
    ]
    return Table(("branch", "all text", "IQ", "EQ"), clipped(rows))


def span(row: Mapping[str, Any]) -> str:
    """A difference with its interval."""
    value, low, high = (number(row.get(name)) for name in ("difference", "low", "high"))
    if value is None:
        return ""
    return f"{value:+.4f}" + ("" if low is None or high is None else f" ({low:+.4f} to {high:+.4f})")


def cost_lines(one: Branches) -> Iterator[str]:
    """What the comparison cost, and whether a second mark of the trunk agrees."""
    cost = mapping_or_empty(one.compared.get("cost"))
    runs, whole = number(cost.get("runs")), number(cost.get("runs_without_trunk"))
    where = f"{one.label}: " if one.label else ""
    if runs is not None and whole is not None:
        yield f"{where}the comparison cost {runs:.2f} runs in place of {whole:g}."
    second = mapping_or_empty(one.compared.get("second"))
    if second:
        same = number(second.get("spearman"))
        best = "the same best" if second.get("best_agrees") else "another best"
        agreed = "none" if same is None else f"{same:.2f}"
        yield f"{where}from another mark of the trunk: rank correlation {agreed}, {best}."


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    words = f' class="{kind}"' if kind else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:g}" y="{y:g}"{words}{side}>{escape(text)}</text>'
