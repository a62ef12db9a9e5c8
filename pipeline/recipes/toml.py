"""A recipe's data as TOML text, for recipes that the program writes itself. Comments of a file that was read are lost.

Stages and steps are tables of their own; everything below a step stands on one line.
"""

import json
from collections.abc import Mapping
from typing import Any

TABLES = ("stage", "step", "calibration")


def recipe_toml(source: Mapping[str, Any]) -> str:
    """TOML that reads back as `source`: a mapping of strings, numbers, booleans, lists and mappings."""
    return "\n".join(_table(source, "")).lstrip("\n") + "\n"


def _table(source: Mapping[str, Any], prefix: str) -> list[str]:
    nested = {name: value for name, value in source.items() if name in TABLES and isinstance(value, list)}
    lines = [f"{_key(name)} = {_value(value)}" for name, value in source.items() if name not in nested]
    for name, tables in nested.items():
        for table in tables:
            lines += ["", f"[[{prefix}{name}]]", *_table(table, f"{prefix}{name}.")]
    return lines


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _string(value)
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case Mapping():
            return "{ " + ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items()) + " }"
    return str(value.isoformat())  # TOML's dates and times, the one kind that is left


def _key(name: str) -> str:
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isalnum() and bare.isascii() else _string(name)


def _string(value: str) -> str:
    """A TOML basic string: JSON's escapes, and DEL, which JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
