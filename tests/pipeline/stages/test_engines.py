"""The same bytes of every shard, ledger and manifest on every engine, and after its driver was killed.

1,000 pages in a dozen archives, with copies in other archives and a page in each that is too deep for the caps.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.engines.ray_tasks import run_in
from infra.storage import read_json
from tests.conftest import MadeOnce
from tests.infra.engines.clusters import beam_job_service, ray_cluster
from tests.pipeline.command import made, refinery_process, start
from tests.pipeline.pages import article, pages, write_recipe, write_warc

pytestmark = pytest.mark.long

FILES, PAGES, WORKERS = 12, 84, 2
ENGINES = ("local 1", "local 2", "ray", "ray on 3 nodes", "beam 1", "beam 2", "beam's job service")


def write_world(folder: Path) -> None:
    """Every archive has the first pages of the one before it once more."""
    (folder / "crawl").mkdir()
    for number in range(FILES):
        own = pages(number * PAGES, PAGES - 4)
        before = pages(max(number - 1, 0) * PAGES, 3)
        copies = [(f"http://copies.example/{number}/{place}", html) for place, (_, html) in enumerate(before)]
        deep = (f"http://deep.example/{number}", article(number, extra="<div>" * 5000))
        write_warc(folder / "crawl" / f"part-{number:02d}.warc.gz", [*own, *copies, deep])
    write_recipe(folder)
    refinery_process(*words(folder, folder / "out"), "--workers", "1")


def words(world: Path, out: Path) -> list[str]:
    return ["run", "--recipe", str(world / "small.toml"), "--input", str(world / "crawl"), "--out", str(out)]


@pytest.fixture(scope="module")
def crowd(made_once: MadeOnce) -> Path:
    return made_once("engines", write_world)


@pytest.fixture
def options(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The words that choose the engine; what it needs is there while the test runs."""
    name, _, workers = request.param.partition(" ")
    if request.param == "ray on 3 nodes":
        with ray_cluster(3) as cluster:
            yield ["--engine", "ray", "--", f"--address={cluster.address}"]
    elif request.param == "beam's job service":
        with beam_job_service() as endpoint:
            yield [
                "--engine", "beam", "--", "--runner=PortableRunner", f"--job_endpoint={endpoint}",
                "--environment_type=LOOPBACK",
            ]  # fmt: skip
    else:
        yield ["--engine", name, "--workers", workers or str(WORKERS)]


@pytest.mark.parametrize("options", ENGINES[1:], indirect=True)
def test_the_same_bytes(options: list[str], crowd: Path, tmp_path: Path) -> None:
    refinery_process(*words(crowd, tmp_path / "out"), *options)
    assert made(tmp_path / "out") == made(crowd / "out")


@pytest.mark.parametrize("options", ["local 2", "ray on 3 nodes"], indirect=True)
def test_the_same_bytes_in_a_store(options: list[str], crowd: Path, root: Path) -> None:
    refinery_process("run", *words(crowd, root)[1:], *options)
    assert made(root) == made(crowd / "out")


@pytest.mark.parametrize("options", ["local 2", "ray", "beam 1"], indirect=True)
def test_its_driver_is_killed(options: list[str], crowd: Path, tmp_path: Path) -> None:
    """In the second stage, and again where copies are found; what was made by then is not made again."""
    out = tmp_path / "out"
    for moment in (lambda: (out / "02-extract").exists(), lambda: any(out.glob("04-*/.work/*/.receipts/*"))):
        kill_when(moment, [*words(crowd, out), *options])
    kept = {path: path.stat().st_mtime_ns for path in out.glob("01-ingest/part-*")}
    refinery_process(*words(crowd, out), *options)
    assert made(out) == made(crowd / "out")
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


@pytest.mark.parametrize("where", ["on disk", "in a store"])
def test_nodes_of_its_cluster_are_killed(where: str, crowd: Path, request: pytest.FixtureRequest) -> None:
    """One of three in the middle of a map, another in that of a shuffle: the third makes the same bytes."""
    root = request.getfixturevalue("root" if where == "in a store" else "tmp_path")
    with ray_cluster(3) as cluster:
        command = ["run", *words(crowd, root)[1:], "--engine", "ray", "--", f"--address={cluster.address}"]
        process = start(*command)
        for folder in ("02-extract", "05-near-copies"):
            kill_a_busy_node(cluster, process, lambda at=root / folder: has_begun(at))
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, f"{out}\n{err}"
    assert made(root) == made(crowd / "out")
    assert all(read_json(root / folder / "run.json")["retries"] >= 1 for folder in ("02-extract", "05-near-copies"))


def has_begun(stage: Any) -> bool:
    """Whether some, and not all, of its parts are made: of a shuffle, whether some rows are spilled."""
    if any(stage.glob("manifest.json")):
        return False
    return any(stage.glob(".receipts/*")) or any(stage.glob(".work/*/.spill/*/*")) or any(stage.glob(".work/*/part-*"))


def kill_a_busy_node(cluster: Any, driver: subprocess.Popen[str], moment: Callable[[], bool]) -> None:
    """A node that runs a task, from then on: its worker is stopped first, so that the task cannot end before."""
    raylets = [psutil.Process(node.all_processes["raylet"][0].process.pid) for node in cluster.worker_nodes]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and driver.poll() is None:
        for raylet in (each for each in raylets if each.is_running() and moment()):
            for worker in raylet.children():
                if is_busy(worker):
                    worker.suspend()
                    if is_busy(worker):
                        raylet.kill()
                        worker.kill()
                        return
                    worker.resume()
        time.sleep(0.01)
    raise AssertionError("it ended before" if driver.poll() is not None else "no node was busy")


def is_busy(worker: psutil.Process) -> bool:
    """Whether it runs a job: Ray names a process after the function that it runs."""
    with contextlib.suppress(psutil.Error):
        return worker.cmdline()[:1] == [f"ray::{run_in.__name__}"]
    return False


def kill_when(moment: Callable[[], bool], command: list[str]) -> None:
    process = start(*command)
    deadline = time.monotonic() + 120
    while not moment() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
