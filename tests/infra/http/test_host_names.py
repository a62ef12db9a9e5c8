"""A host whose name does not exist is told soon; one that cannot be looked up for a while is waited for."""

import socket
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from infra.errors import WorkError
from infra.http import client
from infra.http.budget import LOOPBACK, in_worker, serve_budget
from infra.http.limits import HttpLimits
from infra.http.ranges import fetch

URL = "http://nowhere.example/paths.gz"
LIMITS = HttpLimits(requests_per_second=1000, first_wait=0.01, longest_wait=0.01, patience=1)
NAME_PATIENCE = 0.05


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """`resolver(number)`: each name is answered with this error from now on; the names that were asked."""
    monkeypatch.setattr(client, "NAME_PATIENCE", NAME_PATIENCE)
    monkeypatch.setattr(client, "_ANSWERED", set())

    def fail(number: int) -> list[str]:
        asked: list[str] = []

        def look_up(host: str, *rest: Any, **options: Any) -> Any:
            if host == LOOPBACK:
                return ask(host, *rest, **options)
            asked.append(host)
            raise socket.gaierror(number, "no answer")

        ask = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return asked

    return fail


def tries_until_told(match: str, asked: list[str]) -> int:
    with pytest.raises(WorkError, match=match):
        fetch(URL)
    assert set(asked) == {"nowhere.example"}
    return len(asked)


def test_a_name_that_does_not_exist_is_told_soon(resolver: Callable[[int], list[str]]) -> None:
    with serve_budget(LIMITS):
        few = tries_until_told(
            "there is no host of this name.*: correct the address, or run", resolver(socket.EAI_NONAME)
        )
        assert 1 < few <= NAME_PATIENCE / (LIMITS.first_wait / 2) + 1


@pytest.mark.parametrize("number", [socket.EAI_AGAIN, socket.EAI_FAIL])
def test_a_resolver_that_fails_is_waited_for(resolver: Callable[[int], list[str]], number: int) -> None:
    with serve_budget(LIMITS):
        assert tries_until_told(r"is not found, for \d+ s", resolver(number)) > 2 * NAME_PATIENCE / LIMITS.longest_wait


def test_a_host_that_has_answered_is_waited_for(resolver: Callable[[int], list[str]]) -> None:
    with serve_budget(LIMITS):
        asked = resolver(socket.EAI_NONAME)
        client._ANSWERED.add("nowhere.example")
        assert tries_until_told(r"is not found, for \d+ s", asked) > 2 * NAME_PATIENCE / LIMITS.longest_wait


def test_a_process_of_a_run_knows_that_it_drives_none() -> None:
    """It may be started while the resolver of its node answers nothing for a while."""
    with serve_budget(LIMITS):
        assert not in_worker()
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            assert pool.submit(in_worker).result()
    assert not in_worker()
