"""Which source each training sequence is drawn from: a function of the sequence's number and the weights in force.

Each sequence is of one source: the one whose draws are furthest behind its weight, ties to the first name. With weights
as whole shares of `SHARES` this order repeats after that many sequences: a credit, which grows by its share and falls
by the period at each draw, stays above minus the period and is a multiple of it at the end of a period, so that it is 0
again. So a source's draws up to any sequence, and the sequence of any of its draws, are found without counting.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from infra.errors import UsageError
from trainer.data.documents import DocumentTable, Ints

# Weights are rounded to this part; a weight that is not 0 has at least one share.
SHARES = 2**18
EXTENSION = 2**12  # sequences of a period that are worked out at once


@dataclass(frozen=True)
class MixtureStage:
    """Weights from an optimizer step on, until the next stage."""

    from_step: int
    """The first step with these weights, counted from 0 and from the start of the run, branches included."""

    weights: Mapping[str, float]
    """By the name of the source, in any unit; sources that are not named are not drawn from."""


def mixture_json(stages: Sequence[MixtureStage]) -> list[dict[str, Any]]:
    """The stages as a checkpoint holds them."""
    return [asdict(stage) for stage in stages]


def mixture_from_json(body: Sequence[Mapping[str, Any]]) -> tuple[MixtureStage, ...]:
    """Inverse of `mixture_json`."""
    return tuple(MixtureStage(stage["from_step"], dict(stage["weights"])) for stage in body)


class Blend:
    """The endless order of draws under one set of weights."""

    def __init__(self, names: Sequence[str], weights: Mapping[str, float]) -> None:
        """`names`: of all sources; an answer is an index into it. `weights`: at least one is positive."""
        shares = whole_shares(weights)
        by_name = sorted(name for name, share in shares.items() if share)
        self._sources = [names.index(name) for name in by_name]
        self._shares = [shares[name] for name in by_name]
        self.period = sum(self._shares)
        self._credits = [0] * len(by_name)
        self._order = np.zeros(self.period, np.int64)
        self._known = 0

    def sources(self, first: int, count: int) -> Ints:
        """The source of each of `count` draws from number `first` on."""
        places = np.arange(first, first + count) % self.period
        self._extend(int(places.max()) + 1 if count else 0)
        found: Ints = self._order[places]
        return found

    def count(self, source: int, draws: int) -> int:
        """How many of the first `draws` are of the source."""
        if source not in self._sources:
            return 0
        rounds, rest = divmod(draws, self.period)
        self._extend(rest)
        return rounds * self._shares[self._sources.index(source)] + int((self._order[:rest] == source).sum())

    def find(self, source: int, number: int) -> int:
        """The draw that is the source's `number`-th, from 0."""
        rounds, rest = divmod(number, self._shares[self._sources.index(source)])
        self._extend(self.period)
        return rounds * self.period + int(np.flatnonzero(self._order == source)[rest])

    def _extend(self, until: int) -> None:
        if until > self._known:
            until = min(self.period, max(until, self._known + EXTENSION))
            self._order[self._known : until] = list(self._draws(until - self._known))
            self._known = until

    def _draws(self, count: int) -> Iterator[int]:
        credits, shares, each = self._credits, self._shares, range(len(self._shares))
        for _ in range(count):
            for i in each:
                credits[i] += shares[i]
            drawn = max(each, key=credits.__getitem__)
            credits[drawn] -= self.period
            yield self._sources[drawn]


def whole_shares(weights: Mapping[str, float]) -> dict[str, int]:
    """Weights as whole numbers without a common divisor: the largest remainders of `SHARES`, at least 1 where
    positive."""
    total = math.fsum(weights.values())
    exact = {name: SHARES * weight / total for name, weight in weights.items()}
    shares = {name: max(int(share), 1 if share else 0) for name, share in exact.items()}
    missing = max(0, SHARES - sum(shares.values()))
    for name in sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))[:missing]:
        shares[name] += 1
    divisor = math.gcd(*shares.values())
    return {name: share // divisor for name, share in shares.items()}


class Stretch(NamedTuple):
    """Sequences `first` to `last` - 1, which have the draws of `blend` from its number `first - begin` on."""

    begin: int
    first: int
    last: int
    blend: Blend


class MixtureSchedule:
    """Sequence number -> source, under a schedule of weights."""

    def __init__(
        self, stages: Sequence[MixtureStage], table: DocumentTable, global_batch_size: int, from_step: int = 0
    ) -> None:
        """Before the first stage, the weights are each source's tokens times repeats.

        `from_step`: weights that are in force only before it are not looked at, so that a branch may have a dataset
        without a source of the trunk's. UsageError for weights that cannot be drawn by.
        """
        self.names = [source.name for source in table.sources]
        given = tuple(stages)
        steps = [stage.from_step for stage in given]
        if steps != sorted(set(steps)) or (steps and steps[0] < 0):
            raise UsageError("data.mixture: each from_step must be larger than the one before, and none negative")
        if not steps or steps[0] > 0:
            given = (MixtureStage(0, {source.name: source.tokens for source in table.sources}), *given)
        self._begins = [stage.from_step * global_batch_size for stage in given]
        self._weights = [stage.weights for stage in given]
        self._blends: dict[int, Blend] = {}
        for i, stage in enumerate(given):
            if i + 1 == len(given) or given[i + 1].from_step > from_step:
                check_weights(stage, table)

    def sources(self, first: int, count: int) -> Ints:
        """The source of each of `count` sequences from number `first` on: indices into the table's `sources`."""
        parts = [each.blend.sources(each.first - each.begin, each.last - each.first)
                 for each in self._stretches(first, first + count)]  # fmt: skip
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def count(self, source: int, first: int, last: int) -> int:
        """How many of the sequences `first` to `last` - 1 are of the source."""
        return sum(
            each.blend.count(source, each.last - each.begin) - each.blend.count(source, each.first - each.begin)
            for each in self._stretches(first, last)
        )

    def find(self, source: int, first: int, last: int, number: int) -> int:
        """The sequence among `first` to `last` - 1 that is the source's `number`-th, from 0."""
        for each in self._stretches(first, last):
            before = each.blend.count(source, each.first - each.begin)
            here = each.blend.count(source, each.last - each.begin) - before
            if number < here:
                return each.begin + each.blend.find(source, before + number)
            number -= here
        raise AssertionError("the source has fewer sequences")

    def _stretches(self, first: int, last: int) -> Iterator[Stretch]:
        ends = [*self._begins[1:], last]
        for i, (begin, end) in enumerate(zip(self._begins, ends, strict=True)):
            if max(begin, first) < min(end, last):
                if i not in self._blends:
                    self._blends[i] = Blend(self.names, self._weights[i])
                yield Stretch(begin, max(begin, first), min(end, last), self._blends[i])


def check_weights(stage: MixtureStage, table: DocumentTable) -> None:
    """UsageError for a stage that the dataset cannot be drawn by."""
    where = f"data.mixture from step {stage.from_step}"
    if not any(source.tokens for source in table.sources):
        raise UsageError("every document of the dataset has repeats 0: the mixture drew nothing to train on")
    for name, weight in stage.weights.items():
        source = table.source(name)
        if source is None:
            names = ", ".join(repr(each.name) for each in table.sources)
            raise UsageError(f"{where}: the dataset has no source {name!r}; its sources are {names}")
        if not math.isfinite(weight) or weight < 0:
            raise UsageError(f"{where}: the weight of {name!r} is {weight}; it must be 0 or more")
        if weight and not source.tokens:
            raise UsageError(f"{where}: no document of {name!r} has repeats, so that it cannot be drawn from")
    if not any(stage.weights.values()):
        raise UsageError(f"{where}: no weight is over 0")
