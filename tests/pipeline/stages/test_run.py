"""`run` from archives to documents: what it keeps, the same bytes with any workers and engine, and users' mistakes."""

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from pipeline.recipes.parse import load_recipe
from tests.pipeline.command import answer, made, refinery, refinery_process, start
from tests.pipeline.pages import pages, write_crawl, write_recipe
from tests.pipeline.recipe_texts import BRIEF


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_crawl(folder / "crawl")
    write_recipe(folder)
    return folder


@pytest.fixture(scope="module")
def finished(world: Path) -> Path:
    refinery("run", "--recipe", world / "small.toml", "--input", world / "crawl", "--out", world / "out")
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
    [
        ("--workers", "2"),
        ("--engine", "beam", "--workers", "1"),
        ("--engine", "ray", "--workers", "2"),
    ],
    ids=" ".join,
)
def test_the_same_bytes_with_any_workers_and_engine(
    words: tuple[str, ...], name: str, world: Path, tmp_path: Path
) -> None:
    """In a process of its own, too, whose hashes of strings have another seed. `small` has more reductions."""
    (world / "brief.toml").write_text(BRIEF)
    recipe, files = world / f"{name}.toml", sorted((world / "crawl").iterdir(), reverse=True)
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


def test_a_second_call_changes_nothing(finished: Path, world: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("part-*.parquet")}
    refinery("run", "--recipe", world / "small.toml", "--input", world / "crawl", "--out", finished)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("part-*.parquet")} == before


def test_other_arguments_are_refused(finished: Path, world: Path) -> None:
    words = ("run", "--recipe", world / "small.toml", "--input", world / "crawl", "--out", finished, "--limit", 3)
    assert "it was begun without --limit, and this is with --limit 3" in refinery(*words, code=2)


@pytest.mark.parametrize("kills", [1, pytest.param(6, marks=pytest.mark.long)])
def test_killed_at_any_moment_it_resumes_to_the_same_bytes(
    kills: int, finished: Path, world: Path, tmp_path: Path
) -> None:
    words = ("run", "--recipe", world / "small.toml", "--input", world / "crawl", "--out", tmp_path / "out")
    chance = random.Random(5)
    for _ in range(kills):
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


def test_damage_is_found_by_verify(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    refinery("verify", tmp_path / "copy")
    victim = next((tmp_path / "copy" / "02-extract").glob("part-*.parquet"))
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes(content)
    assert "sha256" in refinery("verify", tmp_path / "copy", code=1)


def test_a_damaged_shard_is_refused(finished: Path, world: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "02-extract", tmp_path / "extract")
    victim = next((tmp_path / "extract").glob("part-*.parquet"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    words = ("filter", "--recipe", world / "small.toml", "--input", tmp_path / "extract", "--out", tmp_path / "out")
    refinery(*words, code=1)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_an_edited_manifest_is_found(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    path = tmp_path / "copy" / "03-filter" / "manifest.json"
    path.write_text(
        path.read_text()
        .replace('"max_duplicate_line_fraction"', '"x"')
        .replace('"languages": {}', '"languages": {"a": {"docs": 1}}')
    )
    output = refinery("verify", tmp_path / "copy", code=1)
    assert "not as it was written" in output
    assert "04-same-text: manifest.json: its input filter" in output


def test_damage_is_exit_code_1_and_an_empty_archive_is_not(world: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.warc.gz"
    empty.write_bytes(b"")
    words = ("ingest", "--recipe", world / "small.toml", "--out")
    refinery(*words, tmp_path / "a", "--input", empty)
    content = bytearray(next((world / "crawl").iterdir()).read_bytes())
    content[2000] ^= 0xFF
    (tmp_path / "damaged.warc.gz").write_bytes(content)
    refinery(*words, tmp_path / "b", "--input", empty, tmp_path / "damaged.warc.gz", code=1)
    assert Dataset(tmp_path / "b").manifest.counts["rejected"] == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "--recipe", "nothing", "--input", "x", "--out", "y"), "no recipe 'nothing'"),
        (("run", "--recipe", "ccnet", "--input", "no-such-file.warc.gz", "--out", "y"), "no such file"),
        (("verify", "."), "no finished dataset"),
        (("status", "."), "neither a run nor a dataset"),
        (("run", "--recipe", "ccnet"), "Missing option"),
        (("nonsense",), "No such command"),
    ],
)
def test_mistakes_are_one_line_and_code_2(words: tuple[str, ...], says: str, tmp_path: Path) -> None:
    arguments = list(words)
    if words[0] == "run" and len(words) > 3:
        arguments += ["--models", str(tmp_path)]
        recipe = tmp_path / "plain.toml"
        recipe.write_text("[[stage]]\ncommand = 'ingest'\n")
        arguments = [str(recipe) if word == "ccnet" else word for word in arguments]
    assert says in refinery(*arguments, code=2)


def test_explain_a_kept_and_a_rejected_page(finished: Path) -> None:
    (kept,) = answer("explain", "http://host0.example/0", "--run", finished)
    assert kept["state"] == "kept"
    assert {"step": "size", "signal": "words"}.items() <= next(
        s for s in kept["steps"] if s["signal"] == "words"
    ).items()
    assert len(kept["text_before"]) > 300
    (rejected,) = answer("explain", "http://host5.example/5", "--run", finished)
    assert rejected["state"] == "rejected"
    assert rejected["rejected_by"] == ["size/min_words"]
    (copy,) = answer("explain", "http://host4.example/4", "--run", finished)
    assert copy["duplicates"][0]["survivor"].endswith("part-0.warc-3>")
    assert "no document" in refinery("explain", "http://nowhere/", "--run", finished, code=2)


def datasets(run: Path) -> list[Dataset]:
    return [Dataset(path.parent) for path in sorted(run.glob("*/manifest.json"))]
