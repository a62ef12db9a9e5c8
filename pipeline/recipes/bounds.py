"""One bound among the rules of a step's table, found by signal, `min` or `max` and language, and changed in place.

Rules keep their order, and comparisons that share a table (`{ languages = ["en"], rules = [...] }`) keep it; the rule
that is changed becomes a table of its own, since its source changes with it: a number that a user chose is not the one
that the cited paper has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.errors import UsageError
from infra.names import listed, meant
from pipeline.recipes.toml import toml_value
from pipeline.steps.fields import is_number, shown
from pipeline.steps.rules import written_out

BOUNDS = ("min", "max")
# The value that takes out what a path names.
OFF = "off"
CHANGED = "changed from"


@dataclass(frozen=True)
class Found:
    """A rule of a step: its number among the rules, as a table of its own, and how a path names it."""

    number: int
    rule: Mapping[str, Any]
    path: str

    @property
    def bound(self) -> str:
        return "min" if "min" in self.rule else "max"

    @property
    def threshold(self) -> float:
        return self.rule[self.bound]  # type: ignore[no-any-return]

    @property
    def languages(self) -> list[str]:
        return list(self.rule.get("languages", []))


def bounds_of(step: Mapping[str, Any], place: str) -> list[Found]:
    """The rules of a step, each with its path: `words.min`, with the language (`words.min.de`) where the step has
    several on the same signal and bound."""
    rules = written_out(step, place)
    names = [f"{rule['signal']}.{'min' if 'min' in rule else 'max'}" for rule in rules]
    return [
        Found(number, rule, name if names.count(name) == 1 else ".".join([name, *rule.get("languages", [])[:1]]))
        for number, (rule, name) in enumerate(zip(rules, names))
    ]


def with_bound(step: Mapping[str, Any], path: str, value: Any, place: str) -> Mapping[str, Any]:
    """The step's table with another threshold for the rule that `path` names, `SIGNAL.min` or `SIGNAL.max.LANGUAGE`;
    without the rule for OFF. A rule of several languages is divided where the path names one. UsageError, with `place`
    in front, for a path that names no rule or several."""
    signal, _, rest = path.partition(".")
    bound, _, language = rest.partition(".")
    every = bounds_of(step, place)
    if not any(found.rule["signal"] == signal for found in every):
        names = [found.path for found in every]
        raise UsageError(f"{place} has no rule on {shown(signal)}; {meant(path if rest else signal, names)}")
    if bound not in BOUNDS:
        on_it = [found.path for found in every if found.rule["signal"] == signal]
        raise UsageError(f"{place}: say which bound of {signal}: {listed(on_it)}")
    found = _the_one(every, signal, bound, language, place)
    if value != OFF and not is_number(value):
        raise UsageError(f'{place}: {path} must be a number, or "{OFF}", not {shown(value)}')
    if value == found.threshold:
        return step
    new: list[Mapping[str, Any]] = []
    rest_of = [name for name in found.languages if name != language] if language else []
    if rest_of:
        new.append({**found.rule, "languages": rest_of})
    if value != OFF:
        spoken = {"languages": [language]} if language else {}
        threshold = {"signal": signal, bound: _whole(value)}
        new.append(threshold | {**found.rule, **threshold, "source": _source(found), **spoken})
    return {**step, "rules": _replaced(step["rules"], found.number, new)}


def _the_one(every: list[Found], signal: str, bound: str, language: str, place: str) -> Found:
    """The rule on this signal and bound, for this language alone if one is given."""
    mine = [found for found in every if found.rule["signal"] == signal and found.bound == bound]
    name = f"{signal}.{bound}"
    if not mine:
        others = [found.path for found in every if found.rule["signal"] == signal]
        raise UsageError(f"{place} has no rule {name}; {meant(name, others)}")
    if language:
        spoken = [code for found in mine for code in found.languages]
        chosen = [found for found in mine if language in found.languages]
        if not chosen and not spoken:
            raise UsageError(f"{place}: {name} is for all languages; leave out .{language}")
        if not chosen:
            raise UsageError(f"{place} has no rule {name} for {shown(language)}; {meant(language, spoken)}")
        mine = chosen
    if len(mine) == 1:
        return mine[0]
    if all(found.languages for found in mine) and not language:
        codes = [code for found in mine for code in found.languages]
        raise UsageError(
            f"{place} has {len(mine)} rules {name}, for {listed(codes)}: say which, such as {name}.{codes[0]}"
        )
    raise UsageError(
        f"{place} has {len(mine)} rules {name} on the same documents, which no path tells apart: set its `rules`"
    )


def _whole(value: float) -> float:
    """1 for 1.0: a threshold is one number, however it is written."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else value


def _source(found: Found) -> str:
    before = str(found.rule.get("source", ""))
    if before.startswith(CHANGED):
        return before
    return f"{CHANGED} {toml_value(found.threshold)}" + (f" ({before})" if before else "")


def _replaced(rules: list[Any], number: int, new: list[Mapping[str, Any]]) -> list[Any]:
    """The `rules` of a step with other tables in the place of one rule; a table of several is divided around it."""
    made: list[Any] = []
    at = 0
    for entry in rules:
        if not isinstance(entry, Mapping) or "rules" not in entry:
            made += new if at == number else [entry]
            at += 1
            continue
        inside = number - at
        at += len(entry["rules"])
        if not 0 <= inside < len(entry["rules"]):
            made.append(entry)
            continue
        parts = [entry["rules"][:inside], entry["rules"][inside + 1 :]]
        before, after = ([{**entry, "rules": part}] if part else [] for part in parts)
        made += [*before, *new, *after]
    return made
