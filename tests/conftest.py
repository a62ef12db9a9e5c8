"""What is made once for a whole session of tests, however many processes of pytest-xdist work on it."""

import fcntl
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from infra.storage import place

if TYPE_CHECKING:
    from tests.s3_server import Server

# Before any library with threads is loaded: those that wait for work sleep, and leave the core to the other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# pytest-xdist tells its workers a width; the commands print for programs here, unless a test says otherwise.
os.environ.pop("COLUMNS", None)

# The same examples in each run, so that a test does not fail by chance; `make check-long` draws others each time. No
# example has a time limit: the first one may compile a kernel or make a table, on a machine with other work.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("others", deadline=None)
settings.load_profile("others" if "RANDOM_EXAMPLES" in os.environ else "same")

_NUMBERS = count()

# Names that a test process may look up: this machine's own. Others would be asked for, and waited for, outside of it.
_OWN_NAMES = {"", "localhost", socket.gethostname().lower(), socket.getfqdn().lower()}
_OUTSIDE = re.compile(r"(?!.*\.localhost$).*[a-z].*", re.IGNORECASE)
_look_up = socket.getaddrinfo


def _look_up_here(host: Any, *rest: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host or ""
    if name.lower() not in _OWN_NAMES and ":" not in name and _OUTSIDE.fullmatch(name):
        pytest.fail(f"this test asks for {name}, which is not on this machine")
    return _look_up(host, *rest, **options)


socket.getaddrinfo = _look_up_here


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The name of a failed test when it fails: a long run may end before its summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nfailed: {report.nodeid}", file=sys.stderr, flush=True)


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """`made_once(name, make)`: the folder that `make` filled, made by the first worker that needs it; the others wait.
    Its files are only read."""
    base = tmp_path_factory.getbasetemp()
    # a worker's folder is inside the session's
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def one_server() -> Iterator["Server"]:
    """One S3 server for the tests of a process, with a bucket."""
    from tests.s3_server import s3_server

    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


@pytest.fixture
def server(one_server: "Server") -> "Server":
    """The server without faults."""
    one_server.faults.clear()
    one_server.requests.clear()
    return one_server


@pytest.fixture
def root(server: "Server") -> Path:
    """A folder of objects that is empty."""
    return place(f"s3://bucket/test-{next(_NUMBERS)}")
