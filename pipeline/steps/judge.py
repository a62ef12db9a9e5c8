"""Judge: a block of rules on signals of the text; the ledger gets every one that fails."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from filters.catalog import SIGNALS
from infra.ledger import Reject
from pipeline.document import Document, Trace
from pipeline.models.loaded import Models
from pipeline.steps.fields import named, only, words
from pipeline.steps.option import Option
from pipeline.steps.rules import RecipeRule, in_languages, judge_rules, read_rules, rule_lines
from pipeline.steps.signals import HEADER_SIGNALS, STEP_SIGNALS
from pipeline.steps.step import Step


@dataclass(frozen=True)
class Judge(Step):
    """`languages`: which documents it judges (none: all). A recipe's `source` is that of rules without their own."""

    kind: ClassVar[str] = "judge"
    keys: ClassVar[tuple[Option, ...]] = (
        Option("source", "where the thresholds of rules come from that do not say it themselves"),
        Option("languages", "which documents it judges, by their language; without it all", "list of texts"),
        Option("rules", "bounds on signals: see [rules](#rules)", "list", "[]"),
    )
    stages: ClassVar[tuple[str, ...]] = ("extract", "filter")
    on_text: ClassVar[bool] = True

    name: str
    rules: tuple[RecipeRule, ...]
    languages: tuple[str, ...] = ()

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, cls.key_names(), place)
        rules = read_rules(source, place, {*SIGNALS, *STEP_SIGNALS})
        return cls(named(source, place), rules, words(source, "languages", place))

    def requires(self) -> Iterator[str]:
        return (rule.rule.signal for rule in self.rules)

    @property
    def binding(self) -> bool:
        """Whether its rules are on requests of the publisher, which apply to an audit sample too."""
        return not HEADER_SIGNALS.keys().isdisjoint(self.requires())

    def lines(self) -> list[str]:
        return [f"judge {self.name}{in_languages(self.languages)}", *rule_lines(self.rules)]

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        del models
        if not self.is_for(document):
            return []
        rejects = judge_rules(self.name, self.rules, document.signal, document.language, trace)
        return [with_evidence(reject, document) for reject in rejects] if document.evidence else rejects


def with_evidence(reject: Reject, document: Document) -> Reject:
    found = document.evidence.get(reject.rule.removeprefix("max_").removeprefix("min_"))
    return replace(reject, evidence=found) if found else reject
