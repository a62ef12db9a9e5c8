"""Gate: rules on what is known before the body is read: URL and headers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from filters.url import SIGNAL_DOCS, UrlLists, url_signals
from infra.ledger import Reject
from pipeline.document import Trace
from pipeline.models.url_lists import check_url_lists
from pipeline.steps.fields import model_name, named, only, text
from pipeline.steps.rules import RecipeRule, judge_rules, read_rules, rule_lines
from pipeline.steps.signals import HEADER_SIGNALS
from pipeline.steps.step import Step


@dataclass(frozen=True)
class Gate(Step):
    """`lists`: the folder of URL lists, by its name in the model folder."""

    kind: ClassVar[str] = "gate"
    stages: ClassVar[tuple[str, ...]] = ("extract",)

    name: str
    rules: tuple[RecipeRule, ...]
    lists: str | None = None

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, ("kind", "name", "lists", "source", "rules"), place)
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

    def lines(self) -> list[str]:
        lists = f" with {self.lists}" if self.lists else ""
        return [f"gate {self.name}{lists}", *rule_lines(self.rules)]

    def on_record(
        self, record: Mapping[str, Any], lists: Mapping[str, UrlLists], trace: Trace | None = None
    ) -> list[Reject]:
        """Returns the failed rules of a record. `lists`: the opened URL lists by name."""
        values: dict[str, float | None] = {}
        if self.lists:
            values |= url_signals(record["url"] or "", lists[self.lists])
        for name in HEADER_SIGNALS:
            values[name] = None if record.get(name) is None else float(record[name])
        return judge_rules(self.name, self.rules, values.__getitem__, None, trace)
