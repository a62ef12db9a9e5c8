"""The child's side of the page sandbox: reads a frame, calls the target, writes a frame, until its input ends.

Started by `infra/sandbox/sandbox.py` as `python -P -m infra.sandbox.child MODULE:FUNCTION PARENT_PID MEMORY_BYTES`.
Kept apart from the parent's side so that the child imports nothing but this and the target.
"""

import contextlib
import gc
import importlib
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

REQUEST: Final = struct.Struct("<Q")
# status, CPU seconds of the process so far, its peak and its present resident bytes, length of the value
REPLY: Final = struct.Struct("<BdQQQ")
OK, MEMORY, FAILED = 0, 1, 2

# Room between the bound that the parent watches and the bound at which the kernel refuses: a library may swallow the
# MemoryError of a refused allocation and return half a result, so the watching parent must come first.
FENCE_FACTOR: Final = 2
FENCE_SLACK: Final = 1 << 30
GARBAGE_THRESHOLDS: Final = (50_000, 20, 50)

_REFUSED_EVENTS: Final = frozenset({
    "socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system",
})  # fmt: skip


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    target_name, parent, memory_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    _die_with(parent)
    requests, replies = _take_pipes()
    _fence(memory_bytes)
    module, _, function = target_name.partition(":")
    target: Callable[[bytes], bytes] = getattr(importlib.import_module(module), function)
    # Pages make many objects and no cycles worth a search after each 700 of them: a twentieth of the time
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    sys.addaudithook(_refuse)
    memory = _Memory()
    _reply(replies, OK, b"", *memory.read())
    while header := requests.read(REQUEST.size):
        payload = requests.read(REQUEST.unpack(header)[0])
        status, value = _answer(target, payload)
        peak, resident = memory.read()
        if status == OK and peak > memory_bytes:
            status, value = MEMORY, b""  # faster than the parent polls
        _reply(replies, status, value, peak, resident)


def _answer(target: Callable[[bytes], bytes], payload: bytes) -> tuple[int, bytes]:
    try:
        return OK, target(payload)
    except MemoryError:
        return MEMORY, b""
    except BaseException as error:
        return FAILED, f"{type(error).__name__}: {error}"[:1000].encode("utf-8", "replace")


def _reply(replies: BinaryIO, status: int, value: bytes, peak: int, resident: int) -> None:
    replies.write(REPLY.pack(status, time.process_time(), peak, resident, len(value)))
    replies.write(value)
    replies.flush()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes to the parent from the target: what it prints goes to stderr, and its stdin is empty."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends, where the kernel can."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)  # it ended before the kernel was asked


def _fence(memory_bytes: int) -> None:
    """No core files, a hard bound on memory far above the watched one, and killed first when memory runs out."""
    bounds = {
        resource.RLIMIT_CORE: 0,
        # private writable memory, whether touched or not
        resource.RLIMIT_DATA: FENCE_FACTOR * memory_bytes + FENCE_SLACK,
    }
    for kind, bound in bounds.items():
        hard = resource.getrlimit(kind)[1]
        if hard == resource.RLIM_INFINITY or bound < hard:
            # macOS has no such limit on data
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (bound, bound))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _refuse(event: str, _: object) -> None:
    if event in _REFUSED_EVENTS:
        raise PermissionError(f"{event} is not allowed in the page sandbox")


class _Memory:
    """This process's peak and present resident bytes, from a file kept open: reading costs some 10 microseconds."""

    def __init__(self) -> None:
        try:
            self._status: int | None = os.open("/proc/self/status", os.O_RDONLY)
        except OSError:
            self._status = None

    def read(self) -> tuple[int, int]:
        if self._status is None:
            # Without /proc the present size is unknown, and taken for 0.
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
        # Not ru_maxrss: under Linux that begins with the size of the parent that started this process.
        text = os.pread(self._status, 4096, 0)
        return _kibibytes(text, b"VmHWM:"), _kibibytes(text, b"VmRSS:")


def _kibibytes(status: bytes, name: bytes) -> int:
    return int(status.partition(name)[2].split(None, 1)[0]) * 1024


if __name__ == "__main__":
    main()
