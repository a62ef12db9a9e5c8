"""An extract stage with a prefilter: its rejects, the audit sample, and payloads seen before."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from infra.dataset.manifest import check_invariant
from infra.dataset.reader import Dataset
from pipeline.job.sample import AuditSampling, in_sample
from pipeline.recipes.parse import load_recipe
from pipeline.stages.extract import ExtractTask
from tests.pipeline.command import made, refinery
from tests.pipeline.here import datasets
from tests.pipeline.pages import article, pages, write_crawl, write_warc
from tests.pipeline.recipe_texts import INGEST, PREFILTER, RESILIPARSE, dedup, judge, recipe, stage


def prefiltered(audit: float, most: int = 430) -> str:
    """A recipe with a prefilter before the extractor."""
    asked = judge("asked", {"signal": "noai", "max": 0})
    size = judge("prefilter-size", {"signal": "words", "min": 50}, {"signal": "words", "max": most})
    extract = stage("extract", "extract", PREFILTER, asked, size, RESILIPARSE, audit=audit)
    return recipe("prefilter-size", INGEST, dedup("same-payload", "payload"), extract)


def run(folder: Path, audit: float, workers: int = 1) -> Path:
    recipe = folder / f"prefilter{audit}.toml"
    recipe.write_text(prefiltered(audit))
    if not (folder / "crawl").exists():
        write_crawl(folder / "crawl")
    out = folder / f"out-{audit}-{workers}"
    refinery("run", "--recipe", recipe, "--input", folder / "crawl", "--out", out, "--workers", workers)
    return out


def stages(out: Path) -> dict[str, Dataset]:
    for dataset in datasets(out):
        check_invariant(dataset.manifest)
    return {dataset.manifest.stage: dataset for dataset in datasets(out)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefilter-size")


def test_rejects_of_the_prefilter_are_never_extracted(world: Path) -> None:
    found = stages(run(world, 0))
    extract = found["extract"].manifest
    assert set(extract.rejected_by) == {"prefilter-size/min_words", "prefilter-size/max_words"}
    assert [row["step"] for row in extract.funnel] == ["prefilter", "asked", "prefilter-size", "extract"]
    rows = found["extract"].to_arrow().to_pylist()
    assert rows and {row["extractor"] for row in rows} == {"resiliparse"}
    assert {row["signals"]["audit_sample"] for row in rows} == {0.0}
    assert {row["signals"]["prefilter_rejected"] for row in rows} == {0.0}


def test_the_audit_sample_passes_and_is_marked(world: Path) -> None:
    out = run(world, 0.5)
    found = stages(out)
    rows = found["extract"].to_arrow().to_pylist()
    ledger = found["extract"].ledger().to_pylist()
    for row in rows:
        assert row["signals"]["audit_sample"] == 2.0 * in_sample(row, 0.5)
    assert any(row["signals"]["prefilter_rejected"] for row in rows)
    assert all(row["signals"]["audit_sample"] for row in rows if row["signals"]["prefilter_rejected"])
    assert ledger and not any(in_sample(line, 0.5) for line in ledger if line["step"] == "prefilter-size")
    everything = stages(run(world, 1))["extract"]
    assert everything.manifest.counts["rejected"] == 0
    assert sum(row["signals"]["prefilter_rejected"] > 0 for row in everything.to_arrow().to_pylist()) > 0


def test_the_audit_sample_does_not_depend_on_workers(world: Path) -> None:
    assert made(run(world, 0.5)) == made(run(world, 0.5, workers=2))


def test_a_batch_of_pages_gives_the_same_as_single_pages(world: Path) -> None:
    out = run(world, 0.5)
    records = stages(out)["same-payload"]
    recipe = load_recipe(str(world / "prefilter0.5.toml"))
    bodies = records.places()
    task = ExtractTask(recipe.stages[2].steps, (), "", bodies, {}, AuditSampling(0.5))
    rows = records.to_arrow().to_pylist()
    with closing(task.open_tools()) as tools:
        together = [(visit.row, visit.rejects) for visit in task.visits(rows, tools)]
        alone = [task.one(row, tools) for row in rows]
    assert together == alone
    assert 0 < sum(not rejects for _, rejects in alone) < len(alone)


def test_a_payload_seen_before_is_not_read_again(world: Path) -> None:
    dataset = stages(run(world, 0))["same-payload"]
    contents = Counter(html for _, html in pages(0, 80))
    assert dataset.manifest.counts["in"] == sum(contents.values())
    assert dataset.manifest.counts["out"] == len(contents)
    assert dataset.manifest.rejected_by == {"payload/copy_payload": sum(contents.values()) - len(contents)}
    kept = dataset.to_arrow().to_pylist()
    assert sorted(row["copies"] for row in kept) == sorted(contents.values())
    survivors = {row["id"] for row in kept}
    assert all(line["survivor"] in survivors for line in dataset.ledger().to_pylist())
    documents = stages(run(world, 0))["extract"].to_arrow().to_pylist()
    assert all((row["dumps"] is not None) == (row["copies"] > 1) for row in kept)
    told = {(row["file_path"], row["warc_offset"]): (row["copies"], row["dumps"]) for row in kept}
    assert all((row["copies"], row["dumps"]) == told[row["file_path"], row["warc_offset"]] for row in documents)


@pytest.mark.parametrize("audit", [0.0, 1.0])
def test_a_page_with_noai_is_rejected_and_in_no_audit_sample(audit: float, tmp_path: Path) -> None:
    asks = article(1).replace("<head>", '<head><meta name="robots" content="noai">')
    archive = write_warc(tmp_path / "a.warc.gz", [("http://a.example/1", asks), ("http://a.example/2", article(2))])
    (tmp_path / "opt-out.toml").write_text(prefiltered(audit, 9999))
    refinery("run", "--recipe", tmp_path / "opt-out.toml", "--input", archive, "--out", tmp_path / "out")
    extract = stages(tmp_path / "out")["extract"]
    assert extract.manifest.rejected_by == {"asked/max_noai": 1}
    (row,) = extract.to_arrow().to_pylist()
    assert (row["url"], row["signals"]["audit_sample"]) == ("http://a.example/2", audit)
