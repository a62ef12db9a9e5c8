"""The one interpreter of label, judge and rewrite steps: a document in, a verdict out.

`filter` uses it for every document, `explain` for one with a trace. Signals are measured lazily, from one
segmentation of the current text, and each is measured once unless a rewrite changes the text.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import exp
from typing import Any, Protocol

from filters.catalog import EDITS, SIGNALS
from filters.rules import judge
from filters.view import View
from filters.wording import word_counts
from mixers.pretokens import count as count_tokens
from pipeline.recipes.recipe import (
    STEP_SIGNALS,
    Combine,
    Dedup,
    Extract,
    Gate,
    Judge,
    Label,
    Pool,
    RecipeRule,
    Rewrite,
    Step,
    Term,
)

# So many items of a benchmark are named in the ledger.
MAX_ITEMS = 8


@dataclass(frozen=True)
class Reject:
    """One failing rule of the step that rejected."""

    step: str
    rule: str
    value: float | None
    threshold: float | None
    evidence: str | None = None


@dataclass
class Document:
    """A document on its way through the steps. `signals` holds what is known of the current text, `evidence` what a
    model pointed at to say so (the items of a benchmark), by signal."""

    text: str
    url: str = ""
    language: str | None = None
    language_score: float | None = None
    domain: str | None = None
    tokens: int = 0
    signals: dict[str, float | None] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    _view: View | None = None
    _word_counts: Mapping[str, int] | None = None

    @property
    def word_counts(self) -> Mapping[str, int]:
        """How often each word comes, for the tables of words: cut once for all of them."""
        if self._word_counts is None:
            self._word_counts = word_counts(self.text)
        return self._word_counts

    @property
    def view(self) -> View:
        if self._view is None:
            self._view = View(self.text, url=self.url, language=self.language or "")
        return self._view

    def signal(self, name: str) -> float | None:
        """A step's signal if one was set, else the catalog's, measured now and remembered; null for a step's that was
        not set for this document, say in its language (that a step sets it at all: `recipe_signals.py`)."""
        if name not in self.signals:
            known = SIGNALS.get(name)
            self.signals[name] = known.measure(self.view) if known else None
        return self.signals[name]

    def replace_text(self, text: str) -> None:
        """A rewrite: everything that was measured on the old text is forgotten."""
        self.text = text
        self._view = self._word_counts = None
        for name in [name for name in self.signals if name in SIGNALS]:
            del self.signals[name]
        self.tokens = count_tokens(text)


class Models(Protocol):
    """What the interpreter asks of the loaded models, by the name that the recipe gives them."""

    def language(self, model: str) -> Callable[[str], tuple[str, float]]: ...

    def scorer(self, model: str) -> Callable[[str], float]: ...

    def domain(self, model: str) -> Callable[[str], tuple[str, Mapping[str, float]]]: ...

    def wording(self, model: str) -> Callable[[Mapping[str, int]], float] | None: ...

    def likeness(self, model: str) -> Callable[[Mapping[str, int]], float]: ...

    def coherence(self, model: str) -> Callable[[str, str | None], float | None]: ...

    def safety(self, model: str) -> Callable[[str, str | None], float | None]: ...

    def contamination(self, model: str) -> Callable[[str], "Contaminated"]: ...

    def redpajama(self, model: str) -> Callable[[View], Mapping[str, float | None]]: ...


class Contaminated(Protocol):
    """What a text shares with benchmarks: the share of its words, and the items by name."""

    @property
    def share(self) -> float: ...

    @property
    def items(self) -> Sequence[str]: ...


Trace = list[dict[str, Any]]


def step_signals(steps: Sequence[Step]) -> set[str]:
    """Every signal that these steps put into the `signals` column."""
    names: set[str] = set()
    for step in steps:
        if isinstance(step, Judge | Gate):
            names |= {rule.rule.signal for rule in step.rules}
        elif isinstance(step, Label):
            names |= step.sets & STEP_SIGNALS.keys()
        elif isinstance(step, Combine):
            names |= {step.signal, *(term.signal for term in step.terms)}
    return names - {"language_score"}


def run_steps(
    document: Document,
    steps: Sequence[Step],
    models: Models,
    trace: Trace | None = None,
    passed: Callable[[int, Document], None] | None = None,
) -> list[Reject]:
    """Take `document` through `steps`, changing it; returns the failing rules of the first step that rejects.

    `passed(order, document)` is called after each step that the document survives.
    """
    for order, step in enumerate(steps):
        rejects = run_step(document, step, models, trace)
        if rejects:
            return rejects
        if passed:
            passed(order, document)
    return []


def run_step(document: Document, step: Step, models: Models, trace: Trace | None = None) -> list[Reject]:
    match step:
        case Label():
            return _label(document, step, models, trace)
        case Judge():
            if step.languages and document.language not in step.languages:
                return []
            rejects = judge_rules(step.name, step.rules, document.signal, document.language, trace)
            return [_with_evidence(reject, document) for reject in rejects] if document.evidence else rejects
        case Combine():
            return _combine(document, step, trace)
        case Rewrite():
            return _rewrite(document, step, trace)
        case Gate() | Extract() | Dedup() | Pool():
            raise AssertionError(f"{type(step).__name__} is not a step of a text")


def judge_rules(
    name: str,
    rules: Sequence[RecipeRule],
    signal: Callable[[str], float | None],
    language: str | None,
    trace: Trace | None = None,
) -> list[Reject]:
    """All failing rules of a block. Rules that speak of other languages are left out."""
    mine = [rule.rule for rule in rules if not rule.languages or language in rule.languages]
    values = {rule.signal: signal(rule.signal) for rule in mine}
    failures = judge(values, mine)
    failed = {id(failure.rule) for failure in failures}
    if trace is not None:
        for rule in mine:
            trace.append(
                {
                    "step": name,
                    "rule": f"{rule.bound}_{rule.signal}",
                    "signal": rule.signal,
                    "value": values[rule.signal],
                    "threshold": rule.threshold,
                    "passed": id(rule) not in failed,
                }
            )
    return [Reject(name, f"{f.rule.bound}_{f.rule.signal}", f.value, f.threshold) for f in failures]


def _label(document: Document, step: Label, models: Models, trace: Trace | None) -> list[Reject]:
    if step.languages and document.language not in step.languages:
        return []
    values: Mapping[str, float | str | None]
    rejects: list[Reject] = []
    if step.what == "language":
        text = document.text if step.characters is None else middle(document.text, step.characters)
        document.language, document.language_score = models.language(step.model)(text)
        if document._view is not None:  # its words and stop words are of the language
            document._view = document._view.in_language(document.language)
        document.signals["language_score"] = document.language_score
        values = {step.what: document.language}
        if step.keep and document.language not in step.keep:
            rejects = [Reject(step.name, "language_not_kept", document.language_score, None)]
    elif step.what == "domain":
        document.domain, _ = models.domain(step.model)(document.text)
        values = {step.what: document.domain}
    elif step.what == "redpajama":
        found = models.redpajama(step.model)(document.view)
        document.signals |= found
        values = found
    else:
        score = document.signals[step.what] = _score(document, step, models)
        values = {step.what: score}
    if trace is not None:
        trace += [
            {"step": step.name, "rule": "label" if name == step.what else name, "signal": name, "value": value,
             "threshold": list(step.keep) or None, "passed": not rejects}
            for name, value in values.items()
        ]  # fmt: skip
    return rejects


def middle(text: str, characters: int) -> str:
    """So many characters from the middle, where a page's menus are not."""
    start = max(len(text) - characters, 0) // 2
    return text[start : start + characters]


def _score(document: Document, step: Label, models: Models) -> float | None:
    match step.what:
        case "wording" if table := models.wording(step.model):
            return table(document.word_counts)
        case "likeness":
            return models.likeness(step.model)(document.word_counts)
        case "coherence":
            return models.coherence(step.model)(document.text, document.language)
        case "safety":
            return models.safety(step.model)(document.text, document.language)
        case "contamination":
            found = models.contamination(step.model)(document.text)
            document.evidence[step.what] = ", ".join(found.items[:MAX_ITEMS])
            return found.share
    return models.scorer(step.model)(document.text)


def _with_evidence(reject: Reject, document: Document) -> Reject:
    found = document.evidence.get(reject.rule.removeprefix("max_").removeprefix("min_"))
    return replace(reject, evidence=found) if found else reject


def _combine(document: Document, step: Combine, trace: Trace | None) -> list[Reject]:
    if step.languages and document.language not in step.languages:
        return []
    values = {term.signal: document.signal(term.signal) for term in step.terms}
    parts = [(term.signal, added(term, values[term.signal])) for term in step.terms]
    value = logistic(step.intercept + sum(add for _, add in parts))
    before = document.signals.get(step.signal) if step.larger else None
    value = document.signals[step.signal] = value if before is None else max(value, before)
    if trace is not None:
        trace.append(
            {"step": step.name, "rule": "combine", "signal": step.signal, "value": value, "threshold": None,
             "passed": True, "intercept": step.intercept, "values": values,
             "terms": {name: round(add, 4) for name, add in parts}, **({} if before is None else {"before": before})}
        )  # fmt: skip
    return []


def added(term: Term, value: float | None) -> float:
    """What a term adds at `value`: straight lines between its points, flat outside them."""
    if value is None:
        return term.missing
    at = bisect_right(term.at, value)
    if at == 0:
        return term.add[0]
    if at == len(term.at):
        return term.add[-1]
    share = (value - term.at[at - 1]) / (term.at[at] - term.at[at - 1])
    return term.add[at - 1] + share * (term.add[at] - term.add[at - 1])


def logistic(total: float) -> float:
    """1 / (1 + e**-total), to a fixed number of digits: what is left does not depend on a CPU's library."""
    return round(1.0 / (1.0 + exp(-min(max(total, -50.0), 50.0))), 6)


def _rewrite(document: Document, step: Rewrite, trace: Trace | None) -> list[Reject]:
    before = len(document.text)
    text, cuts = EDITS[step.edit](document.text)
    if text != document.text:
        document.replace_text(text)
    if trace is not None:
        trace.append(
            {"step": step.name, "rule": step.edit, "signal": "characters", "value": len(text) - before,
             "threshold": None, "passed": True, "cuts": cuts}
        )  # fmt: skip
    return []


@lru_cache(maxsize=8)
def loaded_models(places: tuple[tuple[str, str], ...]) -> Models:
    """The models at (name, path) pairs, loaded once in a process."""
    from pipeline.models.store import LoadedModels

    return LoadedModels(dict(places))
