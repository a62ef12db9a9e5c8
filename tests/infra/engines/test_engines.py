"""The two operations give the same bytes on every engine, with any number of workers, and after a failure."""

from pathlib import Path

import pytest

from infra.dataset.reader import Dataset
from infra.engines.engine import Engine
from infra.engines.open import open_engine
from infra.errors import UsageError
from tests.infra.toy import Count, Slices, Sum, files_of, header


def make(engine: Engine, out: Path) -> dict[str, bytes]:
    numbers = engine.map_shards(Count(), [Slices()], out / "numbers", header("numbers"))
    engine.reduce_by_key([numbers, numbers], "key", Sum(), 3, out / "sums", header("sums"))
    return files_of(out)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    with open_engine("local") as engine:
        return make(engine, tmp_path_factory.mktemp("expected"))


def test_the_sums_are_right(tmp_path: Path) -> None:
    with open_engine("local") as engine:
        make(engine, tmp_path)
    table = Dataset(tmp_path / "sums").to_arrow()
    assert sum(table["sum"].to_pylist()) == 2 * sum(range(400))
    assert sorted(table["key"].to_pylist()) == list(range(13))
    # the reducer sees the rows of a key in the order of the inputs
    assert table.filter(table["key"].to_numpy() == 0)["first"].to_pylist() == [0]


@pytest.mark.parametrize(
    ("name", "workers"), [("local", 2), ("beam", 1), pytest.param("ray", 2, marks=pytest.mark.long)]
)
def test_engines_write_the_same_bytes(name: str, workers: int, expected: dict[str, bytes], tmp_path: Path) -> None:
    with open_engine(name, workers) as engine:
        assert make(engine, tmp_path) == expected


def test_a_second_call_makes_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    for _ in range(2):
        with open_engine("local") as engine:
            engine.map_shards(Count(str(log)), [Slices()], tmp_path / "out", header())
    assert {path.read_text() for path in log.iterdir()} == {"made\n"}


def test_after_a_failure_only_the_rest_is_made(expected: dict[str, bytes], tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    out = tmp_path / "numbers"
    with open_engine("local") as engine:
        with pytest.raises(RuntimeError, match="told to fail"):
            engine.map_shards(Count(str(log), fail_at=2), [Slices()], out, header("numbers"))
        assert not (out / "manifest.json").exists()
        engine.map_shards(Count(str(log)), [Slices()], out, header("numbers"))
    assert {path.name: path.read_text() for path in log.iterdir()} == {str(i): "made\n" for i in range(4)}
    assert {f"numbers/{name}": content for name, content in files_of(out).items()} == {
        name: content for name, content in expected.items() if name.startswith("numbers/")
    }


def test_a_lost_shard_is_made_again(tmp_path: Path) -> None:
    with open_engine("local") as engine:
        before = make(engine, tmp_path)
        (tmp_path / "numbers" / "part-00001.parquet").unlink()
        assert make(engine, tmp_path) == before


def test_other_arguments_are_refused_in_words(tmp_path: Path) -> None:
    with open_engine("local") as engine:
        engine.map_shards(Count(), [Slices()], tmp_path, header(params={"limit": 1}))
        with pytest.raises(UsageError, match="begun with --limit 1, and this is with --limit 2"):
            engine.map_shards(Count(), [Slices()], tmp_path, header(params={"limit": 2}))


def test_unknown_engine() -> None:
    with pytest.raises(UsageError, match="no engine 'spark'"):
        open_engine("spark")
