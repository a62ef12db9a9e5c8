"""One S3 server for the tests of a process."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from infra.storage import place
from tests.infra.storage.s3_server import Server, s3_server

_NUMBERS = count()


@pytest.fixture(scope="session")
def one_server() -> Iterator[Server]:
    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


@pytest.fixture
def server(one_server: Server) -> Server:
    one_server.fail(lambda *_: [], times=0)
    one_server.requests.clear()
    return one_server


@pytest.fixture
def root(server: Server) -> Path:
    """A folder of objects that is empty."""
    return place(f"s3://bucket/test-{next(_NUMBERS)}")
