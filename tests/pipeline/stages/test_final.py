"""`OUT/final`, a link to the last dataset: made when a run ends, right after a move, met once by what reads a run."""

import shutil
from pathlib import Path

import pytest

from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.stages.final import link_final
from tests.pipeline.command import answer, made, refinery
from tests.pipeline.here import brief_run, readmit_here, run_here, takedown_here
from tests.pipeline.pages import write_recipe
from tests.pipeline.recipe_texts import EXTRACT, INGEST, recipe

LAST = "04-same-text"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return brief_run(tmp_path_factory.mktemp("final"), files=1)


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    """The run, to be changed."""
    shutil.copytree(world / "out", tmp_path / "out", symlinks=True)
    return tmp_path / "out"


def again(world: Path, out: Path) -> None:
    run_here(world / "brief.toml", world / "crawl", out)


def test_it_is_a_relative_link_to_the_last_dataset(world: Path, copy: Path) -> None:
    assert (world / "out/final").readlink() == Path(LAST)
    moved = copy.rename(copy.parent / "moved")
    assert Dataset(moved / "final").verify() == []
    assert (moved / "final").resolve() == (moved / LAST).resolve()


@pytest.mark.parametrize("stale", [None, "01-ingest", "gone"])
def test_a_run_that_goes_on_makes_it_right(stale: str | None, world: Path, copy: Path) -> None:
    (copy / "final").unlink()
    if stale:
        (copy / "final").symlink_to(stale)
    shutil.rmtree(copy / LAST)
    again(world, copy)
    assert (copy / "final").readlink() == Path(LAST)
    assert made(copy) == made(world / "out")
    assert not list(copy.glob(".tmp-*"))


def test_a_second_call_leaves_it(world: Path, copy: Path) -> None:
    before = (copy / "final").lstat().st_ino
    again(world, copy)
    assert (copy / "final").lstat().st_ino == before


def test_a_copy_of_the_run_may_hold_a_folder_in_its_place(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "out", tmp_path / "out")
    assert not (tmp_path / "out/final").is_symlink()
    assert len(answer("status", tmp_path / "out")["stages"]) == len(answer("verify", tmp_path / "out")) == 4
    again(world, tmp_path / "out")
    assert (tmp_path / "out/final").readlink() == Path(LAST)


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_a_user_put_there_is_refused_before_the_work(kind: str, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if kind == "folder":
        (out / "final").mkdir()
        (out / "final/mine.txt").write_text("mine")
    elif kind == "file":
        (out / "final").write_text("mine")
    else:
        (out / "final").symlink_to(world / "crawl")
    words = ("run", "--recipe", world / "brief.toml", "--input", world / "crawl", "--out", out)
    assert "final is not the link that a run makes" in refinery(*words, code=2)
    assert [path.name for path in out.iterdir()] == ["final"]


def test_the_run_and_its_link_are_the_same_input(world: Path, tmp_path: Path) -> None:
    (tmp_path / "size.toml").write_text(write_recipe(tmp_path).read_text())
    for name, given in (("one", world / "out"), ("other", world / "out/final")):
        words = ("--recipe", tmp_path / "size.toml", "--input", given, "--out", tmp_path / name)
        refinery("filter", *words)
    assert made(tmp_path / "one") == made(tmp_path / "other")


def test_what_reads_a_run_meets_each_dataset_once(world: Path) -> None:
    out = world / "out"
    assert len(answer("status", out)["stages"]) == 4
    assert [Path(name).name for name in answer("verify", out)] == ["01-ingest", "02-extract", "03-filter", LAST]
    refinery("report", "--run", out, "--out", world / "report.html")
    assert (world / "report.html").read_text().count("size/min_words") > 0


def test_readmit_and_takedown_make_it_too(world: Path, tmp_path: Path) -> None:
    (tmp_path / "lax.toml").write_text(recipe("lax", INGEST, EXTRACT))
    readmit_here(world / "out", tmp_path / "lax.toml", tmp_path / "again")
    assert (tmp_path / "again/final").readlink() == Path("02-extract")
    (tmp_path / "list.txt").write_text("host:host0.example\n")
    receipt = takedown_here(world / "out", tmp_path / "without", tmp_path / "list.txt")
    assert (tmp_path / "without/final").readlink() == Path(LAST)
    assert len(receipt["datasets"]) == 4


def test_a_link_is_replaced_in_one_step(tmp_path: Path) -> None:
    for name in ("01-a", "02-b"):
        (tmp_path / name).mkdir()
        link_final(tmp_path, name)
        assert (tmp_path / "final").readlink() == Path(name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01-a", "02-b", "final"]


def test_a_folder_that_came_up_meanwhile_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "01-a").mkdir()
    (tmp_path / "final").mkdir()
    (tmp_path / "final/mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="move it away"):
        link_final(tmp_path, "01-a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01-a", "final"]
    assert (tmp_path / "final/mine.txt").read_text() == "mine"
