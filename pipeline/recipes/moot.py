"""Bounds that can reject nothing, because a bound before them is at least as strict on the same documents; and bounds
that reject everything that a bound before them passes.

`words >= 50` after `words >= 200` is such a bound, if every document that it judges has passed the other and the signal
has had the same value there. A stricter bound that comes later is not reported with the laxer one before it: to reject
early saves work. The walk errs on the side of silence: it forgets what it knows of a signal wherever its value may have
changed.
- A text's own signals change with its text (a rewrite, an extraction, the removal of lines or spans) and with its
  language, by which it is cut into words.
- A signal that a step sets changes where a step sets it again. What the page asks for (`noai`) is read in two places.
- A prefilter binds no page of an audit sample.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.recipes.bounds import Found, bounds_of
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.toml import toml_value
from pipeline.steps.dedup import Dedup
from pipeline.steps.extract import Extract
from pipeline.steps.label import LANGUAGE, Label
from pipeline.steps.rules import RecipeRule
from pipeline.steps.signals import HEADER_SIGNALS, STEP_SIGNALS
from pipeline.steps.step import Step

# Methods of deduplication that remove a part of a text.
CUTTING = ("paragraphs", "substring")
Languages = frozenset[str] | None  # None: all


@dataclass(frozen=True)
class Bound:
    """A rule of a step: as a line (`PATH = THRESHOLD`), for which documents, and what its signal is measured on.
    `lists`: the URL lists that a gate reads its signals from."""

    line: str
    rule: RecipeRule
    languages: Languages
    lists: str | None
    on_text: bool

    @property
    def threshold(self) -> float:
        assert self.rule.rule.threshold is not None
        return self.rule.rule.threshold

    def __str__(self) -> str:
        return self.line

    def holds_for(self, other: "Bound") -> bool:
        """Whether what passes this one passes the other, for the documents of this one's languages."""
        mine, others = self.rule.rule, other.rule.rule
        if (mine.signal, mine.bound, self.lists) != (others.signal, others.bound, other.lists):
            return False
        return self.threshold >= other.threshold if mine.bound == "min" else self.threshold <= other.threshold

    def excludes(self, other: "Bound") -> bool:
        """Whether nothing passes both, of the documents that the other one judges."""
        mine, others = self.rule.rule, other.rule.rule
        if mine.signal != others.signal or mine.bound == others.bound or self.lists != other.lists:
            return False
        low, high = (self, other) if mine.bound == "min" else (other, self)
        return low.threshold > high.threshold and covers(self.languages, other.languages)


@dataclass
class Known:
    """What is known of every document at one place of the recipe: the bounds that it has passed, its languages."""

    bounds: list[Bound] = field(default_factory=list)
    languages: Languages = None

    def forget(self, *, text: bool = False, signals: frozenset[str] = frozenset()) -> None:
        """`text`: the signals that are measured on a text; `signals`: these."""
        self.bounds = [
            each
            for each in self.bounds
            if each.rule.rule.signal not in signals
            and not (text and each.on_text and each.rule.rule.signal not in STEP_SIGNALS)
        ]

    def makes_moot(self, bound: Bound) -> list[Bound]:
        """The bounds that together make this one moot: for each language one that is at least as strict."""
        strict = [each for each in self.bounds if each.holds_for(bound)]
        for each in strict:
            if covers(each.languages, bound.languages):
                return [each]
        found = [
            next((each for each in strict if each.languages is None or language in each.languages), None)
            for language in sorted(bound.languages or ())
        ]
        return list(dict.fromkeys(each for each in found if each)) if found and None not in found else []


def moot_bounds(recipe: Recipe) -> list[str]:
    """A line for each bound that others make moot or contradict, in the order of the recipe."""
    known = Known()
    lines: list[str] = []
    for stage, table in zip(recipe.stages, recipe.source["stage"]):
        audited = stage.command == "extract" and bool(stage.options.get("audit"))
        for step, source in zip(stage.steps, table.get("step", [])):
            if step.keys and any(key.name == "rules" for key in step.keys):
                written = bounds_of(source, step.name)
                mine = list(_bounds(step, written, f"{stage.name}.{step.name}", known.languages))
                lines += _moot(mine, known)
                if step.binding or not audited:
                    known.bounds += mine
            _after(step, known, audited)
    return lines


def _bounds(step: Step, written: Sequence[Found], place: str, spoken: Languages) -> Iterator[Bound]:
    for rule, found in zip(step.rules, written, strict=True):
        if rule.rule.threshold is None or rule.rule.signal in HEADER_SIGNALS:
            continue
        languages = both(both(as_set(step.languages), as_set(rule.languages)), spoken)
        line = f"{place}.{found.path} = {toml_value(found.threshold)}"
        yield Bound(line, rule, languages, step.lists, step.on_text)


def _moot(bounds: Sequence[Bound], known: Known) -> Iterator[str]:
    """Of the bounds of one step: those before it count, and the stricter ones beside it."""
    for number, bound in enumerate(bounds):
        if bound.languages == frozenset():
            yield f"{bound}: no document that comes here has its languages"
            continue
        beside = [
            each
            for at, each in enumerate(bounds)
            if at != number and each.holds_for(bound) and (not bound.holds_for(each) or at < number)
        ]
        if against := next((each for each in [*known.bounds, *bounds[:number]] if each.excludes(bound)), None):
            yield f"{bound}: nothing passes it and {against}"
            continue
        found = Known([*known.bounds, *beside], known.languages).makes_moot(bound)
        if found:
            verb = "is" if len(found) == 1 else "are"
            yield f"{bound}: {' and '.join(map(str, found))} {verb} at least as strict"


def _after(step: Step, known: Known, audited: bool) -> None:
    """Forgets what the step may change."""
    if isinstance(step, Extract):
        known.bounds = [each for each in known.bounds if not each.on_text]
        known.languages = None
    elif step.edits or (isinstance(step, Dedup) and step.method in CUTTING):
        known.forget(text=True)
    if isinstance(step, Label) and step.what == LANGUAGE:
        known.forget(text=True, signals=frozenset(("language_score",)))
        # documents of other languages than its own keep the language that they have
        known.languages = None if step.languages or audited or not step.keep else frozenset(step.keep)
    known.forget(signals=step.sets)


def as_set(languages: Sequence[str]) -> Languages:
    return frozenset(languages) or None


def both(one: Languages, other: Languages) -> Languages:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def covers(one: Languages, other: Languages) -> bool:
    return one is None or (other is not None and other <= one)
