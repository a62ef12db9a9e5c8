"""A recipe as a person reads it: stages, steps, thresholds, one to a line, so that two can be compared by line."""

from pipeline.recipes.recipe import Recipe


def recipe_text(recipe: Recipe) -> str:
    lines = [f"{recipe.name}: {recipe.about}"]
    for stage in recipe.stages:
        options = ", ".join(f"{key}={value}" for key, value in sorted(stage.options.items()))
        lines.append(f"{stage.verb} ({stage.name})" + (f": {options}" if options else ""))
        lines += [f"  {line}" for step in stage.steps for line in step.lines()]
    return "\n".join(lines)
