"""Fits whole documents to the plan of a small pool, after each group has been rounded alone.

A group of few documents misses its tokens by up to half a document, and the misses of many groups add up: to targets
that are missed by points, and to a size that is a tenth off. Here documents near the cutoffs get one repeat more or
less, one or two at a time, each time those that bring the mixture nearest to its plan: the shares of its targets, its
size, and a little the tokens of each (source, language, domain). Where the rounding is good enough already, as in any
large pool, nothing changes. Floors and caps hold as they did, no group passes its epochs, and a document has those of
its group, rounded up or down.

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

# Misses that count alike: of the share of a target, of the size, and of the tokens of a cell, in parts of the mixture.
SHARE_UNIT, SIZE_UNIT, CELL_UNIT = 0.002, 0.01, 0.1
# What misses no more than this, in these units, is left as it is.
GOOD_ENOUGH = 0.25
# Documents on each side of a group's cutoff, or rather bins of rank, that may change; and of all groups together.
WINDOW, MOST_CANDIDATES = 8, 1024
# Pairs that are looked at, at most: about a second.
_MOST_WORK = 10**8
_LEAST_GAIN = 1e-9


@dataclass(frozen=True)
class Wanted:
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


def fit_documents(wanted: Sequence[Wanted], config: DrawConfig) -> list[Ints]:
    """Repeats of each bin of each group, shape (bins,) each."""
    repeats = [each.repeats_in() for each in wanted]
    drawn = np.array([int((times * each.group.tokens_in).sum()) for times, each in zip(repeats, wanted)])
    plan = np.array([each.tokens for each in wanted])
    if not plan.any():
        return repeats
    cells = [each.group.cell for each in wanted]
    told = rows_told(cells, plan, config)
    if _is_good((told * (drawn - plan)).sum(axis=1)):
        return repeats
    candidates = _candidates(wanted)
    rows = np.vstack([told, rows_of_cells(cells, plan)])
    limits = [each.coefficients - each.constant for each in bounds_on_shares(cells, config)]
    bounds = np.stack(limits) if limits else np.zeros((0, len(cells)))
    room = np.array([each.cap * each.group.tokens for each in wanted]) - drawn
    sign = np.array([each.change for each in candidates], dtype=np.float64)
    start = _State((rows * (drawn - plan)).sum(axis=1), (bounds * drawn).sum(axis=1), room, sign)
    for number in _Search(candidates, rows, len(told), bounds, start).run():
        each = candidates[number]
        repeats[each.group][each.bin] += each.change
    return repeats


def rows_told(cells: Sequence[Cell], plan: Floats, config: DrawConfig) -> Floats:
    """Misses of the targets and of the size per token of each group, in units; shape (targets + 1, G)."""
    total = plan.sum()
    members = [of_target(cells, target) for target in config.wanted()]
    rows = [(each - (each * plan).sum() / total) / (SHARE_UNIT * total) for each in members]
    return np.stack([*rows, np.ones(len(cells)) / (SIZE_UNIT * total)])


def rows_of_cells(cells: Sequence[Cell], plan: Floats) -> Floats:
    """Likewise of the tokens of each cell; shape (cells, G)."""
    places = {cell: place for place, cell in enumerate(dict.fromkeys(cells))}
    rows = np.zeros((len(places), len(cells)))
    rows[[places[cell] for cell in cells], np.arange(len(cells))] = 1 / (CELL_UNIT * plan.sum())
    return rows


def _is_good(told: Floats) -> bool:
    return bool((np.abs(told) <= GOOD_ENOUGH).all())


@dataclass(frozen=True)
class _Candidate:
    """A bin of a group that may have one repeat more or less."""

    distance: int
    """From the cutoff, in bins."""

    group: int
    bin: int
    change: int
    tokens: int


def _candidates(wanted: Sequence[Wanted]) -> list[_Candidate]:
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
class _State:
    missed: Floats
    """In units, shape (F,)."""

    slack: Floats
    """Tokens that each floor or cap has left, shape (bounds,)."""

    room: Floats
    """Tokens that each group may have more, shape (G,)."""

    sign: Floats
    """Whether the next change of a candidate adds (1) or takes (-1) a repeat, shape (N,)."""

    @property
    def total(self) -> float:
        return float((self.missed * self.missed).sum())


class _Search:
    """Changes candidates, one or two at a time, as long as the sum of the squared misses falls."""

    def __init__(
        self, candidates: Sequence[_Candidate], rows: Floats, told: int, bounds: Floats, start: _State
    ) -> None:
        """`rows`: misses per token of each group, shape (F, G), the first `told` those of the targets and of the size;
        `bounds`: tokens that each floor or cap has left, per token of each group, shape (bounds, G)."""
        self.group = np.array([each.group for each in candidates], dtype=np.int64)
        self.tokens = np.array([each.tokens for each in candidates], dtype=np.float64)
        self.told, self.now, self.work = told, start, _MOST_WORK
        self.effects = rows[:, self.group] * self.tokens
        self.squares = (self.effects * self.effects).sum(axis=0)
        self.limits = bounds[:, self.group] * self.tokens
        self.same = self.group[:, None] == self.group[None, :]
        # Of the misses of a cell only pairs of its own groups have products.
        self.products = np.zeros(self.same.shape)
        for effect in self.effects:
            mine = np.flatnonzero(effect)
            self.products[np.ix_(mine, mine)] += 2 * effect[mine][:, None] * effect[mine][None, :]

    def run(self) -> list[int]:
        """The candidates that change."""
        start = self.now.sign
        self._descend()
        # Where no two changes help, three or more may: change one, whichever it is, and go on from there.
        best, number, tried = self.now, 0, 0
        while tried < len(start) and self.work > 0 and not self._is_done():
            if self._are_allowed(number):
                self._change(number)
                self._descend(number)
                if self.now.total < best.total - _LEAST_GAIN:
                    best, tried = self.now, 0
                self.now = best
            number, tried = (number + 1) % len(start), tried + 1
        return [int(each) for each in np.flatnonzero(self.now.sign != start)]

    def _is_done(self) -> bool:
        return _is_good(self.now.missed[: self.told])

    def _descend(self, held: int | None = None) -> None:
        while self.work > 0 and not self._is_done() and (step := self._best(held)):
            for number in step:
                self._change(number)

    def _best(self, held: int | None) -> tuple[int, ...]:
        """The one or two candidates, without `held`, whose change makes the sum of the squared misses least; none if
        none lowers it."""
        if not len(self.tokens):
            return ()
        self.work -= len(self.tokens) ** 2
        sign = self.now.sign
        alone = self.squares + 2 * sign * (self.effects * self.now.missed[:, None]).sum(axis=0)
        totals = self.products * (sign[:, None] * sign[None, :]) + alone[:, None] + alone[None, :]
        # the diagonal stands for one candidate alone
        np.fill_diagonal(totals, alone)
        totals[~self._allowed()] = np.inf
        if held is not None:
            totals[held] = totals[:, held] = np.inf
        first, second = divmod(int(np.argmin(totals)), len(alone))
        if totals[first, second] >= -_LEAST_GAIN:
            return ()
        return (first,) if first == second else (first, second)

    def _allowed(self) -> npt.NDArray[np.bool_]:
        """Which pairs keep the epochs of their groups, and the floors and caps; shape (N, N)."""
        change, room = self.tokens * self.now.sign, self.now.room[self.group]
        both = change[:, None] + change[None, :]
        np.fill_diagonal(both, change)
        alone = room >= change
        allowed = np.where(self.same, room[:, None] >= both, alone[:, None] & alone[None, :])
        for limit, slack in zip(self.limits, self.now.slack):
            effect = limit * self.now.sign
            effects = effect[:, None] + effect[None, :]
            np.fill_diagonal(effects, effect)
            allowed &= slack + effects >= min(slack, 0.0)
        return np.asarray(allowed)

    def _are_allowed(self, number: int) -> bool:
        """Likewise of one candidate."""
        sign, slack = self.now.sign[number], self.now.slack
        is_within = self.now.room[self.group[number]] >= sign * self.tokens[number]
        return bool(is_within and (slack + sign * self.limits[:, number] >= np.minimum(slack, 0.0)).all())

    def _change(self, number: int) -> None:
        now, sign = self.now, self.now.sign[number]
        room, signs = now.room.copy(), now.sign.copy()
        room[self.group[number]] -= sign * self.tokens[number]
        signs[number] = -sign
        missed = now.missed + sign * self.effects[:, number]
        self.now = _State(missed, now.slack + sign * self.limits[:, number], room, signs)
