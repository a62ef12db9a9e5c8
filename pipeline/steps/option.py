"""One key or option of a recipe, as data: what a reader accepts, what a change may set, and a line of the reference."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

REQUIRED: Final = "required"
SIGNAL_LIST: Final = "refinery recipes signals"


@dataclass(frozen=True)
class Option:
    """`about`: what it does, in which unit and range. `type`: of its value, in words. `default`: as it would be
    written; `REQUIRED` where it must be given."""

    name: str
    about: str
    type: str = "text"
    default: str = ""


def names_of(options: Iterable[Option]) -> tuple[str, ...]:
    return tuple(option.name for option in options)


def typed(values: Mapping[str, Any], about: Mapping[str, str]) -> tuple[Option, ...]:
    """Options by their defaults (None: must be given), each with what `about` says of it as (type, text)."""
    return tuple(Option(name, about[name], type_of(value), written(value)) for name, value in values.items())


def type_of(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int():
            return "whole number"
        case float():
            return "number"
        case list() | tuple():
            return "list"
        case Mapping():
            return "table"
    return "text"


def written(value: Any) -> str:
    """As TOML, for the kinds that defaults have; None: must be given."""
    match value:
        case None:
            return REQUIRED
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case list() | tuple():
            return f"[{', '.join(map(written, value))}]"
        case Mapping():
            return "{}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def field_docs(kind: type) -> dict[str, str]:
    """What stands under each field of a dataclass, as a string of its own: the line that documents it."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(node, ast.ClassDef)
    return {
        each.target.id: " ".join(str(below.value.value).split())
        for each, below in pairwise(node.body)
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    }
