"""Ray with several nodes: nodes and workers that die, and what jobs raise; each run ends in the undisturbed bytes."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.engines import ray_tasks
from infra.engines.engine import Engine
from infra.engines.open import open_engine
from infra.errors import UsageError, WorkError
from infra.storage import read_json
from tests.infra.engines.clusters import ROOT, ray_cluster, ray_node
from tests.infra.engines.dying import DyingCount, make
from tests.infra.engines.together import FailBeside, fail
from tests.infra.toy import Count, Slices, header

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    with open_engine("local") as engine:
        return make(engine, tmp_path_factory.mktemp("expected"))


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the run says after half a minute it says after some seconds."""
    monkeypatch.setattr(ray_tasks, "PLACE_SECONDS", 1.0)
    monkeypatch.setattr("infra.engines.ray.ASK_EVERY", 1.0)


def told(engine: Engine) -> list[str]:
    """The lines that the engine says from now on."""
    lines: list[str] = []
    engine.say = lines.append
    return lines


@contextlib.contextmanager
def nodes_after(address: str, count: Callable[[], int], *words: str) -> Iterator[None]:
    """A node joins each time that `count` has grown, until the block ends."""
    over = threading.Event()

    def join() -> None:
        with contextlib.ExitStack() as nodes:
            joined = 0
            while not over.is_set():
                if count() > joined:
                    nodes.enter_context(ray_node(address, *words))
                    joined += 1
                time.sleep(0.1)

    joining = threading.Thread(target=join)
    joining.start()
    try:
        yield
    finally:
        over.set()
        joining.join()


@pytest.mark.parametrize("what", ["worker", "node"])
def test_what_dies_is_made_again(what: str, expected: dict[str, bytes], marks: Path, tmp_path: Path) -> None:
    """In a map, in the spill of a reduction and in its reducers."""
    with ray_cluster(4) as cluster, open_engine(f"ray --address={cluster.address}", None) as engine:
        said = told(engine)
        assert make(engine, tmp_path / "out", marks, what) == expected
    assert {path.name for path in marks.iterdir()} == {"map", "spill", "reduction"}
    assert any("a worker or its node died: partition" in line for line in said)
    retries = {name: read_json(tmp_path / "out" / name / "run.json")["retries"] for name in ("numbers", "sums")}
    assert retries["numbers"] >= 1 and retries["sums"] >= 2


def test_the_only_node_is_preempted_and_another_comes(expected: dict[str, bytes], marks: Path, tmp_path: Path) -> None:
    """In a map, in the spill of a reduction and in its reducers."""
    with (
        ray_cluster(1) as cluster,
        open_engine(f"ray --address={cluster.address}", None) as engine,
        nodes_after(cluster.address, lambda: len([*marks.iterdir()])),
    ):
        assert make(engine, tmp_path / "out", marks, "node") == expected
    assert {path.name for path in marks.iterdir()} == {"map", "spill", "reduction"}


def test_the_node_that_comes_is_smaller(expected: dict[str, bytes], marks: Path, tmp_path: Path, quick: None) -> None:
    """Its tasks are said to need no more than it has."""
    with (
        ray_cluster(1) as cluster,
        open_engine(f"ray --address={cluster.address}", None) as engine,
        nodes_after(cluster.address, lambda: len([*marks.iterdir()]), f"--memory={2**30}"),
    ):
        assert make(engine, tmp_path / "out", marks, "node") == expected


def test_without_a_node_the_run_says_what_it_waits_for_and_ends(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ray_cluster(0) as cluster, open_engine(f"ray --address={cluster.address}", 1) as engine:
        said = told(engine)
        with nodes_after(cluster.address, lambda: len(said)):
            engine.map_shards(Count(), [Slices()], tmp_path / "late", header())
        (line,) = said
        assert "no node of the Ray cluster can run a task, which needs 1 processor and 2.0 GiB of memory: wait" in line
    monkeypatch.setattr(ray_tasks, "PATIENCE", 3.0)
    with (
        ray_cluster(0) as cluster,
        open_engine(f"ray --address={cluster.address}", 1) as engine,
        pytest.raises(WorkError, match="no node of the Ray cluster could run a task"),
    ):
        engine.map_shards(Count(), [Slices()], tmp_path / "never", header())


def test_a_node_that_is_smaller_than_what_was_asked_for_ends_the_run(marks: Path, tmp_path: Path, quick: None) -> None:
    with (
        ray_cluster(1) as cluster,
        open_engine(f"ray --address={cluster.address} --memory=2GiB", None) as engine,
        nodes_after(cluster.address, lambda: len([*marks.iterdir()]), f"--memory={2**30}"),
        pytest.raises(
            WorkError, match=r"needs 1 processor and 2\.0 GiB of memory: say less -- --memory, or add a node"
        ),
    ):
        make(engine, tmp_path / "out", marks, "node")


def test_what_jobs_raise_comes_as_it_is(tmp_path: Path) -> None:
    with open_engine("ray", 1) as engine:
        with pytest.raises(RuntimeError) as raised:
            engine.map_shards(Count(fail_at=2), [Slices()], tmp_path / "fails", header())
        assert str(raised.value) == "told to fail"
        with pytest.raises(WorkError, match="a worker died again and again"):
            engine.map_shards(DyingCount("", "worker", True), [Slices()], tmp_path / "dies", header())
        assert not (tmp_path / "dies" / "manifest.json").exists()


def test_a_task_that_no_node_can_hold_is_refused(tmp_path: Path) -> None:
    with open_engine("ray --memory=900GiB", 1) as engine, pytest.raises(UsageError, match="more than any node"):
        engine.map_shards(Count(), [Slices()], tmp_path, header())


def test_tasks_that_fail_in_the_same_moment_end_the_run_in_a_line() -> None:
    """Ray's own cancelling of tasks ends the process here, most often before the tenth time."""
    words = [sys.executable, "-c", "from tests.infra.engines.together import fail_often; fail_often(30)"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["the source is out"] * 30


def test_a_task_that_is_killed_for_memory_again_and_again_ends_the_run() -> None:
    """Ray's monitor takes the machine for full here; by default it would run the task again for ever."""
    words = [sys.executable, "-c", "from tests.infra.engines.together import fail_for_memory; fail_for_memory()"]
    full = {**os.environ, "RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "250"}
    done = subprocess.run(words, cwd=ROOT, env=full, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("a worker died again and again (")]
    assert "low on memory" in said


def test_the_others_are_stopped_when_one_fails(marks: Path) -> None:
    """Those that run write no more, those that wait do not begin, and the engine is of use for the next operation."""
    with open_engine("ray", 2) as engine:
        assert fail(engine, FailBeside(str(marks)), 12) == "the source is out"
        left = {path: path.read_bytes() for path in marks.iterdir()}
        assert 2 <= len(left) < 12
        time.sleep(1)
        assert left == {path: path.read_bytes() for path in marks.iterdir()}
        engine.map_shards(Count(), [Slices()], marks.parent / "next", header())
