"""An index of snapshots as a step of a recipe: what it removes, what survivors inherit, equal bytes on any engine."""

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc
import pytest

import refinery as rf
from infra.dataset.reader import Dataset
from infra.engines.engine import Engine
from infra.engines.local import LocalEngine
from infra.engines.open import open_engine
from infra.errors import UsageError
from infra.storage import remove_folder
from pipeline.index.check import faults_of
from pipeline.index.manifest import read_index
from pipeline.job.baseline import Baseline, baseline_of
from pipeline.job.context import Context
from pipeline.recipes.parse import parse_recipe
from pipeline.recipes.recipe import Recipe
from pipeline.report.duplicates import duplicates
from pipeline.report.views import StageView
from pipeline.stages.counts import stage_counts
from pipeline.stages.stages import run_stage
from tests.dedup.support import english
from tests.pipeline.command import made, refinery
from tests.pipeline.datasets import make_dataset
from tests.pipeline.index.snapshots import page, snapshot, texts_of
from tests.pipeline.kills import Moment, each, kill_and_go_on

COUNT = 2
ENGINES = [pytest.param(name, marks=pytest.mark.long) for name in ("ray 2", "beam 1")]


def recipe_of(index: Path, **options: object) -> Recipe:
    step = {"kind": "dedup", "method": "index", "options": {"index": str(index), **options}}
    return parse_recipe({"name": "across", "stage": [{"name": "across", "command": "dedup", "step": [step]}]}, "across")


def through(folder: Path, datasets: Sequence[Dataset], engine: Engine, **options: object) -> list[Dataset]:
    """The snapshots one after the other through the stage, with the index in `folder`."""
    recipe = recipe_of(folder / "index", **options)
    return [
        run_stage(Context(recipe, engine, {}), recipe.stages[0], dataset, folder / f"out-{number}")
        for number, dataset in enumerate(datasets)
    ]


@pytest.fixture
def snapshots(tmp_path: Path) -> list[Dataset]:
    return [snapshot(tmp_path, number, [*texts_of(number), *texts_of(number)[:5]]) for number in range(COUNT)]


def test_the_stage_removes_what_the_command_does(snapshots: list[Dataset], tmp_path: Path) -> None:
    """And what is kept tells how many documents it stands for; a stage that is done is left as it is."""
    engine = LocalEngine()
    first, second = through(tmp_path, snapshots, engine)
    rf.add_to_index(tmp_path / "by-hand", snapshots[0].folder, workers=1)
    row = rf.add_to_index(tmp_path / "by-hand", snapshots[1].folder, tmp_path / "new", workers=1)
    assert second.to_arrow().equals(Dataset(tmp_path / "new").to_arrow())
    assert rf.index_report(tmp_path / "index") == rf.index_report(tmp_path / "by-hand")
    assert row == rf.index_report(tmp_path / "index")["snapshots"][1] and row["older"] > 5 and row["within"] >= 5

    assert stage_counts(second.manifest)["duplicates"] == row["within"] + row["older"]
    assert second.manifest.stage == "across" and set(second.ledger()["step"].to_pylist()) == {"index"}
    copies = pc.sum(second.to_arrow(["copies"])["copies"]).as_py()
    assert copies == row["documents"] - row["older"]
    assert pc.sum(first.to_arrow(["copies"])["copies"]).as_py() == 41
    of = {row["id"]: row["copies"] for row in first.to_arrow(["id", "copies"]).to_pylist()}
    lost = [row["survivor"] for row in first.ledger().to_pylist()]
    assert of == {ident: 1 + lost.count(ident) for ident in of}
    lists = {row["copies"] > 1: row["dumps"] for row in first.to_arrow(["copies", "dumps"]).to_pylist()}
    assert lists == {False: None, True: ["CC-0"]}

    before = (tmp_path / "index/index.json").read_bytes(), second.refs
    assert [each.refs for each in through(tmp_path, snapshots, engine)] == [first.refs, second.refs]
    assert before == ((tmp_path / "index/index.json").read_bytes(), second.refs)


@pytest.mark.parametrize("name", ["local 2", *ENGINES])
def test_the_same_bytes_on_any_engine(name: str, snapshots: list[Dataset], tmp_path: Path) -> None:
    kind, _, workers = name.partition(" ")
    with open_engine(kind, int(workers)) as engine:
        # in the same folder: the recipe names that of its index, and its hash is in ledgers and manifests
        for each, on in (("one", LocalEngine()), ("other", engine)):
            (tmp_path / "here").mkdir()
            through(tmp_path / "here", snapshots, on)
            (tmp_path / "here").rename(tmp_path / each)
    assert made(tmp_path / "one") == made(tmp_path / "other")
    index, other = (read_index(tmp_path / each / "index") for each in ("one", "other"))
    assert index.as_dict() == other.as_dict() and len(made(tmp_path / "one")) > 2 * COUNT


RECIPE = """
[[stage]]
name = "across"
command = "dedup"

  [[stage.step]]
  kind = "dedup"
  method = "index"
  options = {{ index = "{index}" }}
"""
# Of the second snapshot: while it is compared, before and after the index names its runs, before its manifest.
KILLED: dict[str, Moment] = {
    "inside a reduction": ("infra.engines.shuffle", "sort_rows", "enter", 3, ""),
    "before the index has it": ("pipeline.index.manifest", "write_last", "enter", 1, "index.json"),
    "after the index has it": ("pipeline.index.manifest", "write_last", "leave", 1, "index.json"),
    "before the manifest": ("infra.dataset.build", "write_last", "enter", 1, "out-1/manifest.json"),
}


@pytest.mark.parametrize("moment", each(KILLED, {"after the index has it"}))
def test_in_an_object_store(moment: str, snapshots: list[Dataset], root: Path, tmp_path: Path) -> None:
    """The index and the datasets are there, and a driver is killed: the bytes that a disk has."""
    recipe, index = tmp_path / "across.toml", root / "index"
    recipe.write_text(RECIPE.format(index=index))

    def command(number: int) -> list[object]:
        return ["dedup", "--recipe", recipe, "--input", snapshots[number].folder]

    for number in range(COUNT):
        refinery(*command(number), "--out", tmp_path / f"out-{number}")
    (tmp_path / "disk").mkdir()
    on_disk = through(
        tmp_path / "disk", snapshots, LocalEngine()
    )  # with an index that has another name, and so another recipe
    rows = [read_index(folder).as_dict() for folder in (index, tmp_path / "disk" / "index")]
    assert rows[0] == rows[1] and on_disk[1].to_arrow() == Dataset(tmp_path / "out-1").to_arrow()
    remove_folder(index)
    refinery(*command(0), "--out", root / "out-0")
    gone_on = kill_and_go_on(KILLED[moment], command(1), root / "out-1")
    assert gone_on.files == made(tmp_path / "out-1") and not gone_on.left_over
    assert made(root / "out-0") == made(tmp_path / "out-0")
    assert read_index(index).as_dict() == rows[0] and faults_of(read_index(index)) == {}
    assert "index.json" in {path.name for path in index.iterdir()} and not (index / "work").exists()


def test_the_estimate_of_a_baseline_is_handed_on(tmp_path: Path) -> None:
    """Times the share of the documents that the stage leaves."""
    rows = [page(0, number, text) for number, text in enumerate([*texts_of(0), *texts_of(0)[:5]])]
    estimate = Baseline("falcon", len(rows), len(rows), 20.0, 0.0, 2000.0, 0.0)
    given = make_dataset(tmp_path / "given", "filter", rows, [], extra={"baseline": estimate.as_json()})
    (kept,) = through(tmp_path, [given], LocalEngine())
    left = baseline_of(kept)
    assert left is not None and kept.manifest.shards.sums.rows < len(rows)
    assert left.docs == pytest.approx(20 * kept.manifest.shards.sums.rows / len(rows))


def test_only_with_copies(tmp_path: Path) -> None:
    """What is kept says in how many snapshots it is."""
    texts = [" ".join(english(100 + n, 100)) for n in range(6)]
    datasets = [snapshot(tmp_path, 0, texts[:4], ()), snapshot(tmp_path, 1, texts[2:], ())]
    first, second = through(tmp_path, datasets, LocalEngine(), policy="copies", copies=2)
    assert first.manifest.counts["out"] == 0 and stage_counts(first.manifest)["duplicates"] == 0
    assert second.to_arrow(["id", "copies", "snapshots", "dumps"]).to_pylist() == [
        {"id": f"<urn:1-{n}>", "copies": 1, "snapshots": 2, "dumps": ["CC-0", "CC-1"]} for n in range(2)
    ]


def test_the_report_shows_what_a_snapshot_adds(snapshots: list[Dataset], tmp_path: Path) -> None:
    _, second = through(tmp_path, snapshots, LocalEngine())
    row = rf.index_report(tmp_path / "index")["snapshots"][1]
    figures, _ = duplicates([StageView("across", second, None, {})])
    shown = [f"{row[name]:,}" for name in ("documents", "within", "older", "kept")]
    assert figures[0].heading == "across: what the snapshot adds" and shown == [*figures[0].table.rows[0]][:4]
    assert figures[0].table.rows[0][-1] == f"{row['kept_tokens']:,}"


def test_options_that_are_none(tmp_path: Path) -> None:
    for options, message in {
        (): 'name the folder of the index: options = { index = "FOLDER" }',
        (("index", "a"), ("policy", "newest")): "policy is 'newest', ",
        (("index", "a"), ("copies", 0)): "give at least 1",
        (("index", "a"), ("threshold", 2.0)): "the threshold is 2",
    }.items():
        step = {"kind": "dedup", "method": "index", "options": dict(options)}
        recipe = parse_recipe({"name": "x", "stage": [{"name": "x", "command": "dedup", "step": [step]}]}, "x")
        with pytest.raises(UsageError, match=re.escape(message)):
            recipe.stages[0].steps[0].check()


def test_what_only_tries_a_recipe_adds_nothing(snapshots: list[Dataset], tmp_path: Path) -> None:
    recipe = tmp_path / "across.toml"
    options = f'{{ index = "{tmp_path / "index"}" }}'
    step = f'kind = "dedup"\nmethod = "index"\noptions = {options}\n'
    recipe.write_text(f'name = "across"\n[[stage]]\nname = "across"\ncommand = "dedup"\n[[stage.step]]\n{step}')
    for trial in (
        lambda: rf.estimate(recipe, snapshots[0].folder, workers=1),
        lambda: rf.compare([recipe, "exact"], snapshots[0].folder, tmp_path / "compared", workers=1),
    ):
        with pytest.raises(UsageError, match=r"adds to an index, .* leave it out, --set across=off"):
            trial()
    assert not (tmp_path / "index").exists() and not (tmp_path / "compared").exists()
