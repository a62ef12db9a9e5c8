"""Fits whole documents to the plan of a small pool, after each group has been rounded alone.

A group of few documents misses its tokens by up to half a document, and the misses of many groups add up: to targets
that are missed by points, and to a size that is a tenth off. Here documents near the cutoffs get one repeat more or
less, one or two at a time, each time those that bring the mixture nearest to its plan: its floors and caps, the shares
of its targets, its size, and a little the tokens of each (source, language, domain). Where the rounding is good enough
already, as in most large pools, nothing changes. A floor or cap that holds is kept; one that the rounding breaks weighs
more than a target. No group passes its epochs, and a document has those of its group, rounded up or down.

All sums are made in a fixed order, so that the result does not depend on a linear algebra library.

Shapes: N candidates, F sums that are to be near their plan, G groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixers.constraints import bounds_on_shares, of_target
from mixers.grades import Cell
from mixers.supply import Floats, Ints, SupplyGroup
from mixers.targets import DrawConfig

# Misses that count alike: of a floor or cap, of the share of a target, of the size, and of the tokens of a cell, in
# parts of the mixture.
BOUND_UNIT, SHARE_UNIT, SIZE_UNIT, CELL_UNIT = 0.001, 0.002, 0.01, 0.1
# What misses no more than this, in these units, is left as it is.
GOOD_ENOUGH = 0.25
# Documents on each side of a group's cutoff, or rather bins of rank, that may change; and of all groups together.
WINDOW, MOST_CANDIDATES = 8, 1024
# Pairs that are looked at, at most, once more for each floor or cap that they may break: a few seconds.
_MOST_WORK = 4 * 10**8
# What a step costs beside its pairs, in pairs.
_WORK_OF_A_STEP = 30_000
# In parts of the sum of the squared misses.
_LEAST_GAIN = 1e-9


@dataclass(frozen=True)
class WantedGroup:
    """What the plan wants of a group, and the rounding of it alone."""

    group: SupplyGroup

    epochs: float
    """Epochs as solved."""

    cap: float
    """The most epochs."""

    whole_epochs: int
    """Repeats of every bin of the group."""

    bins: int
    """The first so many bins have one repeat more."""

    @property
    def tokens(self) -> float:
        return self.epochs * self.group.tokens

    def repeats_in(self) -> Ints:
        """Repeats of each bin, shape (bins,)."""
        return self.whole_epochs + (np.arange(len(self.group.bin)) < self.bins).astype(np.int64)


def fit_documents(wanted: Sequence[WantedGroup], config: DrawConfig) -> list[Ints]:
    """Repeats of each bin of each group, shape (bins,) each."""
    repeats = [each.repeats_in() for each in wanted]
    drawn = np.array([int((times * each.group.tokens_in).sum()) for times, each in zip(repeats, wanted)])
    plan = np.array([each.tokens for each in wanted])
    cells, total = [each.group.cell for each in wanted], float(plan.sum())
    if not total > 0:
        return repeats
    shares = rows_of_shares(cells, plan, config)
    size = float(drawn.sum()) / total
    limits = [(each.coefficients - each.constant) / (BOUND_UNIT * total) for each in bounds_on_shares(cells, config)]
    bounds = np.stack(limits) if limits else np.zeros((0, len(cells)))
    slack = (bounds * drawn).sum(axis=1)
    if size and _is_good((shares * (drawn - plan)).sum(axis=1) / size, size, slack):
        return repeats
    candidates, others = _candidates(wanted), rows_of_cells(cells, plan)
    off = drawn - plan
    start = _Draft(
        float(drawn.sum()), total, (shares * off).sum(axis=1), (others * off).sum(axis=1), slack,
        np.array([each.cap * each.group.tokens for each in wanted]) - drawn,
        np.array([each.change for each in candidates], dtype=np.float64),
    )  # fmt: skip
    for number in _Search(candidates, shares, others, bounds, start).run():
        each = candidates[number]
        repeats[each.group][each.bin] += each.change
    return repeats


def rows_of_shares(cells: Sequence[Cell], plan: Floats, config: DrawConfig) -> Floats:
    """Misses of the targets per token of each group, in units, in a mixture of the size that is planned; shape
    (targets, G). The misses of one of another size are those over its size, in parts of the plan."""
    total = plan.sum()
    members = [of_target(cells, target) for target in config.wanted()]
    rows = [(each - (each * plan).sum() / total) / (SHARE_UNIT * total) for each in members]
    return np.stack(rows) if rows else np.zeros((0, len(cells)))


def rows_of_cells(cells: Sequence[Cell], plan: Floats) -> Floats:
    """Likewise of the size, and of the tokens of each cell; shape (1 + cells, G)."""
    places = {cell: place for place, cell in enumerate(dict.fromkeys(cells), 1)}
    rows = np.zeros((1 + len(places), len(cells)))
    rows[0] = 1 / (SIZE_UNIT * plan.sum())
    rows[[places[cell] for cell in cells], np.arange(len(cells))] = 1 / (CELL_UNIT * plan.sum())
    return rows


def _is_good(shares: Floats, size: float, slack: Floats) -> bool:
    """`shares`: misses of the targets, in units; `size`: in parts of the one that is planned; `slack`: what each floor
    or cap has left, in units."""
    is_near = bool((np.abs(shares) <= GOOD_ENOUGH).all() and abs(size - 1) <= GOOD_ENOUGH * SIZE_UNIT)
    return is_near and bool((slack >= -GOOD_ENOUGH).all())


@dataclass(frozen=True)
class _Candidate:
    """A bin of a group that may have one repeat more or less."""

    distance: int
    """From the cutoff, in bins."""

    group: int
    bin: int
    change: int
    tokens: int


def _candidates(wanted: Sequence[WantedGroup]) -> list[_Candidate]:
    """Those nearest to the cutoffs: a repeat more above one, and less below it."""
    found = []
    for number, each in enumerate(wanted):
        # where epochs are a whole number, so are the repeats of every document
        if each.epochs == each.whole_epochs:
            continue
        for place in range(max(each.bins - WINDOW, 0), min(each.bins + WINDOW, len(each.group.bin))):
            is_above = place >= each.bins
            distance = place - each.bins if is_above else each.bins - 1 - place
            if tokens := int(each.group.tokens_in[place]):
                found.append(_Candidate(distance, number, place, 1 if is_above else -1, tokens))
    found.sort(key=lambda each: (each.distance, each.group, -each.change))
    return found[:MOST_CANDIDATES]


@dataclass(frozen=True)
class _Draft:
    drawn: float
    """Tokens: a whole number, so that a draw of nothing is told from one of very little."""

    planned: float
    """Tokens that the plan has."""

    shares: Floats
    """Misses of the targets times `size`, in units, shape (targets,)."""

    others: Floats
    """Misses of the size and of the cells, in units, shape (1 + cells,)."""

    slack: Floats
    """What each floor or cap has left, in units, below 0 where it is broken; shape (bounds,)."""

    room: Floats
    """Tokens that each group may have more, shape (G,)."""

    sign: Floats
    """Whether the next change of a candidate adds (1) or takes (-1) a repeat, shape (N,)."""

    @property
    def size(self) -> float:
        """In parts of the one that is planned."""
        return self.drawn / self.planned

    @property
    def total(self) -> float:
        """The sum of the squared misses."""
        if self.size <= 0:
            return np.inf
        broken = np.minimum(self.slack + GOOD_ENOUGH, 0.0)
        near = float((self.shares * self.shares).sum() / self.size**2 + (self.others * self.others).sum())
        return near + float((broken * broken).sum())

    @property
    def is_good(self) -> bool:
        return self.size > 0 and _is_good(self.shares / self.size, self.size, self.slack)


class _Search:
    """Changes candidates, one or two at a time, as long as the sum of the squared misses falls."""

    def __init__(
        self,
        candidates: Sequence[_Candidate],
        shares: Floats,
        others: Floats,
        bounds: Floats,
        start: _Draft,
    ) -> None:
        """Per token of each group: `shares` and `others`, misses as in a `_Draft`; `bounds`, what each floor or cap has
        left. Shapes (..., G)."""
        self.group = np.array([each.group for each in candidates], dtype=np.int64)
        self.tokens = np.array([each.tokens for each in candidates], dtype=np.float64)
        self.shares, self.others, self.limits = (rows[:, self.group] * self.tokens for rows in (shares, others, bounds))
        self.products_of_shares, self.products_of_others = _products(self.shares), _products(self.others)
        self.same = self.group[:, None] == self.group[None, :]
        self.now, self.work = start, _MOST_WORK

    def run(self) -> list[int]:
        """The candidates that change."""
        start = self.now.sign
        self._descend()
        # Where no two changes help, three or more may: change one, whichever it is, and go on from there.
        best, number, tried = self.now, 0, 0
        while tried < len(start) and self.work > 0 and not self.now.is_good:
            if self._is_allowed(number):
                self._change(number)
                self._descend(number)
                if self._is_less(best):
                    best, tried = self.now, 0
                self.now = best
            number, tried = (number + 1) % len(start), tried + 1
        return [int(each) for each in np.flatnonzero(self.now.sign != start)]

    def _descend(self, held: int | None = None) -> None:
        while self.work > 0 and not self.now.is_good and (step := self._best(held)):
            before = self.now
            for number in step:
                self._change(number)
            if not self._is_less(before):  # sums over pairs are rounded; two changes could undo each other for ever
                self.now = before
                break

    def _best(self, held: int | None) -> tuple[int, ...]:
        """The one or two candidates, without `held`, whose change makes the sum of the squared misses least; none if
        none lowers it."""
        if not len(self.tokens):
            return ()
        changes, slack = self._near_bounds()
        self.work -= len(self.tokens) ** 2 * (1 + len(slack)) + _WORK_OF_A_STEP
        now, signs = self.now, self.now.sign[:, None] * self.now.sign[None, :]
        sizes = (now.drawn + _sums(self.tokens * now.sign)) / now.planned
        totals = _squares(now.shares, self.shares * now.sign, self.products_of_shares * signs)
        totals /= np.where(sizes > 0, sizes, np.nan) ** 2
        totals += _squares(now.others, self.others * now.sign, self.products_of_others * signs)
        allowed = self._are_within() & (sizes > 0)
        for change, left in zip(changes, slack):
            broken = np.minimum(left + GOOD_ENOUGH + _sums(change), 0.0)
            totals += broken * broken
            if left >= -GOOD_ENOUGH:
                allowed &= broken == 0
        totals[~allowed] = np.inf
        if held is not None:
            totals[held] = totals[:, held] = np.inf
        first, second = divmod(int(np.argmin(totals)), len(totals))
        if totals[first, second] >= now.total:
            return ()
        return (first,) if first == second else (first, second)

    def _is_less(self, than: _Draft) -> bool:
        return self.now.total < than.total * (1 - _LEAST_GAIN)

    def _near_bounds(self) -> tuple[Floats, Floats]:
        """Of the floors and caps that are broken or that two changes can break: what each candidate adds to what they
        have left, shape (bounds, N), and that, shape (bounds,)."""
        changes, slack = self.limits * self.now.sign, self.now.slack
        near = slack + 2 * changes.min(axis=1, initial=0.0) < -GOOD_ENOUGH
        return changes[near], slack[near]

    def _are_within(self) -> npt.NDArray[np.bool_]:
        """Which pairs keep the epochs of their groups; shape (N, N)."""
        change, room = self.tokens * self.now.sign, self.now.room[self.group]
        alone = room >= change
        return np.where(self.same, room[:, None] >= _sums(change), alone[:, None] & alone[None, :])

    def _is_allowed(self, number: int) -> bool:
        """Whether a candidate keeps the epochs of its group, and the floors and caps that hold."""
        sign, slack = self.now.sign[number], self.now.slack
        if self.now.room[self.group[number]] < sign * self.tokens[number]:
            return False
        after = slack + sign * self.limits[:, number]
        return bool((after >= np.where(slack >= -GOOD_ENOUGH, -GOOD_ENOUGH, -np.inf)).all())

    def _change(self, number: int) -> None:
        now, sign = self.now, self.now.sign[number]
        room, signs = now.room.copy(), now.sign.copy()
        room[self.group[number]] -= sign * self.tokens[number]
        signs[number] = -sign
        self.now = _Draft(
            now.drawn + sign * self.tokens[number], now.planned, now.shares + sign * self.shares[:, number],
            now.others + sign * self.others[:, number], now.slack + sign * self.limits[:, number], room, signs,
        )  # fmt: skip


def _sums(changes: Floats) -> Floats:
    """Of each pair of candidates; on the diagonal of one alone. Shape (N, N)."""
    found = changes[:, None] + changes[None, :]
    np.fill_diagonal(found, changes)
    return found


def _products(effects: Floats) -> Floats:
    """Twice the products of each pair of candidates, summed over the rows; shape (N, N)."""
    products = np.zeros((effects.shape[1], effects.shape[1]))
    for effect in effects:
        # of the row of a cell only pairs of its own groups have products
        mine = np.flatnonzero(effect)
        products[np.ix_(mine, mine)] += 2 * effect[mine][:, None] * effect[mine][None, :]
    return products


def _squares(missed: Floats, effects: Floats, products: Floats) -> Floats:
    """The sum of the squared misses after each pair's change; on the diagonal after one alone. Shape (N, N)."""
    alone = (effects * effects).sum(axis=0) + 2 * (effects * missed[:, None]).sum(axis=0)
    np.fill_diagonal(products, 0.0)
    return np.asarray(float((missed * missed).sum()) + _sums(alone) + products)
