"""Where the signals of a recipe come from. What was not measured cannot convict: a rule on a signal that nothing sets
would pass every document, so a recipe with one is refused before any work starts.

A text's own signals are measured wherever they are asked for. The others are set by a step: they are there for what
comes after it, and from filter stage to filter stage; an extract stage hands on nothing but what its control sample
says. `carried` of a filter stage names those that its documents bring along from elsewhere.
"""

from collections.abc import Iterator

from filters.catalog import SIGNALS
from filters.url import SIGNAL_DOCS, UrlLists, url_signals
from infra.errors import UsageError
from pipeline.pool.stage import pool_signals
from pipeline.recipes.recipe import Combine, Extract, Gate, Judge, Label, Pool, Recipe, Stage, Step
from pipeline.stages.extract import CONTROL_SIGNALS, HEADER_SIGNALS

# Signals of the address that need lists, which only a gate has.
LISTED_SIGNALS = frozenset(
    name for name, value in url_signals("http://a.example/", UrlLists()).items() if value is None
)
MEASURED = SIGNALS.keys() - LISTED_SIGNALS
CLUSTER_SIGNALS = ("cluster", "cluster_score")


def check_signals(recipe: Recipe) -> None:
    """UsageError for the first rule or term whose signal nothing before it sets, and for gates without their lists."""
    known: set[str] = set()
    whole = False
    for stage in recipe.stages:
        here = set() if stage.verb == "extract" else known | set(stage.options.get("carried", ()))
        for step in stage.steps:
            for name in asked(step, whole):
                if name not in here and name not in available(step):
                    raise UsageError(f"{recipe.name}: {_missing(stage, step, name)}")
            here = after(step, here)
        whole = whole or stage.verb == "extract"
        known = handed_on(stage, here)


def asked(step: Step, whole: bool) -> Iterator[str]:
    """The signals that a step reads. What a rule of the pool reads is known only if the recipe makes its documents
    (`whole`); else the pool's own check of what they carry stands."""
    match step:
        case Gate() | Judge():
            yield from (rule.rule.signal for rule in step.rules)
        case Combine():
            yield from (term.signal for term in step.terms)
            if step.larger:
                yield step.signal
        case Pool() if whole:
            yield from sorted(pool_signals(step))


def available(step: Step) -> frozenset[str]:
    """What a step may ask that no step has to set."""
    if isinstance(step, Gate):
        return frozenset((*HEADER_SIGNALS, *(SIGNAL_DOCS if step.lists else ())))
    return frozenset(MEASURED)


def after(step: Step, known: set[str]) -> set[str]:
    """What is known once the step is done. An extraction begins anew, with what the page asks for."""
    match step:
        case Extract():
            return set(HEADER_SIGNALS)
        case Label():
            return known | step.sets | ({"language_score"} if step.what == "language" else set())
        case Combine():
            return known | {step.signal}
        case Pool(method="clusters"):
            return known | set(CLUSTER_SIGNALS)
    return known


def handed_on(stage: Stage, known: set[str]) -> set[str]:
    if stage.verb != "extract":
        return known
    return set(CONTROL_SIGNALS) if "control" in stage.options else set()


def _missing(stage: Stage, step: Step, name: str) -> str:
    kind = type(step).__name__.lower()
    place = f"stage {stage.name!r}, {kind} {step.name!r}"
    if isinstance(step, Gate):
        lists = "" if step.lists else " without lists"
        known = ", ".join(sorted(available(step)))
        return f"{place}: a gate{lists} knows no signal {name!r}: there are {known}"
    if name in LISTED_SIGNALS:
        return f"{place}: {name!r} needs lists: ask it in a gate of the extract stage, with lists = NAME"
    if name in HEADER_SIGNALS:
        return f"{place}: {name!r} is known in the extract stage alone: ask it there, in a gate or a judge"
    if name in CONTROL_SIGNALS:
        return f"{place}: {name!r} is set where an extract stage before it has a control sample (control = 0.01)"
    return (
        f"{place}: nothing before it sets {name!r}, so that every document would pass: put a label or combine step "
        f'before it, or, if the documents bring it along, carried = ["{name}"] into the stage'
    )
