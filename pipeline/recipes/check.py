"""Checks of a recipe's extractors, deduplication, pools, signals and models, before any work starts."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from infra.errors import UsageError
from mixers.targets import DrawConfig
from mixers.tokenizer import Tokenizer
from pipeline.models.loaded import load_once
from pipeline.models.scorers import SCORERS
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.signals import check_signals
from pipeline.steps.fields import is_number, shown
from pipeline.steps.label import Label
from pipeline.steps.pool import PoolRule


def check_recipe(recipe: Recipe) -> None:
    """UsageError for an extractor, an option or a share that does not exist or is of the wrong kind, and for a signal
    that nothing sets."""
    check_options(recipe)
    check_signals(recipe)


def check_options(recipe: Recipe) -> None:
    """The same without the signals."""
    for stage in recipe.stages:
        audit = stage.options.get("audit", 0)
        if not (is_number(audit) and 0 <= audit <= 1):
            raise UsageError(f"{recipe.name}: audit of stage {stage.name!r} is {shown(audit)}; it must be 0 to 1")
        least = stage.options.get("audit_pages", 0)
        if type(least) is not int or least < 0:
            raise UsageError(
                f"{recipe.name}: audit_pages of stage {stage.name!r} is {shown(least)}; it must be a number of pages"
            )
        for name in ("audit_pages", "baseline"):
            if name in stage.options and "audit" not in stage.options:
                raise UsageError(f"{recipe.name}: {name} of stage {stage.name!r} needs an audit sample (audit = 0.01)")
        if stage.command == "mix":
            DrawConfig.from_block(stage.options.get("draw", {}), f"{stage.name}.draw")
        for step in stage.steps:
            step.check()
    check_baselines(recipe)


def check_baselines(recipe: Recipe) -> None:
    """UsageError where a keep rate is of another recipe than the audit sample before it goes through."""
    measured: str | None = None
    for stage in recipe.stages:
        if stage.baseline and (stage.options.get("audit") or stage.options.get("audit_pages")):
            measured = stage.baseline.name
        rates = [step for step in stage.steps if isinstance(step, PoolRule) and step.method == "keep_rate"]
        for step in rates if measured else []:
            if (of := step.checked_options()["of"]) != measured:
                raise UsageError(
                    f"{recipe.name}: pool {step.name!r} has of = {shown(of)}, but the audit sample before it goes "
                    f"through {measured!r}: name one recipe in both (baseline of the extract stage)"
                )


def check_models(recipe: Recipe, places: Mapping[str, Path]) -> None:
    """UsageError for a model that cannot be loaded, and for a label whose model lacks what the rules and terms after it
    use, say a list of `redpajama`.

    `places`: where the models are, by name; those that are not among them belong to stages that are not run.
    """
    checks: list[Callable[[Collection[str]], None]] = []
    for stage in recipe.stages:
        for step in stage.steps:
            step.check_models(places)
            if isinstance(step, Label) and step.model in places and step.what in SCORERS:
                if check := SCORERS[step.what].check_signals:
                    checks.append(partial(check, places[step.model]))
            elif step.on_text:
                for check_signals_of in checks:
                    check_signals_of(set(step.requires()))
        if "tokenizer" in stage.options and stage.options["tokenizer"] in places:
            load_once(Tokenizer, places[stage.options["tokenizer"]])
