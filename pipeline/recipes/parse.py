"""Recipes read from TOML. Every word is checked when the file is read: an unknown stage, step, signal, edit or option,
and a value of the wrong kind, is a UsageError that names the place.
"""

import tomllib
from collections.abc import Mapping
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from infra.errors import UsageError
from pipeline.recipes.recipe import COMMANDS, Recipe, Stage, StageCommand, bound
from pipeline.steps.extract import Extract
from pipeline.steps.fields import (
    check_plain,
    folder_name,
    model_name,
    only,
    shown,
    table,
    tables,
    text,
    words,
)
from pipeline.steps.signals import STEP_SIGNALS
from pipeline.steps.step import Step
from pipeline.steps.table import kinds_in, read_step

# Keys of a stage that had another name in earlier versions.
FORMER_KEYS = {"verb": "command", "control": "audit"}
# What a stage takes beside its steps. `audit`: see extract.py. `carried`: signals that the stage's documents bring
# along without that any stage before it sets them.
STAGE_OPTIONS: dict[str, tuple[str, ...]] = {
    "ingest": (),
    "extract": ("audit",),
    "filter": ("carried",),
    "dedup": (),
    "mix": ("draw",),
    "tokenize": ("tokenizer",),
}


def shipped() -> list[str]:
    """The names of the recipes that come with the package."""
    folder = resources.files("pipeline.recipes")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load_recipe(name_or_file: str) -> Recipe:
    """A shipped recipe by name, or any TOML file by path."""
    path = Path(name_or_file)
    if name_or_file in shipped():
        content = (resources.files("pipeline.recipes") / f"{name_or_file}.toml").read_bytes()
    elif path.suffix == ".toml":
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"recipe file {path} cannot be read: {error.strerror}") from None
    else:
        raise UsageError(f"no recipe {name_or_file!r}: choose one of {', '.join(shipped())}, or a .toml file")
    try:
        source = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # a number may be too long, a list too deep
        raise UsageError(f"recipe {name_or_file} is not TOML: {error}") from None
    return parse_recipe(source, name_or_file)


def parse_recipe(source: Mapping[str, Any], place: str) -> Recipe:
    """The recipe in a parsed TOML document; `place` names it in messages. UsageError for whatever is no recipe."""
    check_plain(source, place)
    only(source, ("name", "about", "stage", "calibration"), place)
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
    return Recipe(text(source, "name", place, place), text(source, "about", place), stages, source)


def _stage(source: Mapping[str, Any], place: str) -> Stage:
    source = _current_keys(source, place)
    command = source.get("command")
    if not isinstance(command, str) or command not in COMMANDS:
        raise UsageError(f"{place}: command is {shown(command)}, not one of {', '.join(COMMANDS)}")
    name = folder_name(text(source, "name", place, command), place)
    here = f"{place} ({name})"
    only(source, ("name", "command", "step", *STAGE_OPTIONS[command]), here)
    options = {key: value for key, value in source.items() if key in STAGE_OPTIONS[command]}
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
    return Stage(name, cast("StageCommand", command), steps, options)


def _current_keys(source: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """A stage's table with the keys of today for the former ones, so that recipes of earlier versions can be read."""
    for former, key in FORMER_KEYS.items():
        if former in source and key in source:
            raise UsageError(f"{place}: {former} is the former name of {key}: leave one of the two out")
    return {FORMER_KEYS.get(name, name): value for name, value in source.items()}


def _check_options(command: str, options: Mapping[str, Any], place: str) -> None:
    if command == "tokenize":
        model_name(text(options, "tokenizer", place), f"{place}: tokenizer")
    table(options, "draw", place)
    for name in words(options, "carried", place):
        if name not in STEP_SIGNALS:
            raise UsageError(f"{place}: carried is for what steps set ({', '.join(STEP_SIGNALS)}), not {shown(name)}")


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
