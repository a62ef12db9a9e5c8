"""A remote archive of several parts: each byte is asked for about once, in about the requests that a plan says; what is
no archive ends the run."""

import gzip
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.engines.local import LocalEngine
from infra.errors import WorkError
from infra.http.budget import serve_budget
from infra.http.limits import HttpLimits
from pipeline.inputs.archives import SPLIT_BYTES
from pipeline.inputs.inputs import Inputs, inputs_of_snapshot
from pipeline.job.context import open_context
from pipeline.snapshots.plan import Means, plan
from pipeline.snapshots.probe import read_probe
from pipeline.stages.run import Run, run, run_recipe
from tests.commoncrawl.bucket import NEW, SEGMENTS, STAMP
from tests.commoncrawl.server import Answered, Cut, Redirect, StandIn, serve
from tests.pipeline.pages import article, write_warc
from tests.pipeline.recipe_texts import EXTRACT, INGEST, dedup, recipe
from tests.pipeline.stages.test_remote_archives import Published, shards
from tests.pipeline.warc.test_reader import warc_record

NAME = f"crawl-data/{NEW}/segments/{SEGMENTS[0]}/warc/{STAMP}-00000.warc.gz"
QUICK = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.05, patience=3)
RECIPES = {
    "together": recipe("together", INGEST, EXTRACT),
    "apart": recipe("apart", INGEST, dedup("same-payload", "payload"), EXTRACT),
}


def media(number: int, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(body)
    return gzip.compress(warc_record(number, head + body), 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bucket` with one archive of three parts, mostly media, and the runs over it as a file."""
    made = tmp_path_factory.mktemp("parts")
    archive = made / "bucket" / NAME
    archive.parent.mkdir(parents=True)
    chance = random.Random(3)
    pages = [write_warc(made / "page", [(f"http://a.example/{n}", article(n))]).read_bytes() for n in range(6)]
    filling = [media(n, chance.randbytes(30_000 + 5_000 * (n % 6))) for n in range(400)]
    archive.write_bytes(b"".join(b"".join(filling[n::6]) + page for n, page in enumerate(pages)))
    assert 2 * SPLIT_BYTES < archive.stat().st_size < 3 * SPLIT_BYTES
    for name, text in RECIPES.items():
        (made / f"{name}.toml").write_text(text)
        with LocalEngine(workers=1) as engine:
            run_recipe(str(made / f"{name}.toml"), [str(archive)], made / f"{name}-disk", engine)
    return made


@pytest.fixture
def server(folder: Path) -> Iterator[StandIn]:
    with serve(folder / "bucket") as running, serve_budget(QUICK):
        yield running


def run_over(server: StandIn, recipe: Path, out: Path) -> Run:
    with LocalEngine(workers=1) as engine:
        files = inputs_of_snapshot([Published(NAME, f"{server.url}/{NAME}", NEW)])
        return run(open_context(str(recipe), engine), Inputs(archives=files), out)


def gets(answers: list[Answered]) -> list[Answered]:
    return [one for one in answers if one.method == "GET"]


def test_parts_are_fetched_once_in_the_requests_of_a_plan(server: StandIn, folder: Path, tmp_path: Path) -> None:
    size = (folder / "bucket" / NAME).stat().st_size
    done = run_over(server, folder / "together.toml", tmp_path / "out")
    assert shards(done) == shards(folder / "together-disk") and len(shards(done)[0]) == 3
    asked = server.since(0)
    # the beginning, two borders, three parts, the size
    assert len(gets(asked)) == 6 and len(asked) == 7
    assert all((one.stop or 0) - (one.start or 0) == one.sent for one in gets(asked))
    assert sum(one.sent for one in asked) <= 1.1 * size
    probe = read_probe(tmp_path / "out")
    planned = plan(probe, 1, 1, Means(1, 0.0, QUICK), size)
    assert planned["total"]["requests"] == pytest.approx(len(asked), rel=0.2)


@pytest.mark.long
def test_stages_apart_ask_for_no_more_than_their_parts(server: StandIn, folder: Path, tmp_path: Path) -> None:
    """The bodies of six pages, as the filling is no page, take a range each."""
    began = time.time()
    done = run_over(server, folder / "apart.toml", tmp_path / "out")
    assert shards(done) == shards(folder / "apart-disk")
    asked = gets(server.since(began))
    assert sum(one.sent for one in asked) <= 1.1 * (folder / "bucket" / NAME).stat().st_size
    assert len(asked) <= 6 + 6


def test_parts_that_are_cut_go_on(server: StandIn, folder: Path, tmp_path: Path) -> None:
    server.fault("*.gz", Cut(after=3 * 2**20), times=2, skip=4)  # after the size, the beginning and the borders
    done = run_over(server, folder / "together.toml", tmp_path / "out")
    assert shards(done) == shards(folder / "together-disk")
    asked = server.since(0)
    assert len(asked) == 9 and sum(one.sent for one in asked) <= 1.1 * (folder / "bucket" / NAME).stat().st_size


@pytest.mark.parametrize("big", [False, True], ids=["one part", "cut"])
def test_what_is_no_archive_ends_the_run_and_the_same_folder_goes_on(
    folder: Path, tmp_path: Path, big: bool, server: StandIn
) -> None:
    """An archive that the server redirects to a page is no damage of the archive; that of a file here is."""
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    content = b"<!DOCTYPE html>\n<html><body><form>Log in</form></body></html>"
    (bucket / "login.html").write_bytes(content * (1 + big * SPLIT_BYTES // len(content)))
    (bucket / NAME).parent.mkdir(parents=True)
    small = write_warc(bucket / NAME, [("http://a.example/", article(1))])
    with serve(bucket) as other:
        other.fault("*.gz", Redirect("/login.html"))
        with pytest.raises(WorkError, match=rf"{other.url}/{NAME}: the server gives no archive.*<!DOCTYPE"):
            run_over(other, folder / "together.toml", tmp_path / "out")
        other.mend()
        done = run_over(other, folder / "together.toml", tmp_path / "out")
        assert done.last.manifest.counts["out"] == 1 and not done.datasets[0].manifest.rejected_by
    small.write_bytes(content)
    with LocalEngine(workers=1) as engine:
        here = run_recipe(str(folder / "together.toml"), [str(small)], tmp_path / "here", engine)
    assert here.datasets[0].manifest.rejected_by == {"ingest/damage/junk": 1}
