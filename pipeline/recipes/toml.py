"""A recipe's data as TOML text, for recipes that the program writes itself. Comments of a file that was read are lost.

Laid out as the shipped recipes are: a table for each stage, a line for each step, rules below their step.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

TABLES = ("stage", "calibration")
WIDTH = 120


def recipe_toml(source: Mapping[str, Any]) -> str:
    """TOML that reads back as `source`: a mapping of strings, numbers, booleans, lists and mappings."""
    nested = {name: value for name, value in source.items() if name in TABLES and _are_tables(value)}
    lines = [f"{_key(name)} = {toml_value(value)}" for name, value in source.items() if name not in nested]
    for name, tables in nested.items():
        for table in tables:
            lines += ["", f"[[{name}]]", *(line for key, value in table.items() for line in _entry(key, value))]
    return "\n".join(lines).lstrip("\n") + "\n"


def toml_value(value: Any) -> str:
    """On one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _string(value)
        case list() | tuple():
            return "[" + ", ".join(map(toml_value, value)) + "]"
        case Mapping():
            return "{ " + ", ".join(f"{_key(name)} = {toml_value(each)}" for name, each in value.items()) + " }"
    return str(value.isoformat())  # TOML's dates and times, the one kind that is left


def _entry(name: str, value: Any) -> list[str]:
    """A key of a table; steps that do not fit beside it have a line each."""
    line = f"{_key(name)} = {toml_value(value)}"
    if name != "step" or not _are_tables(value) or (len(value) < 2 and len(line) <= WIDTH):
        return [line]
    return ["step = [", *(line for step in value for line in _step(step)), "]"]


def _step(step: Mapping[str, Any], indent: str = "  ") -> list[str]:
    """A step, or a table of rules within it, on one line if it fits, else with its rules below it."""
    line = f"{indent}{toml_value(step)},"
    rules = step.get("rules")
    if len(line) <= WIDTH or not isinstance(rules, list) or not rules:
        return [line]
    head = [f"{_key(name)} = {toml_value(value)}" for name, value in step.items() if name != "rules"]
    return [f"{indent}{{ {', '.join([*head, 'rules = ['])}", *_rules(rules, indent + "  "), f"{indent}] }},"]


def _rules(rules: Iterable[Any], indent: str) -> list[str]:
    """As many rules on a line as fit; tables have lines of their own."""
    lines: list[str] = []
    filling = False
    for rule in rules:
        if isinstance(rule, Mapping):
            lines += _step(rule, indent)
            filling = False
            continue
        entry = f"{toml_value(rule)},"
        if filling and len(lines[-1]) + len(entry) < WIDTH:
            lines[-1] += f" {entry}"
        else:
            lines.append(indent + entry)
            filling = True
    return lines


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _key(name: str) -> str:
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isalnum() and bare.isascii() else _string(name)


def _string(value: str) -> str:
    """A TOML basic string: JSON's escapes, and DEL, which JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
