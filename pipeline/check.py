"""What a recipe asks of extractors, gates and deduplication, checked before any work starts."""

from filters.url import UrlLists, url_signals
from infra.errors import UsageError
from pipeline.dedup import check_options
from pipeline.extract import HEADER_SIGNALS
from pipeline.extractors import options_of
from pipeline.pool import check_pool
from pipeline.recipe import Dedup, Extract, Gate, Pool, Recipe


def check_recipe(recipe: Recipe) -> None:
    """UsageError for an extractor, option, gate signal or dedup option that does not exist or is of the wrong kind."""
    known = {*url_signals("", UrlLists()), *HEADER_SIGNALS}
    for stage in recipe.stages:
        control = stage.options.get("control")
        if (
            stage.verb == "extract"
            and control is not None
            and not (type(control) in (int, float) and 0 <= control <= 1)
        ):
            raise UsageError(f"{recipe.name}: control of stage {stage.name!r} is {control!r}; it must be 0 to 1")
        for step in stage.steps:
            if isinstance(step, Extract):
                options_of(step.engine, step.options)
            elif isinstance(step, Dedup):
                check_options(step)
            elif isinstance(step, Pool):
                check_pool(step)
            elif isinstance(step, Gate):
                for rule in step.rules:
                    if rule.rule.signal not in known:
                        raise UsageError(
                            f"{recipe.name}: gate {step.name!r} knows no signal {rule.rule.signal!r}: "
                            f"there are {', '.join(sorted(known))}"
                        )
