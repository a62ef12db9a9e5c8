"""`calibrate` of a keep rate: the bounds that a `keep_rate` step found on a pool, frozen into a recipe for later ones.

With frozen bounds every snapshot is cut at the same place; how much of the baseline that keeps then, and what bounds of
its own would keep (the drift), is in the manifest of the stage.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.storage import write_bytes, writing
from pipeline.recipes.check import check_options
from pipeline.recipes.parse import parse_recipe
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.toml import recipe_toml
from pipeline.steps.pool import KEEP_RATE

METHOD = "keep_rate"


def found_bounds(dataset: Dataset) -> Mapping[str, Any]:
    """The bounds that the dataset's `keep_rate` step found on its pool: {price, free_tokens, groups}. UsageError if it
    found none."""
    pool = dataset.manifest.extra.get("pool")
    if not isinstance(pool, Mapping) or pool.get("method") != METHOD:
        raise UsageError(
            f"{dataset.folder} was not made by a {METHOD} step: give the folder of that stage, or --signal and --keep"
        )
    bounds = pool.get("pool_bounds")
    if not isinstance(bounds, Mapping) or not bounds.get("groups"):
        raise UsageError(
            f"{dataset.folder}: no bounds were found on this pool: {pool.get('note') or 'it keeps nothing'}"
        )
    if "price" not in bounds:
        raise UsageError(f"{dataset.folder}: its bounds are of an earlier version, which cut by logits: run it again")
    return bounds


def freeze_bounds(recipe: Recipe, dataset: Dataset, out: Path, step: str | None = None) -> str:
    """Writes the recipe to `out` with the bounds that the dataset's pool has, in its last `keep_rate` step or the one
    named. Returns the step's name. UsageError where there is none."""
    bounds = found_bounds(dataset)
    source = dict(recipe.source)
    stages = [{**stage, "step": list(stage["step"])} if "step" in stage else stage for stage in source["stage"]]
    places = [
        (steps, index)
        for steps in (stage.get("step", []) for stage in stages)
        for index, each in enumerate(steps)
        if each.get("kind") == "pool" and each.get("method") == METHOD and step in (None, name_of(each))
    ]
    if not places:
        raise UsageError(f"recipe {recipe.name!r} has no {METHOD} step{f' called {step!r}' if step else ''}")
    steps, index = places[-1]
    each = steps[index]
    costs = {name: bounds[name] for name in ("price", "free_tokens")}
    frozen = {**costs, "bounds": dict(bounds["groups"]), "frozen": True}
    steps[index] = {**each, "options": {**each.get("options", {}), **frozen}}
    pool = dataset.manifest.extra["pool"]
    signal = steps[index]["options"].get("signal", KEEP_RATE["signal"])
    if signal != pool["signal"]:
        raise UsageError(
            f"{dataset.folder} was ranked by {pool['signal']}, but step {name_of(each)!r} of recipe {recipe.name!r} "
            f"ranks by {signal}: give the recipe that made it"
        )
    record = {
        "step": name_of(each),
        "method": METHOD,
        "signal": pool["signal"],
        "pool": [asdict(ref) for ref in dataset.refs],
        "groups": [{"group": row["group"], "docs": row["docs"]} for row in pool["groups"]],
    }
    source |= {"stage": stages, "name": out.stem, "calibration": [*source.get("calibration", []), record]}
    check_options(parse_recipe(source, str(out)))
    with writing(out):
        write_bytes(out, recipe_toml(source).encode())
    return name_of(each)


def name_of(step: Mapping[str, Any]) -> str:
    return str(step.get("name", step["method"]))
