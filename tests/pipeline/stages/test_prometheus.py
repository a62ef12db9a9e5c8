"""`status --prometheus` is what Prometheus reads, with the numbers of `run.json` and of the receipts."""

import shutil
from pathlib import Path

import pytest

from infra.dataset.batches import receipts_in
from infra.dataset.reader import Dataset
from infra.storage import read_json
from pipeline.stages.prometheus import METRICS, PREFIX
from tests.pipeline.command import refinery
from tests.pipeline.here import datasets

parser = pytest.importorskip("prometheus_client.parser")


def scraped(folder: Path) -> dict[str, dict[str, float]]:
    """By stage, its metrics; the exposition is one that Prometheus' own parser takes."""
    found: dict[str, dict[str, float]] = {}
    for family in parser.text_string_to_metric_families(refinery("status", folder, "--prometheus")):
        assert family.type == "gauge" and family.documentation
        for sample in family.samples:
            found.setdefault(sample.labels["stage"], {})[sample.name.removeprefix(PREFIX)] = sample.value
    return found


def test_a_finished_run_has_the_numbers_of_run_json(small_run: Path) -> None:
    made = datasets(small_run / "out")
    found = scraped(small_run / "out")
    assert list(found) == [dataset.folder.name for dataset in made]
    for dataset in made:
        account, of = read_json(dataset.folder / "run.json"), found[dataset.folder.name]
        assert set(of) == set(METRICS) - {"documents_per_second"}
        assert (of["running"], of["done"], of["parts"]) == (0, 1, dataset.manifest.parts)
        assert of["cpu_seconds"] == account["cpu_seconds"]
        assert of["written_bytes"] == account["bytes_written"]
        assert (of["documents"], of["rejected_documents"]) == (
            dataset.manifest.counts["out"], dataset.manifest.counts.get("rejected", 0),
        )  # fmt: skip


def test_an_unfinished_stage_has_the_sums_of_its_receipts(small_run: Path, tmp_path: Path) -> None:
    shutil.copytree(small_run / "out", tmp_path / "copy", symlinks=True)
    stage = tmp_path / "copy" / "02-extract"
    (stage / "manifest.json").unlink()
    of, receipts = scraped(tmp_path / "copy")["02-extract"], [*receipts_in(stage)]
    assert (of["running"], of["done"], of["parts"]) == (0, 0, len(receipts))
    assert of["cpu_seconds"] == pytest.approx(sum(receipt["cost"]["cpu_seconds"] for receipt in receipts))
    written = sum(path.stat().st_size for path in [*stage.glob("part-*"), *stage.glob("ledger/part-*")])
    assert of["written_bytes"] == written


def test_one_dataset_is_a_stage_by_itself(small_run: Path) -> None:
    folder = small_run / "out" / "02-extract"
    assert scraped(folder)["02-extract"]["documents"] == Dataset(folder).manifest.counts["out"]


def test_one_answer_on_stdout(small_run: Path) -> None:
    assert "not both" in refinery("status", small_run / "out", "--prometheus", "--json", code=2)
