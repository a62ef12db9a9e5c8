"""Combine: a new signal from measured ones, as a logistic function of readable curves."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import exp
from typing import Any, ClassVar, Self

from filters.catalog import SIGNALS
from infra.errors import UsageError
from infra.ledger import Reject
from pipeline.document import Document, Trace
from pipeline.models.loaded import Models
from pipeline.steps.fields import flag, named, number, numbers, only, shown, tables, text, words
from pipeline.steps.rules import in_languages
from pipeline.steps.signals import STEP_SIGNALS
from pipeline.steps.step import Step


@dataclass(frozen=True)
class Term:
    """What one signal adds to a combination: `add[i]` at the value `at[i]`, a straight line between, flat outside.

    A signal that is not measured adds `missing`.
    """

    signal: str
    at: tuple[float, ...]
    add: tuple[float, ...]
    missing: float = 0.0

    def added(self, value: float | None) -> float:
        if value is None:
            return self.missing
        at = bisect_right(self.at, value)
        if at == 0:
            return self.add[0]
        if at == len(self.at):
            return self.add[-1]
        share = (value - self.at[at - 1]) / (self.at[at] - self.at[at - 1])
        return self.add[at - 1] + share * (self.add[at] - self.add[at - 1])


@dataclass(frozen=True)
class Combine(Step):
    """A new signal from measured ones: the logistic function of `intercept` plus every term, fitted by `refinery fit
    combination`. `languages`: of which documents (none: all). `larger`: the signal, which an earlier step has set,
    keeps its own value where that is larger."""

    kind: ClassVar[str] = "combine"
    stages: ClassVar[tuple[str, ...]] = ("extract", "filter")
    on_text: ClassVar[bool] = True

    name: str
    signal: str
    terms: tuple[Term, ...]
    intercept: float = 0.0
    languages: tuple[str, ...] = ()
    larger: bool = False

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, ("kind", "name", "signal", "terms", "intercept", "languages", "larger"), place)
        signal = text(source, "signal", place)
        if signal not in STEP_SIGNALS:
            raise UsageError(
                f"{place}: a combination sets one of {', '.join(STEP_SIGNALS)}, not {shown(source.get('signal'))}"
            )
        terms = tuple(_read_term(term, place) for term in tables(source, "terms", place))
        if not terms:
            raise UsageError(f"{place}: terms is empty; it says what each signal adds")
        return cls(
            named(source, place, signal),
            signal,
            terms,
            number(source, "intercept", place),
            words(source, "languages", place),
            flag(source, "larger", place) if "larger" in source else False,
        )

    def requires(self) -> Iterator[str]:
        yield from (term.signal for term in self.terms)
        if self.larger:
            yield self.signal

    @property
    def sets(self) -> frozenset[str]:
        return frozenset((self.signal,))

    def lines(self) -> list[str]:
        terms = [f"  {term.signal} at {list(term.at)} adds {list(term.add)}" for term in self.terms]
        how = ", if that is larger" if self.larger else ""
        return [f"combine {self.signal}{in_languages(self.languages)} from {self.intercept:g}{how}", *terms]

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        del models
        if self.languages and document.language not in self.languages:
            return []
        values = {term.signal: document.signal(term.signal) for term in self.terms}
        parts = [(term.signal, term.added(values[term.signal])) for term in self.terms]
        value = logistic(self.intercept + sum(add for _, add in parts))
        before = document.signals.get(self.signal) if self.larger else None
        value = document.signals[self.signal] = value if before is None else max(value, before)
        if trace is not None:
            trace.append(
                {"step": self.name, "rule": "combine", "signal": self.signal, "value": value, "threshold": None,
                 "passed": True, "intercept": self.intercept, "values": values,
                 "terms": {name: round(add, 4) for name, add in parts},
                 **({} if before is None else {"before": before})}
            )  # fmt: skip
        return []


def _read_term(source: Mapping[str, Any], place: str) -> Term:
    """`{signal = "words", at = [50, 300], add = [-1.5, 0.4], missing = 0.0}`."""
    here = f"{place}: term {shown(dict(source))}"
    only(source, ("signal", "at", "add", "missing"), here)
    signal = text(source, "signal", here)
    if signal not in SIGNALS and signal not in STEP_SIGNALS:
        raise UsageError(f"{here}: no such signal; `refinery recipes signals` lists them")
    at, add = numbers(source, "at", here), numbers(source, "add", here)
    if len(at) != len(add) or not at or list(at) != sorted(set(at)):
        raise UsageError(f"{here}: at must rise, and add must have as many numbers as at")
    return Term(signal, at, add, number(source, "missing", here))


def logistic(total: float) -> float:
    """1 / (1 + e**-total), to a fixed number of digits: what is left does not depend on a CPU's library."""
    return round(1.0 / (1.0 + exp(-min(max(total, -50.0), 50.0))), 6)
