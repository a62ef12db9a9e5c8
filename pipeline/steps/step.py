"""The interface of every kind of step: parsing from a recipe, required and set signals, formatting, and execution."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Self

from infra.ledger import Reject
from pipeline.document import Document, Trace
from pipeline.models.loaded import Models
from pipeline.steps.option import Option, names_of
from pipeline.steps.rules import RecipeRule
from pipeline.steps.signals import MEASURED
from pipeline.text_table import told


class Step:
    """One step of a stage: frozen data. A kind of step is a subclass of this dataclass and a row of `table.STEPS`.

    kind: its name in a recipe.
    keys: what its table in a recipe may have beside `kind` and `name`.
    stages: the commands whose stages may have it.
    on_text: it processes one text at a time with `run`, so it must follow an extraction.
    alone: it is the only step of its stage.
    edits: it changes the text.
    combines: it makes a signal of others, so that it has a bound on that signal (`upper_bound`).
    """

    kind: ClassVar[str]
    keys: ClassVar[tuple[Option, ...]] = ()
    stages: ClassVar[tuple[str, ...]]
    on_text: ClassVar[bool] = False
    alone: ClassVar[bool] = False
    edits: ClassVar[bool] = False
    combines: ClassVar[bool] = False

    name: str
    # The name of the URL lists that it uses, a folder in the model folder.
    lists: str | None = None
    # The rules that it judges by, and the languages of the documents that it works on (none: all).
    rules: tuple[RecipeRule, ...] = ()
    languages: tuple[str, ...] = ()

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """Every key of its table in a recipe."""
        return ("kind", "name", *names_of(cls.keys))

    def known_options(self) -> tuple[Option, ...]:
        """What its `options` may have, where it has any."""
        return ()

    @classmethod
    def without_others(cls, options: Mapping[str, Any], name: str, kept: Collection[str]) -> dict[str, Any]:
        """Its `options` for one of them, `name`, to be set: without those that it stands in place of, unless `kept`."""
        del name, kept
        return dict(options)

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        """Reads the step from a recipe's table. Raises UsageError, with `place` in front, if it is invalid."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises UsageError for unknown or invalid options."""

    def bound(self, later: Sequence["Step"], places: Mapping[str, Path]) -> Self:
        """The step with what it takes from the steps after it in its stage, and from its models' files at `places`, by
        name; a file that is not among them is left out. Raises UsageError if these are not as it needs them."""
        del later, places
        return self

    def models(self) -> Iterator[str]:
        """The names of the models that it uses."""
        return iter(())

    def check_models(self, places: Mapping[str, Path]) -> None:
        """Raises UsageError for a model of its that is at a path in `places`, by name, and cannot be loaded."""

    def requires(self) -> Iterator[str]:
        """The signals that it reads."""
        return iter(())

    def available(self) -> frozenset[str]:
        """The signals that it may read without an earlier step that sets them."""
        return MEASURED

    @property
    def sets(self) -> frozenset[str]:
        """The signals that it sets for a document; `language` and `domain` are columns of their own."""
        return frozenset()

    def after(self, known: set[str]) -> set[str]:
        """The signals that are set after the step, given those set before it (`known`)."""
        return known | self.sets

    @property
    def binding(self) -> bool:
        """Whether its rejections apply to every page, including those of an audit sample."""
        return False

    @property
    def needs_text(self) -> bool:
        """Whether it reads the text of a document; a list of addresses can go through steps that do not."""
        return True

    @property
    def remembers(self) -> bool:
        """Whether it changes something outside its dataset, so that it is run for its result alone, never to try."""
        return False

    @property
    def on_records(self) -> bool:
        """Whether it processes records, before there is a text."""
        return False

    def is_for(self, document: Document) -> bool:
        """Whether it works on a document of this language."""
        return not self.languages or document.language in self.languages

    def upper_bound(
        self, signal: str, before: float | None, document: Document, unknown: Collection[str]
    ) -> float | None:
        """The most that `signal` can be after the step, if it is at most `before` in front of it (None: it is not set)
        and the signals in `unknown` may yet get any value. inf: there is no bound."""
        del document, unknown
        return inf if signal in self.sets else before

    def assumed(self, signal: str, document: Document, unknown: Collection[str]) -> dict[str, float]:
        """What the upper bound of `signal` takes each unknown signal to add: the most that it can."""
        del signal, document, unknown
        return {}

    def lines(self) -> list[str]:
        """The step in readable form, one threshold a line."""
        raise NotImplementedError

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        """Runs the step on a document, changing it; returns the failed rules that reject it. Only of steps that a
        filter stage may have."""
        raise AssertionError(f"{self.kind} does not run on a document: {document}, {models}, {trace}")


def listed(options: Mapping[str, Any]) -> str:
    """Options for people, after what they belong to."""
    return f": {told(dict(sorted(options.items())))}" if options else ""
