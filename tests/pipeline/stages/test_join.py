"""Runs made apart are joined: the bytes of one run over all files, with little made again, and clashes refused."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import refinery as rf
from infra.storage import read_json
from tests.pipeline.command import ROOT, answer, made, refinery
from tests.pipeline.kills import SUICIDE, Moment, each
from tests.pipeline.pages import article, pages, sentences, write_warc
from tests.pipeline.recipe_texts import BRIEF
from tests.pipeline.stages.test_more import POOL, everything, numbers

# The runs, and the archives of each: joined, they stand between each other.
RUNS = {"monday": ["a", "c"], "tuesday": ["b"], "wednesday": ["d"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run for each day, over archives in a folder of its own; and one over all archives, in one folder."""
    folder = tmp_path_factory.mktemp("join")
    (folder / "all").mkdir()
    for recipe, text in {"brief": BRIEF, "pool": POOL}.items():
        (folder / f"{recipe}.toml").write_text(text)
    for day, names in RUNS.items():
        (folder / f"crawl-{day}").mkdir()
        for name in names:
            content = [*pages(ord(name) * 12, 12), (f"http://again-{name}.example/", article(0))]
            archive = write_warc(folder / f"crawl-{day}" / f"{name}.warc.gz", content)
            shutil.copy(archive, folder / "all")
    for recipe in ("brief", "pool"):
        for day in RUNS:
            refinery(*run(folder, recipe, f"crawl-{day}"), "--out", folder / f"{recipe}-{day}")
        refinery(*run(folder, recipe, "all"), "--out", folder / f"{recipe}-all")
    return folder


def run(world: Path, recipe: str, crawl: str) -> list[object]:
    return ["run", "--recipe", world / f"{recipe}.toml", "--input", world / crawl]


def days(world: Path, recipe: str) -> list[Path]:
    return [world / f"{recipe}-{day}" for day in RUNS]


@pytest.mark.parametrize(("recipe", "workers"), [("brief", 1), ("pool", 2)])
def test_the_bytes_of_one_run(recipe: str, workers: int, world: Path, tmp_path: Path) -> None:
    before = [made(day) for day in days(world, recipe)]
    out = tmp_path / "out"
    told = answer("join", *reversed(days(world, recipe)), "--out", out, "--workers", workers)
    assert made(out) == made(world / f"{recipe}-all")
    assert told["counts"] == answer(*run(world, recipe, "all"), "--out", world / f"{recipe}-all")["counts"]
    assert numbers(out)["ingest"] == 0
    if recipe == "brief":
        assert numbers(out)["extract"] == numbers(out)["filter"] == 0
        assert (out / "02-extract/part-00003.parquet").stat().st_nlink > 1
    assert before == [made(day) for day in days(world, recipe)]
    for day in days(world, recipe):
        refinery("verify", day)


@pytest.fixture(scope="module")
def joined(world: Path) -> Path:
    rf.join(days(world, "brief"), world / "joined", workers=1)
    return world / "joined"


def test_it_is_a_run_like_any_other(world: Path, joined: Path, tmp_path: Path) -> None:
    refinery("verify", joined)
    assert {stage["state"] for stage in answer("status", joined)["stages"]} == {"done"}
    (kept,) = answer("explain", f"http://host{(12 * ord('c') + 2) % 7}.example/{12 * ord('c') + 2}", "--run", joined)
    assert (kept["state"], kept["file_path"]) == ("kept", "c.warc.gz")
    refinery("report", "--run", joined, "--out", tmp_path / "report.html")
    assert "size/min_words" in (tmp_path / "report.html").read_text()
    lax = tmp_path / "lax.toml"
    lax.write_text(BRIEF.replace("50", "1"))
    words = ("readmit", "--ledger", joined, "--rule", "size/min_words", "--recipe", lax, "--out", tmp_path / "again")
    assert answer(*words)["readmitted"] > 0
    (tmp_path / "gone.txt").write_text("http://again-a.example/\n")
    words = ("takedown", "--run", joined, "--url-list", tmp_path / "gone.txt", "--out", tmp_path / "without")
    assert answer(*words)["documents"] == 1
    assert rf.open_dataset(joined).folder == joined / "04-same-text"


def test_a_second_call_makes_nothing_and_more_runs_may_come(world: Path, tmp_path: Path) -> None:
    out, (first, *rest) = tmp_path / "out", days(world, "brief")
    refinery("join", first, rest[0], "--out", out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("part-*")}
    refinery("join", first, rest[0], "--out", out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("part-*")} == times
    refinery("join", first, *rest, "--out", out)
    assert made(out) == made(world / "brief-all")
    refinery(*run(world, "brief", "all"), "--out", out)  # it is the run over all of them
    assert made(out) == made(world / "brief-all")
    assert "the input 'd.warc.gz' is missing now" in refinery("join", first, rest[0], "--out", out, code=2)


def test_without_the_archives(world: Path, tmp_path: Path) -> None:
    """Their pages need not be read again, where no page before extraction is a copy of another run's."""
    apart = []
    for number, day in enumerate(("monday", "tuesday")):
        shutil.copytree(world / f"brief-{day}", tmp_path / day)
        for account in (tmp_path / day).rglob("run.json"):  # as if it had been made on another machine
            account.write_text(account.read_text().replace(str(world), f"/nowhere/{number}"))
        apart.append(tmp_path / day)
    refinery("join", *apart, "--out", tmp_path / "out")
    assert numbers(tmp_path / "out")["extract"] == 0
    refinery("run", "--recipe", world / "brief.toml", "--input", *(world / "all" / f"{n}.warc.gz" for n in "abc"),
             "--out", tmp_path / "fresh")  # fmt: skip
    assert made(tmp_path / "out") == made(tmp_path / "fresh")
    for path in apart[1].glob("01-ingest/part-*.parquet"):
        path.unlink()
    said = refinery("join", *apart, "--out", tmp_path / "again", code=2)
    assert "was made by an earlier version, or was copied without" in said


def test_a_page_that_is_read_again_is_found_by_source(world: Path, tmp_path: Path) -> None:
    """`pool` drops copies before extraction, and the survivor counts them: its shard is extracted again."""
    for day in RUNS:
        shutil.copytree(world / f"pool-{day}", tmp_path / day)
        for account in (tmp_path / day).rglob("run.json"):
            account.write_text(account.read_text().replace(str(world), "/nowhere"))
    runs = [tmp_path / day for day in RUNS]
    with pytest.raises(rf.UsageError, match="is not where it was read: give its folder with --source ROOT"):
        rf.join(runs, tmp_path / "out", workers=1)
    refinery("join", *runs, "--out", tmp_path / "out", "--source", world / "all")
    assert made(tmp_path / "out") == made(world / "pool-all")


def test_documents(world: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "both"):
        (tmp_path / f"texts-{name}").mkdir()
    for number, name in enumerate(("one", "two")):
        lines = [f'{{"text": "{" ".join(sentences(number + n, 30))}"}}\n' for n in range(6)]
        for folder in (name, "both"):
            (tmp_path / f"texts-{folder}" / f"{name}.jsonl").write_text("".join(lines))
    for name in ("one", "two", "both"):
        refinery(
            "run", "--recipe", world / "brief.toml", "--input", tmp_path / f"texts-{name}", "--out", tmp_path / name
        )
    refinery("join", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "joined")
    assert made(tmp_path / "joined") == made(tmp_path / "both")
    assert numbers(tmp_path / "joined")["filter"] == 0
    said = refinery("join", tmp_path / "one", world / "brief-monday", "--out", tmp_path / "x", code=2)
    assert "have different stages" in said


PLACING = "infra.dataset.placing"
MOMENTS: dict[str, Moment] = {
    "a shard is linked, its ledger is not": (PLACING, "copy_file", "leave", 1, "01-ingest"),
    "linked, without a receipt": (
        "infra.dataset.batches",
        "write_bytes",
        "enter",
        1,
        "02-extract/.receipts/part-",
    ),
    "all of one run are linked": (PLACING, "_bring", "leave", 1, "brief-monday/02-extract"),
    "a link has its temporary name": ("infra.storage.files", "commit_file", "enter", 3, "02-extract/.tmp-"),
    "the first stage is there": ("infra.dataset.build", "write_last", "leave", 1, "01-ingest/manifest.json"),
    "the run's account is not there": ("pipeline.stages.run", "account", "enter", 1, ""),
}
FEW = {"a link has its temporary name"}


@pytest.mark.parametrize("moment", each(MOMENTS, FEW))
def test_killed_in_the_middle(moment: str, world: Path, tmp_path: Path) -> None:
    words = ["join", *days(world, "brief"), "--out", tmp_path / "out"]
    line = [*map(str, MOMENTS[moment]), *map(str, words), "--workers", "1"]
    killed = subprocess.run([sys.executable, "-c", SUICIDE, *line], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()[-500:]
    refinery(*words)
    assert made(tmp_path / "out") == made(world / "brief-all")
    assert list((tmp_path / "out").rglob(".tmp-*")) == []


def test_clashes_are_refused_in_words(world: Path, tmp_path: Path) -> None:
    monday, tuesday = world / "brief-monday", world / "brief-tuesday"

    def said(*runs: Path, out: Path = tmp_path / "out") -> str:
        before = everything(tmp_path)
        words = refinery("join", *runs, "--out", out, code=2)
        assert everything(tmp_path) == before
        return words

    assert "join needs two runs or more" in said(monday, monday)
    same = said(monday, world / "brief-all")
    assert f"{monday} and {world}/brief-all have files in common, 'a.warc.gz', 'c.warc.gz': join runs of" in same
    assert "were made by different recipes: it was 'brief', and is 'pool' now" in said(monday, world / "pool-tuesday")
    (tmp_path / "crawl").mkdir()
    write_warc(tmp_path / "crawl" / "a.warc.gz", pages(500, 3))
    refinery("run", "--recipe", world / "brief.toml", "--input", tmp_path / "crawl", "--out", tmp_path / "other")
    assert f"{tmp_path}/other have different files of one name, 'a.warc.gz'" not in said(monday, tuesday / "01-ingest")
    assert "have different files of one name, 'a.warc.gz': rename one" in said(monday, tmp_path / "other")
    refinery(*run(world, "brief", "crawl-tuesday"), "--out", tmp_path / "look", "--limit", 3)
    assert "has only the first pages (--limit 3)" in said(monday, tmp_path / "look")
    shutil.copytree(tuesday, tmp_path / "begun")
    (tmp_path / "begun/run.json").unlink()
    assert "begun is not finished: run the same `refinery run` command again" in said(monday, tmp_path / "begun")
    assert "is not the folder of a run" in said(monday, tuesday / "02-extract")
    assert "contains the input" in said(monday, tuesday, out=tuesday / "inner")
    shutil.copytree(tuesday, tmp_path / "bare", ignore=shutil.ignore_patterns(".*"))
    assert "was copied without its hidden folders" in said(monday, tmp_path / "bare")
    words = ("run", "--recipe", world / "brief.toml", "--input", monday / "02-extract", "--out", tmp_path / "from")
    refinery(*words)
    assert "began at the dataset 'extract'" in said(monday, tmp_path / "from")


def test_in_python(world: Path, joined: Path) -> None:
    again: Any = rf.join(days(world, "brief"), joined, workers=1)
    assert again.folder == joined and len(again.datasets) == 4
    assert (read_json(joined / "run.json") or {})["last"] == "04-same-text"
