"""A recipe as a person reads it: stages, steps, thresholds, one to a line, so that two can be compared by line."""

import difflib
import tomllib

from pipeline.recipes.curves import with_curves
from pipeline.recipes.parse import read_text
from pipeline.recipes.paths import settable
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.toml import recipe_toml
from pipeline.steps.step import Step
from pipeline.text_table import bracketed


def recipe_text(recipe: Recipe) -> str:
    """Combinations with their curves, where the files of these are in the model folder or come with the package."""
    recipe = with_curves(recipe)
    lines = [f"{recipe.name}: {recipe.about}"]
    for stage in recipe.stages:
        options = ", ".join(f"{key} {bracketed(value)}" for key, value in sorted(stage.options.items()))
        lines.append(f"{stage.command} ({stage.name})" + (f": {options}" if options else ""))
        lines += [f"  {line}" for step in stage.steps for line in _lines(step)]
    return "\n".join(lines)


def _lines(step: Step) -> list[str]:
    """With the step's name, by which ledgers and paths call it, where its own first line does not have it."""
    first, *others = step.lines()
    return [first if step.name in first else f"{first}, named {step.name}", *others]


def recipe_as_file(recipe: Recipe, name_or_file: str) -> str:
    """The recipe as TOML that reads back with the same hash: its own file, comments and all, unless it was changed."""
    text = read_text(name_or_file)
    return text if tomllib.loads(text) == recipe.source else recipe_toml(recipe.source)


def paths_text(recipe: Recipe) -> str:
    """What a change may set, a line for each: `PATH = VALUE    # where it comes from`, or the path alone."""
    lines = []
    for path, value, source in settable(recipe):
        lines.append((f"{path} = {value}" if value else path) + (f"    # {source}" if source else ""))
    return "\n".join(lines)


def difference(one: Recipe, other: Recipe, names: tuple[str, str]) -> str:
    """The lines in which two recipes differ, as `diff -u` prints them; those of their files where the readable ones are
    equal and the recipes are not. Empty for the same recipe."""
    if one.sha256 == other.sha256:
        return ""
    texts = recipe_text(one), recipe_text(other)
    if texts[0].splitlines()[1:] == texts[1].splitlines()[1:]:  # the first has the name
        texts = recipe_toml(one.source), recipe_toml(other.source)
    before, after = (text.splitlines() for text in texts)
    return "\n".join(difflib.unified_diff(before, after, *names, lineterm="", n=1))
