"""A worker that is killed in a map, in a spill or in a reduction (on Ray: `test_ray.py`)."""

from pathlib import Path

import pytest

from infra.engines.open import open_engine
from infra.storage import read_json
from tests.infra.engines.dying import make


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
