"""No file of the user's is overwritten, and a refused command leaves nothing behind: one line, exit code 2."""

import shutil
from pathlib import Path

import pytest

from infra.errors import UsageError
from pipeline.job.outputs import check_apart, check_model_place, check_recipe_place, check_report_place
from tests.files import write_rows
from tests.pipeline.command import refinery
from tests.pipeline.here import run_here
from tests.pipeline.pages import text_rows, write_crawl
from tests.pipeline.recipe_texts import EXTRACT, INGEST, judge, recipe, stage

RULES = judge("size", {"signal": "words", "min": 5})
SMALL = recipe("small", INGEST, EXTRACT, stage("filter", "filter", RULES))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    write_crawl(folder / "crawl", files=1)
    (folder / "small.toml").write_text(SMALL)
    run_here(folder / "small.toml", folder / "crawl", folder / "run")
    write_rows(folder / "rows.jsonl", text_rows(30))
    return folder


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("folder", ["run", "run/01-ingest", "run/03-filter"])
def test_a_refused_measure_leaves_nothing_in_a_dataset_of_another_command(folder: str, world: Path) -> None:
    before = everything(world / "run")
    words = ("--recipe", world / "small.toml", "--input", world / "crawl", "--out", world / folder)
    said = refinery("measure", *words, code=2)
    assert "was made with other arguments" in said and len(said) < 800
    assert everything(world / "run") == before


def test_a_refused_measure_leaves_nothing_in_what_was_measured_of_documents(world: Path, tmp_path: Path) -> None:
    words = ("--recipe", world / "small.toml", "--out", tmp_path / "out")
    refinery("measure", *words, "--input", world / "rows.jsonl")
    before = everything(tmp_path)
    assert "other arguments" in refinery("measure", *words, "--input", world / "crawl", code=2)
    assert everything(tmp_path) == before


def test_a_refused_takedown_leaves_nothing(world: Path, tmp_path: Path) -> None:
    """For a measured dataset, whose folder contains its inputs."""
    words = ("--recipe", world / "small.toml", "--input", world / "crawl", "--out", tmp_path / "measured")
    refinery("measure", *words)
    shutil.copytree(world / "run" / "03-filter", tmp_path / "other")
    (tmp_path / "list.txt").write_text("http://host1.example/1\n")
    before = everything(tmp_path / "other")
    words = ("--run", tmp_path / "measured", "--url-list", tmp_path / "list.txt")
    assert "other arguments" in refinery("takedown", *words, "--out", tmp_path / "other", code=2)
    assert everything(tmp_path / "other") == before
    refinery("takedown", *words, "--out", tmp_path / "without")


def test_fit_does_not_write_over_its_input(world: Path, tmp_path: Path) -> None:
    shutil.copy(world / "rows.jsonl", tmp_path / "rows.jsonl")
    before = (tmp_path / "rows.jsonl").read_bytes()
    words = ("fit", "tokenizer", "--positive", tmp_path / "rows.jsonl", "--out")
    assert "is, is inside or contains the input" in refinery(*words, tmp_path / "rows.jsonl", code=2)
    assert "is, is inside or contains the input" in refinery(*words, tmp_path, code=2)
    assert (tmp_path / "rows.jsonl").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_fit_replaces_its_own_model_alone(world: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.model").write_text("mine")
    words = ("fit", "tokenizer", "--positive", world / "rows.jsonl", "--vocab-size", 400, "--out")
    assert "has no model card" in refinery(*words, tmp_path / "notes.model", code=2)
    assert (tmp_path / "notes.model").read_text() == "mine"
    refinery(*words, tmp_path / "new.model")
    refinery(*words, tmp_path / "new.model")


@pytest.mark.parametrize("name", ["full", "run"])
def test_a_folder_without_a_model_is_not_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "file").write_text("mine")
    with pytest.raises(UsageError, match="has no model card"):
        check_model_place(tmp_path / name, [])
    (tmp_path / f"{name}.card.json").write_text('{"model": "x", "about": "y", "command": "z"}')
    check_model_place(tmp_path / name, [])


def test_a_file_named_like_a_card_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "m.card.json").write_text("[]")
    with pytest.raises(UsageError, match="has no model card"):
        check_model_place(tmp_path / "m", [])


def test_report_replaces_reports_alone(world: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.html").write_text("<html>mine</html>")
    words = ("report", "--run", world / "run", "--out")
    assert "not one of our reports" in refinery(*words, tmp_path / "thesis.html", code=2)
    assert (tmp_path / "thesis.html").read_text() == "<html>mine</html>"
    manifest = (world / "run" / "03-filter" / "manifest.json").read_bytes()
    assert "not one of our reports" in refinery(*words, world / "run" / "03-filter" / "manifest.json", code=2)
    assert (world / "run" / "03-filter" / "manifest.json").read_bytes() == manifest
    refinery(*words, tmp_path / "report.html")
    refinery(*words, tmp_path / "report.html")


def test_calibrate_replaces_calibrated_recipes_alone(world: Path, tmp_path: Path) -> None:
    shutil.copy(world / "small.toml", tmp_path / "mine.toml")
    words = ("calibrate", "--signal", "words", "--keep", 0.5, "--by", "all", "--min-count", 1)
    words = (*words, "--input", world / "rows.jsonl", "--recipe", tmp_path / "mine.toml", "--out")
    assert "is, is inside or contains the input" in refinery(*words, tmp_path / "mine.toml", code=2)
    (tmp_path / "other.toml").write_text(SMALL)
    assert "is not a calibrated recipe" in refinery(*words, tmp_path / "other.toml", code=2)
    assert (tmp_path / "other.toml").read_text() == (tmp_path / "mine.toml").read_text() == SMALL
    refinery(*words, tmp_path / "frozen.toml")
    refinery(*words, tmp_path / "frozen.toml")


def test_places_that_no_file_can_be_made_in(world: Path) -> None:
    words = ("--signal", "words", "--keep", 0.5, "--by", "all", "--min-count", 1, "--input", world / "rows.jsonl")
    words = (*words, "--recipe", world / "small.toml", "--out", "/proc/b.toml")
    assert "/proc/b.toml cannot be written" in refinery("calibrate", *words, code=2)
    assert "/proc/x.html cannot be written" in refinery(
        "report", "--run", world / "run", "--out", "/proc/x.html", code=2
    )
    for check in (
        check_report_place,
        lambda out: check_model_place(out, []),
        lambda out: check_recipe_place(out, "yi"),
    ):
        with pytest.raises(UsageError, match="cannot be written"):
            check(Path("/proc/b.toml"))


@pytest.mark.parametrize(
    ("out", "apart"),
    [("a", False), ("a/b", False), ("a/b/c", False), ("ab", True), ("c", True), ("x/../a/b", False), ("link", False)],
)
def test_separate_places(out: str, apart: bool, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    if apart:
        check_apart(tmp_path / out, [tmp_path / "a" / "b"])
        return
    with pytest.raises(UsageError, match="choose another --out"):
        check_apart(tmp_path / out, [tmp_path / "a" / "b"])


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--recipe", "c4", "--input", "x", "--out", ""),
        ("filter", "--recipe", "c4", "--input", "x", "--out="),
        ("measure", "--recipe", "c4", "--input", "x", "--out", ""),
        ("takedown", "--run", "x", "--ids", "y", "--out", ""),
        ("fit", "tokenizer", "--positive", "x", "--out", ""),
        ("report", "--run", "x", "--out", ""),
        ("train", "--data", "x", "--config", "y", "--out", ""),
        ("run", "--recipe", "c4", "--input", "", "--out", "x"),
    ],
)
def test_an_empty_folder_name_is_refused(words: tuple[str, ...]) -> None:
    assert "is empty" in refinery(*words, code=2)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(200) + b"PAR1"])
@pytest.mark.parametrize("shard", ["part-00000.parquet", "ledger/part-00000.parquet"])
def test_a_report_of_a_damaged_shard_is_one_line(content: bytes, shard: str, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "run", tmp_path / "run")
    (tmp_path / "run" / "03-filter" / shard).write_bytes(content)
    (tmp_path / "run" / "02-extract" / shard).write_bytes(content)
    words = ("report", "--run", tmp_path / "run", "--out", tmp_path / "report.html")
    assert "part-00000.parquet cannot be read" in refinery(*words, code=2)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "recipe.json is not as it was written"),
        ('{"source": 5, "sha256": "x"}', "recipe.json is not as it was written"),
        ('{"source": {"stage": 5}, "models": {}, "sha256": "x"}', "stage must be a list of tables"),
        ("[]", "has no recipe.json"),
        ("[" * 100_000, "has no recipe.json"),
    ],
    ids=["empty", "no table", "no stages", "a list", "deep"],
)
def test_explain_of_a_damaged_recipe_is_one_line(content: str, says: str, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "run", tmp_path / "run")
    (tmp_path / "run" / "recipe.json").write_text(content)
    assert says in refinery("explain", "http://host1.example/1", "--run", tmp_path / "run", code=2)


@pytest.mark.parametrize("folder", ["run/again", "run/03-filter/again"])
def test_no_run_is_made_inside_another(folder: str, world: Path) -> None:
    before = everything(world / "run")
    words = ("--recipe", world / "small.toml", "--out", world / folder)
    assert "choose a folder beside it" in refinery("run", *words, "--input", world / "crawl", code=2)
    assert "choose a folder beside it" in refinery("readmit", *words, "--ledger", world / "run", code=2)
    assert everything(world / "run") == before


def test_an_unfinished_run_is_not_readmitted(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "run", tmp_path / "cut")
    (tmp_path / "cut" / "run.json").unlink()
    words = ("--recipe", world / "small.toml", "--ledger", tmp_path / "cut", "--out", tmp_path / "again")
    assert "is not finished" in refinery("readmit", *words, code=2)
