"""How archives are cut into parts, and where that is found."""

import hashlib
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.engines.local import LocalEngine
from infra.storage import read_json
from pipeline.inputs import archives, planning, versions
from pipeline.inputs.archives import MAX_PARTS, WHOLE_BYTES, Archives, split_bytes_for
from pipeline.inputs.inputs import InputFile
from pipeline.stages.run import Run, run_recipe
from pipeline.warc.records import SPLIT_BYTES, TO_END, Split
from tests.commoncrawl.bucket import NEW
from tests.pipeline.command import made
from tests.pipeline.pages import pages, write_crawl, write_warc
from tests.pipeline.recipe_texts import EXTRACT, INGEST, recipe

MIB, GIB, TIB = 2**20, 2**30, 2**40
BUCKET_NAME = f"crawl-data/{NEW}/segments/1733066035857.0/warc/CC-MAIN-20241201162023-20241201192023-%05d.warc.gz"


@pytest.fixture
def small_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits of 8 KiB for inputs up to 32 splits, so that the tests' archives are cut."""
    monkeypatch.setattr(archives, "SPLIT_BYTES", 8192)
    monkeypatch.setattr(archives, "MAX_PARTS", 32)


def snapshot(files: int, size: int | None) -> Archives:
    return Archives(tuple(
        InputFile(f"https://data.commoncrawl.org/{BUCKET_NAME % n}", BUCKET_NAME % n, f"snapshot:{NEW}", size)
        for n in range(files)
    ))  # fmt: skip


@pytest.mark.parametrize(("total", "size"), [
    (0, SPLIT_BYTES), (8 * GIB, SPLIT_BYTES), (SPLIT_BYTES * MAX_PARTS, SPLIT_BYTES),
    (SPLIT_BYTES * MAX_PARTS + 1, 2 * SPLIT_BYTES), (TIB, 2 * SPLIT_BYTES), (TIB + 1, WHOLE_BYTES),
    (90 * TIB, WHOLE_BYTES), (9000 * TIB, 32 * WHOLE_BYTES),
])  # fmt: skip
def test_the_size_of_splits_follows_from_that_of_the_input(total: int, size: int) -> None:
    assert split_bytes_for(total) == size
    assert total / size <= MAX_PARTS


def test_an_archive_of_a_snapshot_is_one_part_and_nothing_is_read_to_plan_it() -> None:
    for source in (snapshot(90_000, GIB), snapshot(90_000, None)):
        parts = source.parts()
        assert len(parts) == 90_000 and not planning.must_be_planned(source)
        assert parts[7].split == Split(source.files[7].path, source.files[7].name, 0, TO_END, "")
        assert len(pickle.dumps(parts[7])) < 600
        assert len(pickle.dumps(source.places())) < 100


def test_parts_of_a_cut_archive_cost_21_bytes() -> None:
    (file,) = snapshot(1, 10_000 * SPLIT_BYTES).files
    cuts = [(file.name, n * SPLIT_BYTES, (n + 1) * SPLIT_BYTES, "gzip") for n in range(10_000)]
    parts = Archives((file,), planned=cuts).parts()
    assert parts[9_999].split.end == file.size and len(parts[10:20:2]) == 5  # type: ignore[arg-type]
    assert len(pickle.dumps(parts)) < 22 * 10_000


def run(folder: Path, given: Path, out: str) -> Run:
    (folder / "recipe.toml").write_text(recipe("toy", INGEST, EXTRACT))
    with LocalEngine() as engine:
        return run_recipe(str(folder / "recipe.toml"), [str(given)], folder / out, engine)


@pytest.mark.usefixtures("small_splits")
def test_planning_as_a_map_gives_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_crawl(tmp_path / "crawl", files=2)
    (tmp_path / "crawl" / "empty.warc.gz").touch()
    here = run(tmp_path, tmp_path / "crawl", "here")
    monkeypatch.setattr(planning, "PLAN_FROM_BYTES", 0)
    monkeypatch.setattr(planning, "GROUP_BYTES", 1)  # a file a task
    mapped = run(tmp_path, tmp_path / "crawl", "mapped")
    assert len(here.datasets[0].parts()) > 4
    assert made(here.folder) == made(mapped.folder)
    assert here.datasets[0].manifest.params == {"split_bytes": 8192}


@pytest.mark.usefixtures("small_splits")
def test_a_run_that_outgrows_its_splits_is_that_of_a_fresh_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *more = write_crawl(tmp_path / "crawl", files=3, each=30)
    monkeypatch.setattr(archives, "MAX_PARTS", first.stat().st_size // 8192 + 1)
    (tmp_path / "other").mkdir()
    for path in more:
        path.rename(tmp_path / "other" / path.name)
    small = write_warc(tmp_path / "crawl" / "a.warc.gz", pages(0, 1))
    assert small.stat().st_size < 8192
    begun = run(tmp_path, tmp_path / "crawl", "out")
    for path in more:
        (tmp_path / "other" / path.name).rename(path)
    grown = run(tmp_path, tmp_path / "crawl", "out")
    fresh = run(tmp_path, tmp_path / "crawl", "fresh")
    assert begun.datasets[0].manifest.params["split_bytes"] < grown.datasets[0].manifest.params["split_bytes"]
    assert made(grown.folder) == made(fresh.folder)
    found = [(read_json(dataset.folder / "run.json") or {})["parts_found"] for dataset in grown.datasets]
    assert found[0] == found[1] > 0  # the archive that neither size cuts, and ranges that both have


def test_an_archive_that_is_split_inside_a_record_is_split_again_by_walking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_crawl(tmp_path / "crawl", files=2)
    asked: list[tuple[str, bool]] = []
    real = archives.plan_splits

    def wrong_at_first(path: str, name: str, size: int, exact: bool) -> list[Split]:
        asked.append((name, exact))
        splits = real(path, name, size, exact)
        if exact or name != "part-1.warc.gz":
            return splits
        first, *rest = splits
        return [Split(path, name, 0, first.end - 9, "gzip"), Split(path, name, first.end - 9, rest[0].end, "gzip"),
                *rest[1:]]  # fmt: skip

    monkeypatch.setattr(archives, "SPLIT_BYTES", 8192)
    sound = run(tmp_path, tmp_path / "crawl", "sound")
    monkeypatch.setattr(archives, "plan_splits", wrong_at_first)
    mended = run(tmp_path, tmp_path / "crawl", "mended")
    assert made(sound.folder) == made(mended.folder)
    assert ("part-1.warc.gz", True) in asked and ("part-0.warc.gz", True) not in asked


@pytest.mark.usefixtures("small_splits")
def test_the_sha256_of_what_was_not_hashed_before_is_taken_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_crawl(tmp_path / "crawl", files=2)
    hashed = run(tmp_path, tmp_path / "crawl", "hashed")
    monkeypatch.setattr(versions, "HASHED_BYTES", 0)
    known = run(tmp_path, tmp_path / "crawl", "known")
    assert not (hashed.datasets[0].folder / "inputs.parquet").exists()
    rows = pq.read_table(known.datasets[0].folder / "inputs.parquet").to_pylist()
    for path in files:
        ranges = [row for row in rows if row["name"] == path.name]
        assert ranges[0]["start"] == 0 and ranges[-1]["end"] == path.stat().st_size
        for row in ranges:
            assert row["sha256"] == hashlib.sha256(path.read_bytes()[row["start"] : row["end"]]).hexdigest()
            assert row["version"] == f"size:{path.stat().st_size} mtime:{path.stat().st_mtime_ns}"
    shards = [[shard.sha256 for shard in run.datasets[1].manifest.shards] for run in (hashed, known)]
    assert shards[0] == shards[1] and known.datasets[0].verify() == []
