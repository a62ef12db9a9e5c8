"""Archives at http addresses: the same shards as from disk, few requests, and single records by their range."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.dataset.reader import Dataset
from infra.engines.local import LocalEngine
from infra.errors import WorkError
from infra.storage import read_json
from pipeline.inputs import archives
from pipeline.inputs.inputs import Inputs, inputs_of_snapshot
from pipeline.job.context import open_context
from pipeline.stages import stages
from pipeline.stages.run import Run, run, run_recipe
from tests.commoncrawl.bucket import NEW, write_bucket
from tests.commoncrawl.served import ServedBucket
from tests.commoncrawl.server import Refusal, serve
from tests.pipeline.command import answer, made, refinery
from tests.pipeline.recipe_texts import EXTRACT, INGEST, dedup, judge, recipe, stage

APART = recipe("apart", INGEST, dedup("same-payload", "payload"), EXTRACT)
TOGETHER = recipe("together", INGEST, EXTRACT, stage("filter", "filter", judge("size", {"signal": "words", "min": 50})))


@dataclass(frozen=True)
class World(ServedBucket):
    @property
    def remote(self) -> list[str]:
        return self.places(self.server.url)

    @property
    def local(self) -> list[str]:
        return self.places(str(self.folder / "bucket"))

    def run(self, name: str, inputs: list[str], out: str) -> Run:
        with LocalEngine() as engine:
            return run_recipe(str(self.folder / f"{name}.toml"), inputs, self.folder / out, engine)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The runs over the files on disk are `OUT-disk`."""
    folder = tmp_path_factory.mktemp("remote")
    write_bucket(folder / "bucket", each=12)
    with serve(folder / "bucket") as server:
        found = World(folder, server)
        for name, text in (("apart", APART), ("together", TOGETHER)):
            (folder / f"{name}.toml").write_text(text)
            found.run(name, found.local, f"{name}-disk")
        yield found


def shards(run: Run | Path) -> list[list[str]]:
    folder = run if isinstance(run, Path) else run.folder
    return [
        [file.sha256 for file in (*Dataset(path.parent).manifest.shards, *Dataset(path.parent).manifest.ledger)]
        for path in sorted(folder.glob("0*/manifest.json"))
    ]


def test_a_run_over_addresses_has_the_shards_of_one_over_the_files(world: World) -> None:
    began = time.time()
    done = world.run("apart", world.remote, "apart-remote")
    assert shards(done) == shards(world.folder / "apart-disk")
    records = done.datasets[0].to_arrow(["file_path", "dump"])
    assert {*records["file_path"].to_pylist()} == {*world.names} and {*records["dump"].to_pylist()} == {NEW}
    # of each file its size, all of it, and, since a deduplication stands between, the bodies
    assert len(world.server.since(began)) == 3 * len(world.names)
    assert len(world.fetched(began)) == 2 * len(world.names)
    rows = pq.read_table(done.datasets[0].folder / "inputs.parquet").to_pylist()
    assert [row["name"] for row in rows] == world.names
    assert all(row["version"].startswith(f'size:{row["end"]} etag:"') and len(row["sha256"]) == 64 for row in rows)


def test_ingest_and_extract_share_one_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.time()
    shared = world.run("together", world.remote, "together-shared")
    assert len(world.fetched(began)) == len(world.names)
    assert shards(shared) == shards(world.folder / "together-disk")
    ingest, extract = ((read_json(each.folder / "run.json") or {}) for each in shared.datasets[:2])
    for account in (ingest, extract):
        assert (account["parts_made"], account["parts_found"]) == (len(world.names), 0)
    # the time of the pass, in which one process at a time makes both
    assert extract["wall_seconds"] >= (ingest["seconds"] + extract["seconds"]) / extract["workers"] - 0.01
    monkeypatch.setattr(stages, "one_pass", lambda *_: None)
    apart = world.run("together", world.remote, "together-twice")
    assert made(shared.folder) == made(apart.folder)


def test_a_pass_that_ends_early_goes_on_where_it_was(world: World) -> None:
    world.server.fault(f"*{world.names[2]}", Refusal(404), skip=1)  # after its size
    with pytest.raises(WorkError):
        world.run("together", world.remote, "together-resumed")
    world.server.mend()
    began = time.time()
    resumed = world.run("together", world.remote, "together-resumed")
    assert len(world.fetched(began)) == len(world.names) - 2
    assert shards(resumed) == shards(world.folder / "together-disk")


def test_a_shared_pass_over_more_archives_finds_the_others(world: World) -> None:
    world.run("together", world.remote[1:3], "together-grown")
    began = time.time()
    grown = world.run("together", world.remote, "together-grown")
    assert len(world.fetched(began)) == len(world.names) - 2
    assert made(grown.folder) == made(world.run("together", world.remote, "together-fresh").folder)


def test_splits_of_a_remote_archive_are_those_of_the_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SPLIT_BYTES", 4096)
    here, there = (world.run("apart", inputs, f"split-{len(inputs[0])}") for inputs in (world.local, world.remote))
    assert shards(here) == shards(there) and len(shards(here)[0]) > len(world.names)


def test_explain_reads_the_record_alone(world: World) -> None:
    there = world.run("together", world.remote, "together-explained")
    row = there.datasets[0].to_arrow().to_pylist()[3]
    began = time.time()
    answer("explain", row["url"], "--run", there.folder)
    (asked,) = world.server.since(began)
    assert (asked.start, asked.sent) == (row["warc_offset"], row["warc_length"])


def test_the_archives_of_a_run_may_have_moved_to_this_machine(world: World) -> None:
    """Anywhere below the folder, whole names or not."""
    there = world.run("together", world.remote, "together-explained")
    url = there.datasets[0].to_arrow(["url"])["url"][3].as_py()
    found = answer("explain", url, "--run", there.folder)
    world.server.fault("*", Refusal(404))
    for root in ("bucket", f"bucket/crawl-data/{NEW}/segments"):
        assert answer("explain", url, "--run", there.folder, "--source", world.folder / root) == found
    world.server.mend()


def test_the_bucket_of_a_run_may_have_another_address(world: World) -> None:
    there = world.run("together", world.remote, "together-explained")
    url = there.datasets[0].to_arrow(["url"])["url"][3].as_py()
    found = answer("explain", url, "--run", there.folder)
    world.server.fault("*", Refusal(404))
    with serve(world.folder / "bucket") as mirror:
        assert answer("explain", url, "--run", there.folder, "--source", f"{mirror.url}/") == found
    world.server.mend()
    error = refinery("explain", url, "--run", there.folder, "--source", f"{mirror.url}/?key=secret", code=2)
    assert "what is behind ? or # in it would stand before the names of the files" in error and "secret" not in error


@dataclass(frozen=True)
class Published:
    name: str
    url: str
    snapshot: str


def test_a_snapshot_is_an_input(world: World) -> None:
    files = [Published(name, url, NEW) for name, url in zip(world.names, world.remote, strict=True)]
    given = inputs_of_snapshot(reversed(files))
    assert [file.name for file in given] == world.names and {file.version for file in given} == {f"snapshot:{NEW}"}
    with LocalEngine() as engine:
        context = open_context(str(world.folder / "apart.toml"), engine)
        done = run(context, Inputs(archives=given), world.folder / "published")
    assert shards(done) == shards(world.folder / "apart-disk")


def test_what_is_not_an_archive_or_not_there_is_refused(world: World, tmp_path: Path) -> None:
    words = ("run", "--recipe", world.folder / "apart.toml", "--out", tmp_path / "out", "--input")
    assert "curl -LO" in refinery(*words, f"{world.server.url}/docs/a.csv", code=2)
    assert "there is no such file (404): check --input" in refinery(*words, f"{world.server.url}/a.warc.gz", code=2)
    assert not (tmp_path / "out").exists()
