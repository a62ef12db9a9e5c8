"""Compiled functions and numba's cache on disk: what cannot be written is called all the same, and nothing stale is
read later."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from infra.compiled import compiled

KERNEL = """
def scaled(number):
    total = 0
    for step in range(number):
        total += step % 3
    return {factor} * number + 0 * total
"""
CALL = "from infra.compiled import compiled; from kernel import scaled; print(compiled(scaled)(10))"
SMALL = 4096  # bytes: more than the index of a cache, less than a compiled function


def called(folder: Path, factor: int, most_bytes: int | None = None) -> str:
    """What a fresh process prints that calls the kernel, with its cache beside it."""
    (folder / "kernel.py").write_text(KERNEL.format(factor=factor))

    def limited() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    root = str(Path(__file__).parents[2])
    made = subprocess.run(
        [sys.executable, "-c", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " + CALL],
        cwd=folder, env={"PYTHONPATH": f"{folder}:{root}", "HOME": str(folder), "PATH": ""}, preexec_fn=limited,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_a_full_disk_leaves_no_stale_code(tmp_path: Path) -> None:
    assert called(tmp_path, 2) == "20"
    assert list(tmp_path.glob("__pycache__/kernel.scaled*.nbc"))
    assert called(tmp_path, 777, SMALL) == "7770"
    assert called(tmp_path, 777) == "7770"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("no compiled object yet")])
def test_what_cannot_be_cached_is_called_all_the_same(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(number: int) -> int:
        return number * 2

    def save(*_: object) -> None:
        raise error

    monkeypatch.setattr("numba.core.caching.FunctionCache.save_overload", save)
    assert [compiled(doubled)(4), compiled(doubled)(5)] == [8, 10]


def test_an_error_of_the_function_is_raised_and_it_runs_once() -> None:
    def failing(numbers: np.ndarray) -> int:
        numbers[0] += 1
        if numbers[0] > 0:
            raise RuntimeError("as written")
        return 0

    numbers = np.zeros(1)
    with pytest.raises(RuntimeError, match="as written"):
        compiled(failing)(numbers)
    assert numbers[0] == 1
