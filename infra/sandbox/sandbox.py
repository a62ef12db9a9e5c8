"""A sandbox for calls that may hang, crash or fill memory: one child process, watched by its parent.

A call sends bytes and gets bytes. The parent watches the child's CPU time, not the clock: on a loaded machine a
wall-clock limit would reject ordinary pages. It also watches the child's memory. When a call exceeds a limit, the child
is killed; the payload is tried once more, alone in a fresh child, before the limit is reported. This is the only place
of the system where the outcome may depend on the machine, so limits are set far above what ordinary calls use.
"""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

from infra.errors import WorkError
from infra.sandbox.child import MEMORY, OK, REPLY, REQUEST

Limit = Literal["limit/cpu", "limit/memory", "limit/crash"]

# Reading the child's CPU time and memory costs about .1 ms; during calls shorter than this they are not read.
POLL_SECONDS: Final = 0.05
START_SECONDS: Final = 300.0
PIPE_BYTES: Final = 1 << 20


class Result(NamedTuple):
    """`value` is None exactly when `limit` is set. `cpu_seconds` is of the last try, `peak_bytes` over all calls
    of the child.

    `detail` is the child's message about its crash.
    """

    value: bytes | None
    limit: Limit | None
    cpu_seconds: float
    peak_bytes: int
    detail: str = ""


class _Broken(Exception):
    """The child has exceeded a limit, or has ended."""

    def __init__(self, limit: Limit, cpu_seconds: float = 0.0, peak_bytes: int = 0, detail: str = "") -> None:
        super().__init__(detail)
        self.result = Result(None, limit, cpu_seconds, peak_bytes, detail)


@dataclass
class _Child:
    """A running child of the process `owner`; `cpu_seconds` and `resident_bytes` as of its last reply."""

    process: subprocess.Popen[bytes]
    requests: int
    replies: int
    owner: int
    calls: int = 0
    cpu_seconds: float = 0.0
    resident_bytes: int = 0
    watched: Any = None  # what psutil knows of the process; to look it up costs more than to ask it

    @property
    def running(self) -> bool:
        return self.process.poll() is None


_LIVE: Final[dict[int, _Child]] = {}


def cpu_seconds_of_sandboxes() -> float:
    """CPU time of this process's children that still run, as of their last replies."""
    return sum(child.cpu_seconds for child in _LIVE.values() if child.owner == os.getpid())


def running_sandboxes() -> list[int]:
    """The processes of this process's children that still run."""
    return [child.process.pid for child in _LIVE.values() if child.owner == os.getpid()]


@dataclass
class Sandbox:
    """Calls `target` ("module:function", bytes -> bytes) in a child process, started at the first call.

    `cpu_seconds` and `memory_bytes` bound one call. A call that takes `wall_factor * cpu_seconds` on the clock is
    taken to be asleep, and ended as "limit/cpu". The child is replaced after `max_calls`, or when it holds more than
    `max_idle_bytes` between calls, since libraries leak; results do not depend on it. An exception that the target
    raises is "limit/crash". Not for use by two threads at a time.
    """

    target: str
    cpu_seconds: float = 30.0
    memory_bytes: int = 2 << 30
    wall_factor: float = 20.0
    max_calls: int = 5_000
    max_idle_bytes: int = 512 << 20
    _child: _Child | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, payload: bytes) -> Result:
        """The target's answer, or the limit that both tries exceeded. WorkError if no child can be started."""
        try:
            try:
                return self._try(payload)
            except _Broken:
                self.close()
            try:
                return self._try(payload)
            except _Broken as broken:
                self.close()
                return broken.result
        except BaseException:
            # Interrupted in the middle of a message: the pipes cannot be used any more.
            self.close()
            raise

    def close(self) -> None:
        """End the child, if there is one. The sandbox may be used again."""
        child, self._child = self._child, None
        if child is None:
            return
        _LIVE.pop(child.process.pid, None)
        for pipe in (child.process.stdin, child.process.stdout):
            assert pipe is not None
            pipe.close()
        if child.owner == os.getpid():
            child.process.kill()
            child.process.wait()

    def _try(self, payload: bytes) -> Result:
        child = self._ready_child()
        child.calls += 1
        before = child.cpu_seconds
        status, value, peak = self._exchange(
            child, REQUEST.pack(len(payload)) + payload, self.cpu_seconds * self.wall_factor
        )
        used = child.cpu_seconds - before
        if status == OK:
            return Result(value, None, used, peak)
        limit: Limit = "limit/memory" if status == MEMORY else "limit/crash"
        raise _Broken(limit, used, peak, value.decode("utf-8", "replace"))

    def _ready_child(self) -> _Child:
        child = self._child
        if child is not None:
            worn = child.calls >= self.max_calls or child.resident_bytes > self.max_idle_bytes
            # After a fork the child belongs to the process that started it.
            if worn or child.owner != os.getpid() or not child.running:
                self.close()
        if self._child is None:
            self._child = self._start()
        return self._child

    def _start(self) -> _Child:
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
        )
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        arguments = [self.target, str(os.getpid()), str(self.memory_bytes)]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "infra.sandbox.child", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **threads, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        )
        assert process.stdin is not None and process.stdout is not None
        child = _Child(process, process.stdin.fileno(), process.stdout.fileno(), os.getpid())
        _LIVE[process.pid] = child
        os.set_blocking(child.requests, False)
        for pipe in (child.requests, child.replies):
            _widen(pipe)
        try:
            self._exchange(child, b"", START_SECONDS, watch=False)
        except _Broken:
            self._child = child
            self.close()
            raise WorkError(
                f"the sandbox for {self.target} could not be started: see the process's message on stderr"
            ) from None
        return child

    def _exchange(
        self, child: _Child, message: bytes, wall_seconds: float, *, watch: bool = True
    ) -> tuple[int, bytes, int]:
        """Send a message and wait for the reply: status, value, peak bytes. Raises _Broken."""
        deadline = time.monotonic() + wall_seconds
        unsent, reply, wanted, peak = memoryview(message), bytearray(), REPLY.size, 0
        poll = select.poll()
        poll.register(child.replies, select.POLLIN)
        unsent = _write(child.requests, unsent)
        if unsent:
            poll.register(child.requests, select.POLLOUT)
        while len(reply) < wanted:
            ready = [descriptor for descriptor, _ in poll.poll(POLL_SECONDS * 1000)]
            if child.requests in ready:
                unsent = _write(child.requests, unsent)
                if not unsent:
                    poll.unregister(child.requests)
            if child.replies in ready:
                piece = os.read(child.replies, min(wanted + 4096, PIPE_BYTES))
                if not piece:
                    raise _Broken("limit/crash", peak_bytes=peak, detail="the process ended")
                reply += piece
                if wanted == REPLY.size <= len(reply):
                    wanted += REPLY.unpack_from(reply)[-1]
            if not ready:
                peak = max(peak, self._check_limits(child, deadline, watch=watch))
        status, child.cpu_seconds, child_peak, child.resident_bytes, _ = REPLY.unpack_from(reply)
        return status, bytes(reply[REPLY.size :]), max(peak, child_peak)

    def _check_limits(self, child: _Child, deadline: float, *, watch: bool) -> int:
        """The resident bytes of a child at work. Raises _Broken if it has exceeded a limit."""
        import psutil

        try:
            if child.watched is None:
                child.watched = psutil.Process(child.process.pid)
            times, resident = child.watched.cpu_times(), child.watched.memory_info().rss
        except psutil.Error:
            raise _Broken("limit/crash", detail="the process ended") from None
        used = max(0.0, times.user + times.system - child.cpu_seconds)
        if watch and resident > self.memory_bytes:
            raise _Broken("limit/memory", used, resident)
        if (watch and used > self.cpu_seconds) or time.monotonic() > deadline:
            raise _Broken("limit/cpu", used, resident)
        return int(resident)


def _write(descriptor: int, data: memoryview) -> memoryview:
    """What could not be written yet. Raises _Broken if the child does not read any more."""
    try:
        return data[os.write(descriptor, data) :] if data else data
    except BlockingIOError:
        return data
    except OSError:
        raise _Broken("limit/crash", detail="the process ended") from None


def _widen(pipe: int) -> None:
    """Room for most messages in one piece; a system that refuses passes them in smaller ones."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
