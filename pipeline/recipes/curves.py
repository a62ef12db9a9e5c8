"""The curves of a recipe's combinations, for what plans or shows it: a run takes them from its own models."""

from pipeline.models.store import at_hand, model_folder
from pipeline.recipes.recipe import Recipe


def curve_files(recipe: Recipe) -> set[str]:
    """The names of the models that hold curves."""
    return {name for stage in recipe.stages for step in stage.steps if step.combines for name in step.models()}


def with_curves(recipe: Recipe, models: str | None = None) -> Recipe:
    """The recipe with the terms of its combinations, as far as their files are in the model folder or come with the
    package. Only then is it known which signals they read. Raises UsageError for a file that is not a combination."""
    return recipe.bound(at_hand(curve_files(recipe), model_folder(models)))
