"""Pool rules: the same bytes from every engine, with any number of workers, in any order, and after kills."""

import random
from pathlib import Path

import pytest

from infra.dataset.reader import Dataset
from tests.files import write_rows
from tests.pipeline.command import answer, made, refinery
from tests.pipeline.kills import Moment, each, kill_and_go_on
from tests.pipeline.pools import topical
from tests.pipeline.recipe_texts import recipe, stage, step

LONGEST = {"signal": "characters", "keep": 0.8, "side": "high", "min_count": 20}
TOPICS = {"clusters": 4, "drop": 0.3, "score": "characters", "sample": 100}
RECIPE = recipe(
    "pools",
    stage("long", "filter", step("pool", name="longest", method="quantile", options=LONGEST)),
    stage("topics", "filter", step("pool", name="topics", method="clusters", options=TOPICS)),
)
BUILD = "infra.dataset.build"
MOMENTS: dict[str, Moment] = {
    "values are there, nothing is counted": ("pipeline.pool.quantile", "values_table", "leave", 1, ""),
    "one level is counted": ("pipeline.pool.quantile", "descend", "enter", 1, ""),
    "inside a reduction": ("infra.engines.shuffle", "sort_rows", "enter", 2, ""),
    "thresholds are found, not applied": ("pipeline.pool.stage", "handed_on", "enter", 1, ""),
    "the sample is drawn": ("pipeline.pool.clusters_model", "choose_terms", "enter", 1, ""),
    "the clusters are fitted": ("pipeline.pool.clusters", "load_clusters", "enter", 1, ""),
    "clusters are dropped, not applied": ("pipeline.pool.clusters", "drop_worst", "leave", 1, ""),
    "the second rule's manifest is not there": (BUILD, "write_last", "enter", 1, "02-topics/manifest.json"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    draw = random.Random(3)
    for seed in range(4):
        rows = topical(60, seed)
        write_rows(folder / "given" / f"{seed}.jsonl", [r | {"text": r["text"] * draw.choice([1, 2])} for r in rows])
    (folder / "recipe.toml").write_text(RECIPE)
    refinery("run", "--recipe", folder / "recipe.toml", "--input", folder / "given", "--out", folder / "out")
    return folder


def test_every_document_is_in_one_state_with_its_reason(world: Path) -> None:
    long, topics = (Dataset(world / "out" / name) for name in ("01-long", "02-topics"))
    assert {group["group"] for group in long.manifest.extra["pool"]["groups"]} == {"en", "zh"}
    kept = topics.to_arrow()["id"].to_pylist()
    gone = [*long.ledger()["id"].to_pylist(), *topics.ledger()["id"].to_pylist()]
    assert sorted([*kept, *gone]) == sorted(row["id"] for seed in range(4) for row in topical(60, seed))
    found = topics.manifest.extra["pool"]["found"]
    assert [cluster["docs"] for cluster in found if not cluster["kept"]] == [topics.manifest.counts["rejected"]]
    assert not list((world / "out").rglob(".work"))


@pytest.mark.parametrize(
    "words",
    [
        ("--workers", "2"),
        pytest.param(("--engine", "beam"), marks=pytest.mark.long),
        pytest.param(("--engine", "ray"), marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_the_same_bytes_however_it_is_run(words: tuple[str, ...], world: Path, tmp_path: Path) -> None:
    files = sorted((world / "given").iterdir(), reverse=True)
    refinery("run", "--recipe", world / "recipe.toml", "--out", tmp_path / "out", "--input", *files, *words)
    assert made(tmp_path / "out") == made(world / "out")


@pytest.mark.parametrize("moment", each(MOMENTS, {"one level is counted", "the clusters are fitted"}))
def test_killed_it_goes_on_to_the_same_bytes(moment: str, world: Path, tmp_path: Path) -> None:
    words = ["run", "--recipe", world / "recipe.toml", "--input", world / "given"]
    assert kill_and_go_on(MOMENTS[moment], words, tmp_path / "out") == (made(world / "out"), [], [])


def test_thresholds_do_not_depend_on_the_files_of_the_pool(world: Path, tmp_path: Path) -> None:
    rows = [line for file in sorted((world / "given").iterdir()) for line in file.read_text().splitlines(keepends=True)]
    random.Random(9).shuffle(rows)
    (tmp_path / "one.jsonl").write_text("".join(rows))
    words = ("--recipe", world / "recipe.toml", "--stage", "long", "--input", tmp_path / "one.jsonl")
    counts = answer("filter", *words, "--out", tmp_path / "out")["counts"]
    before, after = Dataset(world / "out" / "01-long").manifest, Dataset(tmp_path / "out").manifest
    assert after.extra["pool"] == before.extra["pool"] and counts["out"] == before.counts["out"]
