"""Recipes read from TOML. Every word is checked when the file is read: an unknown stage, step, signal, edit or option,
and a value of the wrong kind, is a UsageError that names the place.
"""

import tomllib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from infra import storage
from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.names import meant, near_names
from pipeline.recipes.changes import Changes, change
from pipeline.recipes.check import check_options
from pipeline.recipes.recipe import COMMANDS, Recipe, Rules, Stage, StageCommand, bound
from pipeline.recipes.shipped import ONE_JOB, is_shipped, shipped, shipped_toml
from pipeline.recipes.stage_keys import CHANGED_FILE, STAGE_FILE, STAGE_OPTIONS, WHOLE_FILE, current_keys
from pipeline.steps.extract import Extract
from pipeline.steps.fields import (
    check_plain,
    folder_name,
    model_name,
    not_one_of,
    only,
    shown,
    table,
    tables,
    text,
    words,
)
from pipeline.steps.option import names_of
from pipeline.steps.signals import STEP_SIGNALS
from pipeline.steps.step import Step
from pipeline.steps.table import kinds_in, read_step

# A recipe extends one that extends another, and so on: more than this is a mistake.
MOST_EXTENDED = 8


def load_recipe(name_or_file: str, changes: Changes | None = None) -> Recipe:
    """A shipped recipe by name, or any TOML file by path. With `changes` (`pipeline/recipes/changes.py`) it is another
    recipe, of another name. UsageError for what is not there or is no recipe, and for changes of what it lacks."""
    recipe = _load(name_or_file, ())
    return _changed(recipe, changes, (), name_or_file) if changes else recipe


def read_text(name_or_file: str) -> str:
    """The text of a recipe's file, as it was written. UsageError if there is none."""
    path = storage.place(name_or_file)
    if (found := shipped_toml(name_or_file)) is not None:
        content = found.encode()
    elif path.suffix == ".toml":
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"recipe file {path} cannot be read: {error.strerror}") from None
    else:
        near = near_names(name_or_file, shipped())
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(f"no recipe {name_or_file!r}: {hint}choose one of {', '.join(shipped())}, or a .toml file")
    try:
        return content.decode()
    except ValueError as error:
        raise UsageError(f"recipe {name_or_file} is not TOML: {error}") from None


def _load(name_or_file: str, extending: tuple[str, ...]) -> Recipe:
    """`extending`: the files, by their whole paths, that extend this one."""
    content = read_text(name_or_file)
    try:
        source = tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # a number may be too long, a list too deep
        raise UsageError(f"recipe {name_or_file} is not TOML: {error}") from None
    if "extends" in source:
        return _extended(source, name_or_file, extending)
    recipe = parse_recipe(source, name_or_file)
    if not is_shipped(name_or_file):
        _check_name(recipe, name_or_file)
    return recipe


def _extended(source: Mapping[str, Any], place: str, extending: tuple[str, ...]) -> Recipe:
    """The recipe in a file that changes another: `extends` and what is set and inserted."""
    check_plain(source, place)
    if "stage" in source:
        raise UsageError(f"{place}: a recipe with `extends` has no [[stage]] of its own: put stages in with [[insert]]")
    only(source, names_of(CHANGED_FILE), place)
    base = text(source, "extends", place)
    file = storage.place(place)
    if base.endswith(".toml"):
        base = str(file.parent / base)
    here = str(file.resolve())
    if here in extending or len(extending) > MOST_EXTENDED:
        names = " → ".join(Path(each).name for each in (*extending, here))
        raise UsageError(f"{place}: recipes extend each other in a circle, or too often: {names}")
    heads = {"name": text(source, "name", place, Path(place).stem)}
    heads |= {"about": text(source, "about", place)} if "about" in source else {}
    inserts = tables(source, "insert", place)
    if is_shipped(heads["name"]):
        raise UsageError(f"{place}: {heads['name']!r} is the name of a shipped recipe: give this one a name of its own")
    return _changed(_load(base, (*extending, here)), {**table(source, "set", place), **heads}, inserts, place)


def _changed(recipe: Recipe, changes: Changes, inserts: Sequence[Mapping[str, Any]], place: str) -> Recipe:
    source = change(recipe, changes, inserts, place)
    changed = parse_recipe(source, f"{place} as changed")
    try:
        check_options(changed)
    except UsageError as error:
        raise UsageError(f"{place} as changed: {error}") from None
    _check_name(changed, place)
    return changed


def _check_name(recipe: Recipe, place: str) -> None:
    """UsageError for another recipe that has the name of a shipped one, unless that only says the job: manifests would
    take it for that."""
    if not recipe.name.strip():
        raise UsageError(f"{place}: name is empty: give the recipe one")
    if recipe.name in ONE_JOB:
        return
    if is_shipped(recipe.name) and recipe.sha256 != _load(recipe.name, ()).sha256:
        raise UsageError(
            f"{place}: the recipe is called {recipe.name!r} but is not the one that is shipped: give it another `name`"
        )


def parse_recipe(source: Mapping[str, Any], place: str) -> Recipe:
    """The recipe in a parsed TOML document; `place` names it in messages. UsageError for whatever is no recipe."""
    check_plain(source, place)
    only(source, names_of(WHOLE_FILE), place)
    tables(source, "calibration", place)
    given = enumerate(tables(source, "stage", place), start=1)
    stages = tuple(_stage(stage, f"{place}: stage {number}") for number, stage in given)
    if not stages:
        raise UsageError(f"{place}: a recipe needs at least one [[stage]]")
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{place}: two stages are called {name!r}")
    for before, stage in pairwise(stages):
        if stage.reads is not before.makes:
            raise UsageError(
                f"{place}: stage {stage.name!r} reads {stage.reads or 'archives'}, "
                f"but {before.name!r} before it makes {before.makes}"
            )
    return Recipe(text(source, "name", place, Path(place).stem), text(source, "about", place), stages, source)


def _stage(source: Mapping[str, Any], place: str) -> Stage:
    source = current_keys(source, place)
    command = source.get("command")
    if not isinstance(command, str) or command not in COMMANDS:
        raise UsageError(f"{place}: command is {shown(command)}, {not_one_of(command, COMMANDS)}")
    name = folder_name(text(source, "name", place, command), place)
    here = f"{place} ({name})"
    known = names_of(STAGE_OPTIONS[command])
    only(source, (*names_of(STAGE_FILE), *known), here)
    options = {key: value for key, value in source.items() if key in known}
    _check_options(command, options, here)
    given = enumerate(tables(source, "step", here), start=1)
    steps = tuple(read_step(step, f"{here}, step {number}") for number, step in given)
    for step in steps:
        if command not in step.stages:
            allowed = ", ".join(kinds_in(command)) or "no step"
            raise UsageError(f"{here}: {command} takes {allowed}, not {step.kind}")
    _check_order(command, steps, here)
    try:
        steps = bound(steps, {})
    except UsageError as error:
        raise UsageError(f"{here}: {error}") from None
    rules = baseline_rules(text(options, "baseline", here), here) if "baseline" in options else None
    return Stage(name, cast("StageCommand", command), steps, options, rules)


def baseline_rules(name: str, place: str) -> Rules:
    """The rules of a shipped recipe, by its name: what its extract and filter stages do with one page."""
    if not is_shipped(name):
        raise UsageError(
            f"{place}: baseline is the name of a shipped recipe, not {shown(name)}; {meant(name, shipped())}"
        )
    stages = tomllib.loads(read_text(name))["stage"]
    found = [step for stage in stages if stage["command"] in ("extract", "filter") for step in stage.get("step", ())]
    steps = [(source, read_step(source, f"{place}: baseline {name}")) for source in found]
    rules = [(source, step) for source, step in steps if not step.alone]
    if not any(isinstance(step, Extract) for _, step in rules):
        raise UsageError(f"{place}: baseline {name!r} extracts no text: there is nothing to compare with")
    return Rules(name, bound([step for _, step in rules], {}), sha256_json([source for source, _ in rules]))


def _check_options(command: str, options: Mapping[str, Any], place: str) -> None:
    if command == "tokenize" or "tokenizer" in options:
        model_name(text(options, "tokenizer", place), f"{place}: tokenizer")
    table(options, "draw", place)
    for name in words(options, "carried", place):
        if name not in STEP_SIGNALS:
            raise UsageError(f"{place}: carried is for what steps set, not {shown(name)}; {meant(name, STEP_SIGNALS)}")


def _check_order(command: str, steps: tuple[Step, ...], place: str) -> None:
    extracts = [isinstance(step, Extract) for step in steps]
    if command == "extract" and not (extracts and extracts[-1]):
        raise UsageError(f"{place}: the last step of an extract stage must be an extract step")
    if command == "dedup" and len(steps) != 1:
        raise UsageError(f"{place}: a dedup stage needs exactly one dedup step")
    for number, step in enumerate(steps):
        if command == "extract" and step.on_text and not any(extracts[:number]):
            raise UsageError(f"{place}: {step.name!r} needs a text: put an extract step before it")
        if step.alone and len(steps) > 1:
            raise UsageError(f"{place}: a {step.kind} step must be alone in its stage")
    names = [step.name for step in steps]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{place}: two steps are called {name!r}: give one another name")
