"""A bucket that the tests of snapshots only read, and a cache of each test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.http.budget import serve_budget
from infra.http.limits import HttpLimits
from tests.commoncrawl.bucket import write_bucket
from tests.commoncrawl.server import StandIn, serve
from tests.conftest import MadeOnce

# Of each archive.
PAGES = 6


@pytest.fixture(scope="session")
def bucket(made_once: MadeOnce) -> Path:
    return made_once("bucket", lambda folder: write_bucket(folder, each=PAGES))


@pytest.fixture
def stand_in(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The running source, asked without much waiting."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    limits = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.05, patience=3)
    with serve(bucket) as server, serve_budget(limits):
        yield server
