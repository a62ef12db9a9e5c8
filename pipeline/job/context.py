"""The context of a stage: the recipe with its models, the engine, and the models' paths on this machine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.dataset.manifest import Header, InputRef, Kind
from infra.engines.engine import Engine
from pipeline.models.store import model_folder, resolve
from pipeline.recipes.check import check_models, check_recipe
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.recipe import Recipe, Stage
from pipeline.recipes.signals import check_signals


@dataclass(frozen=True)
class Context:
    """`places`: model name → path on this machine; only the sha256 in `recipe.models` affects the result.

    `recipe.models` are those of the whole work; `of_stage` has those of one stage, whose manifest names their hash.
    """

    recipe: Recipe
    engine: Engine
    places: Mapping[str, str]
    params: Mapping[str, object] = field(default_factory=dict)
    # Where finished partitions may come from; None: a folder of other inputs is refused (see `Header.reuse`).
    reuse: tuple[Path, ...] | None = None

    def of_stage(self, stage: Stage) -> "Context":
        """What this stage alone would be given."""
        return replace(self, recipe=self.recipe.with_models_of(stage.models()))

    def header(self, stage: Stage, kind: Kind, inputs: tuple[InputRef, ...]) -> Header:
        return Header(kind, stage.name, self.recipe.ref, dict(self.params), inputs, self.reuse)

    def stage_models(self, stage: Stage) -> tuple[tuple[str, str], ...]:
        return tuple((name, self.recipe.models[name]) for name in sorted(set(stage.models())))

    def stage_places(self, stage: Stage) -> tuple[tuple[str, str], ...]:
        return tuple((name, self.places[name]) for name in sorted(set(stage.models())))


def open_context(
    recipe: Recipe | str, engine: Engine, models: str | None = None, used: Iterable[str] | None = None, **params: object
) -> Context:
    """Finds the models of a recipe, or of the recipe of this name: those in `used`, or all that it names.

    Raises UsageError for an unknown recipe or a missing model.
    """
    loaded = load_recipe(recipe) if isinstance(recipe, str) else recipe
    resolved, places = resolve_recipe(loaded, models, used)
    return Context(resolved, engine, places, {name: value for name, value in params.items() if value is not None})


def resolve_recipe(
    recipe: Recipe, models: str | None, used: Iterable[str] | None = None
) -> tuple[Recipe, dict[str, str]]:
    """The recipe with the sha256 of its models (of those in `used` alone, if given), and where these lie."""
    check_recipe(recipe)
    found = resolve(recipe.model_names() if used is None else sorted(set(used)), model_folder(models))
    places = {name: model.path for name, model in found.items()}
    bound = recipe.bound(places)
    check_signals(bound)
    check_models(bound, places)
    with_hash = bound.with_models({name: model.sha256 for name, model in found.items()})
    return with_hash, {name: str(model.place) for name, model in found.items()}
