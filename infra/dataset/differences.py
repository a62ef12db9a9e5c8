"""In which arguments two commands differ, said in words: what a refused command tells its user."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.dataset.manifest import LIMIT

# How many files are named, and the characters of a value: it may be a long list.
MAX_NAMED, MAX_VALUE_CHARS = 3, 60
# Values of which only the hash is kept, and what they are the hash of.
HASHES = {"ids": "the list of --ids", "list": "the list of documents", "takedown": "the list of documents"}

# Of one, and of several.
MISSING, CHANGED = ("is missing now", "are missing now"), ("has changed since", "have changed since")

Arguments = Mapping[str, Any]


def differences(before: Arguments, now: Arguments) -> list[str]:
    """One text for each argument that differs; empty if none does. The arguments are JSON."""
    kinds = [_made_by(before), _made_by(now)]
    if kinds[0] != kinds[1]:
        return [f"it holds {kinds[0]}, not {kinds[1]}"]
    return [text for key in sorted({*before, *now}) for text in _of_key(key, before.get(key), now.get(key))]


def _made_by(arguments: Arguments) -> str:
    if arguments.get("command"):
        return f"what `refinery {arguments['command']}` makes"
    if arguments.get("stage"):
        return f"the {arguments.get('kind') or 'dataset'} of stage {arguments['stage']!r}"
    return "something else"


def _of_key(key: str, before: Any, now: Any) -> list[str]:
    if before == now:
        return []
    if key == "params":
        before, now = before or {}, now or {}
        return [text for name in sorted({*before, *now}) for text in _of_key(name, before.get(name), now.get(name))]
    if key == "recipe":
        return [_recipe(before, now)]
    if key == "recipes":
        return _of_names("the recipe", before or {}, now or {})
    if key == "inputs":
        return inputs_that_differ(before or [], now or [])
    if key == LIMIT:
        return [limits(before, now)]
    if key in HASHES:
        return [f"{HASHES[key]} is another one"]
    name = key.replace("_", " ")
    return [f"{name} was {_shown(before)}, and is {_shown(now)} now"]


def limits(before: int | None, now: int | None) -> str:
    """The sentence about two different limits."""
    was, is_now = ("without --limit" if limit is None else f"with --limit {limit}" for limit in (before, now))
    return f"it was begun {was}, and this is {is_now}"


def _recipe(before: Any, now: Any) -> str:
    if not (isinstance(before, Mapping) and isinstance(now, Mapping)) or before.get("name") == now.get("name"):
        name = now.get("name") if isinstance(now, Mapping) else now
        return f"the recipe {name!r}, or a model of it, has changed since"
    return f"the recipe was {before.get('name')!r}, and is {now.get('name')!r} now"


def inputs_that_differ(before: Sequence[Any], now: Sequence[Any]) -> list[str]:
    """Which input is new, missing or changed. Each is {name, sha256}, or a sha256 alone."""
    return _of_names("the input", _by_name(before), _by_name(now)) or ["the inputs come in another order"]


def _by_name(refs: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for ref in refs:
        name, sha256 = (ref["name"], ref["sha256"]) if isinstance(ref, Mapping) else (ref[:12], ref)
        found[name] = [*found.get(name, ()), sha256]
    return found


def _of_names(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    both = sorted({*before} & {*now})
    groups = {
        ("is new", "are new"): sorted({*now} - {*before}),
        MISSING: sorted({*before} - {*now}),
        CHANGED: [name for name in both if before[name] != now[name]],
    }
    return [of_files(names, how, what) for how, names in groups.items() if names]


def of_files(names: Sequence[str], how: tuple[str, str], what: str = "the input") -> str:
    """A sentence about one input, or several."""
    return f"{what} {named(names)} {how[0]}" if len(names) == 1 else f"{what}s {named(names)} {how[1]}"


def named(names: Iterable[str]) -> str:
    """The first of the names, and how many more there are."""
    every = list(names)
    shown = ", ".join(repr(name) for name in every[:MAX_NAMED])
    return shown if len(every) <= MAX_NAMED else f"{shown} (and {len(every) - MAX_NAMED} more)"


def _shown(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, list):
        value = ", ".join(str(one) for one in value)
    elif isinstance(value, Mapping):
        value = ", ".join(f"{key} {one}" for key, one in sorted(value.items()))
    text = str(value)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"
