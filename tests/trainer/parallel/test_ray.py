"""Ranks by Ray Train do what ranks by torchrun do, and a worker that is lost is started again."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.trainer.parallel.spawn import on_ranks
from tests.trainer.parallel.test_kills import STEPS, command
from tests.trainer.parallel.test_runs import config_of, latest
from trainer.api import train

pytestmark = pytest.mark.long
SECONDS = 400.0


def workers_below(pid: int) -> list[psutil.Process]:
    """Ray Train's workers that a driver has started."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if any("RayTrainWorker" in word for word in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_two_workers_of_which_one_is_killed_end_as_two_ranks(tmp_path: Path, data: Path) -> None:
    config = config_of(tmp_path, expert_parallel=2, checkpoint_interval_steps=1)
    on_ranks(2, train, config, data, tmp_path / "ranks", STEPS)
    out = tmp_path / "ray"
    words = [*command(config, data, out, 2), "--engine", "ray"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + SECONDS
        while not list(out.glob("checkpoints/step-*")):
            assert process.poll() is None and time.monotonic() < until, "it made no checkpoint"
            time.sleep(0.01)
        workers = workers_below(process.pid)
        assert len(workers) == 2
        workers[1].send_signal(signal.SIGKILL)
        told, _ = process.communicate(timeout=SECONDS)
    finally:
        process.terminate()
        process.wait(60)
    assert process.returncode == 0, told.decode()[-3000:]
    assert latest(out).sha256 == latest(tmp_path / "ranks").sha256
    assert (out / "log.jsonl").read_bytes() == (tmp_path / "ranks/log.jsonl").read_bytes()


def test_a_mistake_is_one_line(tmp_path: Path, data: Path) -> None:
    words = [*command(config_of(tmp_path, expert_parallel=4), data, tmp_path / "out", 2), "--engine", "ray"]
    found = subprocess.run(words, capture_output=True, timeout=SECONDS, check=False)
    assert found.returncode == 2
    assert b"refinery: execution.expert_parallel is 4; it must divide the 2 ranks" in found.stderr
    assert b"Traceback" not in found.stderr
