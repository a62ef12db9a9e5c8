"""The folder of a run: the recipe that it was made by, and which of its stages are finished."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.dataset.manifest import MANIFEST
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from infra.storage import read_json
from pipeline.recipes.parse import parse_recipe
from pipeline.recipes.recipe import Recipe, Stage
from pipeline.stages.final import is_final
from pipeline.stages.over_documents import stages_over_documents
from pipeline.stages.run import FROZEN, stage_folder


@dataclass(frozen=True)
class FinishedRun:
    """`recipe`: without its models' hashes, which `models` has by name with `sha256`, the recipe's with them."""

    folder: Path
    recipe: Recipe
    models: Mapping[str, str]
    sha256: str

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages whose datasets are finished, in order."""
        return self.stages_of(self.recipe)

    def stages_of(self, recipe: Recipe) -> tuple[Stage, ...]:
        """The same of the recipe with its models; of a run over documents, as it ran them."""
        made = [stage for stage in recipe.stages if (self.folder / stage_folder(recipe, stage) / MANIFEST).is_file()]
        if made and made[0].command != "ingest":
            names = {stage.name for stage in made}
            made = [stage for stage in stages_over_documents(recipe) if stage.name in names]
        return tuple(made)

    def dataset(self, stage: Stage) -> Dataset:
        return Dataset(self.folder / stage_folder(self.recipe, stage))


def read_run(run: Path) -> FinishedRun:
    """Reads the folder of a run, or its link to the result. UsageError if it is none."""
    folder = run.parent if is_final(run) else run
    frozen: Any = read_json(folder / FROZEN) if folder.is_dir() else None
    if not isinstance(frozen, dict):
        raise UsageError(f"{run} is not the folder of a run: it has no {FROZEN}")
    if not all(isinstance(frozen.get(name), dict) for name in ("source", "models")) or "sha256" not in frozen:
        raise UsageError(f"{run / FROZEN} is not as it was written: run the same `refinery run` command again")
    recipe = parse_recipe(frozen["source"], str(folder / FROZEN))
    return FinishedRun(folder, recipe, frozen["models"], frozen["sha256"])
