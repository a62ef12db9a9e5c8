"""Paths into a recipe: how a change names a stage, a step, a bound or an option, `STAGE.STEP.SIGNAL.min`.

A stage is named by its name, which is that of its command unless given. So is a step: an unnamed one is called by its
method, edit, label or signal, or else by its kind; `refinery recipes show RECIPE --paths` lists them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from infra.errors import UsageError
from infra.names import listed, near_names
from pipeline.recipes.bounds import bounds_of
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.stage_keys import STAGE_OPTIONS, draw_options
from pipeline.recipes.toml import toml_value
from pipeline.steps.fields import shown
from pipeline.steps.option import Option, names_of
from pipeline.steps.step import Step


class Place(NamedTuple):
    """Where a path leads: a stage, one of its steps (None: the stage itself), and the rest of the path below it."""

    stage: int
    step: int | None
    rest: str


def locate(recipe: Recipe, path: str, origin: str) -> Place:
    """Raises UsageError, with `origin` in front, for a path that leads nowhere."""
    head, _, rest = path.partition(".")
    names = [stage.name for stage in recipe.stages]
    if head not in names:
        raise UsageError(f"{origin}: {path}: no stage {shown(head)}; {_hint(recipe, path, head, names)}")
    number = names.index(head)
    stage = recipe.stages[number]
    options = names_of(STAGE_OPTIONS[stage.command])
    if not rest or rest.partition(".")[0] in options:
        return Place(number, None, rest)
    steps = [step.name for step in stage.steps]
    fits = [name for name in steps if rest == name or rest.startswith(f"{name}.")]
    if fits:
        name = max(fits, key=len)  # a name may have dots
        return Place(number, steps.index(name), rest[len(name) + 1 :])
    name = rest.partition(".")[0]
    hint = _hint(recipe, path, name, [*steps, *options])
    raise UsageError(f"{origin}: {path}: stage {head!r} has no step {shown(name)}; {hint}")


def _hint(recipe: Recipe, path: str, name: str, here: list[str]) -> str:
    """Where in the recipe the path, or its end, is; else the near names at this place; else all of them."""
    every = [each.path for each in settable(recipe)]
    for tail in (path, ".".join(path.split(".")[-2:])):
        if holding := [each for each in every if f".{tail}." in f".{each}."]:
            return f"did you mean {' or '.join(holding[:3])}?"
    stage, _, last = path.partition(".")
    if inside := [each for each in every if each.startswith(f"{stage}.") and each.endswith(f".{last}")]:
        return f"did you mean {' or '.join(inside[:3])}?"
    near = near_names(name, here)
    return (f"did you mean {' or '.join(near)}? " if near else "") + f"there are {listed(here) or 'none'}"


class Setting(NamedTuple):
    """What a change may set, by its path: the value as TOML ("" for none), and where it comes from, if it says so."""

    path: str
    value: str
    source: str


def settable(recipe: Recipe) -> Iterator[Setting]:
    """Every bound, key and option of the recipe, in order, with defaults for those that are not given."""
    for stage, table in zip(recipe.stages, recipe.source["stage"]):
        for option in STAGE_OPTIONS[stage.command]:
            if option.name == "draw":
                yield from _options(f"{stage.name}.draw", draw_options(), stage.options.get("draw", {}))
            else:
                yield _setting(stage.name, option, stage.options)
        for step, source in zip(stage.steps, table.get("step", [])):
            yield from _below(f"{stage.name}.{step.name}", step, source)


def _below(place: str, step: Step, source: Mapping[str, Any]) -> Iterator[Setting]:
    for key in step.keys:
        if key.name == "rules":
            for found in bounds_of(source, place):
                yield Setting(f"{place}.{found.path}", toml_value(found.threshold), found.rule.get("source", ""))
        elif key.name == "options":
            yield from _options(place, step.known_options(), source.get("options", {}))
        elif key.name != "source":
            yield _setting(place, key, source)


def _options(place: str, known: Iterable[Option], given: Mapping[str, Any]) -> Iterator[Setting]:
    for option in known:
        value = given.get(option.name)
        if isinstance(value, Mapping):
            yield from (Setting(f"{place}.{option.name}.{key}", toml_value(each), "") for key, each in value.items())
        else:
            yield _setting(place, option, given)


def _setting(place: str, option: Option, given: Mapping[str, Any]) -> Setting:
    path = f"{place}.{option.name}"
    if option.name in given:
        return Setting(path, toml_value(given[option.name]), "")
    return Setting(path, option.default, "default" if option.default else "not given")
