"""Ray with several nodes: nodes and workers that die, and what jobs raise; each run ends in the undisturbed bytes."""

from pathlib import Path

import pytest

from infra.engines.open import open_engine
from infra.errors import UsageError, WorkError
from tests.infra.engines.clusters import ray_cluster
from tests.infra.engines.dying import DyingCount, make
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


@pytest.mark.parametrize("what", ["worker", "node"])
def test_what_dies_is_made_again(what: str, expected: dict[str, bytes], marks: Path, tmp_path: Path) -> None:
    """In a map, in the spill of a reduction and in its reducers."""
    with ray_cluster(4) as cluster, open_engine(f"ray --address={cluster.address}", None) as engine:
        assert make(engine, tmp_path / "out", marks, what) == expected
    assert {path.name for path in marks.iterdir()} == {"map", "spill", "reduction"}


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
