"""What steps over the whole pool have in common: a method by name, with options of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from pipeline.steps.fields import choice, named, only, table
from pipeline.steps.option import REQUIRED, Option
from pipeline.steps.step import Step, listed


@dataclass(frozen=True)
class MethodStep(Step):
    """A step that is alone in its stage. `method`: one of `methods`; `options`: what differs from its defaults."""

    keys: ClassVar[tuple[Option, ...]] = (
        Option("method", "see [methods](#methods)", default=REQUIRED),
        Option("options", "the options of the method", "table", "{}"),
    )
    alone: ClassVar[bool] = True
    methods: ClassVar[tuple[str, ...]]

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, source: Mapping[str, Any], place: str) -> Self:
        only(source, cls.key_names(), place)
        method = choice(source, "method", cls.methods, place)
        return cls(named(source, place, method), method, table(source, "options", place))

    @classmethod
    def options_of(cls, method: str) -> tuple[Option, ...]:
        """The options of one of its methods."""
        raise NotImplementedError

    def known_options(self) -> tuple[Option, ...]:
        return self.options_of(self.method)

    def checked_options(self) -> dict[str, Any]:
        """Returns the options with their defaults. Raises UsageError for an unknown one or one of the wrong type."""
        raise NotImplementedError

    def check(self) -> None:
        self.checked_options()

    def lines(self) -> list[str]:
        return [f"{self.kind} {self.method}{listed(self.options)}"]
