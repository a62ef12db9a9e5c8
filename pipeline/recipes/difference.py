"""In what two recipes differ, in one line: which stage, step and rule, or which model."""

import difflib
from collections.abc import Iterator

from pipeline.recipes.recipe import Recipe, Stage

MAX_SHOWN = 2


def recipe_difference(before: Recipe, now: Recipe) -> str:
    """The first differences, as a person would say them; of recipes with other hashes."""
    found = list(_differences(before, now))
    more = f" (and {len(found) - MAX_SHOWN} more: `refinery recipes diff`)" if len(found) > MAX_SHOWN else ""
    return "; ".join(found[:MAX_SHOWN]) + more if found else "it is written in another way"


def _differences(before: Recipe, now: Recipe) -> Iterator[str]:
    if before.name != now.name:
        yield f"it was {before.name!r}, and is {now.name!r} now"
    old, new = ({stage.name: stage for stage in recipe.stages} for recipe in (before, now))
    yield from (f"stage {name!r} is new" for name in new if name not in old)
    yield from (f"stage {name!r} is not there now" for name in old if name not in new)
    shared = [name for name in old if name in new]
    if shared != [name for name in new if name in old]:
        yield "the stages have another order"
    for name in shared:
        yield from _of_stage(old[name], new[name])
    for model in sorted({*before.models} & {*now.models}):
        if before.models[model] != now.models[model]:
            yield f"the model {model!r} is another file"
    if {*before.models} != {*now.models}:
        yield "other stages of it were run, since its inputs are of another kind"


def _of_stage(before: Stage, now: Stage) -> Iterator[str]:
    if (before.command, dict(before.options)) != (now.command, dict(now.options)):
        yield f"stage {now.name!r} was {_head(before)}, and is {_head(now)} now"
    old, new = (_lines(stage) for stage in (before, now))
    for kind, low, high, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        was, is_now = old[low:high], new[first:last]
        for step, line in is_now[len(was) :] if kind != "equal" else ():
            yield f"stage {now.name!r}{step}: {line!r} is new"
        for step, line in was[len(is_now) :] if kind != "equal" else ():
            yield f"stage {now.name!r}{step}: {line!r} is not there now"
        for (step, one), (_, other) in zip(was, is_now) if kind == "replace" else ():
            yield f"stage {now.name!r}{step}: {one!r} is {other!r} now"


def _head(stage: Stage) -> str:
    options = ", ".join(f"{key}={value}" for key, value in sorted(stage.options.items()))
    return stage.command + (f" with {options}" if options else "")


def _lines(stage: Stage) -> list[tuple[str, str]]:
    """The stage as lines without their sources, each with the step that it is in."""
    found = []
    for step in stage.steps:
        head, *rules = (line.split("    #")[0].strip() for line in step.lines())
        found.append(("", head))
        found += [(f", step {step.name!r}", rule) for rule in rules]
    return found
