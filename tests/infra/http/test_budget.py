"""One budget for all processes of a run."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from infra.errors import UsageError, WorkError
from infra.http.budget import (
    VARIABLE,
    ProcessBudget,
    SharedBudget,
    budget,
    environment,
    keep_budget,
    questions,
    serve_budget,
)
from infra.http.budget_server import BudgetServer
from infra.http.limits import HttpLimits
from tests.commoncrawl.server import Refusal, serve
from tests.files import ROOT

PROCESSES, EACH, RATE = 4, 8, 40
READER = """
import hashlib, sys
from infra.http.ranges import open_ranges
for url in sys.argv[1:]:
    with open_ranges(url) as file:
        print(hashlib.sha256(file.read(0, 10**6)).hexdigest())
"""


def test_four_processes_keep_to_one_budget_in_a_storm_and_lose_nothing(tmp_path: Path) -> None:
    for number in range(EACH):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number]) * 1000)
    said: list[str] = []
    limits = HttpLimits(requests_per_second=RATE, first_wait=0.05, longest_wait=0.2)
    with serve(tmp_path) as server, serve_budget(limits, said.append):
        server.fault("*.bin", Refusal(503), times=12, skip=4)
        urls = [f"{server.url}/{number}.bin" for number in range(EACH)]
        made = [
            subprocess.Popen([sys.executable, "-c", READER, *urls], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]
        found = [process.communicate(timeout=60)[0].split() for process in made]
        refused, given = len(server.asked(status=503)), len(server.asked(status=206))
        most = server.most_in_a_second()
    print(f"\nbudget {RATE}/s; most in a second {most}; {refused} refused, {given} given")
    assert all(process.returncode == 0 for process in made)
    assert len({tuple(one) for one in found}) == 1
    assert len(set(found[0])) == EACH
    assert (refused, given) == (12, PROCESSES * EACH)
    assert most <= RATE + PROCESSES  # a request may be a moment under way
    assert len(said) == 1
    assert "127.0.0.1 is busy (503)" in said[0]


def test_only_who_has_the_token_is_answered() -> None:
    with serve_budget(HttpLimits()):
        host, port, token = os.environ[VARIABLE].split(":")
        for line in (b"wrong\n", b'["stop", "me"]\n', b"\n"):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(line + b'["stop", "me"]\n')
                assert connection.makefile("rb").readline() == b""
        shared = SharedBudget(f"{host}:{port}:{token}")
        assert shared.limits == HttpLimits()
        assert shared.now().stopped == ""
        assert environment() == {VARIABLE: f"{host}:{port}:{token}"}


@pytest.mark.parametrize("given", ["abc", "host:1", "host:99999:token", "host:x:token", ":1:token"])
def test_a_variable_that_no_run_has_set(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(UsageError, match=f"{VARIABLE} is set by a run.*unset it"):
        budget()


def test_the_limits_and_the_stop_reach_every_process() -> None:
    limits = HttpLimits(requests_per_second=3, bytes_per_second=5, patience=7)
    code = "from infra.http.budget import budget; b = budget(); b.stop('no'); print(b.limits.patience)"
    with serve_budget(limits) as kept:
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert float(done.stdout) == 7
        assert kept.now().stopped == budget().now().stopped == "no"
    assert budget().now().stopped == ""


def test_workers_stop_with_their_run() -> None:
    with serve_budget(HttpLimits()):
        shared = SharedBudget(os.environ[VARIABLE])
        address = os.environ[VARIABLE]
    with pytest.raises(WorkError, match="the run has ended"):
        SharedBudget(address)
    shared._file = None
    with pytest.raises(WorkError, match="the run has ended"):
        shared.take(1, 0)


def test_workers_elsewhere_reach_it_at_another_address() -> None:
    here = environment("127.0.0.2")
    with serve_budget(HttpLimits(patience=7)) as kept:
        there = environment("127.0.0.2")[VARIABLE]
        assert there.startswith("127.0.0.2:") and environment("127.0.0.2")[VARIABLE] == there
        shared = SharedBudget(there)
        shared.stop("no")
        assert shared.limits.patience == 7 and kept.now().stopped == "no"
        with pytest.raises(UsageError, match=r"cannot listen at 192\.0\.2\.1 "):  # an address of documentation
            environment("192.0.2.1")
    assert here == environment("127.0.0.2") == {}
    with pytest.raises(WorkError, match="the run has ended"):
        SharedBudget(there)


def test_a_worker_that_is_kept_joins_the_next_run() -> None:
    code = "import sys; from infra.http.budget import budget, join_run\n"
    code += f"for line in sys.argv[1:]:\n    join_run({{'{VARIABLE}': line}} if line else {{}})\n"
    code += "    print(budget().limits.patience)"
    with serve_budget(HttpLimits(patience=7)):
        first = environment()[VARIABLE]
        with serve_budget(HttpLimits(patience=8)):
            words = [first, environment()[VARIABLE], ""]
            done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
    assert [float(word) for word in done.stdout.split()] == [7, 8, 3600], done.stderr


def test_runs_in_threads_share_one_that_ends_with_the_last() -> None:
    with keep_budget():
        address = os.environ[VARIABLE]
        inner = keep_budget()
        inner.__enter__()
        assert os.environ[VARIABLE] == address
    assert SharedBudget(address).now().stopped == ""
    inner.__exit__(None, None, None)
    assert VARIABLE not in os.environ
    with serve_budget(HttpLimits(patience=7)), keep_budget():
        assert budget().limits.patience == 7


def test_more_workers_than_connections_are_all_answered_by_one_thread() -> None:
    """Also where all of them ask all the time: none waits for another to be quiet."""
    kept = ProcessBudget(HttpLimits(requests_per_second=1e6))
    before = threading.active_count()
    server = BudgetServer(kept.limits, questions(kept), "127.0.0.1", most=3)
    answered = [0] * 10

    def work(number: int) -> None:
        worker = SharedBudget(server.address)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert worker.take(1, 0).stopped == ""
            answered[number] += 1
            time.sleep(0.01)

    try:
        with ThreadPoolExecutor(len(answered)) as pool:
            assert [*pool.map(work, range(len(answered)))] == [None] * len(answered)
            assert len(server._connections) <= 3
        assert min(answered) >= 5, answered
        assert threading.active_count() == before + 1
    finally:
        server.close()
    assert threading.active_count() == before


def test_files_that_ran_out_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the number of connections is as before when there are files again."""
    kept = ProcessBudget(HttpLimits())
    server = BudgetServer(kept.limits, questions(kept), "127.0.0.1", most=8)
    accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "too many open files")] * 3

    def failing(listener: socket.socket) -> object:
        if failures:
            raise failures.pop()
        return accept(listener)

    monkeypatch.setattr("infra.http.budget_server.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(socket.socket, "accept", failing)
    try:
        workers = [SharedBudget(server.address) for _ in range(6)]
        assert not failures and len(server._connections) == 6
        assert {worker.now().stopped for worker in workers} == {""}
    finally:
        server.close()


def test_a_worker_that_sends_nonsense_costs_nobody_else() -> None:
    kept = ProcessBudget(HttpLimits())
    server = BudgetServer(kept.limits, questions(kept), "127.0.0.1")
    host, port, token = server.address.split(":")
    try:
        shared = SharedBudget(server.address)
        for line in (b'["take", "x", 1]', b'["take"]', b'["of"]', b"{}", b"1", b"\xff", b"[" * 5000, b"x" * 10**6):
            with socket.create_connection((host, int(port))) as connection, suppress(OSError):
                connection.sendall(token.encode() + b"\n" + line + b"\n")
                answers = connection.makefile("rb")
                assert b"patience" in answers.readline() and answers.readline() == b""
        assert shared.now().stopped == ""
    finally:
        server.close()
