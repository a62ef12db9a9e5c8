"""A lease on a folder of objects: an object that its holder writes again and again.

It is taken by a PUT on the condition that it is not there, and renewed, taken over and given back by PUTs on the
condition that it is the version last seen (If-Match), so of two drivers one succeeds. No clock is compared with
another: who waits has seen the lease unchanged for LEASE_SECONDS on its own clock, and takes it; the holder renews it
three times in that time. A driver that was killed is followed at once by one on the same machine, which sees that the
process is gone.

A holder that was stopped for longer (a suspended machine, a store out of reach) finds at its next renewal that it has
lost the lease. What finishes a dataset is written by `put_last`, which renews first, and puts on the condition of
what is there: a holder that is stopped between the two writes nothing over what its follower has finished.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.errors import UsageError, WorkError
from infra.hashing import canonical_json
from infra.storage.client import send
from infra.storage.errors import StoreError, StoreRefusal
from infra.storage.objects import ObjectPath

LEASE_SECONDS = 30.0
RENEWALS = 3
POLL_SECONDS = 1.0


@dataclass
class Lease:
    """One held lease. `version`: that of the object, as the store names it."""

    path: ObjectPath
    token: str
    version: Any
    renewed: float
    lost: bool = False
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _end: threading.Event = field(default_factory=threading.Event)

    def renew(self) -> None:
        """Write it again. WorkError if it is another's."""
        with self._turn:
            if not self.lost:
                began = time.monotonic()
                try:
                    self.version = _put(self.path, _content(self.token), self.version)
                    self.renewed = began
                except FileExistsError:
                    # the answer to a renewal may have been lost on its way, and the renewal sent again
                    content, version = _read(self.path)
                    self.lost = content.get("token") != self.token
                    self.version = version
            if self.lost:
                raise WorkError(
                    f"another driver has taken over {self.path.parent} while this one was stopped or could not reach "
                    "the store: this one stops, and leaves it to that one"
                )

    def keep(self) -> None:
        """Renew it until it is given back or lost, in a thread."""
        while not self._end.wait(LEASE_SECONDS / RENEWALS):
            try:
                self.renew()
            except (StoreError, StoreRefusal):
                continue  # the store fails for a while: the next time, or `still_held`, decides
            except WorkError:
                return

    def give_back(self) -> None:
        self._end.set()
        with self._turn, suppress(OSError):
            if not self.lost:
                _put(self.path, b"{}", self.version)


# Those that this process holds, by URL.
_held: dict[str, Lease] = {}


@contextmanager
def hold(path: ObjectPath) -> Iterator[None]:
    """Hold the lease at `path`. UsageError if another driver has it and goes on renewing it."""
    if str(path) in _held:
        raise UsageError(f"this process is writing into {path.parent} already: choose another --out")
    lease = take(path)
    threading.Thread(target=lease.keep, daemon=True, name=f"lease {path}").start()
    _held[str(path)] = lease
    try:
        yield
    finally:
        del _held[str(path)]
        lease.give_back()


def still_held(path: ObjectPath, lately: bool = False) -> None:
    """WorkError if this process does not hold the lease at `path` any more; it is renewed. `lately`: only if that was
    not done for so long that another may be about to take it."""
    lease = _held[str(path)]
    if not lately or lease.lost or time.monotonic() - lease.renewed > LEASE_SECONDS * 2 / RENEWALS:
        lease.renew()


def put_last(lease: ObjectPath, path: ObjectPath, content: bytes) -> None:
    """Write what finishes a folder that this process holds by `lease`. WorkError if another has it now.

    There is nothing at `path` yet, or what a former holder wrote after it had lost the lease.
    """
    version = None
    while True:
        still_held(lease)
        try:
            _put(path, content, version)
            return
        except FileExistsError:  # another's, or ours, if its answer was lost on the way
            still_held(lease)
            found, version = _fetch(path)
            if found == content:
                return


def token_of(path: ObjectPath) -> str:
    """What the lease says of its holder, which is this process; empty if it is not."""
    return _held[str(path)].token if str(path) in _held else ""


def is_token(path: ObjectPath, token: str) -> bool:
    """Whether the holder of this token has the lease."""
    return _read(path)[0].get("token") == token


def is_held(path: ObjectPath) -> bool:
    """For people: whether a driver renewed the lease lately, by the clocks of the store and of this machine."""
    content, version = _read(path)
    if version is None or not content or _is_dead_here(content):
        return False
    return time.time() - path.stat().st_mtime < 2 * LEASE_SECONDS


def take(path: ObjectPath) -> Lease:
    """Wait until the lease is free, given back or unchanged for LEASE_SECONDS; UsageError when it is renewed."""
    token = uuid.uuid4().hex
    seen, since = None, time.monotonic()
    while True:
        began = time.monotonic()
        content, version = _read(path)
        if seen is not None and version != seen and content:
            _refuse(path, content)
        lapsed = version is not None and version == seen and began - since >= LEASE_SECONDS
        if version is None or not content or lapsed or _is_dead_here(content) or content.get("token") == token:
            with suppress(FileExistsError):  # another was faster: look again
                return Lease(path, token, _put(path, _content(token), version), began)
        if version != seen:
            seen, since = version, began
        time.sleep(min(POLL_SECONDS, LEASE_SECONDS / 10))


def _refuse(path: ObjectPath, content: dict[str, Any]) -> None:
    raise UsageError(
        f"another driver, on {content.get('host')}, is writing into {path.parent}: wait for it, stop it, or choose "
        "another --out"
    )


def _put(path: ObjectPath, content: bytes, version: Any) -> Any:
    """The new version; FileExistsError unless the object is still of `version` (None: not there)."""
    return _version(send(path, lambda: path.store.put(path.key, content, mode=version or "create")))


def _read(path: ObjectPath) -> tuple[dict[str, Any], Any]:
    """What the lease says, empty if it was given back, and its version, None if there is none."""
    content, version = _fetch(path)
    if content is None:
        return {}, None
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    return (found if isinstance(found, dict) else {"host": "?"}), version


def _fetch(path: ObjectPath) -> tuple[bytes | None, Any]:
    """The object and its version; None and None where there is none."""
    try:
        content, version = send(path, lambda: _got(path))
    except FileNotFoundError:
        return None, None
    return content, version


def _got(path: ObjectPath) -> tuple[bytes, Any]:
    answer = path.store.get(path.key)
    return bytes(answer.bytes()), _version(answer.meta)


def _version(answer: Any) -> dict[str, str]:
    """How the store names a version: by an ETag, a number, or both."""
    return {name: answer[name] for name in ("e_tag", "version") if answer.get(name)}


def _content(token: str) -> bytes:
    """`renewal` makes each version another one: a store names versions by their content."""
    return canonical_json({"token": token, "renewal": uuid.uuid4().hex, "host": socket.gethostname(), **_process()})


def _process() -> dict[str, Any]:
    """This process among all that this kernel has run: containers may share its numbers and the machine's name."""
    return {"kernel": _kernel(), "process": os.getpid(), "began": _began(os.getpid())}


def _kernel() -> str | None:
    """The boot of this machine, and the space of process numbers in it; None where /proc is not there."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _began(process: int) -> str | None:
    """When a process began, in ticks since the boot (field 22 of its stat); None if there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _is_dead_here(content: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine, and has ended."""
    kernel = _kernel()
    return kernel is not None and kernel == content.get("kernel") and _began(content["process"]) != content["began"]
