"""Kills at any moment: a checkpoint is whole or not there, and the same command goes on to the same result."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from infra.errors import WorkError
from tests.trainer.conftest import REF, small_config
from tests.trainer.parallel.test_runs import config_of, latest
from tests.trainer.test_equalities import batch
from trainer.checkpoint import read_checkpoint
from trainer.parallel.ranks import ONE
from trainer.runs import RunFolder
from trainer.saving import Saver
from trainer.state import TrainingState
from trainer.train import train_step

STEPS = 8
MOMENTS, MANY_STEPS = 10, 120


def command(config: Path, data: Path, out: Path, workers: int, steps: int = STEPS) -> list[str]:
    paths = ["--config", str(config), "--data", str(data), "--out", str(out)]
    return [sys.executable, "-m", "refinery", "train", *paths, "--steps", str(steps), "--workers", str(workers)]


def run_until_killed(words: Sequence[str], steps: int, rank: int | None, out: Path, delay: float) -> int:
    """Start the command; `delay` seconds after it has itself taken `steps` steps, kill rank `rank`, or all of it for
    None. Returns the command's exit code."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    before = opened(out)
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    begun: int | None = None  # rows in the log when the command had cut it after its checkpoint
    try:
        while begun is None or rows_in(out) < begun + steps:
            assert process.poll() is None and time.monotonic() < until, "it ended, or did not come to the step"
            if begun is None and opened(out) != before:
                begun = rows_in(out)
            time.sleep(0.002)
        time.sleep(delay)
        for child in ranks_of(process.pid):
            if rank is None or rank_of(child) == rank:
                child.send_signal(signal.SIGKILL)
        if rank is None:
            process.kill()
        return process.wait(300)
    finally:
        for child in ranks_of(process.pid):
            child.kill()
        process.kill()
        process.wait()


def opened(out: Path) -> int | None:
    """Which file the log is: another one in each process, which cuts it by writing it anew."""
    log = out / "log.jsonl"
    return log.stat().st_ino if log.exists() else None


def rows_in(out: Path) -> int:
    return (out / "log.jsonl").read_bytes().count(b"\n")


def ranks_of(pid: int) -> list[psutil.Process]:
    try:
        return [child for child in psutil.Process(pid).children() if rank_of(child) is not None]
    except psutil.NoSuchProcess:
        return []


def rank_of(process: psutil.Process) -> int | None:
    try:
        return int(process.environ()["RANK"])
    except (psutil.Error, KeyError):
        return None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> tuple[Path, Path]:
    """A configuration that saves every step, and the run of two ranks under it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    schedule = {"warmup_steps": 2, "trunk_steps": MANY_STEPS, "decay_steps": 0}
    config = config_of(folder, expert_parallel=2, schedule=schedule, checkpoint_interval_steps=1)
    words = command(config, data, folder / "run", 2, MANY_STEPS)
    subprocess.run(words, check=True, capture_output=True, timeout=900)
    return config, folder / "run"


@pytest.mark.long
@pytest.mark.parametrize("rank", [None, 0, 1])
def test_two_ranks_killed_at_ten_moments_end_as_undisturbed(
    tmp_path: Path, data: Path, undisturbed: tuple[Path, Path], rank: int | None
) -> None:
    """The whole command, or one rank of it as when its machine is taken away. Moments are spread over the steps and,
    within them, over the time in which a checkpoint is written; each is one in which steps were taken."""
    (config, whole), out = undisturbed, tmp_path / "killed"
    words = command(config, data, out, 2, MANY_STEPS)
    drawn = np.random.Generator(np.random.Philox(7 if rank is None else rank))
    reached = []
    for _ in range(MOMENTS):
        steps, delay = 1 + int(drawn.integers(4)), float(drawn.random()) * 0.1
        assert run_until_killed(words, steps, rank, out, delay) != 0
        reached.append(rows_in(out))
        if any((out / "checkpoints").glob("step-*")):
            latest(out).verify()
    print(f"\nkilled after steps {reached}")
    assert reached[-1] < MANY_STEPS
    subprocess.run(words, check=True, capture_output=True, timeout=900)
    assert latest(out).sha256 == latest(whole).sha256
    assert (out / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()
    assert [path.name for path in (out / "checkpoints").iterdir()] == [f"step-{MANY_STEPS:08d}"]


def test_a_checkpoint_is_the_state_at_its_step_while_the_steps_go_on(tmp_path: Path) -> None:
    state = TrainingState.create(small_config(), REF)
    run = RunFolder(tmp_path)
    run.claim("training.json", {})
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    with Saver(run, ONE, b"tokenizer", None, ()) as saver:
        saver.begin(state)
        for _ in range(2):
            train_step(state, batch(), state.cursor, ["all"])
    saved = read_checkpoint(tmp_path / "checkpoints/step-00000000").verify()
    assert all(torch.equal(saved.tensors[name], tensor) for name, tensor in before.items())
    assert not torch.equal(state.model.head, saved.tensors["model.head"])


def test_a_full_disk_is_told_and_the_next_checkpoint_is_whole(tmp_path: Path) -> None:
    """The file of a part is a device that has no room, then one that grows too large for the process's limit."""
    state = TrainingState.create(small_config(), REF)
    run = RunFolder(tmp_path)
    run.claim("training.json", {})
    hidden = run.checkpoints / ".tmp-step-00000000"
    hidden.mkdir()
    (hidden / "part-00000.bin").symlink_to("/dev/full")
    with pytest.raises(WorkError, match=r"is full: free some space and run the same command again; what is finished"):
        saved(run, state)
    run.remove_unfinished()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))
    try:
        with pytest.raises(WorkError, match="larger than its file system, or `ulimit -f`, allows"):
            saved(run, state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert run.latest() is None
    saved(run, state)
    checkpoint = run.latest()
    assert checkpoint is not None and checkpoint.verify().step == 0


def saved(run: RunFolder, state: TrainingState) -> None:
    with Saver(run, ONE, b"tokenizer", None, ()) as saver:
        saver.begin(state)


def test_what_writing_raises_is_raised_by_the_run(tmp_path: Path) -> None:
    state = TrainingState.create(small_config(), REF)
    run = RunFolder(tmp_path)
    run.claim("training.json", {})
    (run.checkpoints / ".tmp-step-00000000").write_text("a file where the folder would be")
    saver = Saver(run, ONE, b"tokenizer", None, ())
    saver.begin(state)
    with pytest.raises(FileExistsError):
        saver.finish()
    assert run.latest() is None
    run.remove_unfinished()
    with Saver(run, ONE, b"tokenizer", None, ()) as again:
        again.begin(state)
    checkpoint = run.latest()
    assert checkpoint is not None and checkpoint.step == 0
