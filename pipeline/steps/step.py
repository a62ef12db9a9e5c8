"""What every kind of step has: how it is read from a recipe, what it needs and sets, how it is shown."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from infra.ledger import Reject
from pipeline.document import Document, Trace
from pipeline.models.loaded import Models
from pipeline.steps.rules import RecipeRule
from pipeline.steps.signals import MEASURED


class Step:
    """One step of a stage: frozen data. A kind of step is a dataclass below this one, and a row of `table.STEPS`.

    kind: its name in a recipe.
    stages: the commands whose stages may have it.
    on_text: it works on one text at a time by `run`, so it stands after an extraction.
    alone: it is the only step of its stage.
    edits: it changes the text.
    """

    kind: ClassVar[str]
    stages: ClassVar[tuple[str, ...]]
    on_text: ClassVar[bool] = False
    alone: ClassVar[bool] = False
    edits: ClassVar[bool] = False

    name: str
    # The name of the URL lists that it uses, a folder among the models.
    lists: str | None = None
    # The rules that it judges by, and the languages of the documents that it works on (none: all).
    rules: tuple[RecipeRule, ...] = ()
    languages: tuple[str, ...] = ()

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        """The step in a recipe's table; UsageError, which begins with `place`, for whatever is not such a step."""
        raise NotImplementedError

    def check(self) -> None:
        """UsageError for options that do not exist or do not fit."""

    def bound(self, later: Sequence["Step"], places: Mapping[str, Path]) -> Self:
        """The step with what it takes from the steps after it in its stage, and from its models' files at `places` (by
        name; those that are not there are left out). UsageError where these are not as it needs them."""
        del later, places
        return self

    def models(self) -> Iterator[str]:
        """The names of the models that it uses."""
        return iter(())

    def asks(self) -> Iterator[str]:
        """The signals that it reads."""
        return iter(())

    def available(self) -> frozenset[str]:
        """The signals that it may read without a step before it that sets them."""
        return MEASURED

    @property
    def sets(self) -> frozenset[str]:
        """The signals that it sets for a document; `language` and `domain` are columns of their own."""
        return frozenset()

    def after(self, known: set[str]) -> set[str]:
        """The signals that are set once the step is done, if `known` were before it."""
        return known | self.sets

    @property
    def binding(self) -> bool:
        """Whether its rejections hold for every page, those of a control sample too."""
        return False

    @property
    def on_records(self) -> bool:
        """Whether it works on records, before there is a text."""
        return False

    def is_for(self, document: Document) -> bool:
        """Whether it works on a document of this language."""
        return not self.languages or document.language in self.languages

    def lines(self) -> list[str]:
        """The step as a person reads it, one threshold a line."""
        raise NotImplementedError

    def run(self, document: Document, models: Models, trace: Trace | None) -> list[Reject]:
        """Take a document through the step, changing it: the failing rules that reject it. Of `on_text` steps."""
        raise AssertionError(f"{self.kind} takes no text: {document}, {models}, {trace}")
