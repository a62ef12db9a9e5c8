"""Gate: rules on a page's address, and on its headers: before the body is read, or of documents, which have none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from filters.url import SIGNAL_DOCS, url_signals
from infra.ledger import Reject
from pipeline.document import Document, Trace
from pipeline.models.loaded import Models
from pipeline.models.url_lists import check_url_lists
from pipeline.steps.fields import model_name, named, only, text
from pipeline.steps.option import Option
from pipeline.steps.rules import RecipeRule, judge_rules, read_rules, rule_lines
from pipeline.steps.signals import HEADER_SIGNALS
from pipeline.steps.step import Step


@dataclass(frozen=True)
class Gate(Step):
    """`lists`: the folder of URL lists, by its name in the model folder."""

    kind: ClassVar[str] = "gate"
    keys: ClassVar[tuple[Option, ...]] = (
        Option("lists", "the folder of URL lists, by its name in the model folder; the signals of lists need it"),
        Option("source", "where the thresholds of rules come from that do not say it themselves"),
        Option("rules", "bounds on signals: see [rules](#rules)", "list", "[]"),
    )
    stages: ClassVar[tuple[str, ...]] = ("extract", "filter")

    name: str
    rules: tuple[RecipeRule, ...]
    lists: str | None = None

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, cls.key_names(), place)
        lists = model_name(text(source, "lists", place), f"{place}: lists") if "lists" in source else None
        return cls(named(source, place), read_rules(source, place, None), lists)

    def models(self) -> Iterator[str]:
        return iter([self.lists] if self.lists else [])

    def check_models(self, places: Mapping[str, Path]) -> None:
        if self.lists and self.lists in places:
            check_url_lists(places[self.lists])

    def requires(self) -> Iterator[str]:
        return (rule.rule.signal for rule in self.rules)

    def available(self) -> frozenset[str]:
        return frozenset((*HEADER_SIGNALS, *(SIGNAL_DOCS if self.lists else ())))

    @property
    def binding(self) -> bool:
        return True

    @property
    def needs_text(self) -> bool:
        return False

    @property
    def on_url(self) -> bool:
        """Whether a rule of it is on the address, which documents have too; they have no headers."""
        return not SIGNAL_DOCS.keys().isdisjoint(self.requires())

    def lines(self) -> list[str]:
        lists = f" with {self.lists}" if self.lists else ""
        return [f"gate {self.name}{lists}", *rule_lines(self.rules)]

    def on_record(self, record: Mapping[str, Any], models: Models, trace: Trace | None = None) -> list[Reject]:
        """Returns the failed rules of a record."""
        values = self._of_url(record["url"] or "", models)
        for name in HEADER_SIGNALS:
            values[name] = None if record.get(name) is None else float(record[name])
        return judge_rules(self.name, self.rules, values.__getitem__, None, trace)

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        """The same for a document. Its headers are not known, nor is the address of one without any: such rules
        pass."""
        values = self._of_url(document.url, models) if document.url else {}
        document.signals |= {name: values.get(name) for name in self.requires() if name in SIGNAL_DOCS}
        return judge_rules(self.name, self.rules, document.signals.get, None, trace)

    def _of_url(self, url: str, models: Models) -> dict[str, float | None]:
        return url_signals(url, models.url_lists(self.lists)) if self.lists else {}
