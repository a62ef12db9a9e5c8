"""The counts of a run: everything that came in was kept, rejected or removed as a copy, over all stages together."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.dataset.reader import Dataset
from pipeline.stages.counts import ingest_notes, kept_text, run_counts, stage_counts
from pipeline.stages.final import datasets_in
from tests.pipeline.command import refinery
from tests.pipeline.here import readmit_here, run_here, takedown_here
from tests.pipeline.pages import pages, write_crawl, write_recipe
from tests.pipeline.recipe_texts import BRIEF, EXTRACT, INGEST, recipe
from tests.pipeline.warc.test_reader import warc_record


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl with a damaged member, and its run."""
    folder = tmp_path_factory.mktemp("counts")
    first, _ = write_crawl(folder / "crawl")
    content = bytearray(first.read_bytes())
    content[9000] ^= 0xFF
    first.write_bytes(content)
    run_here(write_recipe(folder), folder / "crawl", folder / "out")
    return folder


def manifests(run: Path) -> list[Any]:
    return [Dataset(path).manifest for path in datasets_in(run)]


def check(run: Path) -> dict[str, int]:
    """The counts of a run, checked against its stages, and of these against one another."""
    counts, stages = run_counts(manifests(run)), [stage_counts(each) for each in manifests(run)]
    for one in (counts, *stages):
        assert one["in"] == one["kept"] + one["rejected"] + one["duplicates"]
    assert [stage["kept"] for stage in stages[:-1]] == [stage["in"] for stage in stages[1:]]
    assert (counts["in"], counts["kept"]) == (stages[0]["in"], stages[-1]["kept"])
    for name in ("rejected", "duplicates", "skipped"):
        assert counts[name] == sum(stage[name] for stage in stages)
    return counts


def test_a_run_with_damage_adds_up(world: Path) -> None:
    counts = check(world / "out")
    short = sum(html.startswith("<html><body><form>") for _, html in pages(0, 80))
    assert counts["in"] == 80 and counts["skipped"] == 2  # the damaged page counts; two requests do not
    assert counts["rejected"] in (short, short + 1)  # whether the damaged page was a short one
    assert counts["duplicates"] > 10


def test_json_has_the_counts_of_the_run_and_of_each_stage(world: Path) -> None:
    words = ("run", "--recipe", world / "small.toml", "--input", world / "crawl", "--out", world / "out", "--json")
    told = json.loads(refinery(*words, code=1))  # damage
    assert told["counts"] == run_counts(manifests(world / "out"))
    assert [stage["stage"] for stage in told["stages"]][:3] == ["ingest", "extract", "filter"]
    assert told["stages"][0]["rejected_by"] == {"ingest/damage/deflate": 1}
    assert told["stages"][2]["rejected_by"]["size/min_words"] == told["stages"][2]["rejected"]
    assert told["stages"][3]["rejected_by"]["text/copy_text"] == told["stages"][3]["duplicates"]
    assert told["result"] == str(world / "out/final")


def test_documents_with_lines_that_are_none_add_up(tmp_path: Path) -> None:
    text = " ".join(["words of a text that is long enough"] * 10)
    rows = [json.dumps({"text": f"{text} {number}"}) for number in range(5)]
    (tmp_path / "docs.jsonl").write_text("\n".join([*rows, "not json", rows[0], json.dumps({"text": "short"})]) + "\n")
    (tmp_path / "brief.toml").write_text(BRIEF)
    run_here(tmp_path / "brief.toml", tmp_path / "docs.jsonl", tmp_path / "out")
    assert check(tmp_path / "out") == {"in": 8, "kept": 5, "rejected": 2, "duplicates": 1, "skipped": 0}


def test_readmit_and_takedown_add_up(world: Path, tmp_path: Path) -> None:
    (tmp_path / "lax.toml").write_text(recipe("lax", INGEST, EXTRACT))
    numbers = readmit_here(world / "out", tmp_path / "lax.toml", tmp_path / "again")
    counts = check(tmp_path / "again")
    assert (counts["in"], counts["skipped"]) == (numbers["in"] - 1, 1)  # the damaged range cannot be read again
    (tmp_path / "list.txt").write_text("host:host0.example\n")
    takedown_here(world / "out", tmp_path / "without", tmp_path / "list.txt")
    check(tmp_path / "without")


def test_the_line_that_says_how_much_was_kept() -> None:
    assert kept_text({"kept": 31, "in": 2600}) == "kept 31 documents of 2,600 (1.2%)"
    assert kept_text({"kept": 1, "in": 1}) == "kept 1 document of 1 (100.0%)"
    assert kept_text({"kept": 0, "in": 0}) == "kept 0 documents of 0"


def test_what_ingest_passes_over_is_told(tmp_path: Path) -> None:
    pdf = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.7"
    (tmp_path / "crawl").mkdir()
    (tmp_path / "crawl/pdf.warc").write_bytes(b"".join(warc_record(number, pdf) for number in range(2)))
    (tmp_path / "crawl/none.warc").write_bytes(b"")
    (tmp_path / "extract.toml").write_text(recipe("extract", INGEST, EXTRACT))
    words = ("--recipe", tmp_path / "extract.toml", "--input", tmp_path / "crawl", "--out")
    told = refinery("run", *words, tmp_path / "out").splitlines()
    notes = ["ingest: 1 file has no bytes: perhaps a download failed", "ingest: 2 records are no pages: media/pdf 2"]
    assert all(note in told for note in notes) and ingest_notes(manifests(tmp_path / "out")[0]) == notes
    assert json.loads(refinery("run", *words, tmp_path / "out", "--json"))["ingest_notes"] == notes
    assert all(note in refinery("ingest", *words, tmp_path / "records").splitlines() for note in notes)
