"""Killed at any critical moment, the same command resumes to the same bytes and makes no finished shard again."""

import os
import signal
from pathlib import Path

import pytest

from tests.pipeline.command import made, refinery, start
from tests.pipeline.kills import Moment, each, kill_and_go_on
from tests.pipeline.pages import write_crawl, write_recipe

WRITER, BUILD, RECEIPTS = "infra.dataset.writer", "infra.dataset.build", "infra.dataset.batches"
MOMENTS: dict[str, Moment] = {
    "a shard is written, its ledger not renamed": (WRITER, "commit_shard", "leave", 1, "02-extract/.tmp-part"),
    "the receipt is not there yet": (RECEIPTS, "write_bytes", "enter", 1, "03-filter/.receipts/part-"),
    "the receipt is there, the manifest is not": (BUILD, "write_last", "enter", 1, "03-filter/manifest.json"),
    "the manifest was just renamed": (BUILD, "write_last", "leave", 1, "03-filter/manifest.json"),
    "the manifest's temporary file is there": ("infra.storage.files", "commit_file", "enter", 1, ".tmp-manifest.json"),
    "a spill file is half of them": ("infra.engines.spill", "SpillJob.run", "leave", 1, ""),
    "inside a reduction": ("infra.engines.shuffle", "sort_rows", "enter", 1, ""),
    "inside a later reduction": ("infra.engines.shuffle", "sort_rows", "leave", 4, ""),
    "decisions are made, not applied": ("pipeline.stages.dedup", "Work.to_shards", "leave", 2, ""),
    "the last manifest is there, the run's account is not": ("pipeline.stages.run", "account", "enter", 1, ""),
}  # fmt: skip
FEW = {"a shard is written, its ledger not renamed", "inside a later reduction", "decisions are made, not applied"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill")
    write_crawl(folder / "crawl", files=2, each=15)
    write_recipe(folder)
    refinery("run", "--recipe", folder / "small.toml", "--input", folder / "crawl", "--out", folder / "out")
    return folder


@pytest.mark.parametrize("moment", each(MOMENTS, FEW))
def test_the_same_command_resumes(moment: str, world: Path, tmp_path: Path) -> None:
    words = ["run", "--recipe", world / "small.toml", "--input", world / "crawl", "--workers", 1]
    assert kill_and_go_on(MOMENTS[moment], words, tmp_path / "out") == (made(world / "out"), [], [])


def test_ctrl_c_says_how_to_resume(world: Path, tmp_path: Path) -> None:
    words = ["run", "--recipe", world / "small.toml", "--input", world / "crawl", "--out", tmp_path / "out"]
    process = start(*words, "--workers", "2")
    assert process.stderr is not None
    line = process.stderr.readline()  # the first stage has begun
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, line + rest
    assert rest.strip().splitlines()[-1].endswith("run the same command again to go on")
    assert "Traceback" not in rest
    refinery(*words)
    assert made(tmp_path / "out") == made(world / "out")
