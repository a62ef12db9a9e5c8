"""`estimate`: a run over the first pages of some files tells how large, long and strict the whole will be."""

import gzip
from pathlib import Path

import pytest

from infra.dataset.reader import Dataset
from pipeline.cli.console import readable_bytes
from tests.files import write_rows
from tests.pipeline.command import answer, refinery
from tests.pipeline.here import run_here
from tests.pipeline.pages import text_rows, write_crawl
from tests.pipeline.recipe_texts import EXTRACT, INGEST, judge, recipe, stage

SIZE = stage("filter", "filter", judge("size", {"signal": "words", "min": 60}))
PAGES = 400


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("estimate")
    write_crawl(folder / "crawl")
    (folder / "plain.toml").write_text(recipe("plain", INGEST, EXTRACT, SIZE))
    rows = [row | {"id": str(number)} for number, row in enumerate(text_rows(PAGES))]
    write_rows(folder / "rows.jsonl", rows)
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress((folder / "rows.jsonl").read_bytes()))
    write_rows(folder / "rows.parquet", rows)
    run_here(folder / "plain.toml", folder / "rows.jsonl", folder / "run")
    return folder


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_documents(name: str, world: Path) -> None:
    words = ("estimate", "--recipe", world / "plain.toml", "--input", world / name, "--workers", 2, "--sample", 100)
    told = answer(*words)
    assert told["sample"]["pages"] == 100
    assert told["pages"] == pytest.approx(PAGES, rel=0.1)
    truth = Dataset(world / "run" / "03-filter").manifest.counts["out"] / PAGES
    low, high = told["kept"]["interval"]
    assert low <= truth <= high and told["kept"]["docs"] == pytest.approx(truth * PAGES, rel=0.3)
    assert min(told["seconds"], told["cpu_seconds"], told["memory_bytes"], told["disk_bytes"]) > 0


def test_archives_and_datasets(world: Path) -> None:
    run = run_here(world / "plain.toml", world / "crawl", world / "whole")
    pages, documents, kept = (dataset.manifest.counts["out"] for dataset in run.datasets)
    words = ("estimate", "--recipe", world / "plain.toml", "--input")
    told = answer(*words, world / "crawl", "--sample", 10**6)
    assert told["pages"] == told["sample"]["pages"] == pages  # the whole of it was tried
    assert told["kept"]["docs"] == kept
    part = answer(*words, run.datasets[1].folder, "--sample", 9)
    assert part["sample"]["pages"] == 9 and part["pages"] == pytest.approx(documents, rel=0.1)


def test_it_is_six_lines_and_writes_nothing(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(world.rglob("*"))
    text = refinery("estimate", "--recipe", world / "plain.toml", "--input", world / "rows.jsonl", "--sample", 20)
    assert [line.split()[0] for line in text.splitlines()] == ["input", "sample", "time", "memory", "disk", "kept"]
    assert sorted(world.rglob("*")) == before and not list(tmp_path.iterdir())


def test_sizes_are_readable() -> None:
    assert [readable_bytes(n) for n in (0, 1023, 1536, 3 * 2**40)] == ["0 bytes", "1023 bytes", "1.5 KiB", "3.0 TiB"]
