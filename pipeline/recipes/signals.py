"""Checks where the signals of a recipe come from. A value that is not measured never rejects, so a rule on a signal
that nothing sets would pass every document: a recipe with such a rule is refused before any work starts.

A text's own signals are measured wherever a rule or a term uses them. The others are set by a step, for the steps
after it, and from filter stage to filter stage; an extract stage passes on the signals of its audit sample and of its
last extraction alone.
`carried` of a filter stage names those that its documents bring along from elsewhere.
"""

from filters.catalog import SIGNALS
from infra.errors import UsageError
from infra.names import meant, near_names
from pipeline.recipes.recipe import Recipe, Stage
from pipeline.steps.fields import shown
from pipeline.steps.gate import Gate
from pipeline.steps.option import SIGNAL_LIST
from pipeline.steps.signals import AUDIT_SIGNALS, HEADER_SIGNALS, LISTED_SIGNALS, STEP_SIGNALS, STRUCTURE_SIGNALS
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
                if name not in here and name not in available(stage, step):
                    raise UsageError(f"{recipe.name}: {_missing(stage, step, name)}")
            here = step.after(here)
        whole = whole or stage.command == "extract"
        known = handed_on(stage, here)


def available(stage: Stage, step: Step) -> frozenset[str]:
    """What a step may read without an earlier one: of headers only in the extract stage, which reads them."""
    return step.available() if stage.command == "extract" else step.available() - HEADER_SIGNALS.keys()


def handed_on(stage: Stage, known: set[str]) -> set[str]:
    if stage.command != "extract":
        return known
    structure = known & STRUCTURE_SIGNALS.keys()
    return structure | set(AUDIT_SIGNALS) if "audit" in stage.options else structure


def _missing(stage: Stage, step: Step, name: str) -> str:
    place = f"stage {stage.name!r}, {step.kind} {step.name!r}"
    if name in HEADER_SIGNALS:
        return f"{place}: {name!r} is set in the extract stage alone: use it there, in a gate or a judge"
    if isinstance(step, Gate):
        lists = "" if step.lists else " without lists"
        known = sorted(available(stage, step))
        near = near_names(name, known)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{place}: a gate{lists} has no signal {name!r}: there are {', '.join(known) or 'none'}{hint}"
    if name in LISTED_SIGNALS:
        return f"{place}: {name!r} needs lists: use it in a gate, with lists = NAME"
    if name in AUDIT_SIGNALS:
        return f"{place}: {name!r} is set where an extract stage before it has a audit sample (audit = 0.01)"
    if name not in SIGNALS and name not in STEP_SIGNALS:
        return f"{place}: no signal {shown(name)}; {meant(name, (*SIGNALS, *STEP_SIGNALS), SIGNAL_LIST)}"
    return (
        f"{place}: nothing before it sets {name!r}, so that every document would pass: put a label or combine step "
        f'before it, or, if the documents bring it along, carried = ["{name}"] into the stage'
    )
