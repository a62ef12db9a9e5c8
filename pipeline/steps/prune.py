"""Prune: upper-bound pruning, which rejects a document before expensive steps that could not save it.

A judge at the end of a stage has a minimum of a combined signal. Some of what is combined is known early, some
only after an expensive model. The step takes what is known as it is and the rest at the most that it can add: where the
signal stays below the judge's threshold even so, the judge would reject the document in any case. So no document is
lost that the later steps would keep, and no curve or threshold is written down twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Self

from infra.errors import UsageError
from infra.ledger import Reject
from infra.names import meant
from pipeline.document import Document, Trace
from pipeline.models.loaded import Models
from pipeline.steps.fields import named, only, shown, text
from pipeline.steps.option import REQUIRED, Option
from pipeline.steps.rules import RecipeRule, in_languages, judge_rules, rule_lines
from pipeline.steps.step import Step


@dataclass(frozen=True)
class Prune(Step):
    """judge: the name of a later judge step of the same stage. The rest is taken from the later steps:

    rules: the judge's minimums of a combined signal.
    languages: of which documents the judge is.
    between: the steps before the judge that set signals, in their order.
    """

    kind: ClassVar[str] = "prune"
    keys: ClassVar[tuple[Option, ...]] = (
        Option(
            "judge",
            "the name of a later judge of the same stage, with a `min` on a signal that is combined",
            default=REQUIRED,
        ),
    )
    stages: ClassVar[tuple[str, ...]] = ("extract", "filter")
    on_text: ClassVar[bool] = True

    name: str
    judge: str
    rules: tuple[RecipeRule, ...] = ()
    languages: tuple[str, ...] = ()
    between: tuple[Step, ...] = ()

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, cls.key_names(), place)
        return cls(named(source, place), text(source, "judge", place, required=True))

    def bound(self, later: Sequence[Step], places: Mapping[str, Path]) -> Self:
        del places
        names = [step.name if step.rules else None for step in later]
        if self.judge not in names:
            hint = meant(self.judge, [name for name in names if name])
            raise UsageError(
                f"prune {self.name!r}: no later step of its stage is a judge called {shown(self.judge)}; {hint}"
            )
        at = names.index(self.judge)
        judge, before = later[at], later[:at]
        for step in before:
            if step.edits or "language" in step.sets:
                what = "text" if step.edits else "language"
                raise UsageError(
                    f"prune {self.name!r}: {step.kind} {step.name!r} changes the {what} before {self.judge!r}: "
                    "put the prune step after it"
                )
        combined = {name for step in before if step.combines for name in step.sets}
        rules = tuple(each for each in judge.rules if each.rule.bound == "min" and each.rule.signal in combined)
        if not rules:
            raise UsageError(
                f"prune {self.name!r}: {self.judge!r} has no min rule on a signal that a combine step between them sets"
            )
        return replace(
            self, rules=rules, languages=judge.languages, between=tuple(step for step in before if step.sets)
        )

    def lines(self) -> list[str]:
        head = f"prune {self.name}{in_languages(self.languages)}: what cannot pass {self.judge} any more"
        return [head, *rule_lines(self.rules)]

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        del models
        if not self.is_for(document):
            return []
        found: Trace = []
        rejects = judge_rules(
            self.name, self.rules, lambda signal: self.bound_of(signal, document), document.language, found
        )
        if trace is not None:
            trace += [{**entry, "assumed": self.assumptions(entry["signal"], document)} for entry in found]
        return rejects

    def bound_of(self, signal: str, document: Document) -> float | None:
        """The most that `signal` can be when the judge sees it; None where nothing sets it, or no bound is known."""
        value = document.signals.get(signal)
        for step, unknown in self.path():
            value = step.upper_bound(signal, value, document, unknown)
        return value if value is not None and isfinite(value) else None

    def assumptions(self, signal: str, document: Document) -> dict[str, float]:
        """What signals that are not known yet are taken to add, by the names of step and signal."""
        return {
            f"{step.name}: {name}": add
            for step, unknown in self.path()
            for name, add in step.assumed(signal, document, unknown).items()
        }

    def path(self) -> Iterator[tuple[Step, set[str]]]:
        """The steps up to the judge, each with the signals that those before it set."""
        unknown: set[str] = set()
        for step in self.between:
            yield step, unknown
            unknown = unknown | step.sets
