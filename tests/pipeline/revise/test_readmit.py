"""`readmit`: rejects read again at their locators, through another recipe; nothing is lost, nothing read twice."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from infra.errors import UsageError
from pipeline.stages.status import status
from tests.files import flip, write_rows
from tests.pipeline.command import answer, made, refinery
from tests.pipeline.here import datasets, explained, readmit_here, run_here
from tests.pipeline.pages import pages, sentences
from tests.pipeline.recipe_texts import INGEST, SAME_TEXT, Part, judge, recipe, stage, step


def lax(*rules: Part) -> str:
    """Another extractor, and rules of its own."""
    extract = stage("extract", "extract", step("extract", engine="all_text"))
    return recipe("lax", INGEST, extract, stage("filter", "filter", judge("some", *rules)), SAME_TEXT)


LAX = lax({"signal": "words", "min": 2}, {"signal": "characters", "max": 2900})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, small_run: Path) -> Path:
    folder = shutil.copytree(small_run, tmp_path_factory.mktemp("readmit") / "world")
    (folder / "lax.toml").write_text(LAX)
    return folder


def readmit(world: Path, out: Path, *rules: str, ledger: str = "out", **more: Any) -> dict[str, int]:
    output = readmit_here(world / ledger, world / "lax.toml", out, rules, **more)
    assert output["in"] == output["readmitted"] + output["rejected"] + output["skipped"]
    for dataset in datasets(out):
        check_invariant(dataset.manifest)
        assert dataset.verify() == []
    return output


def rejected(run: Path) -> set[str]:
    return {url for dataset in datasets(run) for url in dataset.ledger()["url"].to_pylist()}


def test_a_whole_runs_rejects_are_read_again_once(world: Path, tmp_path: Path) -> None:
    """And each is the record that it was."""
    output = readmit(world, tmp_path / "out")
    records = Dataset(tmp_path / "out" / "01-ingest").to_arrow().to_pylist()
    assert {row["url"] for row in records} == rejected(world / "out")
    assert len(records) == len({(r["file_path"], r["warc_offset"]) for r in records}) == output["in"]
    before = Dataset(world / "out" / "01-ingest").to_arrow().to_pylist()
    assert all(row in before for row in records)


def test_one_rules_rejects(world: Path, tmp_path: Path) -> None:
    output = readmit(world, tmp_path / "out", "size/min_words", ledger="out/03-filter")
    short = {url for url, html in pages(0, 80) if html.startswith("<html><body><form>")}
    assert output["in"] == len(short)
    (kept,) = {row["text"] for row in Dataset(tmp_path / "out" / "04-same-text").to_arrow().to_pylist()}
    assert kept == "Log in" and output["readmitted"] == 1  # they are copies of each other


def test_only_some_ids(world: Path, tmp_path: Path) -> None:
    chosen = [row["id"] for row in Dataset(world / "out" / "04-same-text").ledger().to_pylist()][:2]
    (tmp_path / "ids.txt").write_text("# two of them\n" + "\n".join(chosen) + "\n\n")
    assert readmit(world, tmp_path / "out", ids=tmp_path / "ids.txt")["in"] == 2
    assert {r["id"] for r in Dataset(tmp_path / "out" / "01-ingest").to_arrow().to_pylist()} == set(chosen)


def test_several_failing_rules_are_one_record(world: Path, tmp_path: Path) -> None:
    strict = lax({"signal": "words", "min": 5000}, {"signal": "characters", "min": 9e9})
    (tmp_path / "strict.toml").write_text(strict)
    run_here(tmp_path / "strict.toml", world / "crawl", tmp_path / "strict")
    ledger = Dataset(tmp_path / "strict" / "03-filter").ledger()
    output = readmit(world, tmp_path / "out", ledger=str(tmp_path / "strict"))
    assert output["in"] == 80 < ledger.num_rows


def test_the_result_is_a_run(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--ledger", world / "out", "--recipe", world / "lax.toml", "--out", out)
    output = answer("readmit", *words)
    assert output["in"] == output["readmitted"] + output["rejected"] and output["funnel"][0]["docs"] == output["in"]
    refinery("verify", out)
    refinery("report", "--run", out, "--out", tmp_path / "report.html")
    assert [stage["state"] for stage in status(out)["stages"]] == ["done"] * 4
    assert explained("http://host5.example/5", out)["steps"][0]["value"] == 6
    again = readmit(world, tmp_path / "again", ledger=str(out / "03-filter"))
    assert again["in"] == Dataset(out / "03-filter").manifest.counts["rejected"] > 0


@pytest.mark.long
def test_the_same_bytes_with_any_workers_and_engine(world: Path, tmp_path: Path) -> None:
    words = ("--ledger", world / "out", "--recipe", world / "lax.toml", "--out", tmp_path / "two", "--workers", 2)
    refinery("readmit", *words)
    readmit(world, tmp_path / "one")
    readmit(world, tmp_path / "beam", engine="beam")
    assert made(tmp_path / "two") == made(tmp_path / "one") == made(tmp_path / "beam")


def test_archives_that_moved_or_changed(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "world")
    moved = tmp_path / "world"
    (moved / "crawl").rename(moved / "elsewhere")
    inner = moved / "out" / "01-ingest" / "run.json"
    output = json.loads(inner.read_text())
    output["inputs"] = {name: str(moved / "crawl" / name) for name in output["inputs"]}
    for path in moved.glob("out/[0-9]*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "inputs": output["inputs"]}))
    with pytest.raises(UsageError, match=r"part-0\.warc\.gz.*--source ROOT"):
        readmit(moved, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    readmit(moved, tmp_path / "out", source=moved / "elsewhere")
    with gzip.open(moved / "elsewhere" / "part-1.warc.gz", "ab") as file:
        file.write(b"\r\n")
    with pytest.raises(UsageError, match=r"is not the archive 'part-1\.warc\.gz'"):
        readmit(moved, tmp_path / "changed", source=moved / "elsewhere")


def test_damaged_ranges_are_skipped_and_counted(world: Path, tmp_path: Path) -> None:
    damaged = flip(Path(shutil.copy(world / "crawl" / "part-0.warc.gz", tmp_path)), 2000)
    run_here(world / "small.toml", damaged, tmp_path / "run")
    output = readmit(world, tmp_path / "out", ledger=str(tmp_path / "run"))
    assert output["skipped"] == 1
    assert Dataset(tmp_path / "out" / "01-ingest").manifest.counts["skipped/damaged"] == 1


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet"])
def test_documents_of_files_are_read_again(kind: str, world: Path, tmp_path: Path) -> None:
    texts = ["\n".join(sentences(i)) for i in range(6)] + [f"too short {i}" for i in range(4)]
    rows = [{"text": text, "id": f"n{i}"} for i, text in enumerate(texts)]
    file = write_rows(tmp_path / f"texts.{kind}", rows)
    run_here(world / "small.toml", file, tmp_path / "run")
    output = readmit(world, tmp_path / "out", ledger=str(tmp_path / "run"))
    assert (output["in"], output["readmitted"]) == (4, 4)
    kept = Dataset(tmp_path / "out" / "04-same-text").to_arrow().to_pylist()
    assert [row["text"] for row in kept] == texts[6:]
    one = explained("n7", tmp_path / "out")
    assert one["state"] == "kept" and one["text_before"] == "too short 1"
    file.unlink()
    with pytest.raises(UsageError, match=f"the file 'texts.{kind}'"):
        readmit(world, tmp_path / "gone", ledger=str(tmp_path / "run"))


def test_lines_that_are_not_documents_are_rejected_again(world: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "too short"}\nno document\n{"words": 5}\n')
    run_here(world / "small.toml", tmp_path / "x.jsonl", tmp_path / "run")
    words = ("--ledger", tmp_path / "run", "--recipe", world / "lax.toml", "--out", tmp_path / "out")
    refinery("readmit", *words, code=1)
    counts = Dataset(tmp_path / "out" / "03-filter").manifest.counts
    assert (counts["in"], counts["out"], counts["rejected"]) == (3, 1, 2)
