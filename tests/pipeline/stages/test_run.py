"""`run` from archives to documents: what it keeps, the same bytes with any workers and engine, and users' mistakes."""

import json
import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from pipeline.recipes.parse import load_recipe
from tests.files import flip
from tests.pipeline.command import answer, made, refinery, refinery_process, start
from tests.pipeline.here import datasets
from tests.pipeline.pages import pages
from tests.pipeline.recipe_texts import BRIEF, small


@pytest.fixture
def world(small_run: Path) -> Path:
    return small_run


@pytest.fixture
def finished(world: Path) -> Path:
    return world / "out"


def test_the_funnel_counts_the_input(finished: Path) -> None:
    by_stage = {d.manifest.stage: d.manifest for d in datasets(finished)}
    content = pages(0, 80)
    assert by_stage["ingest"].counts["out"] == len(content)
    assert by_stage["ingest"].counts["skipped/type/request"] == 2
    short = sum(html.startswith("<html><body><form>") for _, html in content)
    assert by_stage["filter"].rejected_by["size/min_words"] == short
    copies = len(content) - short - len({html for _, html in content if not html.startswith("<html><body><form>")})
    assert by_stage["same-text"].counts["rejected"] == copies > 0
    assert by_stage["near-copies"].counts["rejected"] > 0
    for dataset in datasets(finished):
        check_invariant(dataset.manifest)
        assert dataset.verify() == []


def test_no_path_of_this_machine_is_in_the_results(finished: Path, world: Path) -> None:
    for name, content in made(finished).items():
        assert str(world).encode() not in content, name


def test_evidence_of_removed_copies(finished: Path) -> None:
    near = next(d for d in datasets(finished) if d.manifest.stage == "near-copies")
    survivors = set(near.to_arrow()["id"].to_pylist())
    for row in near.ledger().to_pylist():
        assert row["survivor"] in survivors
        assert row["similarity"] >= row["threshold"] == 0.8


@pytest.mark.parametrize("name", ["brief", pytest.param("small", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "words",
    [("--workers", "2"), ("--engine", "beam", "--workers", "1"), ("--engine", "ray", "--workers", "2")],
    ids=" ".join,
)
def test_the_same_bytes_with_any_workers_and_engine(
    words: tuple[str, ...], name: str, world: Path, tmp_path: Path
) -> None:
    """In a process of its own, too, whose hashes of strings have another seed. `small` has more reductions."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(BRIEF if name == "brief" else small())
    files = sorted((world / "crawl").iterdir(), reverse=True)
    refinery_process("run", "--recipe", recipe, "--out", tmp_path / "out", "--input", *files, *words)
    refinery("run", "--recipe", recipe, "--out", tmp_path / "here", "--input", *files)
    assert made(tmp_path / "out") == made(tmp_path / "here")


def test_the_stage_commands_make_the_same(finished: Path, world: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(world / "small.toml"))
    given: Path = world / "crawl"
    for number, stage in enumerate(recipe.stages, start=1):
        out = tmp_path / f"{number:02d}-{stage.name}"
        refinery(stage.command, "--recipe", world / "small.toml", "--stage", stage.name, "--input", given, "--out", out)
        given = out
    assert made(tmp_path) == made(finished)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_limit_takes_the_first_pages(workers: int, finished: Path, world: Path, tmp_path: Path) -> None:
    words = ("--recipe", world / "small.toml", "--input", world / "crawl", "--limit", 45, "--workers", workers)
    assert answer("run", *words, "--out", tmp_path)["funnel"][0]["docs"] == 45
    first = datasets(tmp_path)[0].to_arrow()["id"].to_pylist()
    assert first == datasets(finished)[0].to_arrow()["id"].to_pylist()[:45]


def test_a_second_call_changes_nothing(finished: Path, world: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("part-*.parquet")}
    words = ("run", "--recipe", world / "small.toml", "--input", world / "crawl", "--out", copy)
    refinery(*words)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("part-*.parquet")} == before
    assert "it was begun without --limit, and this is with --limit 3" in refinery(*words, "--limit", 3, code=2)


@pytest.mark.long
def test_killed_at_any_moment_it_resumes_to_the_same_bytes(finished: Path, world: Path, tmp_path: Path) -> None:
    """With several workers; `test_kill.py` kills one at chosen moments."""
    words = ("run", "--recipe", world / "small.toml", "--input", world / "crawl", "--out", tmp_path / "out")
    chance = random.Random(5)
    for _ in range(6):
        process = start(*words, "--workers", "2")
        try:
            process.wait(timeout=chance.uniform(1.0, 5.0))
        except Exception:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    refinery(*words, "--workers", 2)
    assert made(tmp_path / "out") == made(finished)


def test_status_reports_progress(finished: Path, world: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    (tmp_path / "copy" / "06-paragraphs" / "manifest.json").unlink()
    output = answer("status", tmp_path / "copy")
    assert [stage["state"] for stage in output["stages"]] == ["done"] * 5 + ["unfinished"]
    assert output["running"] is False


def test_status_reports_a_training(tmp_path: Path) -> None:
    """Its last line may be cut: a process is writing it."""
    (tmp_path / "training.json").write_text(json.dumps({"config": {"schedule": {"trunk_steps": 10}}}))
    rows = ['{"step": 1, "tokens": 8, "loss": 5.5}', '{"step": 2, "tokens": 16, "loss": 5.25}', '{"st']
    (tmp_path / "log.jsonl").write_text("\n".join(rows))
    (tmp_path / "timings.jsonl").write_text('{"step": 1, "seconds": 0.25}\n{"step": 2, "seconds": 0.75}\n')
    training = answer("status", tmp_path)["training"]
    assert (training["step"], training["steps"], training["loss"], training["seconds_left"]) == (2, 10, 5.25, 4.0)
    told = "trunk: step 2 of 10, 16 tokens, loss 5.2500, 0.50 s a step, 4 s left\n"
    assert refinery("status", tmp_path) == told
    (tmp_path / "timings.jsonl").write_bytes(b'{"step": 1, "seconds": 0.5}\n\xff{"step": 2}\n[]\n{"step": 2}\n')
    assert refinery("status", tmp_path) == told


def test_damage_is_found_by_verify(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    refinery("verify", tmp_path / "copy")
    flip(next((tmp_path / "copy" / "02-extract").glob("part-*.parquet")), 100)
    assert "sha256" in refinery("verify", tmp_path / "copy", code=1)


def test_a_damaged_shard_is_refused(finished: Path, world: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "02-extract", tmp_path / "extract")
    flip(next((tmp_path / "extract").glob("part-*.parquet")))
    words = ("filter", "--recipe", world / "small.toml", "--input", tmp_path / "extract", "--out", tmp_path / "out")
    refinery(*words, code=1)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_an_edited_manifest_is_found(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    shutil.copytree(finished, tmp_path / "copy")
    path = tmp_path / "copy" / "03-filter" / "manifest.json"
    path.write_text(path.read_text().replace('"languages": {}', '"languages": {"a": {"docs": 1}}'))
    output = refinery("verify", tmp_path / "copy", code=1)
    assert "not as it was written" in output
    assert "04-same-text: manifest.json: its input filter" in output


def test_damage_is_exit_code_1_and_an_empty_archive_is_not(world: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.warc.gz"
    empty.write_bytes(b"")
    words = ("ingest", "--recipe", world / "small.toml", "--out")
    refinery(*words, tmp_path / "a", "--input", empty)
    damaged = flip(Path(shutil.copy(world / "crawl" / "part-0.warc.gz", tmp_path)), 2000)
    refinery(*words, tmp_path / "b", "--input", empty, damaged, code=1)
    assert Dataset(tmp_path / "b").manifest.counts["rejected"] == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("verify", "."), "no finished dataset"),
        (("status", "."), "neither a run, a dataset nor a training"),
        (("run", "--recipe", "ccnet"), "Missing option"),
        (("nonsense",), "No such command"),
    ],
)
def test_mistakes_are_one_line_and_code_2(words: tuple[str, ...], says: str) -> None:
    assert says in refinery(*words, code=2)


def test_explain_finds_no_document(finished: Path) -> None:
    assert "no document" in refinery("explain", "http://nowhere/", "--run", finished, code=2)
