"""The sandbox: answers come back, limits are reported, and nothing that the child does reaches the parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from infra.errors import WorkError
from infra.metering import worker_cpu_seconds
from infra.sandbox.sandbox import Sandbox
from tests.infra.sandbox import deeds
from tests.infra.sandbox.deeds import MIB

DEEDS = deeds.__name__
MISBEHAVE = f"{DEEDS}:misbehave"


@pytest.mark.parametrize("size", [0, 1, 70_000, 3 * MIB])
def test_bytes_come_back(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with Sandbox(f"{DEEDS}:echo") as sandbox:
        result = sandbox.call(payload)
        assert result.value == payload and result.limit is None
        assert 0 <= result.cpu_seconds < 5 and 0 < result.peak_bytes < 500 * MIB


@pytest.mark.parametrize(
    ("deed", "limit"),
    [
        (b"spin", "limit/cpu"),
        (b"sleep", "limit/cpu"),
        (b"grow", "limit/memory"),
        (b"swell 160000000", "limit/memory"),
        (b"ask 99000000000", "limit/memory"),
        (b"abort", "limit/crash"),
        (b"segfault", "limit/crash"),
        (b"recurse", "limit/crash"),
        (b"overflow", "limit/crash"),
        (b"exit", "limit/crash"),
        (b"raise", "limit/crash"),
        (b"connect", "limit/crash"),
    ],
)
def test_a_limit_is_reported_and_the_next_call_is_answered(deed: bytes, limit: str) -> None:
    with Sandbox(MISBEHAVE, cpu_seconds=0.3, memory_bytes=128 * MIB, wall_factor=2) as sandbox:
        if limit != "limit/cpu":  # on a loaded machine what fills the memory takes longer
            sandbox.cpu_seconds = 30
        result = sandbox.call(deed)
        assert (result.value, result.limit) == (None, limit)
        assert sandbox.call(b"now?").value == b"fine"


def test_cpu_time_counts_and_waiting_does_not() -> None:
    """A child that gets no processor for longer than its CPU limit is not at fault."""
    with Sandbox(MISBEHAVE, cpu_seconds=0.2, wall_factor=100) as sandbox:
        assert sandbox.call(b"").value == b"fine"
        assert sandbox._child is not None
        pid = sandbox._child.process.pid
        os.kill(pid, signal.SIGSTOP)
        waker = threading.Timer(0.6, os.kill, (pid, signal.SIGCONT))
        waker.start()
        started = time.monotonic()
        assert sandbox.call(b"").value == b"fine"
        assert time.monotonic() - started > 0.5
        assert sandbox._child.process.pid == pid


def test_a_payload_that_fails_once_is_tried_again(tmp_path: Path) -> None:
    with Sandbox(MISBEHAVE) as sandbox:
        assert sandbox.call(b"once " + os.fsencode(tmp_path / "mark")).value == b"fine"


def test_the_limit_is_reported_after_two_tries_in_two_children(tmp_path: Path) -> None:
    with Sandbox(f"{DEEDS}:leave_a_mark") as sandbox:
        assert sandbox.call(os.fsencode(tmp_path)).limit == "limit/crash"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_child_keeps_to_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with Sandbox(MISBEHAVE) as sandbox:
        assert sandbox.call(b"print").value == b"fine"
        assert sandbox.call(b"environment").value == b"0 1"
    out, err = capfd.readouterr()
    assert out == "" and "written by the child" in err


def test_one_child_serves_many_calls_until_it_is_worn() -> None:
    with Sandbox(f"{DEEDS}:identity", max_calls=3) as sandbox:
        pids = [sandbox.call(b"").value for _ in range(7)]
    assert pids[0] == pids[1] == pids[2] != pids[3] == pids[5] != pids[6]
    with Sandbox(f"{DEEDS}:identity", max_idle_bytes=1) as sandbox:
        assert len({sandbox.call(b"").value for _ in range(3)}) == 3


def test_a_child_that_was_killed_between_calls_is_replaced() -> None:
    with Sandbox(f"{DEEDS}:identity") as sandbox:
        first = int(sandbox.call(b"").value or b"0")
        os.kill(first, signal.SIGKILL)
        assert int(sandbox.call(b"").value or b"0") != first


def test_the_child_ignores_interrupts_and_ends_with_the_sandbox() -> None:
    with Sandbox(f"{DEEDS}:identity") as sandbox:
        pid = int(sandbox.call(b"").value or b"0")
        os.kill(pid, signal.SIGINT)
        assert int(sandbox.call(b"").value or b"0") == pid
    assert not psutil.pid_exists(pid)


def test_the_child_dies_with_its_parent() -> None:
    script = (
        "import os, signal, sys\n"
        "from infra.sandbox.sandbox import Sandbox\n"
        f"sandbox = Sandbox('{DEEDS}:identity')\n"
        "print(sandbox.call(b'').value.decode(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    pid = int(done.stdout)
    _, alive = psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=20)
    assert not alive


def test_a_fork_does_not_share_the_child() -> None:
    with Sandbox(f"{DEEDS}:identity") as sandbox:
        mine = sandbox.call(b"").value
        read, write = os.pipe()
        if (fork := os.fork()) == 0:
            os.write(write, sandbox.call(b"").value or b"none")
            sandbox.close()
            os._exit(0)
        os.waitpid(fork, 0)
        theirs = os.read(read, 100)
        os.close(read)
        os.close(write)
        assert theirs.isdigit() and theirs != mine
        assert sandbox.call(b"").value == mine


def test_a_target_that_does_not_exist_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WorkError, match="could not be started"), Sandbox("infra.no_such_module:f") as sandbox:
        sandbox.call(b"")
    assert "no_such_module" in capfd.readouterr().err


def test_a_large_parent_does_not_count_against_the_child() -> None:
    """Linux hands the size of the parent on as the child's ru_maxrss."""
    ballast = bytearray(b"x") * (200 * MIB)
    with Sandbox(MISBEHAVE, memory_bytes=100 * MIB) as sandbox:
        assert sandbox.call(b"").value == b"fine"
    del ballast


def test_the_cpu_time_of_live_and_of_ended_sandboxes_is_the_workers() -> None:
    before = worker_cpu_seconds()
    with Sandbox(f"{DEEDS}:work") as sandbox:
        sandbox.call(b"3")
        alive = worker_cpu_seconds() - before
        sandbox.call(b"3")
        twice = worker_cpu_seconds() - before
    ended = worker_cpu_seconds() - before
    assert alive >= 0.3 and alive + 0.3 <= twice <= ended + 0.05 <= twice + 0.5
