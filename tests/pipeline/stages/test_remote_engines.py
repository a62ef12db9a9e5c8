"""Archives at addresses and in a store, on every engine: one pass, one budget, and the bytes of the local engine."""

import gzip
import io
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from infra.engines.engine import Engine
from infra.engines.open import open_engine
from infra.errors import WorkError
from infra.http.budget import serve_budget
from infra.http.limits import HttpLimits
from infra.storage import copy_file
from pipeline.inputs import archives
from pipeline.stages.run import run_recipe
from pipeline.warc import splits
from tests.commoncrawl.bucket import write_bucket
from tests.commoncrawl.served import ServedBucket
from tests.commoncrawl.server import Cut, Refusal, serve
from tests.infra.engines.clusters import beam_job_service, ray_cluster
from tests.pipeline.command import made
from tests.pipeline.pages import pages, write_warc
from tests.pipeline.recipe_texts import BRIEF
from tests.s3_server import Server

WORKERS, RATE = 2, 8
QUICK = HttpLimits(requests_per_second=1000)
OTHERS = ("local 2", "ray", "ray on 2 nodes", "beam 1", "beam 2", "beam's job service")
ENGINES = [pytest.param(name, marks=pytest.mark.long) for name in OTHERS]


@contextmanager
def opened(name: str) -> Iterator[Engine]:
    with ExitStack() as stack:
        workers: int | None = WORKERS
        if name == "ray on 2 nodes":
            cluster = stack.enter_context(ray_cluster(WORKERS))
            name, workers = f"ray --address={cluster.address}", None
        elif name == "beam's job service":
            endpoint = stack.enter_context(beam_job_service())
            name = f"beam --runner=PortableRunner --job_endpoint={endpoint} --environment_type=LOOPBACK"
        elif " " in name:
            name, _, count = name.partition(" ")
            workers = int(count)
        yield stack.enter_context(open_engine(name, workers))


@dataclass(frozen=True)
class World(ServedBucket):
    def run(self, engine: Engine, out: Path, where: object = None) -> dict[str, bytes]:
        run_recipe(str(self.folder / "brief.toml"), self.places(where or self.server.url), out, engine)
        return made(out)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("engines")
    write_bucket(folder / "bucket", files=4, each=6)
    (folder / "brief.toml").write_text(BRIEF)
    with serve(folder / "bucket") as server:
        yield World(folder, server)


@pytest.fixture(scope="module")
def expected(world: World) -> dict[str, bytes]:
    with serve_budget(QUICK), open_engine("local") as engine:
        return world.run(engine, world.folder / "expected")


@pytest.mark.parametrize("name", ["local 2", *ENGINES[1:]])
def test_one_pass_within_one_budget(name: str, world: World, expected: dict[str, bytes], tmp_path: Path) -> None:
    """Each archive is fetched once, and all workers together keep to the rate."""
    with serve_budget(HttpLimits(requests_per_second=RATE)), opened(name) as engine:
        began = time.time()
        assert world.run(engine, tmp_path / "out") == expected
        asked = world.server.since(began)
    assert len(world.fetched(began)) == len(world.names)
    times = sorted(line.at for line in asked)
    # the last comes no earlier than the rate allows, whichever worker asks
    assert len(times) == 2 * len(world.names) and times[-1] - times[0] > (len(times) - 2) / RATE - 0.2


@pytest.mark.parametrize("name", ENGINES)
def test_a_source_that_fails_for_a_while(name: str, world: World, expected: dict[str, bytes], tmp_path: Path) -> None:
    """Longer than a file's patience: the run ends in a line, and goes on when it is run again. Shorter: it waits."""
    limits = HttpLimits(requests_per_second=1000, first_wait=0.05, longest_wait=0.2, patience=1.0)
    world.server.fault(f"*{world.names[3]}", Refusal(503), skip=1)  # from after its size is known
    with opened(name) as engine:
        with serve_budget(limits), pytest.raises(WorkError, match=r"503, for 1 s and \d+ tries: run the same command"):
            world.run(engine, tmp_path / "out")
        world.server.mend()
        world.server.fault("*.gz", Refusal(503))
        world.server.fault("*.gz", Cut(after=100))
        Timer(1.5, world.server.mend).start()
        with serve_budget(HttpLimits(1000, None, 0.05, 0.2, patience=60.0)):
            assert world.run(engine, tmp_path / "out") == expected


@pytest.mark.parametrize("name", ENGINES)
def test_a_split_that_began_in_a_payload(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows when it is read, on some worker; its archive is then cut again."""
    (tmp_path / "crawl").mkdir()
    write_nested(tmp_path / "crawl" / "a.warc.gz")
    (tmp_path / "brief.toml").write_text(BRIEF)
    monkeypatch.setattr(archives, "SPLIT_BYTES", 2**14)

    def run(name: str, out: str) -> dict[str, bytes]:
        with opened(name) as engine:
            run_recipe(str(tmp_path / "brief.toml"), [str(tmp_path / "crawl")], tmp_path / out, engine)
        return made(tmp_path / out)

    right = run("local 1", "right")
    overrun, plan = [], splits.plan_splits

    def planned(*words: object, **named: object) -> object:
        overrun.append(named.get("exact") or words[3:] == (True,))
        return plan(*words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(archives, "plan_splits", planned)
    monkeypatch.setattr(splits, "_STORED_BLOCK", -1)  # in the driver, which cuts: the first member is believed
    assert run(name, "out") == right and overrun[-1]


def write_nested(path: Path) -> None:
    """Pages, and among them an archive that is stored, not compressed: its members show."""
    inner = path.with_name("inner")
    write_warc(inner, [(f"http://in.example/{n}", random.Random(n).randbytes(60).hex()) for n in range(300)])
    content = inner.read_bytes()
    inner.unlink()
    record = io.BytesIO()
    writer = WARCWriter(record, gzip=False)
    headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
    named = {"WARC-Date": "2024-05-01T00:00:00Z", "WARC-Record-ID": "<urn:uuid:nested>"}
    writer.write_record(
        writer.create_warc_record(
            "http://nested.example/", "response", io.BytesIO(content), http_headers=headers, warc_headers_dict=named
        )
    )
    outer = gzip.compress(record.getvalue(), 0, mtime=0)
    before, after = write_warc(path, pages(0, 12)).read_bytes(), write_warc(path, pages(12, 12)).read_bytes()
    path.write_bytes(before + outer + after)


@pytest.mark.parametrize("name", ENGINES)
def test_archives_in_a_store_and_a_run_there(
    name: str, world: World, expected: dict[str, bytes], root: Path, server: Server
) -> None:
    """With their names from the bucket's root, and each fetched once."""
    for place in world.names:
        copy_file(world.folder / "bucket" / place, root / place)
    server.requests.clear()
    with opened(name) as engine:
        stored = world.run(engine, root / "out", root)
    read = [path for method, path in server.requests if method == "GET" and "/warc/" in path and path.endswith(".gz")]
    assert len(read) == len(world.names)
    with open_engine("local") as engine:
        assert stored == world.run(engine, world.folder / f"store-{name}", root)
    shards = {path: content for path, content in expected.items() if "/part-" in path}
    assert {path: content for path, content in stored.items() if "/part-" in path} == shards
