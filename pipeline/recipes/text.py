"""A recipe as a person reads it: stages, steps, thresholds, one to a line, so that two can be compared by line."""

from pipeline.recipes.curves import with_curves
from pipeline.recipes.recipe import Recipe
from pipeline.text_table import bracketed


def recipe_text(recipe: Recipe) -> str:
    """Combinations with their curves, where the files of these are in the model folder or come with the package."""
    recipe = with_curves(recipe)
    lines = [f"{recipe.name}: {recipe.about}"]
    for stage in recipe.stages:
        options = ", ".join(f"{key} {bracketed(value)}" for key, value in sorted(stage.options.items()))
        lines.append(f"{stage.command} ({stage.name})" + (f": {options}" if options else ""))
        lines += [f"  {line}" for step in stage.steps for line in step.lines()]
    return "\n".join(lines)
