"""What a recipe asks of extractors, deduplication, pools and signals, checked before any work starts."""

from collections.abc import Mapping
from pathlib import Path

from infra.errors import UsageError
from mixers.targets import DrawConfig
from pipeline.models.redpajama import check_lists
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.signals import check_signals
from pipeline.steps.fields import is_number, shown
from pipeline.steps.label import Label


def check_recipe(recipe: Recipe) -> None:
    """UsageError for an extractor, an option or a share that does not exist or is of the wrong kind, and for a signal
    that nothing sets."""
    for stage in recipe.stages:
        audit = stage.options.get("audit", 0)
        if not (is_number(audit) and 0 <= audit <= 1):
            raise UsageError(f"{recipe.name}: audit of stage {stage.name!r} is {shown(audit)}; it must be 0 to 1")
        if stage.command == "mix":
            DrawConfig.from_block(stage.options.get("draw", {}), f"{stage.name}.draw")
        for step in stage.steps:
            step.check()
    check_signals(recipe)


def check_rules_have_lists(recipe: Recipe, places: Mapping[str, Path]) -> None:
    """UsageError for a `redpajama` label whose folder has no list or a damaged one, and for a rule or a term after it
    whose list is not there. `places`: where the models are, by name; a label whose model is not among them belongs to
    a stage that is not run."""
    folder: Path | None = None
    for step in (step for stage in recipe.stages for step in stage.steps):
        if isinstance(step, Label) and step.what == "redpajama" and step.model in places:
            folder = places[step.model]
            check_lists(folder, ())
        elif folder and step.on_text:
            check_lists(folder, set(step.requires()))
