"""One rate budget for all processes of a run: a small service in the driver, asked over a socket by every worker.

`serve_budget` starts it on loopback and puts its address, with a token, into the environment, which the processes that
an engine starts inherit. An engine with workers on other machines asks for `environment(host)`, which has the service
listen at that address of this machine too, and hands that to its jobs (`join_run`). A process without that variable
keeps a budget of its own. When the service is gone, so is the run: its workers stop.
"""

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any, Protocol

from infra.errors import UsageError, WorkError
from infra.http.budget_server import BudgetServer, Questions
from infra.http.limits import Answer, HttpLimits, TokenBucket

VARIABLE = "REFINERY_HTTP_BUDGET"
_ADDRESS = re.compile(r"(.+):(\d{1,5}):(.*)")
MOST_PORT = 2**16 - 1
LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
ASK_TRIES = 5
SAID_EVERY_SECONDS = 10.0


class Budget(Protocol):
    """What a process asks before it asks a server."""

    limits: HttpLimits

    def take(self, requests: int, size: int) -> Answer: ...
    def slow(self, seconds: float, why: str) -> Answer: ...
    def stop(self, why: str) -> Answer: ...
    def tell(self, seconds: float, why: str) -> Answer:
        """One process waits; nobody else has to."""
        ...

    def now(self) -> Answer:
        """The pauses so far, with nothing reserved."""
        ...


class ProcessBudget:
    """The budget of one process. `say`: told in a line what it waits for. `of_run`: that of a run, which a refusal
    stops for good; without one there is nothing to stop but the request that was refused."""

    def __init__(self, limits: HttpLimits, say: Callable[[str], None] | None = None, of_run: bool = True) -> None:
        self.limits = limits
        self._of_run = of_run
        self._bucket = TokenBucket(limits)
        self._lock = Lock()
        self._say = say
        self._said = float("-inf")

    def take(self, requests: int, size: int) -> Answer:
        with self._lock:
            return self._bucket.take(requests, size, time.monotonic())

    def slow(self, seconds: float, why: str) -> Answer:
        with self._lock:
            now = time.monotonic()
            answer = self._bucket.slow(seconds, now)
        self._tell(seconds, why, now)
        return answer

    def tell(self, seconds: float, why: str) -> Answer:
        self._tell(seconds, why, time.monotonic())
        return self.now()

    def _tell(self, seconds: float, why: str, now: float) -> None:
        with self._lock:
            due = now - self._said >= SAID_EVERY_SECONDS
            self._said = now if due else self._said
        if due and self._say is not None:
            self._say(f"waiting {max(1, round(seconds))} s: {why}")

    def stop(self, why: str) -> Answer:
        with self._lock:
            return self._bucket.stop(why) if self._of_run else self._bucket.answer()

    def now(self) -> Answer:
        with self._lock:
            return self._bucket.answer()


def questions(budget: ProcessBudget) -> Questions:
    """What a worker may ask of it. Raises some exception for arguments that are not of their kind."""
    return {
        "take": lambda requests, size: budget.take(int(requests), int(size)),
        "slow": lambda seconds, why: budget.slow(float(seconds), str(why)),
        "stop": lambda why: budget.stop(str(why)),
        "tell": lambda seconds, why: budget.tell(float(seconds), str(why)),
        "now": budget.now,
    }


class SharedBudget:
    """The budget of a run, kept by its driver at `HOST:PORT:TOKEN`. WorkError where the driver has ended, UsageError
    for what is no such address."""

    def __init__(self, address: str) -> None:
        found = _ADDRESS.fullmatch(address)
        if found is None or int(found[2]) > MOST_PORT:
            raise UsageError(f"{VARIABLE} is set by a run, for its own workers, and names none here: unset it")
        self._place, self._token = (found[1], int(found[2])), found[3]
        self._lock = Lock()
        self._file: Any = None
        with self._lock:
            self.limits = self._connect()

    def take(self, requests: int, size: int) -> Answer:
        return self._ask("take", requests, size)

    def slow(self, seconds: float, why: str) -> Answer:
        return self._ask("slow", seconds, why[:500])

    def stop(self, why: str) -> Answer:
        return self._ask("stop", why[:500])

    def tell(self, seconds: float, why: str) -> Answer:
        return self._ask("tell", seconds, why[:500])

    def now(self) -> Answer:
        return self._ask("now")

    def _ask(self, *request: Any) -> Answer:
        with self._lock:
            for tries_left in range(ASK_TRIES - 1, -1, -1):
                try:
                    if self._file is None:
                        self._connect()
                    return Answer(*self._exchange(json.dumps(request).encode()))
                except (OSError, ValueError):  # the connection was given to another worker, or the run has ended
                    self._file = None
                    if not tries_left:
                        raise self._gone() from None
                except BaseException:  # interrupted: an answer may be on its way, which the next question must not get
                    self._file = None
                    raise
        raise AssertionError

    def _connect(self) -> HttpLimits:
        try:
            connection = socket.create_connection(self._place, CONNECT_SECONDS)
            connection.settimeout(ANSWER_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._file = connection.makefile("rwb")
            return HttpLimits(**self._exchange(self._token.encode()))
        except (OSError, ValueError, TypeError):
            self._file = None
            raise self._gone() from None

    def _exchange(self, line: bytes) -> Any:
        self._file.write(line + b"\n")
        self._file.flush()
        return json.loads(self._file.readline())

    def _gone(self) -> WorkError:
        host, port = self._place
        return WorkError(f"the run's rate budget at {host}:{port} does not answer: the run has ended, or this machine "
                         "cannot reach the one that started it")  # fmt: skip


_of_process: dict[tuple[int, str], Budget] = {}
_making = Lock()


def budget() -> Budget:
    """The budget of this process: the run's, where the environment names it, else one of its own."""
    key = (os.getpid(), os.environ.get(VARIABLE, ""))
    with _making:
        if key not in _of_process:
            _of_process.clear()  # of the process that this one was forked from, or of a run that has ended
            _of_process[key] = SharedBudget(key[1]) if key[1] else ProcessBudget(HttpLimits(), of_run=False)
        return _of_process[key]


# The service of this process's run, or none.
_served: "Served | None" = None


def environment(host: str = LOOPBACK) -> dict[str, str]:
    """What the processes of a run need in their environment; nothing where no run has begun. `host`: the address of
    this machine at which theirs reaches it."""
    with _making:
        if _served is not None:
            return {VARIABLE: _served.address(host)}
    return {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}


def in_worker() -> bool:
    """Whether this process works for a run that another one drives."""
    return VARIABLE in os.environ and _served is None


def join_run(environment: Mapping[str, str]) -> None:
    """In a process that an engine keeps for several runs: this one's budget is the one that counts now."""
    if VARIABLE in environment:
        os.environ[VARIABLE] = environment[VARIABLE]
    else:
        os.environ.pop(VARIABLE, None)


class Served:
    """One budget behind a socket for each address at which it is to be reached."""

    def __init__(self, budget: ProcessBudget) -> None:
        self.budget = budget
        self._servers: dict[str, BudgetServer] = {}

    def address(self, host: str) -> str:
        """Of the service at `host`, where it listens from now on."""
        if host not in self._servers:
            try:
                self._servers[host] = BudgetServer(self.budget.limits, questions(self.budget), host)
            except OSError as error:
                raise UsageError(
                    f"the run's rate budget, which all workers ask, cannot listen at {host} ({error.strerror}): "
                    "run the command on a machine that has this address, at which the workers reach it"
                ) from None
        return self._servers[host].address

    def close(self) -> None:
        for server in self._servers.values():
            server.close()


@contextmanager
def serve_budget(limits: HttpLimits, say: Callable[[str], None] | None = None) -> Iterator[ProcessBudget]:
    """Keeps one budget for this process and all that are started until the block ends. `say`: told what the run waits
    for, at most every ten seconds."""
    global _served
    with _making:
        served, outer = Served(ProcessBudget(limits, say)), _served
        before = {name: os.environ[name] for name in (VARIABLE,) if name in os.environ}
        join_run({VARIABLE: served.address(LOOPBACK)})
        _served = served
    try:
        yield served.budget
    finally:
        with _making:
            _served = outer
            join_run(before)
        served.close()


@contextmanager
def keep_budget(limits: HttpLimits | None = None) -> Iterator[None]:
    """The same for runs that threads of this process may begin at once: they have one, with the limits of the first
    (the usual ones unless given), or that which is served already."""
    global _kept, _keepers
    with _keeping:
        if not _keepers and _served is None:
            _kept = ExitStack()
            _kept.enter_context(serve_budget(limits or HttpLimits()))
        _keepers += 1
    try:
        yield
    finally:
        with _keeping:
            _keepers -= 1
            if not _keepers:
                _kept.close()


# What `keep_budget` has begun, and for how many runs.
_kept, _keepers, _keeping = ExitStack(), 0, Lock()
