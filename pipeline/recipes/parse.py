"""Recipes read from TOML. Every word is checked when the file is read: an unknown stage, step, signal, edit or option,
and a value of the wrong kind, is a UsageError that names the place.
"""

import tomllib
from collections.abc import Collection, Mapping
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast, get_args

from filters.catalog import EDITS, SIGNALS
from filters.rules import Bound, Rule
from infra.errors import UsageError
from pipeline.recipes.recipe import (
    STEP_SIGNALS,
    VERBS,
    Combine,
    Dedup,
    Extract,
    Gate,
    Judge,
    Label,
    Pool,
    Recipe,
    RecipeRule,
    Rewrite,
    Stage,
    Step,
    Term,
    Verb,
)
from pipeline.steps.fields import (
    check_plain,
    flag,
    folder_name,
    model_name,
    number,
    numbers,
    only,
    shown,
    step_name,
    table,
    tables,
    text,
    whole,
    words,
)

STEPS: dict[str, type[Any]] = {
    "gate": Gate, "extract": Extract, "label": Label, "judge": Judge, "combine": Combine, "rewrite": Rewrite,
    "pool": Pool, "dedup": Dedup,
}  # fmt: skip
ALLOWED: dict[str, tuple[type[Any], ...]] = {
    "ingest": (),
    "extract": (Gate, Extract, Label, Judge, Combine),
    "filter": (Label, Judge, Combine, Rewrite, Pool),
    "dedup": (Dedup,),
    "mix": (Label,),
    "tokenize": (),
}
# What a stage takes beside its steps. `control`: see extract.py. `carried`: signals that the stage's documents bring
# along without that any stage before it sets them.
STAGE_OPTIONS: dict[str, tuple[str, ...]] = {
    "ingest": (),
    "extract": ("control",),
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
    verb = source.get("verb")
    if not isinstance(verb, str) or verb not in VERBS:
        raise UsageError(f"{place}: verb is {shown(verb)}, not one of {', '.join(VERBS)}")
    name = folder_name(text(source, "name", place, verb), place)
    here = f"{place} ({name})"
    only(source, ("name", "verb", "step", *STAGE_OPTIONS[verb]), here)
    options = {key: value for key, value in source.items() if key in STAGE_OPTIONS[verb]}
    _check_options(verb, options, here)
    given = enumerate(tables(source, "step", here), start=1)
    steps = tuple(_step(step, f"{here}, step {number}") for number, step in given)
    for step in steps:
        if not isinstance(step, ALLOWED[verb]):
            allowed = ", ".join(kind.__name__.lower() for kind in ALLOWED[verb]) or "no step"
            raise UsageError(f"{here}: {verb} takes {allowed}, not {type(step).__name__.lower()}")
    _check_order(verb, steps, here)
    return Stage(name, cast("Verb", verb), steps, options)


def _check_options(verb: str, options: Mapping[str, Any], place: str) -> None:
    if verb == "tokenize":
        model_name(text(options, "tokenizer", place), f"{place}: tokenizer")
    table(options, "draw", place)
    for name in words(options, "carried", place):
        if name not in STEP_SIGNALS:
            raise UsageError(f"{place}: carried is for what steps set ({', '.join(STEP_SIGNALS)}), not {shown(name)}")


def _check_order(verb: str, steps: tuple[Step, ...], place: str) -> None:
    if verb == "extract" and not (steps and isinstance(steps[-1], Extract)):
        raise UsageError(f"{place}: the last step of an extract stage must be an extract step")
    if verb == "dedup" and len(steps) != 1:
        raise UsageError(f"{place}: a dedup stage needs exactly one dedup step")
    seen = False
    for step in steps:
        if verb == "extract" and not seen and isinstance(step, Label | Judge | Combine):
            raise UsageError(f"{place}: {step.name!r} needs a text: put an extract step before it")
        seen = seen or isinstance(step, Extract)
    if any(isinstance(step, Pool) for step in steps) and len(steps) > 1:
        raise UsageError(f"{place}: a pool step must be alone in its stage")
    names = [step.name for step in steps]
    for name in names:
        if verb == "extract" and names.count(name) > 1:
            raise UsageError(f"{place}: two steps are called {name!r}: give one another name")


def _step(source: Mapping[str, Any], place: str) -> Step:
    kind = source.get("kind")
    if not isinstance(kind, str) or kind not in STEPS:
        raise UsageError(f"{place}: kind is {shown(kind)}, not one of {', '.join(STEPS)}")
    made = STEPS[kind]
    fields = made.__dataclass_fields__
    only(source, ("kind", *fields), place)
    values: dict[str, Any] = {key: _read(source, key, place) for key in source if key != "kind"}
    names = (values.get(key) for key in ("what", "edit", "method", "signal"))
    values.setdefault("name", next((name for name in names if name), kind))
    if made is Combine and values.get("signal") not in STEP_SIGNALS:
        raise UsageError(
            f"{place}: a combination sets one of {', '.join(STEP_SIGNALS)}, not {shown(values.get('signal'))}"
        )
    if "rules" in fields:
        known = {*SIGNALS, *STEP_SIGNALS} if made is Judge else None
        values["rules"] = tuple(_rule(rule, place, known) for rule in tables(source, "rules", place))
    for key in ("what", "method"):
        if key in fields and values.get(key) not in get_args(fields[key].type):
            choices = ", ".join(get_args(fields[key].type))
            raise UsageError(f"{place}: {key} is {shown(values.get(key))}, not one of {choices}")
    if "characters" in values and values.get("what") != "language":
        raise UsageError(f"{place}: characters is for a step that labels the language")
    if made is Rewrite and values.get("edit") not in EDITS:
        raise UsageError(f"{place}: no edit {shown(values.get('edit'))}: there are {', '.join(sorted(EDITS))}")
    try:
        return made(**values)  # type: ignore[no-any-return]
    except TypeError as error:
        raise UsageError(f"{place}: {str(error).split('__init__() ')[-1]}") from None


def _read(source: Mapping[str, Any], key: str, place: str) -> Any:
    """A field of a step, as the kind that fields of this name are; `rules` are read by the step."""
    match key:
        case "name":
            return step_name(text(source, key, place), place)
        case "model" | "lists":
            return model_name(text(source, key, place), f"{place}: {key}")
        case "keep" | "languages" | "declared":
            return words(source, key, place)
        case "options":
            return table(source, key, place)
        case "terms":
            terms = tuple(_term(term, place) for term in tables(source, key, place))
            if not terms:
                raise UsageError(f"{place}: terms is empty; it says what each signal adds")
            return terms
        case "intercept":
            return number(source, key, place)
        case "larger":
            return flag(source, key, place)
        case "characters":
            return whole(source, key, place)
        case "rules":
            return ()
    return text(source, key, place)


def _rule(source: Mapping[str, Any], place: str, known: Collection[str] | None) -> RecipeRule:
    """`{signal = "words", min = 50, source = "..."}`; `max` likewise; `languages` optional."""
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


def _term(source: Mapping[str, Any], place: str) -> Term:
    """`{signal = "words", at = [50, 300], add = [-1.5, 0.4], missing = 0.0}`."""
    here = f"{place}: term {shown(dict(source))}"
    only(source, ("signal", "at", "add", "missing"), here)
    signal = text(source, "signal", here)
    if signal not in SIGNALS and signal not in STEP_SIGNALS:
        raise UsageError(f"{here}: no such signal; `refinery recipes signals` lists them")
    at, add = numbers(source, "at", here), numbers(source, "add", here)
    if len(at) != len(add) or not at or list(at) != sorted(set(at)):
        raise UsageError(f"{here}: at must rise, and add must have as many numbers as at")
    return Term(signal, at, add, number(source, "missing", here))
