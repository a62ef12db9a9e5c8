"""Readers of a recipe's fields, one for each type; each raises a UsageError that names the place in the recipe."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import isfinite
from pathlib import PurePosixPath
from typing import Any

from infra.errors import UsageError
from infra.names import meant, near_names

# A bound on the nesting of tables, more than any recipe has.
MAX_DEPTH = 12
# Names become parts of folder names and of counters; no file system allows more than 255 bytes.
MAX_NAME = 64
MAX_SHOWN = 80


def shown(value: Any) -> str:
    """Formats a value for a message: on one line, of bounded length."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = "too long or too deep to be shown"
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def check_plain(value: Any, place: str, depth: int = 0) -> None:
    """Raises UsageError unless `value` consists of strings, booleans, finite numbers, lists and tables, as JSON
    does."""
    if depth > MAX_DEPTH:
        raise UsageError(f"{place}: the tables are nested too deeply: a recipe has at most {MAX_DEPTH} levels")
    match value:
        case str():
            if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                raise UsageError(f"{place}: {shown(value)} is not Unicode")
        case bool():
            pass
        case int() | float():
            if not is_number(value):
                raise UsageError(f"{place}: {shown(value)} is not a finite number")
        case list() | tuple():
            for number, each in enumerate(value, start=1):
                check_plain(each, f"{place} {number}", depth + 1)
        case Mapping():
            for name, each in value.items():
                if not isinstance(name, str) or not name.isprintable():
                    raise UsageError(f"{place}: {shown(name)} is not a key: use printable text")
                check_plain(each, f"{place}: {shown(name)}", depth + 1)
        case _:
            raise UsageError(f"{place}: a recipe takes no {type(value).__name__}; write {shown(str(value))} in quotes")


def only(source: Mapping[str, Any], allowed: Collection[str], place: str) -> None:
    for key in source:
        if key not in allowed:
            raise UsageError(f"{place}: unknown key {shown(key)}; {meant(key, sorted(allowed))}")


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number that a float can represent; booleans are not."""
    try:
        return type(value) in (int, float) and isfinite(value)
    except OverflowError:
        return False


def _typed(
    source: Mapping[str, Any], key: str, place: str, default: Any, fits: Callable[[Any], bool], what: str
) -> Any:
    value = source.get(key, default)
    if not fits(value):
        raise UsageError(f"{place}: {key} must be {what}, not {shown(value)}")
    return value


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def number(source: Mapping[str, Any], key: str, place: str, default: float = 0.0) -> float:
    return float(_typed(source, key, place, default, is_number, "a number"))


def numbers(source: Mapping[str, Any], key: str, place: str) -> tuple[float, ...]:
    return tuple(map(float, _typed(source, key, place, None, _list_of(is_number), "a list of numbers")))


def whole(source: Mapping[str, Any], key: str, place: str) -> int:
    return int(_typed(source, key, place, None, lambda value: type(value) is int and value >= 1, "a number from 1"))


def flag(source: Mapping[str, Any], key: str, place: str) -> bool:
    return bool(_typed(source, key, place, None, lambda value: isinstance(value, bool), "true or false"))


def text(source: Mapping[str, Any], key: str, place: str, default: str = "", required: bool = False) -> str:
    if required and key not in source:
        raise UsageError(f"{place}: {key} is missing")
    return str(_typed(source, key, place, default, lambda value: isinstance(value, str), "a text in quotes"))


def table(source: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _typed(source, key, place, {}, _is_table, "a table { name = value }")
    return found


def tables(source: Mapping[str, Any], key: str, place: str) -> list[Mapping[str, Any]]:
    return list(_typed(source, key, place, [], _list_of(_is_table), "a list of tables"))


def words(source: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    is_words = _list_of(lambda word: isinstance(word, str) and word != "")
    return tuple(_typed(source, key, place, [], is_words, "a list of words"))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def folder_name(name: str, place: str) -> str:
    bare = name.replace("-", "").replace("_", "")
    if not bare.isalnum() or len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise UsageError(
            f"{place}: the name {shown(name)} cannot be a folder's name: use letters, digits, - and _, "
            f"at most {MAX_NAME} bytes"
        )
    return name


def step_name(name: str, place: str) -> str:
    """Checks the name of a step, which ledgers and counters use as STEP/RULE."""
    if not name.strip() or not name.isprintable() or "/" in name or len(name) > MAX_NAME:
        raise UsageError(
            f"{place}: the name {shown(name)} cannot be used in a ledger: use printable letters, no /, "
            f"at most {MAX_NAME}"
        )
    return name


def choice(source: Mapping[str, Any], key: str, choices: Sequence[str], place: str) -> str:
    value = text(source, key, place) if key in source else None
    if value not in choices:
        raise UsageError(f"{place}: {key} is {shown(value)}, {not_one_of(value, choices)}")
    return str(value)


def not_one_of(value: Any, choices: Collection[str]) -> str:
    """The end of a message about a word that is none of these: all of them, and the nearest."""
    near = near_names(value, choices) if isinstance(value, str) else []
    return f"not one of {', '.join(choices)}" + (f"; did you mean {near[0]!r}?" if near else "")


def named(source: Mapping[str, Any], place: str, default: str = "") -> str:
    """The name of a step: `name` if given, else `default`, else its kind."""
    return step_name(text(source, "name", place, default or str(source["kind"])), place)


def model_name(name: str, place: str) -> str:
    """Checks a model's name: relative to the model folder, or an absolute path."""
    if not name.isprintable() or ".." in PurePosixPath(name).parts or not PurePosixPath(name).name:
        raise UsageError(
            f"{place}: {shown(name)} is not a model's name: give one in the model folder, or an absolute path"
        )
    return name
