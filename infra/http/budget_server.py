"""The service that answers for a run's rate budget: one thread and a bounded number of connections, however many
workers there are.

A connection is a line with the token, answered with the limits, then a JSON list a line, each answered in a line. Where
there are more workers than connections, a newcomer takes the place of the one that was answered the longest ago; a
worker connects anew at its next question. So every worker is answered, in its turn.
"""

import errno
import hmac
import json
import resource
import secrets
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from threading import Thread
from time import monotonic
from typing import Any

from infra.http.limits import Answer, HttpLimits

LINE_BYTES = 4096
MOST_CONNECTIONS = 1024
# A worker that has connected and not asked yet keeps its place for so many seconds.
FIRST_SECONDS = 1.0
BACKLOG = 4096
POLL_SECONDS = 0.25
# What says that this process, or the machine, can open no more files: nobody new is let in for so many seconds.
NO_MORE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE_SECONDS = 1.0

# What a worker asks, by name: the answer to its arguments.
Questions = dict[str, Callable[..., Answer]]


@dataclass
class Connection:
    """One worker's. `since`: when it came or last asked. `known`: it gave the token. `answered`: it has asked something
    since. `read`: what came of a line that is not whole yet."""

    socket: socket.socket
    since: float
    known: bool = False
    answered: bool = False
    read: bytearray = field(default_factory=bytearray)


class BudgetServer:
    """Answers `questions` at `host` for all who know the token, until it is closed. `address`: `HOST:PORT:TOKEN`."""

    def __init__(self, limits: HttpLimits, questions: Questions, host: str, most: int | None = None) -> None:
        self._limits = limits
        self._questions = questions
        self._most = most or most_connections()
        self._token = secrets.token_hex(16)
        # the one that asked last comes last
        self._connections: dict[socket.socket, Connection] = {}
        self._listener = socket.create_server((host, 0), backlog=BACKLOG)
        self._listener.setblocking(False)
        self._closing, self._closed = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._closed, selectors.EVENT_READ)
        self._listening = False
        self._paused_until = float("-inf")
        self.address = f"{host}:{self._listener.getsockname()[1]}:{self._token}"
        self._thread = Thread(target=self._serve, name="rate budget", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.send(b".")
        self._thread.join()
        for each in (*self._connections, self._listener, self._closing, self._closed):
            each.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            self._listen(monotonic() >= self._paused_until and (self._has_place() or self._replaceable() is not None))
            for key, _ in self._selector.select(POLL_SECONDS):
                if key.fileobj is self._closed:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._connections:  # it may have been closed for another in this round
                    self._read(self._connections[key.fileobj])

    def _listen(self, wanted: bool) -> None:
        if wanted and not self._listening:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._listening and not wanted:
            self._selector.unregister(self._listener)
        self._listening = wanted

    def _has_place(self) -> bool:
        return len(self._connections) < self._most

    def _replaceable(self) -> Connection | None:
        """The one that was answered the longest ago, or has not asked for too long."""
        late = monotonic() - FIRST_SECONDS
        return next((each for each in self._connections.values() if each.answered or each.since < late), None)

    def _accept(self) -> None:
        try:
            made, _ = self._listener.accept()
        except OSError as error:
            if error.errno in NO_MORE:
                self._paused_until = monotonic() + PAUSE_SECONDS
                if last := self._replaceable():
                    self._drop(last)
            return  # else the worker has gone
        if not self._has_place() and (last := self._replaceable()):
            self._drop(last)
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(made, selectors.EVENT_READ)
        self._connections[made] = Connection(made, monotonic())

    def _drop(self, connection: Connection) -> None:
        self._selector.unregister(connection.socket)
        self._connections.pop(connection.socket)
        connection.socket.close()

    def _read(self, connection: Connection) -> None:
        """Answers each whole line that has come; whoever says anything else is not answered any more."""
        try:
            came = connection.socket.recv(LINE_BYTES)
            connection.read += came
            *lines, rest = connection.read.split(b"\n")
            connection.read = bytearray(rest)
            if not came or any(len(line) > LINE_BYTES for line in (*lines, rest)):
                raise ValueError("the end, or no line")
            for line in lines:
                # an answer is far smaller than what the system holds for a connection: one that cannot be sent is not
                # read by anybody
                connection.socket.sendall(json.dumps(self._answer(connection, bytes(line))).encode() + b"\n")
        except Exception:  # whatever one worker sends, such as a thousand brackets, the others are answered
            self._drop(connection)
            return
        connection.since = monotonic()
        self._connections[connection.socket] = self._connections.pop(connection.socket)

    def _answer(self, connection: Connection, line: bytes) -> Any:
        if connection.known:
            name, *arguments = json.loads(line)
            connection.answered = True
            return self._questions[name](*arguments)
        if not hmac.compare_digest(line.strip(), self._token.encode()):
            raise ValueError("another token")
        connection.known = True
        return asdict(self._limits)


def most_connections() -> int:
    """At most a fourth of the files that this process may have open, so that the run keeps enough of them."""
    with suppress(OSError, ValueError):
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed != resource.RLIM_INFINITY:
            return max(4, min(MOST_CONNECTIONS, allowed // 4))
    return MOST_CONNECTIONS
