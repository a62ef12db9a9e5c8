"""docs/journeys/cluster.md, line by line, with a Ray that is already started where the page says so."""

import os
import secrets
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.examples.pages import blocks
from tests.examples.shell import logical_lines
from tests.infra.engines.clusters import server
from tests.pipeline.command import ROOT, made, refinery
from tests.pipeline.pages import write_crawl

PAGE = "docs/journeys/cluster.md"
# What is not here: a line that has it is not run, and stands in a test of its own where it starts something of ours.
NOT_HERE = ("docker ", "sbatch ", "kubectl ", "FlinkRunner")


def shell_lines() -> list[str]:
    return [line for block in blocks(PAGE) if block.language == "sh" for line in logical_lines(block.text)]


def ray_words(start: str) -> list[str]:
    """The words of a `ray start` of the page, which stay in the foreground so that the test can end what it started."""
    words = shlex.split(start, comments=True)
    assert words[:2] == ["ray", "start"], start
    return [str(Path(sys.executable).with_name("ray")), *words[1:], "--block", "--disable-usage-stats"]


@contextmanager
def cluster_of_the_page(line: str) -> Iterator[dict[str, str]]:
    """The head that the line starts, and the other machine of its comment; what users of it have in their
    environment."""
    head, other = line.split("   #")[0], line.rpartition(": ")[2]
    added = {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    environment = {**os.environ, **added}
    # a short path: there are sockets below it
    with (
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        ExitStack() as up,
    ):
        up.enter_context(server([*ray_words(head), f"--temp-dir={folder}"], 8265, environment))
        joined = subprocess.Popen(
            ray_words(other.replace("HEAD", "127.0.0.1")),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        up.callback(joined.wait, 30)
        up.callback(joined.terminate)
        yield added


@pytest.mark.long
def test_the_journey(tmp_path: Path) -> None:
    """With the ports that Ray has by default, which must be free."""
    write_crawl(tmp_path / "crawl", files=2, each=8)
    lines = [line for line in shell_lines() if not any(words in line for words in NOT_HERE)]
    (start,) = (line for line in lines if line.startswith("ray start"))
    lines.remove(start)
    with cluster_of_the_page(start) as added:
        script = "\n".join(lines)
        done = subprocess.run(
            ["bash", "-ec", script], cwd=tmp_path, env={**os.environ, **added}, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
    refinery("run", "--recipe", "exact", "--input", tmp_path / "crawl", "--out", tmp_path / "here")
    for out in ("out-ray", "out-submitted", "out-beam"):
        assert made(tmp_path / out) == made(tmp_path / "here")


def test_every_line_is_run_or_named() -> None:
    lines = shell_lines()
    for words in NOT_HERE:
        assert any(words in line for line in lines), words
