"""Rules in a recipe: read, applied as a block, and formatted."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from filters.rules import Bound, Rule, judge
from infra.errors import UsageError
from infra.ledger import Reject
from pipeline.document import Trace
from pipeline.steps.fields import number, only, shown, tables, text, words


@dataclass(frozen=True)
class RecipeRule:
    """A rule, and the languages to which it applies (empty: all)."""

    rule: Rule
    languages: tuple[str, ...] = ()


def read_rules(source: Mapping[str, Any], place: str, known: Collection[str] | None) -> tuple[RecipeRule, ...]:
    """Reads the `rules` of a step. `known`: the signals that they may use (None: checked elsewhere)."""
    return tuple(_read_rule(rule, place, known) for rule in tables(source, "rules", place))


def _read_rule(source: Mapping[str, Any], place: str, known: Collection[str] | None) -> RecipeRule:
    """Reads `{signal = "words", min = 50, source = "..."}`; `max` likewise; `languages` optional."""
    here = f"{place}: rule {shown(dict(source))}"
    only(source, ("signal", "min", "max", "source", "languages"), here)
    bounds: list[Literal["min", "max"]] = [bound for bound in get_args(Bound) if bound in source]
    signal = text(source, "signal", here)
    if not signal or len(bounds) != 1:
        raise UsageError(f"{here} needs a signal and one of min, max")
    if known is not None and signal not in known:
        raise UsageError(f"{place}: no signal {shown(signal)}; `refinery recipes signals` lists them")
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
                {
                    "step": name,
                    "rule": rule.name,
                    "signal": rule.signal,
                    "value": values[rule.signal],
                    "threshold": rule.threshold,
                    "passed": id(rule) not in failed,
                }
            )
    return [Reject(name, failure.rule.name, failure.value, failure.threshold) for failure in failures]


def rule_lines(rules: Sequence[RecipeRule]) -> list[str]:
    return [f"  {rule_line(rule)}" for rule in rules]


def rule_line(rule: RecipeRule) -> str:
    sign = "at least" if rule.rule.bound == "min" else "at most"
    source = f"    # {rule.rule.source}" if rule.rule.source else ""
    return f"{rule.rule.signal} {sign} {rule.rule.threshold:g}{in_languages(rule.languages)}{source}"


def in_languages(languages: Sequence[str]) -> str:
    return f" ({', '.join(languages)})" if languages else ""
