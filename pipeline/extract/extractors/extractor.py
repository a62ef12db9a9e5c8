"""The record that describes an extractor: its name, its function, its options and what it needs to run safely.

Each file of this folder defines one extractor and ends in its record, named `EXTRACTOR`; `table.py` lists them. The
sandbox's child process imports this file and that of its extractor, nothing else of this folder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, TypeVar, get_args

from infra.errors import UsageError
from infra.names import meant
from pipeline.extract.text import Extracted

Options = TypeVar("Options")


@dataclass(frozen=True)
class NoOptions:
    """Of an extractor that has none."""


@dataclass(frozen=True)
class Extractor(Generic[Options]):
    """One way to turn a page into text.

    `function` takes the page, its URL and the options. It is pure (no network, no clock, no cache that outlives the
    call), so the order of pages changes nothing, and its text is `tidy`. It raises TruncatedPage if its parser stopped
    early, and may raise whatever its library does.

    `options` is a frozen dataclass of booleans and of `Literal` strings, each with a default.

    `sandboxed`: whether it must run in the page sandbox, because a hostile page can hang, crash or fill it.

    `caps`: which caps of `pipeline/extract/caps.py` a page must pass first: "all" for what builds a tree or keeps data
    for each element, "size" for a linear scan, "none" if only the size of the body matters, which is always checked.

    `html`: whether pages are HTML; if not, no charset is looked for in their markup, and no robots elements.

    `shares`: whether it measures the shares of code, tables and formulas in its text.

    `of_utf8`: the same as `function`, of a page as text and in UTF-8, for one that works on bytes and needs no URL.
    """

    name: str
    function: Callable[[str, str, Options], Extracted]
    options: type[Options]
    sandboxed: bool
    caps: Literal["all", "size", "none"]
    html: bool = True
    shares: bool = False
    of_utf8: Callable[[str, bytes, Options], Extracted] | None = None

    @property
    def module(self) -> str:
        """The file that defines it, as the sandbox's child process imports it."""
        return self.function.__module__

    def read_options(self, given: Mapping[str, Any]) -> Options:
        """The options in a recipe's table; defaults for those not given. UsageError for an unknown name or value."""
        kind: Any = self.options
        known = {field.name: field for field in fields(kind)}
        for name, value in given.items():
            if name not in known:
                raise UsageError(f"extractor {self.name} has no option {name!r}; {meant(name, known)}")
            if isinstance(known[name].default, bool):
                fits, wanted = isinstance(value, bool), "true or false"
            else:
                choices = get_args(known[name].type)
                fits, wanted = value in choices, " or ".join(map(repr, choices))
            if not fits:
                raise UsageError(f"option {name!r} of extractor {self.name} is {value!r}; it must be {wanted}")
        return self.options(**given)
