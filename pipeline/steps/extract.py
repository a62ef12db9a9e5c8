"""Extract: the body of a page to text, by a named engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self, get_args

from infra.ledger import Reject
from pipeline.document import Trace
from pipeline.extract.extractors.table import extractor_of, options_of
from pipeline.extract.head import declared_language
from pipeline.extract.page import Page
from pipeline.steps.fields import named, only, table, text, words
from pipeline.steps.option import REQUIRED, Option, field_docs, type_of, written
from pipeline.steps.signals import HEADER_SIGNALS, STRUCTURE_SIGNALS
from pipeline.steps.step import Step, listed


@dataclass(frozen=True)
class Extract(Step):
    """Body to text: the engine by name, its options, and the limits of the page sandbox.

    A stage may extract a page with a cheap engine first: the steps after that see its text, and only what they pass
    reaches the next extraction. The last extract step of a stage gives the document its text.
    `declared`: a page whose html element declares another language than these is not parsed at all.
    """

    kind: ClassVar[str] = "extract"
    keys: ClassVar[tuple[Option, ...]] = (
        Option("engine", "see [extractors](#extractors)", default=REQUIRED),
        Option("options", "the options of the engine", "table", "{}"),
        Option(
            "declared",
            "a page whose html element declares another language than these is not parsed; without it all are",
            "list of texts",
        ),
    )
    stages: ClassVar[tuple[str, ...]] = ("extract",)
    edits: ClassVar[bool] = True

    name: str
    engine: str
    options: Mapping[str, Any] = field(default_factory=dict)
    declared: tuple[str, ...] = ()

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, cls.key_names(), place)
        engine = text(source, "engine", place, required=True)
        return cls(named(source, place), engine, table(source, "options", place), words(source, "declared", place))

    def check(self) -> None:
        options_of(self.engine, self.options)

    @property
    def sets(self) -> frozenset[str]:
        return frozenset(STRUCTURE_SIGNALS) if extractor_of(self.engine).shares else frozenset()

    @property
    def is_markdown(self) -> bool:
        """Whether its texts are light Markdown."""
        return bool(self.options.get("markdown"))

    def after(self, known: set[str]) -> set[str]:
        """An extraction begins a new text, of which only the requests of the publisher are known, and its shares of
        code, tables and formulas."""
        del known
        return {*HEADER_SIGNALS, *self.sets}

    def lines(self) -> list[str]:
        declared = f", declared {', '.join(self.declared)}" if self.declared else ""
        return [f"extract with {self.engine}{listed(self.options)}{declared}"]

    def known_options(self) -> tuple[Option, ...]:
        return engine_options(self.engine)

    def declared_rejects(self, body: bytes, trace: Trace | None = None) -> list[Reject]:
        """The rejection of a page that declares another language than the step accepts."""
        language = declared_language(body)
        passed = not language or language in self.declared
        if trace is not None:
            trace.append(
                {"step": self.name, "rule": "declared_language", "signal": "language", "value": language or None,
                 "threshold": list(self.declared), "passed": passed}
            )  # fmt: skip
        return [] if passed else [Reject(self.name, "declared_language_not_kept", None, None, language)]

    def page_rejects(self, page: Page, trace: Trace | None = None) -> list[Reject]:
        """The rejection of a page that could not be decoded or extracted."""
        if trace is not None:
            rule, value, threshold = page.rejected or ("extract", float(len(page.text)), None)
            trace.append(
                {"step": self.name, "rule": rule, "signal": "characters", "value": value, "threshold": threshold,
                 "passed": page.rejected is None, "engine": self.engine, "charset": page.charset,
                 "charset_evidence": page.charset_evidence}
            )  # fmt: skip
        return [Reject(self.name, *page.rejected)] if page.rejected else []


def engine_options(engine: str) -> tuple[Option, ...]:
    """The options of an extractor. UsageError if there is none of this name."""
    kind = extractor_of(engine).options
    about = field_docs(kind)
    return tuple(
        Option(
            each.name,
            about.get(each.name, ""),
            " or ".join(map(written, get_args(each.type))) or type_of(each.default),
            written(each.default),
        )
        for each in fields(kind)
    )
