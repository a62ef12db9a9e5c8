"""The commands run in this process as the command line calls them, so that slow imports happen once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.dataset.reader import Dataset
from infra.engines.open import open_engine
from pipeline.explain.explain import explain
from pipeline.inputs.places import places_below
from pipeline.job.context import open_context
from pipeline.revise.listed import read_listed
from pipeline.revise.readmit import readmit
from pipeline.revise.takedown import takedown
from pipeline.stages.final import datasets_in
from pipeline.stages.run import Run, run_recipe, run_recipe_stage
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import BRIEF


def run_here(recipe: Path, given: Path, out: Path, models: Path | None = None) -> Run:
    with open_engine("local") as engine:
        return run_recipe(str(recipe), [str(given)], out, engine, None, models and str(models))


def stage_here(
    recipe: Path,
    command: str,
    name: str,
    given: Path,
    out: Path,
    models: Path | None = None,
    source: Path | None = None,
) -> Dataset:
    with open_engine("local") as engine:
        return run_recipe_stage(
            str(recipe), command, name, [str(given)], out, engine, None, source, models and str(models)
        )


def readmit_here(
    ledger: Path,
    recipe: Path,
    out: Path,
    rules: Sequence[str] = (),
    ids: Path | None = None,
    source: Path | None = None,
    engine: str = "local",
) -> dict[str, int]:
    moved = places_below(source) if source else None
    with open_engine(engine) as made:
        return readmit(open_context(str(recipe), made), ledger, out, rules, ids, moved)[1]


def takedown_here(run: Path, out: Path, url_list: Path | None = None, ids: Path | None = None) -> dict[str, Any]:
    with open_engine("local") as engine:
        return takedown(read_listed(url_list, ids), run, out, engine)


def brief_run(folder: Path, **crawl: int) -> Path:
    """`folder` with a crawl, the recipe `brief.toml` and a run of it in `out`."""
    write_crawl(folder / "crawl", **crawl)
    (folder / "brief.toml").write_text(BRIEF)
    run_here(folder / "brief.toml", folder / "crawl", folder / "out")
    return folder


def datasets(run: Path) -> list[Dataset]:
    """Those that are finished, in order."""
    return [Dataset(folder) for folder in datasets_in(run)]


def explained(what: str, run: Path, source: Path | None = None, models: Path | None = None) -> dict[str, Any]:
    (one,) = explain(what, run, source, models and str(models))
    return one
