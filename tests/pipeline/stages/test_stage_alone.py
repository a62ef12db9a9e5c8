"""A stage that is run alone asks for its own models and no others, and makes the same bytes as in a run."""

import json
from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.recipes.parse import load_recipe
from pipeline.recipes.recipe import Recipe
from pipeline.stages.run import Run
from tests.files import write_rows
from tests.pipeline.command import made
from tests.pipeline.fits import sha256_of
from tests.pipeline.here import explained, run_here, stage_here
from tests.pipeline.pages import text_rows, write_crawl
from tests.pipeline.recipe_texts import INGEST, NEAR_COPIES, PREFILTER, RESILIPARSE, judge, stage, step
from tests.pipeline.recipe_texts import recipe as recipe_text

GATE = step("gate", name="url", lists="url-lists", rules=[{"signal": "url_blocked_domain", "max": 0}])
LANGUAGE = step("label", what="language", model="language", keep=["en"])
SEVERAL = recipe_text(
    "several",
    INGEST,
    stage("extract", "extract", GATE, RESILIPARSE),
    stage("language", "filter", LANGUAGE),
    stage("quality", "filter", step("label", what="quality", model="fluency")),
    stage(
        "sum",
        "filter",
        step("prune", judge="sum"),
        step("label", what="perplexity", model="fluency"),
        step("combine", signal="quality", model="sum.json"),
        judge("sum", {"signal": "quality", "min": 0.2}),
    ),
    NEAR_COPIES,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, two_language_models: Path) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    write_crawl(folder / "crawl", files=1)
    (folder / "several.toml").write_text(SEVERAL)
    (folder / "models").symlink_to(two_language_models)
    return folder


@pytest.fixture(scope="module")
def whole(world: Path) -> Run:
    return run_here(world / "several.toml", world / "crawl", world / "run", world / "models")


@pytest.fixture(scope="module")
def recipe(world: Path) -> Recipe:
    return load_recipe(str(world / "several.toml"))


def folder_of(world: Path, names: set[str], folder: Path) -> Path:
    """A model folder with these models and no others."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(world / "models" / name)
    return folder


def test_by_hand_with_its_own_models_alone(world: Path, whole: Run, recipe: Recipe, tmp_path: Path) -> None:
    given = world / "crawl"
    used = []
    for number, each in enumerate(recipe.stages, start=1):
        used.append(set(each.models()))
        models = folder_of(world, used[-1], tmp_path / f"models-{number}")
        out = tmp_path / "out" / f"{number:02d}-{each.name}"
        stage_here(world / "several.toml", each.command, each.name, given, out, models, world / "crawl")
        given = out
    assert used == [set(), {"url-lists"}, {"language"}, {"fluency"}, {"fluency", "sum.json"}, set()]
    assert made(tmp_path / "out") == made(whole.folder)


def test_a_missing_model_of_its_own_is_named(world: Path, whole: Run, tmp_path: Path) -> None:
    given, models = whole.datasets[2].folder, folder_of(world, {"language"}, tmp_path / "models")
    with pytest.raises(UsageError, match="model 'fluency' is not in"):
        stage_here(world / "several.toml", "filter", "quality", given, tmp_path / "out", models)
    assert not (tmp_path / "out").exists()


def test_a_dataset_names_the_recipe_with_the_models_of_its_stage(world: Path, whole: Run, recipe: Recipe) -> None:
    hashes = {name: sha256_of(name, world / "models") for name in recipe.model_names()}
    with_all = recipe.with_models(hashes)
    for each, dataset in zip(recipe.stages, whole.datasets, strict=True):
        assert dataset.manifest.recipe == with_all.with_models_of(each.models()).ref
    frozen = json.loads((whole.folder / "recipe.json").read_bytes())
    assert (frozen["sha256"], frozen["models"]) == (with_all.sha256, hashes)


def test_another_model_of_another_stage_changes_the_input_alone(world: Path, whole: Run, tmp_path: Path) -> None:
    """The hash of a dataset's recipe does not have the models before it; the manifest of its input has."""
    last = whole.last.manifest
    assert last.inputs == whole.datasets[-2].refs
    models = folder_of(world, {"language", "fluency", "sum.json"}, tmp_path / "models")
    (models / "url-lists").mkdir()
    (models / "url-lists" / "domains.txt").write_text("nowhere.example\n")
    other = run_here(world / "several.toml", world / "crawl", tmp_path / "run", models)
    assert other.datasets[1].manifest.recipe != whole.datasets[1].manifest.recipe
    assert other.last.manifest.recipe == last.recipe
    assert other.last.manifest.inputs != last.inputs


def test_a_run_over_documents_needs_the_url_lists_alone_of_extraction(world: Path, tmp_path: Path) -> None:
    given = write_rows(tmp_path / "given.jsonl", text_rows(12))
    prefilter = step("label", what="quality", model="of-the-prefilter")
    extract = stage("extract", "extract", GATE, PREFILTER, prefilter, RESILIPARSE)
    (tmp_path / "r.toml").write_text(recipe_text("r", INGEST, extract, stage("language", "filter", LANGUAGE)))
    models = folder_of(world, {"language", "url-lists"}, tmp_path / "models")
    run = run_here(tmp_path / "r.toml", given, tmp_path / "run", models)
    assert run.last.manifest.counts["out"] > 0
    assert set(json.loads((run.folder / "recipe.json").read_bytes())["models"]) == {"language", "url-lists"}
    assert explained("3", run.folder, models=models)["steps"]
