"""Changes of a recipe by paths: `--set filter.size.words.min=60`, `changes={...}` in Python, `[set]` in a file.

A change gives another recipe, with its own hash, name and text; what it does not name stays as it was written. Values
are those of TOML, and are checked as in a file. `"off"` takes out the stage, the step or the bound that a path names.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.errors import UsageError
from infra.hashing import sha256_json
from infra.names import listed, meant
from pipeline.recipes.bounds import OFF, bounds_of, with_bound
from pipeline.recipes.paths import Place, locate
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.stage_keys import STAGE_OPTIONS, current_keys
from pipeline.recipes.toml import toml_value
from pipeline.steps.fields import check_plain, is_number, only, shown, tables, text
from pipeline.steps.option import names_of
from pipeline.steps.table import read_step

Changes = Mapping[str, Any]
# Keys with which a step's options change: those of the former method or engine are left out.
CHOOSING = ("method", "engine")
ANCHORS = ("before", "after", "in_place_of")
# What is said of a changed recipe in `about` stays a line.
MOST_TOLD = 3
TOLD = "(changed: "
SUFFIX = "-changed"


def read_changes(words: Sequence[str]) -> dict[str, Any]:
    """The arguments of `--set`, each `PATH=VALUE`; a value that is no TOML is a text, so that it needs no quotes."""
    found: dict[str, Any] = {}
    for word in words:
        path, sign, value = word.partition("=")
        if not sign or not path.strip() or not value.strip():
            raise UsageError(f"--set {word}: give PATH=VALUE, such as filter.size.words.min=60")
        if path.strip() in found:
            raise UsageError(f"--set {path.strip()} is given twice")
        found[path.strip()] = read_value(value.strip())
    return found


def read_value(word: str) -> Any:
    try:
        read = tomllib.loads(f"value = {word}")
    except (ValueError, RecursionError):
        if word[0] in "[{\"'":
            raise UsageError(
                f'{shown(word)} is not TOML: write lists as \'["en", "de"]\', in single quotes for the shell'
            ) from None
        return word
    return read["value"] if read.keys() == {"value"} else word


def flat(changes: Changes, place: str, above: str = "") -> Iterator[tuple[str, Any]]:
    """Tables within tables as dotted paths, as TOML reads a dotted key without quotes."""
    for key, value in changes.items():
        path = f"{above}{key}".strip()
        if isinstance(value, Mapping):
            if not value:
                raise UsageError(f"{place}: {path} is an empty table: give the path of what is to change")
            yield from flat(value, place, f"{path}.")
        else:
            yield path, plain(value)


def plain(value: Any) -> Any:
    """Lists for tuples, and Python's numbers for NumPy's, as TOML would give them."""
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.item() if hasattr(value, "item") and hasattr(value, "dtype") else value


def change(recipe: Recipe, changes: Changes, inserts: Sequence[Mapping[str, Any]], place: str) -> dict[str, Any]:
    """The source of the changed recipe, to be read like any other. `inserts`: tables of `[[insert]]`, which put stages
    and steps before, after or in place of others. Paths are those of `recipe`. UsageError names the path."""
    paths: dict[str, Any] = {}
    for path, value in flat(changes, place):
        if path in paths:
            raise UsageError(f"{place}: {path} is set twice")
        check_plain(value, f"{place}: {path}")
        paths[path] = value
    heads: dict[str, Any] = {key: paths.pop(key) for key in ("name", "about") if key in paths}
    draft = Draft(recipe, place)
    for path, value in sorted(paths.items(), key=lambda each: each[0].rpartition(".")[2] not in CHOOSING):
        draft.set(path, value)
    for number, insert in enumerate(inserts, start=1):
        draft.insert(insert, f"{place}: insert {number}")
    source = {**recipe.source, "stage": draft.stages()}
    if sha256_json(source["stage"]) == sha256_json(recipe.source["stage"]):
        return {**source, **heads}
    about, told = without_changes(recipe.about)
    told += [f"{path} = {toml_value(value)}" for path, value in paths.items()]
    told += [f"{len(inserts)} inserted"] if inserts else []
    about = f"{about} {TOLD}{', '.join(told[:MOST_TOLD])}{', …' if len(told) > MOST_TOLD else ''})".strip()
    return {**source, "name": recipe.name.removesuffix(SUFFIX) + SUFFIX, "about": about, **heads}


def kept_if_same(old: Any, new: Any) -> Any:
    """`new`, but `old` where they are the same number: 4 for 4.0 changes nothing, nor the hash."""
    return old if is_number(old) and is_number(new) and old == new else new


def without_changes(about: str) -> tuple[str, list[str]]:
    """What a recipe says of itself, and of earlier changes."""
    before, told, changes = about.partition(TOLD)
    return (before.rstrip(), [changes.removesuffix(")")]) if told else (about, [])


class Draft:
    """The stages of a recipe while they are changed. Paths lead to what the recipe had; a change within what another
    takes out is refused. `origin`: who changes it, in front of messages."""

    def __init__(self, recipe: Recipe, origin: str) -> None:
        self.recipe = recipe
        self.origin = origin
        self.tables: list[dict[str, Any]] = [dict(table) for table in recipe.source["stage"]]
        self.steps: list[list[Mapping[str, Any]]] = [list(table.get("step", [])) for table in self.tables]
        self.off: set[tuple[int, int | None]] = set()
        self.around: dict[tuple[int, int | None, str], list[Mapping[str, Any]]] = {}
        self.within: list[tuple[Place, str]] = []
        # the options of each step that are set
        self.chosen: dict[tuple[int, int], set[str]] = {}

    def set(self, path: str, value: Any) -> None:
        place = locate(self.recipe, path, self.origin)
        here = f"{self.origin}: {path}"
        if not place.rest:
            if value != OFF:
                what = "a stage" if place.step is None else "a step"
                raise UsageError(
                    f'{here} is {what}: it can only be "{OFF}", or go on with what it has{self._has(place)}'
                )
            self._take_out(place, here)
            return
        self.within.append((place, here))
        if place.step is None:
            self._set_option(place, value)
        else:
            table = self.steps[place.stage][place.step]
            self.steps[place.stage][place.step] = self._changed_step(table, place, value, here)

    def insert(self, given: Mapping[str, Any], here: str) -> None:
        """A table of `[[insert]]`: one of `before`, `after`, `in_place_of`, a path; and `step` or `stage`, tables."""
        only(given, (*ANCHORS, "step", "stage"), here)
        anchors = [key for key in ANCHORS if key in given]
        if len(anchors) != 1:
            raise UsageError(f"{here} needs one of {', '.join(ANCHORS)}")
        (anchor,) = anchors
        path = text(given, anchor, here)
        place = locate(self.recipe, path, here)
        if place.rest:
            raise UsageError(f"{here}: {anchor} is {shown(path)}; give the path of a stage or a step")
        wanted, other = ("stage", "step") if place.step is None else ("step", "stage")
        new = tables(given, wanted, here)
        if not new or other in given:
            raise UsageError(f"{here}: {path} is a {wanted}: give `{wanted}`, a list of tables, to put {anchor} it")
        if anchor == "in_place_of":
            self._take_out(place, here)
        if place.step is not None:
            self.within.append((Place(place.stage, None, ""), here))
        side = "before" if anchor == "before" else "after"
        key = (place.stage, place.step, side)
        self.around[key] = [*self.around.get(key, []), *new]

    def stages(self) -> list[Mapping[str, Any]]:
        for place, here in self.within:
            if not self.off.isdisjoint(((place.stage, None), (place.stage, place.step))):
                raise UsageError(f"{here} is part of what another change takes out")
        made: list[Mapping[str, Any]] = []
        for number, (table, steps) in enumerate(zip(self.tables, self.steps)):
            new = self._with_neighbours(steps, number)
            whole = {**table, "step": new} if new or "step" in table else table
            made += self.around.get((number, None, "before"), [])
            made += [] if (number, None) in self.off else [whole]
            made += self.around.get((number, None, "after"), [])
        return made

    def _with_neighbours(self, steps: Sequence[Mapping[str, Any]], stage: int) -> list[Mapping[str, Any]]:
        made: list[Mapping[str, Any]] = []
        for number, step in enumerate(steps):
            made += self.around.get((stage, number, "before"), [])
            made += [] if (stage, number) in self.off else [step]
            made += self.around.get((stage, number, "after"), [])
        return made

    def _take_out(self, place: Place, here: str) -> None:
        at = (place.stage, place.step)
        if at in self.off:
            raise UsageError(f"{here} is taken out twice")
        self.off.add(at)

    def _set_option(self, place: Place, value: Any) -> None:
        """An option of a stage; `draw` has settings, some of which are tables of shares by name."""
        table = dict(current_keys(self.tables[place.stage], self.origin))
        *above, last = place.rest.split(".", 2)
        inner = table
        for key in above:
            inside = inner.get(key, {})
            inner[key] = dict(inside) if isinstance(inside, Mapping) else {}
            inner = inner[key]
        inner[last] = kept_if_same(inner.get(last), value)
        self.tables[place.stage] = table

    def _changed_step(self, table: Mapping[str, Any], place: Place, value: Any, here: str) -> Mapping[str, Any]:
        assert place.step is not None
        step = self.recipe.stages[place.stage].steps[place.step]
        keys = names_of(step.keys)
        key, _, more = place.rest.partition(".")
        if key in ("rules", "options") and key in keys and more:
            key, _, more = more.partition(".")
        elif key in (*keys, "name"):
            if more:
                raise UsageError(f"{here}: {key} has no parts: set it as a whole")
            former = {} if key not in CHOOSING or table.get(key) == value else {"options"}
            kept = {name: each for name, each in table.items() if name not in former}
            return kept | {key: kept_if_same(table.get(key), value)}
        if "rules" in keys:
            path = f"{key}.{more}" if more else key
            return with_bound(table, path, value, f"{here}: {step.kind} {step.name!r}")
        known = {option.name: option.type for option in read_step(table, here).known_options()}
        options = table.get("options", {})
        if more and known.get(key) == "table":  # an entry of it, by its name
            entries = options.get(key, {})
            return {**table, "options": {**options, key: {**entries, more: kept_if_same(entries.get(more), value)}}}
        if key not in known or more:
            there = [name for name in (*keys, *known) if name != "options"]
            raise UsageError(f"{here}: {step.kind} {step.name!r} has no option {shown(key)}; {meant(key, there)}")
        chosen = self.chosen.setdefault((place.stage, place.step), set())
        others = step.without_others(options, key, chosen)
        chosen.add(key)
        return {**table, "options": {**others, key: kept_if_same(options.get(key), value)}}

    def _has(self, place: Place) -> str:
        stage = self.recipe.stages[place.stage]
        if place.step is None:
            names = [*(step.name for step in stage.steps), *names_of(STAGE_OPTIONS[stage.command])]
        else:
            step = stage.steps[place.step]
            rules = [found.path for found in bounds_of(self.steps[place.stage][place.step], step.name)]
            names = [
                *rules,
                *(key for key in names_of((*step.keys, *step.known_options())) if key not in ("rules", "options")),
            ]
        return f": {listed(names)}" if names else ""
