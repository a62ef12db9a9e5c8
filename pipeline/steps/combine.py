"""Combine: a new signal from measured ones, as a logistic function of readable curves."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from filters.catalog import SIGNALS
from infra.errors import UsageError
from infra.ledger import Reject
from infra.names import meant
from pipeline.document import Document, Trace
from pipeline.models.combination import Term, is_curve, load_combination, logistic
from pipeline.models.loaded import Models
from pipeline.steps.fields import flag, model_name, named, number, numbers, only, shown, tables, text, words
from pipeline.steps.option import REQUIRED, SIGNAL_LIST, Option
from pipeline.steps.rules import in_languages
from pipeline.steps.signals import STEP_SIGNALS
from pipeline.steps.step import Step


@dataclass(frozen=True)
class Combine(Step):
    """A new signal from measured ones: the logistic function of `intercept` plus every term.

    The terms stand in the recipe, or in a file that `refinery fit combination` made: `model`, by its name among the
    models. A step with a model has no terms until it is bound.
    `languages`: of which documents (none: all).
    `larger`, `smaller`: the signal, which an earlier step has set, keeps its own value where that is larger (smaller).
    """

    kind: ClassVar[str] = "combine"
    keys: ClassVar[tuple[Option, ...]] = (
        Option("signal", "the signal that it sets: one of those that steps set", default=REQUIRED),
        Option("model", "intercept and terms, by the name of their file in the model folder; in place of both"),
        Option("intercept", "what is added to the sum of the terms before the logistic function", "number", "0"),
        Option(
            "terms",
            "curves `{ signal, at = [..], add = [..], missing }`: the value is added that the straight lines between "
            "the points have; `missing` for a signal that is not measured (0)",
            "list of tables",
        ),
        Option("languages", "of which documents, by their language; without it of all", "list of texts"),
        Option("larger", "an earlier value of the signal stays where it is larger", "true or false", "false"),
        Option("smaller", "an earlier value of the signal stays where it is smaller", "true or false", "false"),
    )
    stages: ClassVar[tuple[str, ...]] = ("extract", "filter")
    on_text: ClassVar[bool] = True
    combines: ClassVar[bool] = True

    name: str
    signal: str
    terms: tuple[Term, ...] = ()
    intercept: float = 0.0
    languages: tuple[str, ...] = ()
    larger: bool = False
    model: str | None = None
    smaller: bool = False

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, cls.key_names(), place)
        signal = text(source, "signal", place)
        if signal not in STEP_SIGNALS:
            given = source.get("signal")
            raise UsageError(f"{place}: a combination sets no signal {shown(given)}; {meant(given, STEP_SIGNALS)}")
        model = model_name(text(source, "model", place), f"{place}: model") if "model" in source else None
        larger, smaller = (flag(source, key, place) if key in source else False for key in ("larger", "smaller"))
        if larger and smaller:
            raise UsageError(f"{place}: larger and smaller would undo each other: leave one of the two out")
        terms = tuple(_read_term(term, place) for term in tables(source, "terms", place))
        if model and ("terms" in source or "intercept" in source):
            raise UsageError(f"{place}: intercept and terms are in the model {shown(model)}: leave one of the two out")
        if not model and not terms:
            raise UsageError(f"{place}: terms is empty; it says what each signal adds (or name a model that does)")
        return cls(
            named(source, place, signal),
            signal,
            terms,
            number(source, "intercept", place),
            words(source, "languages", place),
            larger,
            model,
            smaller,
        )

    def bound(self, later: Sequence[Step], places: Mapping[str, Path]) -> Self:
        """With the terms of its model, where that is among `places`."""
        del later
        path = places.get(self.model or "")
        if path is None:
            return self
        found = load_combination(path)
        for term in found.terms:
            if not _is_signal(term.signal):
                raise UsageError(f"{path}: no signal {shown(term.signal)}; {_near(term.signal)}")
        return replace(self, terms=found.terms, intercept=found.intercept)

    def models(self) -> Iterator[str]:
        return iter([self.model] if self.model else [])

    def requires(self) -> Iterator[str]:
        yield from (term.signal for term in self.terms)
        if self.chooses:
            yield self.signal

    @property
    def chooses(self) -> bool:
        """Whether it chooses between its value and an earlier one."""
        return self.larger or self.smaller

    def _chosen(self, value: float, before: float | None) -> float:
        if before is None or not self.chooses:
            return value
        return max(value, before) if self.larger else min(value, before)

    @property
    def sets(self) -> frozenset[str]:
        return frozenset((self.signal,))

    def lines(self) -> list[str]:
        terms = [f"  {term.signal} at {list(term.at)} adds {list(term.add)}" for term in self.terms]
        how = ", if that is larger" if self.larger else ", if that is smaller" if self.smaller else ""
        model = f" with {self.model}" if self.model else ""
        base = f" from {self.intercept:g}" if self.terms else ""
        return [f"combine {self.signal}{in_languages(self.languages)}{model}{base}{how}", *terms]

    def upper_bound(
        self, signal: str, before: float | None, document: Document, unknown: Collection[str]
    ) -> float | None:
        if signal != self.signal or not self.is_for(document):
            return before
        # summed in the order of `run`: rounding cannot make it less than the value there
        value = logistic(self.intercept + sum(add for _, add in self._parts(document, unknown)))
        return self._chosen(value, before)

    def _parts(self, document: Document, unknown: Collection[str] = ()) -> list[tuple[str, float]]:
        """What each signal adds; the most that it can where it is `unknown`."""
        assert self.terms, f"{self.name} is not bound to {self.model}"
        return [
            (each.signal, each.largest if each.signal in unknown else each.added(document.signal(each.signal)))
            for each in self.terms
        ]

    def assumed(self, signal: str, document: Document, unknown: Collection[str]) -> dict[str, float]:
        if signal != self.signal or not self.is_for(document):
            return {}
        return {term.signal: term.largest for term in self.terms if term.signal in unknown}

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        del models
        if not self.is_for(document):
            return []
        parts = self._parts(document)
        value = logistic(self.intercept + sum(add for _, add in parts))
        before = document.signals.get(self.signal) if self.chooses else None
        value = document.signals[self.signal] = self._chosen(value, before)
        if trace is not None:
            trace.append(
                {"step": self.name, "rule": "combine", "signal": self.signal, "value": value, "threshold": None,
                 "passed": True, "intercept": self.intercept,
                 "values": {term.signal: document.signal(term.signal) for term in self.terms},
                 "terms": {name: round(add, 4) for name, add in parts},
                 **({} if before is None else {"before": before, "of_two": "larger" if self.larger else "smaller"})}
            )  # fmt: skip
        return []


def _read_term(source: Mapping[str, Any], place: str) -> Term:
    """`{signal = "words", at = [50, 300], add = [-1.5, 0.4], missing = 0.0}`."""
    here = f"{place}: term {shown(dict(source))}"
    only(source, ("signal", "at", "add", "missing"), here)
    signal = text(source, "signal", here)
    if not _is_signal(signal):
        raise UsageError(f"{here}: no signal {shown(signal)}; {_near(signal)}")
    at, add = numbers(source, "at", here), numbers(source, "add", here)
    if not is_curve(at, add):
        raise UsageError(f"{here}: at must rise, and add must have as many numbers as at")
    return Term(signal, at, add, number(source, "missing", here))


def _is_signal(name: str) -> bool:
    return name in SIGNALS or name in STEP_SIGNALS


def _near(name: str) -> str:
    return meant(name, (*SIGNALS, *STEP_SIGNALS), SIGNAL_LIST)
