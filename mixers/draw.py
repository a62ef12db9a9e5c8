"""The draw: which documents a mixture trains on and how often, decided for each document from its group and rank.

`plan_draw` makes a `MixturePlan` from what a pool has and the targets of a recipe: for each (source, language, domain,
grade) group, a number of whole epochs for every document and one more for documents whose rank is below a cutoff. The
grades of a group share its tokens in the proportions of their epochs. Cutoffs lie between bins of rank, so the plan
predicts the draw to the token, and `check_drawn` compares the two. In a small pool a few documents near the cutoffs are
fitted to the plan (`whole_documents.py`) and named by their ranks. Rows are never repeated: a document's `repeats` is a
column, and a document that is not drawn has 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from infra.errors import WorkError
from mixers.balance import MISS, solve_mixture
from mixers.cell_shares import shares_of, sums_of
from mixers.constraints import cell_name
from mixers.grades import UNGRADED, Cell, Grading
from mixers.supply import Floats, Ints, SupplyGroup, cell_codes, upper_edge
from mixers.targets import DrawConfig
from mixers.whole_documents import WantedGroup, fit_documents

# More than there are grades.
_GRADES = 2**20


@dataclass(frozen=True)
class GroupPlan:
    """The plan for one (source, language, domain, grade) group."""

    source: str
    language: str
    domain: str

    grade: int
    """From 0, the best; -1 in a source without qualities."""

    min_quality: float | None
    """The least quality of the grade; None: no bound."""

    documents: int
    """Documents in the pool."""

    tokens: int
    """Tokens in the pool."""

    epochs: float
    """Epochs as solved."""

    whole_epochs: int
    """Repeats of every document of the group."""

    rank_cutoff: float
    """Documents with a rank below this get one repeat more."""

    drawn: int
    """Documents with at least one repeat."""

    kept_tokens: int
    """Their tokens, counted once."""

    drawn_tokens: int
    """Tokens with repeats: near `epochs` * `tokens`."""

    others: tuple[tuple[float, float, int], ...] = ()
    """Documents whose repeats the cutoff does not give: (least rank, rank that is above them, repeats). In small pools,
    where they bring the mixture nearer to its targets and size."""

    @property
    def cell(self) -> Cell:
        return self.source, self.language, self.domain

    @property
    def name(self) -> str:
        return group_name(self.cell, self.grade)

    def repeats(self, ranks: Floats) -> npt.NDArray[np.int32]:
        """How often an epoch has each of its documents, shape (documents,)."""
        repeats = (self.whole_epochs + (ranks < self.rank_cutoff)).astype(np.int32)
        for least, above, times in self.others:
            repeats[(ranks >= least) & (ranks < above)] = times
        return repeats

    def as_dict(self) -> dict[str, Any]:
        """JSON for a manifest; without `others` where there are none."""
        return {name: value for name, value in asdict(self).items() if name != "others" or value}


@dataclass(frozen=True)
class TargetPlan:
    """A target's share of tokens: as asked for, as planned, and in whole documents as drawn."""

    asked: float
    planned: float
    drawn: float

    limited_by: tuple[str, ...]
    """The binding constraints that keep the planned share from the one asked for."""


@dataclass(frozen=True)
class MixturePlan:
    """The plan for a whole pool."""

    groups: tuple[GroupPlan, ...]
    """Sorted by source, language, domain and grade."""

    grading: Grading

    binding: tuple[str, ...]
    """Names of the constraints that keep the mixture from being larger or nearer to the targets."""

    targets: Mapping[str, TargetPlan]
    """Of every target, by name."""

    alone: Mapping[str, int]
    """Of every target of which the pool has anything: the largest size in tokens of a mixture that meets it, were it
    the only one."""

    possible: int
    """The largest size in tokens of a mixture without targets."""

    @property
    def tokens(self) -> int:
        """Of the mixture, repeats included."""
        return sum(group.drawn_tokens for group in self.groups)

    @property
    def missed(self) -> dict[str, tuple[float, float]]:
        """Targets whose planned share is not the one asked for: name -> (share asked for, share planned)."""
        return {
            name: (target.asked, target.planned)
            for name, target in self.targets.items()
            if abs(target.asked - target.planned) > MISS
        }

    def repeats(self, cells: pa.Table, grades: Ints, ranks: Floats) -> npt.NDArray[np.int32]:
        """How often an epoch has each document, shape (documents,). 0 for groups without tokens. `cells`: the columns
        source, language and domain."""
        repeats = np.zeros(len(ranks), dtype=np.int32)
        names, cell_of = cell_codes(cells)
        found = {(each.cell, each.grade): each for each in self.groups}
        # one number for a group: its place among the cells, and its grade
        codes = cell_of * _GRADES + grades
        for code in np.unique(codes).tolist():
            place, grade = (code + 1) // _GRADES, (code + 1) % _GRADES - 1
            if group := found.get((names[place], grade)):
                mine = codes == code
                repeats[mine] = group.repeats(ranks[mine])
        return repeats

    def as_dict(self) -> dict[str, Any]:
        """JSON for a manifest."""
        return {
            "groups": [group.as_dict() for group in self.groups],
            "tokens": self.tokens,
            "binding": list(self.binding),
            "targets": {name: asdict(target) for name, target in sorted(self.targets.items())},
            "missed": {name: list(shares) for name, shares in sorted(self.missed.items())},
            "alone": dict(sorted(self.alone.items())),
            "possible": self.possible,
            "shares": shares(self.groups),
            "retention": retention(self.groups),
        }


def plan_draw(groups: tuple[SupplyGroup, ...], config: DrawConfig, grading: Grading | None = None) -> MixturePlan:
    """The plan for a pool. `grading`: where the grades of `config` are bounded. UsageError when the pool cannot satisfy
    `config`."""
    grading = grading or Grading({})
    cells = sorted({group.cell for group in groups})
    graded: dict[Cell, list[SupplyGroup]] = {cell: [] for cell in cells}
    for group in groups:
        graded[group.cell].append(group)
    caps = [
        [grading.cap(group.grade, config.epochs_cap(group.source, group.domain)) for group in graded[cell]]
        for cell in cells
    ]
    capacity = [sum(cap * each.tokens for cap, each in zip(mine, graded[cell])) for mine, cell in zip(caps, cells)]
    solved = solve_mixture(cells, [sum(each.tokens for each in graded[cell]) for cell in cells], config, capacity)
    wanted = []
    for place, cell in enumerate(cells):
        part = solved.drawn[place] / capacity[place] if capacity[place] else 0.0
        rounding = _rounding(solved.in_binding_floor, solved.in_binding_cap, place)
        for group, cap in zip(graded[cell], caps[place]):
            epochs = cap if part >= 1 else float(f"{part * cap:.7g}")
            wanted.append(_round(group, epochs, cap, rounding))
    repeats = fit_documents(wanted, config)
    plans = [_plan_group(each, times, grading.least(each.group.cell, each.group.grade))
             for each, times in zip(wanted, repeats)]  # fmt: skip
    found = _realised(plans, config)
    targets = {
        name: TargetPlan(asked, planned, found[name], solved.limits_of.get(name, ()))
        for name, (asked, planned) in solved.planned.items()
    }
    alone = {name: _sized(tokens) for name, tokens in solved.alone.items()}
    return MixturePlan(tuple(plans), grading, solved.binding, targets, alone, _sized(solved.possible))


def _sized(tokens: float) -> int:
    """To five digits, so that it does not depend on the last bits of a linear algebra library."""
    return int(float(f"{tokens:.5g}"))


def _rounding(in_floor: tuple[bool, ...], in_cap: tuple[bool, ...], place: int) -> str:
    """Where a floor or cap is met exactly, one document too many on the wrong side would break it."""
    if in_floor[place] or (any(in_cap) and not in_cap[place] and not any(in_floor)):
        return "up"
    return "down" if in_cap[place] or any(in_floor) else "nearest"


def _realised(plans: Sequence[GroupPlan], config: DrawConfig) -> dict[str, float]:
    """The share of each target in the drawn documents."""
    total = sum(plan.drawn_tokens for plan in plans)
    return {
        target.name: sum(plan.drawn_tokens for plan in plans if target.counts(plan.language, plan.domain))
        / max(total, 1)
        for target in config.wanted()
    }


def _round(group: SupplyGroup, epochs: float, cap: float, rounding: str) -> WantedGroup:
    """Choose the cutoff between bins at which `epochs` of the group's tokens are reached. `rounding`: up, down or
    nearest."""
    whole = int(epochs)
    wanted, most = (epochs - whole) * group.tokens, (cap - whole) * group.tokens
    # below[i]: the tokens in the first i bins.
    below = np.concatenate(([0], np.cumsum(group.tokens_in)))
    bins = int(np.searchsorted(below, wanted, side="right")) - 1
    # Bins without tokens give equal sums: take the lowest of them.
    bins = int(np.searchsorted(below, below[bins]))
    if below[bins] < wanted and bins + 1 < len(below):
        above = int(np.searchsorted(below, below[bins], side="right"))
        is_nearer = below[above] - wanted < wanted - below[bins]
        if below[above] <= most and (rounding == "up" or (rounding == "nearest" and is_nearer)):
            bins = above
    return WantedGroup(group, epochs, cap, whole, bins)


def _plan_group(wanted: WantedGroup, repeats: Ints, min_quality: float | None) -> GroupPlan:
    """`repeats`: of each bin of the group, shape (bins,)."""
    group = wanted.group
    whole, bins = _cutoff(wanted, repeats)
    others = np.flatnonzero(repeats != whole + (np.arange(len(repeats)) < bins))
    edges = [0.0, *(upper_edge(int(each)) for each in group.bin)]
    return GroupPlan(
        *group.cell,
        grade=group.grade,
        min_quality=min_quality,
        documents=group.documents,
        tokens=group.tokens,
        epochs=wanted.epochs,
        whole_epochs=whole,
        rank_cutoff=edges[bins],
        drawn=int(group.documents_in[repeats > 0].sum()),
        kept_tokens=int(group.tokens_in[repeats > 0].sum()),
        drawn_tokens=int((group.tokens_in * repeats).sum()),
        others=tuple((edges[i], edges[i + 1], int(repeats[i])) for i in others.tolist()),
    )


def _cutoff(wanted: WantedGroup, repeats: Ints) -> tuple[int, int]:
    """The whole epochs, and the number of bins with one more, that fit the most of `repeats`."""
    best = wanted.whole_epochs, wanted.bins
    least = int((repeats != wanted.repeats_in()).sum())
    for whole in range(int(repeats.max()), int(repeats.min()) - 1, -1) if least else ():
        others = np.concatenate(([0], np.cumsum(repeats != whole + 1))) + np.concatenate(
            (np.cumsum((repeats != whole)[::-1])[::-1], [0])
        )
        bins = int(np.argmin(others))
        if others[bins] < least:
            best, least = (whole, bins), int(others[bins])
    return best


def count_drawn(cells: pa.Table, grades: Ints, tokens: Ints, repeats: npt.NDArray[np.int32]) -> dict[str, int]:
    """Counters of one shard's draw, which add up over shards: `drawn/GROUP` and `undrawn/GROUP` in documents,
    `tokens/GROUP` in tokens with repeats. GROUP is the name of a `GroupPlan`."""
    counts: dict[str, int] = {}
    table = pa.table(
        {
            **{name: cells[name] for name in ("source", "language", "domain")},
            "grade": pa.array(grades),
            "drawn": pa.array((repeats > 0).astype(np.int64)),
            "undrawn": pa.array((repeats == 0).astype(np.int64)),
            "tokens": pa.array(tokens * repeats),
        }
    )
    kinds, keys = ("drawn", "undrawn", "tokens"), ["source", "language", "domain", "grade"]
    grouped = table.group_by(keys, use_threads=False).aggregate([(kind, "sum") for kind in kinds])
    for row in grouped.to_pylist():
        name = group_name((row["source"], row["language"], row["domain"]), row["grade"])
        for kind in kinds:
            counts[f"{kind}/{name}"] = row[f"{kind}_sum"]
    return dict(sorted(counts.items()))


def group_name(cell: Cell, grade: int) -> str:
    return cell_name(cell) + ("" if grade == UNGRADED else f" grade {grade + 1}")


def shares(groups: Iterable[GroupPlan]) -> dict[str, dict[str, float]]:
    """Shares of the drawn tokens by source, domain, axis, and language where any is kept apart."""
    return shares_of(_by_cell(groups, "drawn_tokens"))


def retention(groups: Iterable[GroupPlan]) -> dict[str, dict[str, float]]:
    """The share of the pool's tokens that is drawn at least once, by source, domain, axis and language."""
    groups = tuple(groups)
    kept, there = (sums_of(_by_cell(groups, name)) for name in ("kept_tokens", "tokens"))
    return {kind: {name: kept[kind][name] / total for name, total in sums.items()} for kind, sums in there.items()}


def _by_cell(groups: Iterable[GroupPlan], number: str) -> dict[Cell, int]:
    found: dict[Cell, int] = {}
    for group in groups:
        found[group.cell] = found.get(group.cell, 0) + getattr(group, number)
    return found


def check_drawn(plan: MixturePlan, counts: Mapping[str, int]) -> None:
    """WorkError unless the draw of each group gave what the plan predicts; else the pool changed after planning."""
    for group in plan.groups:
        found = (counts.get(f"drawn/{group.name}", 0), counts.get(f"tokens/{group.name}", 0))
        if found != (group.drawn, group.drawn_tokens):
            raise WorkError(
                f"the draw of {group.name} gave {found[0]} documents and {found[1]} tokens, "
                f"the plan says {group.drawn} and {group.drawn_tokens}; the pool changed: mix again into a new folder"
            )
