"""More input into the same output: only the new is made, and the bytes are those of a fresh run over all of it."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.storage import read_json
from pipeline.recipes.parse import load_recipe
from tests.pipeline.command import ROOT, answer, made, refinery
from tests.pipeline.kills import SUICIDE, Moment, each
from tests.pipeline.pages import article, pages, sentences, write_warc
from tests.pipeline.recipe_texts import BRIEF, EXTRACT, INGEST, dedup, judge, mix, recipe, stage, step

# A pool step, a draw, and pages dropped before they are extracted: all that looks at the whole pool.
LONGEST = {"signal": "characters", "keep": 0.8, "side": "high", "min_count": 10}
POOL = recipe(
    "pool",
    INGEST,
    dedup("same-payload", "payload"),
    EXTRACT,
    stage("filter", "filter", judge("size", {"signal": "words", "min": 50})),
    stage("longest", "filter", step("pool", name="longest", method="quantile", options=LONGEST)),
    dedup("near-copies", "minhash"),
    mix(1.0, targets={"general": 1.0}, tokens=4000),
)
NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four archives, copies in and between them, and the fresh run of each recipe over all of them."""
    folder = tmp_path_factory.mktemp("more")
    (folder / "crawl").mkdir()
    (folder / "other").mkdir()
    for number, name in enumerate(NAMES):
        again = [(f"http://again{number}.example/", article(0))]
        write_warc(folder / "crawl" / f"{name}.warc.gz", pages(number * 12, 12) + again)
    write_warc(folder / "other" / "e.warc.gz", pages(90, 3))
    (folder / "brief.toml").write_text(BRIEF)
    (folder / "pool.toml").write_text(POOL)
    for name in ("brief", "pool"):
        refinery(*command(folder, name, NAMES), "--out", folder / f"fresh-{name}")
    return folder


def command(world: Path, name: str, files: list[str]) -> list[object]:
    return ["run", "--recipe", world / f"{name}.toml", "--input", *(world / "crawl" / f"{f}.warc.gz" for f in files)]


def numbers(out: Path) -> dict[str, Any]:
    """How many parts of each stage were made in the last run, by the stage's name."""
    accounts = {path.parent.name[3:]: read_json(path) or {} for path in out.glob("0*/run.json")}
    return {name: account["parts_made"] for name, account in accounts.items()}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("first", [["a", "c"], pytest.param(["d"], marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["brief", "pool"])
def test_more_files_in_the_middle(name: str, first: list[str], workers: int, world: Path, tmp_path: Path) -> None:
    words = ("--out", tmp_path / "out", "--workers", workers)
    refinery(*command(world, name, first), *words)
    refinery(*command(world, name, NAMES), *words)
    assert made(tmp_path / "out") == made(world / f"fresh-{name}")
    new = len(NAMES) - len(first)
    assert numbers(tmp_path / "out")["ingest"] == new
    if name == "brief":
        assert {stage: numbers(tmp_path / "out")[stage] for stage in ("extract", "filter")} == {
            "extract": new, "filter": new,
        }  # fmt: skip
    assert refinery("verify", tmp_path / "out")
    assert [s["state"] for s in answer("status", tmp_path / "out")["stages"]] == ["done"] * len(
        numbers(tmp_path / "out")
    )
    assert {s["parts"] for s in answer("status", tmp_path / "out")["stages"]} == {4}


@pytest.mark.parametrize(("name", "workers"), [("ray", 2), ("beam", 1)])
@pytest.mark.long
def test_more_files_on_other_engines(name: str, workers: int, world: Path, tmp_path: Path) -> None:
    refinery(*command(world, "pool", ["b", "d"]), "--out", tmp_path / "out")
    refinery(*command(world, "pool", NAMES), "--out", tmp_path / "out", "--engine", name, "--workers", workers)
    assert made(tmp_path / "out") == made(world / "fresh-pool")


def test_documents_one_file_after_the_other(world: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    names = ("part-2", "part-0", "part-1")
    for number, name in enumerate(names):
        lines = [f'{{"text": "{" ".join(sentences(7 * number + n))}"}}' for n in range(8)] + ["not json"]
        (tmp_path / "texts" / f"{name}.jsonl").write_text("\n".join(lines))
    files = [tmp_path / "texts" / f"{name}.jsonl" for name in names]
    for count in (1, 2, 3):
        words = ("run", "--recipe", world / "brief.toml", "--input", *files[:count])
        refinery(*words, "--out", tmp_path / "out", code=1)  # of the damaged lines
    refinery(*words, "--out", tmp_path / "fresh", code=1)
    assert numbers(tmp_path / "out")["filter"] == 1
    assert made(tmp_path / "out") == made(tmp_path / "fresh")


PLACING, CLAIM, BUILD = "infra.dataset.placing", "infra.dataset.claim", "infra.dataset.build"
MOMENTS: dict[str, Moment] = {
    "what there was is written down": (CLAIM, "write_bytes", "leave", 1, "out/.receipts/history.json"),
    "the run is unfinished, its arguments are the old ones": (CLAIM, "write_bytes", "enter", 1, "header.json"),
    "the arguments are the new ones": (CLAIM, "write_bytes", "leave", 1, "header.json"),
    "the renames are planned": (PLACING, "write_bytes", "leave", 1, "01-ingest/.receipts/moves.json"),
    "a shard is out of the way": ("pathlib", "Path.replace", "leave", 1, "02-extract/part-00001.parquet"),
    "all are out of the way": (PLACING, "write_bytes", "enter", 2, "02-extract/.receipts/moves.json"),
    "a shard has its new number": ("pathlib", "Path.replace", "leave", 1, "02-extract/.receipts/moved/"),
    "a shard and a ledger have": ("pathlib", "Path.replace", "leave", 2, "02-extract/.receipts/moved/"),
    "the old receipts are gone": (PLACING, "write_bytes", "enter", 3, "02-extract/.receipts/moves.json"),
    "the new receipts have their names": ("pathlib", "Path.replace", "leave", 1, "02-extract/.receipts/placed/"),
    "the renames are done, the plan is there": (PLACING, "_sync", "leave", 2, "02-extract"),
    "old receipts are gone": (PLACING, "_forget", "leave", 1, "02-extract"),
    "a new part is written": ("infra.dataset.batches", "write_bytes", "enter", 1, "02-extract/.receipts/part-"),
    "the first stage is there again, the others are not": ("pipeline.stages.run", "run_stage", "leave", 1, ""),
    "decisions are made": ("pipeline.stages.dedup", "Work.to_shards", "leave", 1, ""),
    "left-overs are gone, the manifest is not there": (BUILD, "Build._remove_others", "leave", 2, ""),
    "the run's account is not there": ("pipeline.stages.run", "account", "enter", 1, ""),
}  # fmt: skip
FEW = {"a shard has its new number", "the run is unfinished, its arguments are the old ones"}


@pytest.mark.parametrize("moment", each(MOMENTS, FEW))
def test_killed_in_the_middle(moment: str, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refinery(*command(world, "brief", ["b", "c"]), "--out", out)
    before = made(out)
    words = [*map(str, MOMENTS[moment]), *map(str, command(world, "brief", NAMES)), "--out", str(out), "--workers", "1"]
    killed = subprocess.run([sys.executable, "-c", SUICIDE, *words], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-500:]
    assert made(out) == before or not (out / "run.json").exists()
    refinery(*command(world, "brief", NAMES), "--out", out)
    assert made(out) == made(world / "fresh-brief")
    assert all(numbers(out)[stage] <= 2 for stage in ("ingest", "extract", "filter"))
    assert [path for name in (".tmp-*", ".work", ".spill", "moves.json", "moved") for path in out.rglob(name)] == []


def test_a_look_before_the_whole(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for limit in (15, 15, 30):  # the second time nothing is made
        assert answer(*command(world, "pool", NAMES), "--out", out, "--limit", limit)["funnel"][0]["docs"] == limit
    assert (
        numbers(out)["ingest"] == 2
    )  # the second file, which the first limit had cut, and the third, which is cut now
    refinery(*command(world, "pool", NAMES), "--out", tmp_path / "limited", "--limit", 30)
    assert made(out) == made(tmp_path / "limited")
    refinery(*command(world, "pool", NAMES), "--out", out)
    assert numbers(out)["ingest"] == 2
    assert made(out) == made(world / "fresh-pool")
    said = refinery(*command(world, "pool", NAMES), "--out", out, "--limit", 30, code=2)
    assert "it was begun without --limit, and this is with --limit 30: choose another --out" in said
    assert made(out) == made(world / "fresh-pool")


def test_a_limit_at_the_end_of_a_file_leaves_it_whole(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refinery(*command(world, "brief", NAMES), "--out", out, "--limit", 26)
    refinery(*command(world, "brief", NAMES), "--out", out)
    assert numbers(out)["ingest"] == numbers(out)["extract"] == 2
    assert made(out) == made(world / "fresh-brief")


def test_a_limit_over_documents(world: Path, tmp_path: Path) -> None:
    words = ("run", "--recipe", world / "brief.toml", "--input", world / "fresh-brief/02-extract")
    for limit in (("--limit", 30), ()):
        refinery(*words, *limit, "--out", tmp_path / "out")
    assert numbers(tmp_path / "out")["filter"] == 2
    refinery(*words, "--out", tmp_path / "fresh")
    assert made(tmp_path / "out") == made(tmp_path / "fresh")


@pytest.fixture(scope="module")
def two(world: Path) -> Path:
    refinery(*command(world, "brief", ["a", "b"]), "--out", world / "two")
    return world / "two"


def refused(world: Path, out: Path, *words: object) -> str:
    """What is said; nothing has changed."""
    before = everything(out)
    said = refinery(*words, "--out", out, code=2)
    assert everything(out) == before
    return said


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def test_what_is_refused_is_said_in_words(world: Path, two: Path, tmp_path: Path) -> None:
    def said(*words: object) -> str:
        return refused(world, two, *words)

    mend = "choose another --out, or delete that folder"
    fewer = said(*command(world, "brief", ["b"]))
    assert f"was made with other arguments: the input 'a.warc.gz' is missing now: {mend}" in fewer
    both = said(*command(world, "brief", ["b", "c"]))  # one is new, but another is missing
    assert "the input 'a.warc.gz' is missing now" in both
    apart = said(*command(world, "brief", ["a", "b"]), world / "other/e.warc.gz")
    assert "of 'a.warc.gz', which would be called 'crawl/a.warc.gz' with these inputs: files are named below" in apart
    assert "`refinery join`" in apart
    (tmp_path / "crawl").mkdir()
    shutil.copy(world / "crawl/a.warc.gz", tmp_path / "crawl")
    shutil.copy(world / "crawl/c.warc.gz", tmp_path / "crawl/b.warc.gz")
    changed = said("run", "--recipe", world / "brief.toml", "--input", tmp_path / "crawl")
    assert f"the input 'b.warc.gz' has changed since: {mend}" in changed
    shutil.copytree(two / "01-ingest", tmp_path / "stage")
    stage = refused(world, tmp_path / "stage", *command(world, "brief", ["a", "b"]))
    assert "it holds the records of stage 'ingest', not what `refinery run` makes" in stage
    compared = said("compare", "--recipe", world / "brief.toml", world / "pool.toml", *command(world, "x", ["a"])[3:])
    assert "it holds what `refinery run` makes, not what `refinery compare` makes" in compared


def test_another_recipe_is_named_by_what_differs(world: Path, two: Path, tmp_path: Path) -> None:
    other = tmp_path / "brief.toml"
    for change, says in {
        BRIEF.replace("50", "60"): "stage 'filter', step 'size': 'words at least 50' is 'words at least 60' now",
        BRIEF.replace('"size"', '"length"'): "stage 'filter': 'judge size' is 'judge length' now",
        BRIEF.replace('"same-text"', '"copies"'): "stage 'copies' is new; stage 'same-text' is not there now",
        BRIEF.replace('name = "brief"', 'name = "short"', 1): "it was 'brief', and is 'short' now",
    }.items():
        assert change != BRIEF
        other.write_text(change)
        words = ("run", "--recipe", other, *command(world, "brief", ["a", "b"])[3:])
        said = refused(world, two, *words)
        assert f"{two} was made by another recipe: {says}" in said
        assert "choose another --out, or delete that folder" in said


def test_stages_by_hand_grow_too(world: Path, two: Path, tmp_path: Path) -> None:
    """Each command again, the first of them with one more file: the others' input is a dataset that has grown."""
    parts = []
    for names in (["a", "c", "d"], NAMES):
        given = [world / "crawl" / f"{name}.warc.gz" for name in names]
        for number, each_stage in enumerate(load_recipe(str(world / "brief.toml")).stages, start=1):
            out = tmp_path / f"{number:02d}-{each_stage.name}"
            refinery(each_stage.command, "--recipe", world / "brief.toml", "--input", *given, "--out", out)
            given = [out]
        parts.append(numbers(tmp_path))
    assert made(tmp_path) == made(world / "fresh-brief")
    assert [parts[1][name] for name in ("ingest", "extract", "filter")] == [1, 1, 1]
    words = ("filter", "--recipe", world / "brief.toml", "--input", two / "02-extract", "--out", tmp_path / "03-filter")
    assert "the input 'extract' has changed since" in refinery(*words, code=2)
    words = ("run", "--recipe", world / "brief.toml", "--input", two / "02-extract", "--out", tmp_path / "run")
    refinery(*words)
    shutil.copytree(two, tmp_path / "copy")
    refinery(*command(world, "brief", ["a", "b", "c"]), "--out", two)
    refinery(*words)  # a run that began at a dataset, too
    shutil.rmtree(two)
    (tmp_path / "copy").rename(two)


def test_what_is_left_out_of_a_stage_by_hand_is_refused(world: Path, tmp_path: Path) -> None:
    words = ("ingest", "--recipe", world / "brief.toml", "--out", tmp_path / "out", "--input")
    files = [world / "crawl" / f"{name}.warc.gz" for name in NAMES]
    refinery(*words, *files[1:])
    refinery(*words, *files)
    assert (read_json(tmp_path / "out/run.json") or {})["parts_made"] == 1
    assert made(tmp_path / "out") == made(world / "fresh-brief/01-ingest")
    assert "the input 'a.warc.gz' is missing now" in refinery(*words, *files[1:], code=2)
    assert "and this is with --limit 3" in refinery(*words, *files, "--limit", 3, code=2)


def test_a_file_added_by_mistake_is_left_out_again(world: Path, tmp_path: Path) -> None:
    """It was named in a command that did not end; the one before it did."""
    out = tmp_path / "out"
    (tmp_path / "crawl").mkdir()
    for name in ("a", "c"):
        shutil.copy(world / "crawl" / f"{name}.warc.gz", tmp_path / "crawl")
    words: list[object] = ["run", "--recipe", world / "brief.toml", "--input"]
    refinery(*words, tmp_path / "crawl", "--out", out)
    before = made(out)
    shutil.copy(world / "crawl/b.warc.gz", tmp_path / "crawl")
    moment = MOMENTS["a new part is written"]
    line = [*map(str, moment), *map(str, words), str(tmp_path / "crawl"), "--out", str(out), "--workers", "1"]
    killed = subprocess.run([sys.executable, "-c", SUICIDE, *line], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9
    shutil.copy(world / "crawl/d.warc.gz", tmp_path / "crawl/b.warc.gz")
    assert "'b.warc.gz' has changed since" in refinery(*words, tmp_path / "crawl", "--out", out, code=2)
    (tmp_path / "crawl/b.warc.gz").unlink()
    refinery(*words, tmp_path / "crawl", "--out", out)
    assert made(out) == before
    assert numbers(out)["extract"] == 0


def test_a_run_of_other_code_is_made_again(world: Path, tmp_path: Path) -> None:
    """Its receipts have other fingerprints: what an earlier version finished stays until there is more to do."""
    shutil.copytree(world / "two" if (world / "two").exists() else world / "fresh-brief", tmp_path / "out")
    for path in (tmp_path / "out").glob("*/.receipts/part-*.jsonl"):
        path.write_text(path.read_text().replace('"fingerprint":"', '"fingerprint":"0'))
    refinery(*command(world, "brief", NAMES), "--out", tmp_path / "out")
    assert made(tmp_path / "out") == made(world / "fresh-brief")
