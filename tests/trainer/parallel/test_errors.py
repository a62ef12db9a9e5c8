"""What ends one of several ranks is told in one line, the last; the other ranks are quiet."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.trainer.parallel.test_kills import command, rank_of, ranks_of
from tests.trainer.parallel.test_runs import config_of
from trainer.api import train

SECONDS = 400.0


def errors_of(words: Sequence[str], code: int, **variables: str) -> list[str]:
    """The lines on stderr of a command that ends with `code`, but for those that tell its progress."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    found = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert found.returncode == code, found.stderr
    return without_progress(found.stderr)


def without_progress(told: str) -> list[str]:
    return [line for line in told.splitlines() if not line.startswith(("memory of a step", "step "))]


def test_a_mistake_that_one_rank_finds_is_told(tmp_path: Path, data: Path) -> None:
    """A changed byte in rows that rank 1 alone reads. Nothing stays in the folder for temporary files."""
    config, out = config_of(tmp_path), tmp_path / "run"
    train(config, data, out, 1)
    part = out / "checkpoints/step-00000001/part-00000.bin"
    content = bytearray(part.read_bytes())
    content[-2000] ^= 1
    part.write_bytes(content)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (line,) = errors_of(command(config, data, out, 2), 2, TMPDIR=str(temporary))
    assert line.startswith("refinery: ") and str(part) in line
    assert [path for path in temporary.rglob("*") if path.parent != temporary] == []


@pytest.mark.long
def test_a_mistake_that_all_ranks_find_is_told_once(tmp_path: Path, data: Path) -> None:
    lines = errors_of(command(config_of(tmp_path, expert_parallel=4), data, tmp_path / "out", 2), 2)
    assert lines == ["refinery: execution.expert_parallel is 4; it must divide the 2 ranks"]


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_is_named(tmp_path: Path, data: Path, rank: int) -> None:
    told = told_after(signal.SIGKILL, rank, tmp_path, data)
    assert told == [
        f"refinery: rank {rank} ended with code -9: run the same command again to go on from the latest checkpoint"
    ]


@pytest.mark.long
def test_a_command_that_is_stopped_says_how_to_go_on(tmp_path: Path, data: Path) -> None:
    told = told_after(signal.SIGINT, None, tmp_path, data)
    assert told == ["refinery: stopped; what is finished is kept: run the same command again to go on"]


def told_after(number: signal.Signals, rank: int | None, folder: Path, data: Path) -> list[str]:
    """What a run of two ranks tells after the signal to a rank, or to all processes as Ctrl-C has it."""
    out = folder / "run"
    words = command(config_of(folder, checkpoint_interval_steps=1), data, out, 2)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            until = time.monotonic() + SECONDS
            while not (out / "log.jsonl").exists():
                assert process.poll() is None and time.monotonic() < until, "it ended, or made no step"
                time.sleep(0.01)
            if rank is None:
                os.killpg(process.pid, number)
            else:
                next(child for child in ranks_of(process.pid) if rank_of(child) == rank).send_signal(number)
            _, told = process.communicate(timeout=SECONDS)
        finally:
            for child in ranks_of(process.pid):
                child.kill()
            process.kill()
    assert process.returncode != 0
    return without_progress(told)


@pytest.mark.long
def test_torchrun_shows_the_line_among_its_own(tmp_path: Path, data: Path) -> None:
    config = config_of(tmp_path, expert_parallel=4)
    words = command(config, data, tmp_path / "out", 1)[3:]
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "refinery"]
    found = subprocess.run([*started, *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert found.returncode == 1
    line = "execution.expert_parallel is 4; it must divide the 2 ranks"
    assert found.stderr.count(f"refinery: {line}") == 1
    assert f"traceback : {line}" in found.stderr and "[rank" not in found.stderr
