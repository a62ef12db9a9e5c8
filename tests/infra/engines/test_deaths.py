"""A worker that is killed in a map, in a spill or in a reduction (on Ray: `test_ray.py`)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.engines.local import LocalEngine
from infra.engines.open import open_engine
from infra.storage import read_json
from tests.infra.engines.dying import die, make, once


@pytest.mark.parametrize("name", ["local", pytest.param("beam", marks=pytest.mark.long)])
def test_what_a_killed_worker_was_making_is_made_again(name: str, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    with open_engine(name, 2) as engine:
        lines: list[str] = []
        engine.say = lines.append
        made = make(engine, tmp_path / "out", tmp_path / "marks", "worker")
    assert any("was killed (out of memory?)" in line for line in lines)
    retries = {name: read_json(tmp_path / "out" / name / "run.json")["retries"] for name in ("numbers", "sums")}
    assert retries["numbers"] >= 1 and retries["sums"] >= 2
    with open_engine("local") as engine:
        assert made == make(engine, tmp_path / "expected")
    assert {path.name for path in (tmp_path / "marks").iterdir()} == {"map", "spill", "reduction"}


@dataclass(frozen=True)
class DyingJob:
    """One partition, whose worker dies at the first try if `dies`."""

    folder: str
    label: str
    dies: bool = False
    count = 1

    def run(self) -> int:
        if self.dies and once(self.folder, self.label):
            die("worker")
        return 1


def test_a_worker_that_dies_while_jobs_are_handed_out(tmp_path: Path) -> None:
    engine = LocalEngine(2)

    def jobs() -> Iterator[DyingJob]:
        yield DyingJob(str(tmp_path), "first", dies=True)
        yield DyingJob(str(tmp_path), "second")
        # The pool is known to be broken before it is handed the third.
        deadline = time.monotonic() + 60
        while not (engine._pool and engine._pool._broken) and time.monotonic() < deadline:
            time.sleep(0.01)
        for number in range(3, 9):
            yield DyingJob(str(tmp_path), str(number))

    done: list[int] = []
    lines: list[str] = []
    engine.say = lines.append
    with engine:
        engine.run_jobs(jobs(), done.append)
    assert sum(done) == 8
    assert any("first once more, alone" in line for line in lines)
    assert any("3 once more, alone" in line for line in lines)
