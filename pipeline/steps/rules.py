"""Rules in a recipe: read, applied as a block, and formatted."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from filters.rules import Bound, Rule, judge
from infra.errors import UsageError
from infra.ledger import Reject
from infra.names import meant
from pipeline.document import Trace
from pipeline.steps.fields import number, only, shown, text, words
from pipeline.steps.option import SIGNAL_LIST

_COMPARISON = re.compile(r"(\w+) (>=|<=) (-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)", re.ASCII)


@dataclass(frozen=True)
class RecipeRule:
    """A rule, and the languages to which it applies (empty: all)."""

    rule: Rule
    languages: tuple[str, ...] = ()


def read_rules(source: Mapping[str, Any], place: str, known: Collection[str] | None) -> tuple[RecipeRule, ...]:
    """The `rules` of a step; `known`: the signals that they may name (None: checked elsewhere)."""
    return tuple(_read_rule(rule, place, known) for rule in written_out(source, place))


def written_out(source: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """The rules of a step's table in their order, each as `{signal, min or max, source, languages}`.

    In a recipe a rule is such a table, or a comparison in quotes, `"words >= 50"`; comparisons that share a source or
    languages may stand in one table, `{languages = ["en"], source = "...", rules = ["words >= 50", "words <= 9000"]}`.
    The step's `source` is that of every rule without one. UsageError for what is none of these.
    """
    shared = {"source": text(source, "source", place)} if "source" in source else {}
    found: list[dict[str, Any]] = []
    for each in _entries(source, place):
        if isinstance(each, str):
            found.append(shared | _comparison(each, place))
        elif "rules" in each:
            here = f"{place}: rules {shown(dict(each))}"
            only(each, ("rules", "source", "languages"), here)
            own = {name: value for name, value in each.items() if name != "rules"}
            found += [shared | own | _comparison(words, here) for words in _entries(each, here)]
        else:
            found.append(shared | dict(each))
    return found


def _entries(source: Mapping[str, Any], place: str) -> list[Any]:
    value = source.get("rules", [])
    if not isinstance(value, list) or not all(isinstance(each, str | Mapping) for each in value):
        raise UsageError(f'{place}: rules must be a list of tables and comparisons ("words >= 50"), not {shown(value)}')
    return value


def _comparison(given: Any, place: str) -> dict[str, Any]:
    """`"words >= 50"` as `{signal = "words", min = 50}`."""
    found = _COMPARISON.fullmatch(given) if isinstance(given, str) else None
    if not found:
        raise UsageError(
            f'{place}: {shown(given)} is no comparison of a signal with a number: "words >= 50" and "words <= 900" are'
        )
    signal, sign, value = found.groups()
    whole = len(value) < 16 and value.lstrip("-").isdigit()
    return {"signal": signal, "min" if sign == ">=" else "max": int(value) if whole else float(value)}


def _read_rule(source: Mapping[str, Any], place: str, known: Collection[str] | None) -> RecipeRule:
    """Reads `{signal = "words", min = 50, source = "..."}`; `max` likewise; `languages` optional."""
    here = f"{place}: rule {shown(dict(source))}"
    only(source, ("signal", "min", "max", "source", "languages"), here)
    bounds: list[Literal["min", "max"]] = [bound for bound in get_args(Bound) if bound in source]
    signal = text(source, "signal", here)
    if not signal or len(bounds) != 1:
        raise UsageError(f"{here} needs a signal and one of min, max")
    if known is not None and signal not in known:
        raise UsageError(f"{place}: no signal {shown(signal)}; {meant(signal, known, SIGNAL_LIST)}")
    rule = Rule(signal, bounds[0], number(source, bounds[0], here), text(source, "source", here))
    return RecipeRule(rule, words(source, "languages", here))


def judge_rules(
    name: str,
    rules: Sequence[RecipeRule],
    signal: Callable[[str], float | None],
    language: str | None,
    trace: Trace | None = None,
) -> list[Reject]:
    """Returns all failed rules of a block. Rules for other languages are skipped."""
    mine = [rule.rule for rule in rules if not rule.languages or language in rule.languages]
    values = {rule.signal: signal(rule.signal) for rule in mine}
    failures = judge(values, mine)
    failed = {id(failure.rule) for failure in failures}
    if trace is not None:
        for rule in mine:
            trace.append(
                {"step": name, "rule": rule.name, "signal": rule.signal, "value": values[rule.signal],
                 "threshold": rule.threshold, "passed": id(rule) not in failed}
            )  # fmt: skip
    return [Reject(name, failure.rule.name, failure.value, failure.threshold) for failure in failures]


def rule_lines(rules: Sequence[RecipeRule]) -> list[str]:
    return [f"  {rule_line(rule)}" for rule in rules]


def rule_line(rule: RecipeRule) -> str:
    sign = "at least" if rule.rule.bound == "min" else "at most"
    source = f"    # {rule.rule.source}" if rule.rule.source else ""
    return f"{rule.rule.signal} {sign} {rule.rule.threshold:g}{in_languages(rule.languages)}{source}"


def in_languages(languages: Sequence[str]) -> str:
    return f" ({', '.join(languages)})" if languages else ""
