"""Checks where the signals of a recipe come from. A value that is not measured never rejects, so a rule on a signal
that nothing sets would pass every document: a recipe with such a rule is refused before any work starts.

A text's own signals are measured wherever a rule or a term uses them. The others are set by a step, for the steps
after it, and from filter stage to filter stage; an extract stage passes on the signals of its audit sample alone.
`carried` of a filter stage names those that its documents bring along from elsewhere.
"""

from infra.errors import UsageError
from pipeline.recipes.recipe import Recipe, Stage
from pipeline.steps.gate import Gate
from pipeline.steps.signals import AUDIT_SIGNALS, HEADER_SIGNALS, LISTED_SIGNALS
from pipeline.steps.step import Step


def check_signals(recipe: Recipe) -> None:
    """UsageError for the first rule or term whose signal nothing before it sets, and for gates without their lists.

    What a rule of the pool reads is checked here only if the recipe makes its documents; else the pool's own check of
    what they carry decides.
    """
    known: set[str] = set()
    whole = False
    for stage in recipe.stages:
        here = set() if stage.command == "extract" else known | set(stage.options.get("carried", ()))
        for step in stage.steps:
            for name in step.requires() if whole or not step.alone else ():
                if name not in here and name not in step.available():
                    raise UsageError(f"{recipe.name}: {_missing(stage, step, name)}")
            here = step.after(here)
        whole = whole or stage.command == "extract"
        known = handed_on(stage, here)


def handed_on(stage: Stage, known: set[str]) -> set[str]:
    if stage.command != "extract":
        return known
    return set(AUDIT_SIGNALS) if "audit" in stage.options else set()


def _missing(stage: Stage, step: Step, name: str) -> str:
    place = f"stage {stage.name!r}, {step.kind} {step.name!r}"
    if isinstance(step, Gate):
        lists = "" if step.lists else " without lists"
        known = ", ".join(sorted(step.available()))
        return f"{place}: a gate{lists} has no signal {name!r}: there are {known}"
    if name in LISTED_SIGNALS:
        return f"{place}: {name!r} needs lists: use it in a gate of the extract stage, with lists = NAME"
    if name in HEADER_SIGNALS:
        return f"{place}: {name!r} is set in the extract stage alone: use it there, in a gate or a judge"
    if name in AUDIT_SIGNALS:
        return f"{place}: {name!r} is set where an extract stage before it has a audit sample (audit = 0.01)"
    return (
        f"{place}: nothing before it sets {name!r}, so that every document would pass: put a label or combine step "
        f'before it, or, if the documents bring it along, carried = ["{name}"] into the stage'
    )
