"""Every command that takes a recipe takes changes of it: the run has them in its hash, its name and `recipe.json`."""

import json
import tomllib
from pathlib import Path

import pytest

import refinery as rf
from infra.dataset.reader import Dataset
from tests.pipeline.command import answer, made, refinery
from tests.pipeline.pages import write_crawl
from tests.pipeline.recipe_texts import BRIEF

WORDS = "filter.size.words.min"
SET = ("--set", f"{WORDS}=400")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`out`: made with 400 words in place of 50."""
    folder = tmp_path_factory.mktemp("world")
    write_crawl(folder / "crawl", files=1)
    (folder / "brief.toml").write_text(BRIEF)
    refinery("run", "--recipe", folder / "brief.toml", *SET, "--input", folder / "crawl", "--out", folder / "out")
    return folder


def stage(folder: Path) -> Dataset:
    return Dataset(folder / "03-filter")


def test_a_run_is_made_with_them(world: Path) -> None:
    filtered = stage(world / "out")
    ledger = filtered.ledger().to_pylist()
    assert {row["threshold"] for row in ledger} == {400} and any(50 <= row["value"] < 400 for row in ledger)
    assert filtered.manifest.recipe.name == "brief-changed"
    frozen = json.loads((world / "out" / "recipe.json").read_text())
    assert frozen["name"] == "brief-changed" and f"{WORDS} = 400" in frozen["source"]["about"]
    (rule,) = frozen["source"]["stage"][2]["step"][0]["rules"]
    assert rule == {"signal": "words", "min": 400, "source": "changed from 50"}


def test_it_is_found_and_explained_again(world: Path) -> None:
    """The same command does nothing; without the change the folder is refused; `explain` has the changed number."""
    words = ("run", "--recipe", world / "brief.toml", "--input", world / "crawl", "--out", world / "out")
    before = made(world / "out")
    refinery(*words, *SET)
    assert made(world / "out") == before
    assert "out" in refinery(*words, code=2)
    url = stage(world / "out").ledger()["url"].to_pylist()[0]
    assert "(threshold 400)" in refinery("explain", url, "--run", world / "out")


def test_the_same_bytes_by_a_file_and_from_python(world: Path, tmp_path: Path) -> None:
    """But for the name, and so the manifests."""
    (world / "long.toml").write_text(f'extends = "brief.toml"\nname = "brief-changed"\n[set]\n{WORDS} = 400\n')
    refinery("run", "--recipe", world / "long.toml", "--input", world / "crawl", "--out", tmp_path / "file")
    run = rf.run(world / "brief.toml", world / "crawl", tmp_path / "python", workers=1, changes={WORDS: 400})
    assert made(tmp_path / "file") == made(tmp_path / "python") == made(world / "out")
    assert run.last.manifest.recipe.sha256 == rf.load_recipe(world / "brief.toml", changes={WORDS: 400}).sha256


def test_a_stage_alone(world: Path, tmp_path: Path) -> None:
    given = ("--recipe", world / "brief.toml", *SET, "--input", world / "out" / "02-extract")
    refinery("filter", *given, "--out", tmp_path / "filtered")
    assert made(tmp_path / "filtered") == made(world / "out" / "03-filter")


def test_compare_changes_the_last_recipe(world: Path, tmp_path: Path) -> None:
    """One that is named alone is compared with itself as changed."""
    given = ("--recipe", world / "brief.toml", *SET, "--input", world / "crawl")
    recipes = answer("compare", *given, "--out", tmp_path / "out")["recipes"]
    assert set(recipes) == {str(world / "brief.toml"), "brief-changed"}
    assert 0 < recipes["brief-changed"]["docs"] < recipes[str(world / "brief.toml")]["docs"]
    assert [path.name[:9] for path in (tmp_path / "out").glob("02-*")] == ["02-extrac"]
    told = rf.compare(
        ["exact", world / "brief.toml"], world / "crawl", tmp_path / "two", workers=1, changes={WORDS: 400}
    )
    assert set(told["recipes"]) == {"exact", "brief-changed"}


def test_measure_and_readmit(world: Path, tmp_path: Path) -> None:
    words = ("--recipe", world / "brief.toml", *SET, "--input", world / "crawl", "--out", tmp_path / "measured")
    assert "words" in answer("measure", *words, "--signals", "recipe")["signals"]
    assert Dataset(tmp_path / "measured").manifest.recipe.name == "brief-changed"
    lax = ("--recipe", world / "brief.toml", "--set", f"{WORDS}=100", "--out", tmp_path / "again")
    told = answer("readmit", "--ledger", world / "out" / "03-filter", *lax)
    assert 0 < told["readmitted"] < told["in"]


def test_calibrate_freezes_the_changed_recipe(world: Path, tmp_path: Path) -> None:
    given = ("calibrate", "--signal", "words", "--keep", 0.5, "--input", world / "out" / "02-extract", "--by", "all")
    recipe = ("--recipe", world / "brief.toml", "--set", "same-text.text.policy=longest", "--min-count", 1)
    refinery(*given, *recipe, "--out", tmp_path / "frozen.toml")
    frozen = tomllib.loads((tmp_path / "frozen.toml").read_text())
    assert frozen["stage"][3]["step"][0]["options"] == {"policy": "longest"} and frozen["name"] == "frozen"
    assert "--set changes a recipe" in refinery(*given, *SET, code=2)
    assert "is the name of a shipped recipe" in refinery(*given, *recipe, "--out", tmp_path / "yi.toml", code=2)


@pytest.mark.parametrize(
    "command",
    ["run", "filter", "measure", "compare", "readmit", "recipes show", "recipes check", "recipes diff"],
)
def test_a_path_that_leads_nowhere_is_refused_by_every_command(command: str, world: Path, tmp_path: Path) -> None:
    more = ("--ledger", world / "out") if command == "readmit" else ("--input", world / "crawl")
    recipe = (world / "brief.toml",) if "recipes" in command else ("--recipe", world / "brief.toml", *more)
    out = () if "recipes" in command else ("--out", tmp_path / "out")
    told = refinery(*command.split(), *recipe, *out, "--set", "filter.size.wrods.min=5", code=2)
    assert "did you mean 'words.min'?" in told
    assert not list(tmp_path.iterdir())


def test_the_readable_forms(world: Path) -> None:
    recipe = world / "brief.toml"
    assert refinery("recipes", "diff", recipe, recipe).strip() == "no difference"
    lines = refinery("recipes", "diff", recipe, *SET).splitlines()
    assert lines[:2] == [f"--- {recipe}", "+++ brief-changed"]
    assert "-    words at least 50" in lines and "+    words at least 400    # changed from 50" in lines
    assert refinery("recipes", "diff", recipe, recipe, *SET).splitlines() == lines
    assert "name a second one" in refinery("recipes", "diff", recipe, code=2)
    assert f"{WORDS} = 400    # changed from 50" in refinery("recipes", "show", recipe, "--paths", *SET).splitlines()
    saved = world / "saved.toml"
    saved.write_text(refinery("recipes", "show", recipe, "--toml", *SET))
    hashes = [answer("recipes", "check", *words)["sha256"] for words in ((saved,), (recipe, *SET))]
    assert hashes[0] == hashes[1] == rf.check_recipe(recipe, changes={WORDS: 400}).sha256


@pytest.mark.parametrize("name", ["yi", "fineweb2", "mixture", "tokens", "minhash"])
def test_every_path_that_is_shown_can_be_set(name: str) -> None:
    """To the value that is shown, which changes nothing."""
    lines = refinery("recipes", "show", name, "--paths").splitlines()
    given = [
        line.partition("    # ")[0].split(" = ", 1) for line in lines if not line.endswith(("default", "not given"))
    ]
    assert given and all(len(each) == 2 for each in given)
    changes = [word for path, value in given for word in ("--set", f"{path}={value}")]
    assert refinery("recipes", "diff", name, *changes).strip() == "no difference"
