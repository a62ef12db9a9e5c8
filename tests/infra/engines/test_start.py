"""How engines start: what is not imported, what is tried again, and whose end ends a worker."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from infra.engines.ray import START_ATTEMPTS, start_ray
from infra.errors import WorkError
from tests.files import ROOT, python

PROGRAM = """
import sys
from infra.engines.open import open_engine

open_engine("local")
import pyarrow as pa

table = pa.table({"name": pa.array(["a", None]), "number": pa.array([1, 2])})
assert pa.RecordBatch.from_pylist(table.to_pylist(), table.schema).to_pylist() == table.to_pylist()
assert "pandas" not in sys.modules, "pandas was imported"
try:
    import pandas
except ImportError:
    sys.exit(0)
assert list(table.to_pandas()["number"]) == [1, 2]
assert pa.array(pandas.Series([1, 2])).to_pylist() == [1, 2]
"""


def test_pyarrow_does_not_import_pandas_unasked() -> None:
    assert python(PROGRAM) == ""


@pytest.mark.parametrize("kind", [RuntimeError, TimeoutError, Exception])
@pytest.mark.parametrize(("failures", "attempts"), [(0, 1), (2, 3), (3, 3)])
def test_ray_is_started_again_where_its_servers_do_not_come_up(
    failures: int, attempts: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, object]] = []

    def init(**options: object) -> None:
        calls.append(options)
        if len(calls) <= failures:
            raise kind("Timed out waiting for file\nmore")

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    if failures < START_ATTEMPTS:
        start_ray(None, 2)
    else:
        with pytest.raises(WorkError, match=r"could not be started .Timed out waiting for file.: run the same command"):
            start_ray(None, 2)
    assert len(calls) == attempts


@pytest.mark.parametrize("error", [PermissionError(13, "no folder"), OSError(28, "no space"), ValueError("num_cpus")])
def test_what_would_fail_again_is_tried_once(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def init(**options: object) -> None:
        calls.append(options)
        raise error

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(WorkError, match="could not be started"):
        start_ray(None, 2)
    assert len(calls) == 1


AFTER_FAILURE = """
from ray._private.node import Node
import psutil
from infra.engines import ray as engine

started, start = [], Node.start_ray_processes

def late(node):
    started.append(engine.servers())
    if len(started) < 2:
        raise Exception("not in time")
    start(node)

Node.start_ray_processes = late
engine.start_ray(None, 1)
import ray
first = started[0]
assert first, "no server was started before the failure"
assert not any(process.is_running() for process in first)
assert not {process.pid for process in first} & {process.pid for process in engine.servers()}
assert ray.get(ray.remote(lambda: 7).remote()) == 7
"""


@pytest.mark.long
def test_servers_of_a_start_that_failed_are_ended_before_the_next() -> None:
    assert python(AFTER_FAILURE) == ""


def test_a_folder_for_temporary_files_whose_path_is_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a socket has 107 bytes: Ray finds that before it starts anything."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 60)))
    with pytest.raises(WorkError, match=r"AF_UNIX .*: set RAY_TMPDIR to a folder whose path is short, such as /tmp"):
        start_ray(None, 1)


ON_RAY = """
import sys
from pathlib import Path
from infra.engines.open import open_engine
from infra.errors import WorkError
from tests.infra.engines.together import FailTogether
from tests.infra.toy import Count, Slices, header

fails = sys.argv[1] == "fails"
try:
    with open_engine("ray", 1) as engine:
        engine.map_shards(FailTogether() if fails else Count(), [Slices()], Path(sys.argv[2]), header())
except WorkError:
    assert fails
"""


@pytest.mark.long
@pytest.mark.parametrize("outcome", ["works", "fails"])
def test_logs_of_a_ray_that_was_started_here_are_kept_where_something_failed(outcome: str, tmp_path: Path) -> None:
    # a short path: there are sockets below it
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        environment = {**os.environ, "RAY_TMPDIR": folder}
        words = [sys.executable, "-c", ON_RAY, outcome, str(tmp_path / "out")]
        subprocess.run(words, cwd=ROOT, env=environment, check=True)
        left = [path for path in Path(folder).glob("ray/session_2*") if not path.is_symlink()]
    assert bool(left) == (outcome == "fails")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
@pytest.mark.parametrize(("driver", "lives"), [("os.getppid()", True), ("os.getppid() + 1", False)])
def test_a_worker_lives_as_long_as_its_driver(driver: str, lives: bool) -> None:
    """Whatever the driver's number is: in a container it is 1."""
    code = f"import os; from infra.engines.local import start_worker; start_worker({driver}); print('lives')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout == "lives\n", done.returncode == 0) == (lives, lives), done.stderr
