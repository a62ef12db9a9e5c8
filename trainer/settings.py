"""Nested frozen dataclasses from TOML or JSON: every name, type and missing field is checked, and named when wrong."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from infra.errors import UsageError


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. UsageError when it is missing or malformed."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist: name a TOML file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {str(error).splitlines()[0]}") from None


MOST = 2**63
"""Of whole numbers: TOML has those of 64 bits, and Python's reader any."""

Built = TypeVar("Built")


def build(kind: type[Built], body: Any, where: str) -> Built:
    """`body` as an instance of the dataclass `kind`. UsageError names the field that is unknown, missing or wrong."""
    if not isinstance(body, Mapping):
        raise UsageError(f"{where} must be a table, not {type(body).__name__}")
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise UsageError(f"{where} has no field {unknown[0]!r}; its fields are {', '.join(known)}")
    values = {name: _convert(hints[name], value, f"{where}.{name}") for name, value in body.items()}
    try:
        return kind(**values)
    except TypeError:
        missing = [field.name for field in fields(kind) if field.name not in body]  # type: ignore[arg-type]
        raise UsageError(f"{where} lacks fields: one of {', '.join(missing)} has no default") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint`: a dataclass, a tuple of one type, a Literal, or a plain type."""
    origin = get_origin(hint)
    if origin is Mapping:
        return _convert_mapping(hint, value, where)
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return build(hint, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UsageError(f"{where} must be a list")
        return tuple(_convert(get_args(hint)[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Literal:
        if value not in get_args(hint):
            raise UsageError(f"{where} is {value!r}; it may be {', '.join(map(repr, get_args(hint)))}")
        return value
    if isinstance(value, int) and not -MOST <= value < MOST:
        raise UsageError(f"{where} has {len(str(abs(value)))} digits; a number must fit into 64 bits")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise UsageError(f"{where} is {value!r}, which is not of type {hint.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} is {value!r}; it must be a finite number")
    return value


def _convert_mapping(hint: Any, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be a table")
    return {str(name): _convert(get_args(hint)[1], item, f"{where}.{name}") for name, item in value.items()}
