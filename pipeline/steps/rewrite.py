"""Rewrite: an edit of the text, by name (`filters/edits.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from filters.catalog import EDITS
from infra.errors import UsageError
from infra.ledger import Reject
from infra.names import meant
from pipeline.document import Document, Trace
from pipeline.models.loaded import Models
from pipeline.steps.fields import named, only, shown, text
from pipeline.steps.option import REQUIRED, Option
from pipeline.steps.step import Step


@dataclass(frozen=True)
class Rewrite(Step):
    kind: ClassVar[str] = "rewrite"
    keys: ClassVar[tuple[Option, ...]] = (Option("edit", "one of the [edits](#edits)", default=REQUIRED),)
    stages: ClassVar[tuple[str, ...]] = ("filter",)
    on_text: ClassVar[bool] = True
    edits: ClassVar[bool] = True

    name: str
    edit: str

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, cls.key_names(), place)
        edit = text(source, "edit", place)
        if edit not in EDITS:
            raise UsageError(f"{place}: no edit {shown(source.get('edit'))}; {meant(edit, sorted(EDITS))}")
        return cls(named(source, place, edit), edit)

    def lines(self) -> list[str]:
        return [f"rewrite {self.edit}"]

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        del models
        before = len(document.text)
        text, cuts = EDITS[self.edit](document.text)
        if text != document.text:
            document.replace_text(text)
        if trace is not None:
            trace.append(
                {"step": self.name, "rule": self.edit, "signal": "characters", "value": len(text) - before,
                 "threshold": None, "passed": True, "cuts": cuts}
            )  # fmt: skip
        return []
