"""docs/journeys/cluster.md, line by line, with a Ray that is already started where the page says so."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.examples.pages import blocks
from tests.examples.shell import logical_lines
from tests.infra.engines.clusters import ray_head
from tests.pipeline.command import made, refinery
from tests.pipeline.pages import write_crawl

PAGE = "docs/journeys/cluster.md"
DASHBOARD = "http://127.0.0.1:8265"
# What is not here: a line that has it is not run, and stands in a test of its own where it starts something of ours.
NOT_HERE = ("ray start", "docker ", "sbatch ", "kubectl ", "FlinkRunner")


@pytest.mark.long
def test_the_journey(tmp_path: Path) -> None:
    write_crawl(tmp_path / "crawl", files=2, each=8)
    lines = [line for block in blocks(PAGE) if block.language == "sh" for line in logical_lines(block.text)]
    with ray_head() as head:
        script = "\n".join(line for line in lines if not any(words in line for words in NOT_HERE))
        script = script.replace(DASHBOARD, head["RAY_API_SERVER_ADDRESS"])
        done = subprocess.run(
            ["bash", "-ec", script], cwd=tmp_path, env={**os.environ, **head}, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
    refinery("run", "--recipe", "exact", "--input", tmp_path / "crawl", "--out", tmp_path / "here")
    for out in ("out-ray", "out-submitted", "out-beam"):
        assert made(tmp_path / out) == made(tmp_path / "here")


def test_every_line_is_run_or_named() -> None:
    lines = [line for block in blocks(PAGE) if block.language == "sh" for line in logical_lines(block.text)]
    for words in NOT_HERE:
        assert any(words in line for line in lines), words
